/* Select: the cases that lost leave nothing behind; one channel in several cases; several selects
 * that meet; thousands of cases; roaming fibers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

static fiber_chan_t *chan_of(size_t item_bytes, size_t capacity)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_chan_create(&c, item_bytes, capacity) == 0);
	return c;
}

static int park_for(void *arg)
{
	int r = fiber_park();

	return r < 0 ? r : (int)(intptr_t)arg;
}

/* ---- whoever wins, the others find nothing changed --------------------------------------------*/
enum { RECV, SEND, READY, JOIN, TIME, CANCEL, WAYS };

static struct {
	fiber_chan_t *in, *out;
	int fd[2], item, got;
	fiber_t child;
	fiber_case_t cases[4];
	int64_t until;
} scene;

static int choose(void *arg)
{
	(void)arg;
	return fiber_select_until(scene.cases, 4, scene.until);
}

static void set_up(int way)
{
	scene.in = chan_of(sizeof(int), 0);
	scene.out = chan_of(sizeof(int), 0);
	scene.item = 5;
	scene.got = 17;
	cr_expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, scene.fd) == 0);
	scene.child = spawned(park_for, (void *)3);
	scene.cases[RECV] = (fiber_case_t)FIBER_RECV(scene.in, &scene.got);
	scene.cases[SEND] = (fiber_case_t)FIBER_SEND(scene.out, &scene.item);
	scene.cases[READY] = (fiber_case_t)FIBER_READY(scene.fd[0], POLLIN);
	scene.cases[JOIN] = (fiber_case_t)FIBER_JOINED(scene.child);
	scene.until = way == TIME ? fiber_after(20 * FIBER_MILLISECOND) : FIBER_NEVER;
}

static void end_it(int way, fiber_t f)
{
	int got = 0;

	switch (way) {
	case RECV:
		cr_expect(fiber_chan_send(scene.in, &(int){6}) == 0);
		break;
	case SEND:
		cr_expect(fiber_chan_recv(scene.out, &got) == 0 && got == 5);
		break;
	case READY:
		cr_expect(write(scene.fd[1], "x", 1) == 1);
		break;
	case JOIN:
		cr_expect(fiber_unpark(scene.child) == 0);
		break;
	case CANCEL:
		cr_expect(fiber_cancel(f) == 0);
		break;
	default:
		break;
	}
}

static void nothing_is_left(int way)
{
	char byte;

	cr_expect(fiber_chan_try_send(scene.in, &scene.item) == -EAGAIN, "%d: it receives", way);
	cr_expect(fiber_chan_try_recv(scene.out, NULL) == -EAGAIN, "%d: it sends", way);
	cr_expect(scene.got == (way == RECV ? 6 : 17));
	if (way != READY)
		cr_expect(write(scene.fd[1], "x", 1) == 1);
	cr_expect(fiber_read(scene.fd[0], &byte, 1) == 1);
	if (way != JOIN) {
		cr_expect(fiber_unpark(scene.child) == 0);
		cr_expect(result_of(scene.child) == 3, "%d: it was joined", way);
	}
}

static int losers(void *arg)
{
	static const int expected[WAYS] = {0, 1, 2, 3, -ETIMEDOUT, -ECANCELED};

	(void)arg;
	for (int way = 0; way < WAYS; way++) {
		fiber_t f;
		int r;

		set_up(way);
		f = spawned(choose, NULL);
		if (way != TIME)
			until_it_waits_for(f, "select");
		end_it(way, f);
		r = result_of(f);
		cr_expect(r == expected[way], "%d, not %d", r, expected[way]);
		nothing_is_left(way);
		cr_expect(fiber_close(scene.fd[0]) == 0 && fiber_close(scene.fd[1]) == 0);
		fiber_chan_free(scene.in);
		fiber_chan_free(scene.out);
	}
	return 0;
}

Test(select_losers, they_leave_nothing_behind, .timeout = 20)
{
	law_holds(losers, NULL);
}

/* ---- one channel in several cases -------------------------------------------------------------*/
static int on_itself(void *chan)
{
	int in = 0, out = 5;
	fiber_case_t cases[] = {
		FIBER_SEND(chan, &out), FIBER_RECV(chan, &in), FIBER_SEND(chan, &out),
		FIBER_RECV(chan, &in)};
	int at = fiber_select(cases, 4);

	return at < 0 ? at : at & 1 ? 100 + in : at & 1;
}

static int itself(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 0);
	int in = 0, out = 1;
	fiber_case_t cases[] = {FIBER_SEND(c, &out), FIBER_RECV(c, &in)};
	fiber_t one, two;
	int sum;

	(void)arg;
	cr_expect(fiber_select_until(cases, 2, fiber_after(FIBER_MILLISECOND)) == -ETIMEDOUT);
	one = spawned(on_itself, c);
	until_it_waits_for(one, "select");
	cr_expect(fiber_chan_send(c, &(int){7}) == 0 && result_of(one) == 107);
	one = spawned(on_itself, c);
	until_it_waits_for(one, "select");
	cr_expect(fiber_chan_recv(c, &in) == 0 && in == 5 && result_of(one) == 0);
	for (int i = 0; i < 200; i++) { /* but two such meet each other */
		one = spawned(on_itself, c);
		two = spawned(on_itself, c);
		sum = result_of(one);
		sum += result_of(two);
		cr_expect(sum == 105, "one sends and the other receives: %d", sum);
	}
	cr_expect(fiber_chan_try_send(c, &out) == -EAGAIN);
	cr_expect(fiber_chan_try_recv(c, &out) == -EAGAIN);
	fiber_chan_free(c);
	return 0;
}

Test(select_losers, a_select_does_not_meet_itself, .timeout = 20)
{
	law_holds(itself, NULL);
}

/* Both can go both ways; each pair of rounds moves one item in one direction. */
enum { MEETINGS = 5000 };

struct crossing {
	fiber_chan_t *here, *there;
	unsigned sent, received;
};

static int cross(void *arg)
{
	struct crossing *x = arg;

	for (int i = 0; i < MEETINGS; i++) {
		int in = 0, out = 1, at;
		fiber_case_t cases[] = {FIBER_SEND(x->here, &out), FIBER_RECV(x->there, &in)};

		at = fiber_select(cases, 2);
		if (at < 0)
			return at;
		x->sent += at == 0;
		x->received += at == 1 && in == 1;
	}
	return 0;
}

static int crossings(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 0), *b = chan_of(sizeof(int), 0);
	struct crossing x = {.here = a, .there = b}, y = {.here = b, .there = a};
	fiber_t f = spawned(cross, &x), g = spawned(cross, &y);

	(void)arg;
	cr_expect(result_of(f) == 0 && result_of(g) == 0);
	cr_expect(x.sent == y.received && y.sent == x.received);
	cr_expect(x.sent + x.received == MEETINGS);
	fiber_chan_free(a);
	fiber_chan_free(b);
	return 0;
}

Test(select_losers, two_selects_agree_on_one_case, .timeout = 40)
{
	law_holds(crossings, NULL);
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, crossings, NULL);
}

/* ---- thousands --------------------------------------------------------------------------------*/
enum { MOST = 65536 };

static int choose_of_many(void *cases)
{
	return fiber_select(cases, MOST);
}

static int many(void *arg)
{
	fiber_case_t *cases = calloc(MOST, sizeof *cases);
	fiber_chan_t *c[7];
	uint64_t random = law_seed();
	int got = 0;

	(void)arg;
	for (int i = 0; i < 7; i++)
		c[i] = chan_of(sizeof(int), 0);
	for (size_t i = 0; i < MOST; i++)
		cases[i] = (fiber_case_t)FIBER_RECV(c[i % 7], &got);
	for (int i = 0; i < 5; i++) {
		int k = (int)(law_random(&random) % 7), at;
		fiber_t f = spawned(choose_of_many, cases);

		until_it_waits_for(f, "select");
		cr_expect(fiber_chan_send(c[k], &i) == 0);
		at = result_of(f);
		cr_expect(at >= 0 && at % 7 == k && got == i);
	}
	for (int i = 0; i < 7; i++) {
		cr_expect(fiber_chan_try_send(c[i], &got) == -EAGAIN);
		fiber_chan_free(c[i]);
	}
	free(cases);
	return 0;
}

Test(select_losers, as_many_cases_as_there_may_be, .timeout = 40)
{
	law_holds(many, NULL);
}

/* ---- roaming ----------------------------------------------------------------------------------*/
/* Whoever wakes it takes it to another worker; but its operation lies in the poller of the first,
 * which alone can take it back. */
static struct {
	fiber_chan_t *chan;
	_Atomic int wrong;
} roaming;

static int watch_and_receive(void *arg)
{
	unsigned rounds = law_rounds(2000);
	int fd[2], item;
	char byte;

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		return -errno;
	for (unsigned i = 0; i < rounds; i++) {
		fiber_case_t cases[] = {
			FIBER_READY(fd[0], POLLIN), FIBER_RECV(roaming.chan, &item)};
		int at = i % 8 ? fiber_select(cases, 2) : (int)fiber_write(fd[1], "x", 1);

		roaming.wrong += at < 0;
		if (i % 8 == 0 || at == 0)
			(void)!read(fd[0], &byte, 1);
	}
	roaming.wrong += fiber_close(fd[0]) < 0;
	roaming.wrong += fiber_close(fd[1]) < 0;
	return 0;
}

static int keep_sending(void *arg)
{
	int r;

	(void)arg;
	do
		r = fiber_chan_send(roaming.chan, &r);
	while (r == 0);
	return r == -EPIPE ? 0 : r;
}

static int roams(void *arg)
{
	fiber_t watchers[6], senders[3];

	(void)arg;
	roaming.chan = chan_of(sizeof(int), 0);
	for (int i = 0; i < 6; i++)
		watchers[i] = spawned(watch_and_receive, NULL);
	for (int i = 0; i < 3; i++)
		senders[i] = spawned(keep_sending, NULL);
	for (int i = 0; i < 6; i++)
		cr_expect(result_of(watchers[i]) == 0);
	cr_expect(fiber_chan_close(roaming.chan) == 0);
	for (int i = 0; i < 3; i++)
		cr_expect(result_of(senders[i]) == 0);
	cr_expect(roaming.wrong == 0);
	fiber_chan_free(roaming.chan);
	return 0;
}

Test(select_losers, a_roaming_fiber_takes_its_operations_back, .timeout = 50)
{
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, roams, NULL);
	law_holds(roams, NULL);
}
