/* Select: every kind of case, chances, time, cancellation, misuse, plain threads. What losers leave
 * behind, which is nothing, is in select_losers.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "law.h"
#include "on_a_thread.h"
#include "waits.h"

static fiber_chan_t *chan_of(size_t item_bytes, size_t capacity)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_chan_create(&c, item_bytes, capacity) == 0);
	return c;
}

/* A fiber that selects. */
struct choice {
	fiber_case_t cases[3];
	size_t n;
	int64_t until;
};

static int choose(void *arg)
{
	struct choice *c = arg;

	return fiber_select_until(c->cases, c->n, c->until);
}

/* ---- each kind, at once and after a wait ------------------------------------------------------*/
static int channels(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 0), *b = chan_of(sizeof(int), 0);
	int in = -1, out = 5, got = -1;
	struct choice choice = {
		.cases = {FIBER_RECV(a, &in), FIBER_SEND(b, &out)}, .n = 2, .until = FIBER_NEVER};
	fiber_t f;

	(void)arg;
	for (int turn = 0; turn < 3; turn++) { /* the other side waits first in the last one */
		f = spawned(choose, &choice);
		until_it_waits_for(f, "select");
		cr_expect(fiber_chan_send(a, &turn) == 0);
		cr_expect(result_of(f) == 0 && choice.cases[0].result == 0 && in == turn);
		f = spawned(choose, &choice);
		until_it_waits_for(f, "select");
		cr_expect(fiber_chan_recv(b, &got) == 0 && got == 5);
		cr_expect(result_of(f) == 1 && choice.cases[1].result == 0);
	}
	f = spawned(choose, &(struct choice){
				    .cases = {FIBER_SEND(a, &out)}, .n = 1, .until = FIBER_NEVER});
	until_it_waits_for(f, "select");
	cr_expect(fiber_select(choice.cases, 2) == 0 && in == 5, "two selects meet");
	cr_expect(result_of(f) == 0);
	fiber_chan_free(a);
	fiber_chan_free(b);
	return 0;
}

Test(select, a_send_or_a_receive, .timeout = 20)
{
	law_holds(channels, NULL);
}

static int closed(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 0), *b = chan_of(sizeof(int), 0);
	int item = 17;
	struct choice recv = {.cases = {FIBER_RECV(a, &item)}, .n = 1, .until = FIBER_NEVER};
	struct choice send = {.cases = {FIBER_SEND(b, &item)}, .n = 1, .until = FIBER_NEVER};
	fiber_t f[2] = {spawned(choose, &recv), spawned(choose, &send)};

	(void)arg;
	until_it_waits_for(f[0], "select");
	until_it_waits_for(f[1], "select");
	cr_expect(fiber_chan_close(a) == 0 && fiber_chan_close(b) == 0);
	cr_expect(result_of(f[0]) == 0 && recv.cases[0].result == -EPIPE && item == 17);
	cr_expect(result_of(f[1]) == 0 && send.cases[0].result == -EPIPE);
	cr_expect(fiber_select(recv.cases, 1) == 0 && recv.cases[0].result == -EPIPE);
	cr_expect(fiber_select_now(send.cases, 1) == 0 && send.cases[0].result == -EPIPE);
	fiber_chan_free(a);
	fiber_chan_free(b);
	return 0;
}

Test(select, a_closed_channel_can_go, .timeout = 20)
{
	law_holds(closed, NULL);
}

static int sockets(void *arg)
{
	fiber_chan_t *silent = chan_of(sizeof(int), 0);
	struct choice choice = {.n = 2, .until = FIBER_NEVER};
	int fd[2];
	fiber_t f;
	char byte;

	(void)arg;
	cr_expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	choice.cases[0] = (fiber_case_t)FIBER_RECV(silent, NULL);
	choice.cases[1] = (fiber_case_t)FIBER_READY(fd[0], POLLIN);
	for (int turn = 0; turn < 3; turn++) {
		f = spawned(choose, &choice);
		until_it_waits_for(f, "select");
		cr_expect(write(fd[1], "x", 1) == 1);
		cr_expect(result_of(f) == 1 && choice.cases[1].result == POLLIN);
		cr_expect(fiber_select_now(choice.cases, 2) == 1, "readiness takes nothing");
		cr_expect(read(fd[0], &byte, 1) == 1 && byte == 'x');
		cr_expect(fiber_select_now(choice.cases, 2) == -EAGAIN);
	}
	choice.cases[1].events = POLLIN | POLLOUT;
	cr_expect(fiber_select(choice.cases, 2) == 1 && choice.cases[1].result == POLLOUT);
	choice.cases[1].events = POLLIN;
	f = spawned(choose, &choice);
	until_it_waits_for(f, "select");
	close(fd[1]);
	cr_expect(result_of(f) == 1 && choice.cases[1].result & POLLIN, "its end can be read");
	cr_expect(fiber_close(fd[0]) == 0);
	cr_expect(fiber_select(choice.cases, 2) == 1 && choice.cases[1].result == -EBADF);
	fiber_chan_free(silent);
	return 0;
}

Test(select, a_descriptor_that_is_ready, .timeout = 20)
{
	law_holds(sockets, NULL);
}

static int park_for(void *arg)
{
	int r = fiber_park();

	return r < 0 ? r : (int)(intptr_t)arg;
}

static int joins(void *arg)
{
	struct choice choice = {.n = 2, .until = FIBER_NEVER};
	fiber_t one = spawned(park_for, (void *)1), two = spawned(park_for, (void *)2), f;

	(void)arg;
	choice.cases[0] = (fiber_case_t)FIBER_JOINED(one);
	choice.cases[1] = (fiber_case_t)FIBER_JOINED(two);
	cr_expect(fiber_select_now(choice.cases, 2) == -EAGAIN);
	f = spawned(choose, &choice);
	until_it_waits_for(f, "select");
	cr_expect(fiber_join(one, NULL) == -EBUSY, "somebody is at it");
	cr_expect(fiber_unpark(two) == 0);
	cr_expect(result_of(f) == 1 && choice.cases[1].result == 2);
	cr_expect(fiber_join(two, NULL) == -ESRCH, "a fiber is joined once");
	cr_expect(fiber_unpark(one) == 0);
	choice.cases[1].op = FIBER_OP_NONE;
	cr_expect(fiber_select(choice.cases, 2) == 0 && choice.cases[0].result == 1);
	cr_expect(fiber_select(choice.cases, 2) == 0 && choice.cases[0].result == -ESRCH);
	return 0;
}

Test(select, a_fiber_that_has_ended, .timeout = 20)
{
	law_holds(joins, NULL);
}

/* ---- chances ----------------------------------------------------------------------------------*/
enum { ROUNDS = 6000, CASES = 20 };

/* Of the `n` cases those in `ready` can always go: each as often as the others, within six standard
 * deviations, wherever they stand among those that cannot. The sequence of a new process is always
 * the same. */
static void fair(size_t n, const int *ready, int count)
{
	fiber_chan_t *open = chan_of(0, SIZE_MAX), *stuck = chan_of(0, 0);
	fiber_case_t cases[CASES];
	int won[CASES] = {0}, others = 0, expected = ROUNDS / count;

	for (size_t i = 0; i < n; i++)
		cases[i] = (fiber_case_t)FIBER_SEND(stuck, NULL);
	for (int i = 0; i < count; i++)
		cases[ready[i]].chan = open;
	for (int i = 0; i < ROUNDS; i++) {
		int at = i & 1 ? fiber_select(cases, n) : fiber_select_now(cases, n);

		cr_expect(at >= 0 && cases[at].chan == open);
		won[at < 0 ? 0 : at]++;
	}
	for (int i = 0; i < count; i++) {
		int off = won[ready[i]] - expected;

		cr_expect(off * off < 36 * expected, "case %d won %d times of %d", ready[i],
			  won[ready[i]], ROUNDS);
		others += won[ready[i]];
	}
	cr_expect(others == ROUNDS);
	fiber_chan_free(open);
	fiber_chan_free(stuck);
}

static int chances(void *arg)
{
	(void)arg;
	fair(2, (const int[]){0, 1}, 2);
	fair(8, (const int[]){0, 1}, 2);
	fair(8, (const int[]){1, 2, 7}, 3);
	fair(5, (const int[]){0, 1, 2, 3, 4}, 5);
	fair(CASES, (const int[]){3, 4, 17}, 3);
	return 0;
}

Test(select, each_case_that_can_go_has_the_same_chance, .timeout = 20)
{
	cr_expect(law_run(1, chances, NULL) == 0);
	cr_expect(on_a_thread(chances, NULL) == 0);
	law_no_leaks();
}

/* ---- time and cancellation --------------------------------------------------------------------*/
static int interrupted(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 1), *b = chan_of(sizeof(int), 0);
	int item = 3, r;
	fiber_case_t cases[] = {FIBER_RECV(a, &item), FIBER_SEND(b, &item)};
	fiber_scope_t scope;

	(void)arg;
	cr_expect(fiber_select_now(cases, 2) == -EAGAIN);
	for (int i = 0; i < 3; i++) {
		int64_t when = i < 2 ? i : fiber_after(FIBER_MILLISECOND);

		cr_expect(fiber_select_until(cases, 2, when) == -ETIMEDOUT);
		cr_expect(fiber_select_until(NULL, 0, when) == -ETIMEDOUT, "nothing to wait for");
		cr_expect(fiber_now() >= when);
	}
	cr_expect(fiber_chan_try_recv(b, &item) == -EAGAIN, "its case stayed behind");
	cr_expect(fiber_chan_send(a, &item) == 0 && fiber_chan_count(a) == 1);
	cr_expect(fiber_select_until(cases, 2, 0) == 0, "a success is a success");
	cr_expect(fiber_chan_send(a, &item) == 0);
	fiber_within(&scope, fiber_now());
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_select(cases, 2) == -ECANCELED && fiber_chan_count(a) == 1);
	cr_expect(fiber_select_now(cases, 2) == 0, "no cancellation point");
	r = fiber_select(cases, 2);
	cr_expect(fiber_scope_end(&scope, r) == -ETIMEDOUT);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	r = fiber_select(cases, 2);
	cr_expect(r == -ECANCELED && fiber_scope_end(&scope, r) == -ETIMEDOUT);
	fiber_chan_free(a);
	fiber_chan_free(b);
	return 0;
}

Test(select, it_ends_with_its_time_and_by_interruptions, .timeout = 20)
{
	law_holds(interrupted, NULL);
	cr_expect(on_a_thread(interrupted, NULL) == 0);
}

static int cancelled(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 0);
	int item;
	struct choice choice = {
		.cases = {FIBER_RECV(a, &item)}, .n = 1, .until = FIBER_NEVER};
	struct choice nothing = {.until = FIBER_NEVER};
	fiber_t f = spawned(choose, &choice), idle = spawned(choose, &nothing);

	(void)arg;
	until_it_waits_for(f, "select");
	until_it_waits_for(idle, "select");
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	cr_expect(fiber_cancel(idle) == 0 && result_of(idle) == -ECANCELED);
	cr_expect(fiber_chan_try_send(a, &item) == -EAGAIN);
	fiber_chan_free(a);
	return 0;
}

Test(select, a_cancelled_one_leaves_nothing, .timeout = 20)
{
	law_holds(cancelled, NULL);
}

/* ---- what makes no sense ----------------------------------------------------------------------*/
static int result_alone(fiber_case_t c)
{
	fiber_case_t again = c;

	cr_expect(fiber_select(&c, 1) == 0);
	cr_expect(fiber_select_now(&again, 1) == 0 && again.result == c.result);
	return c.result;
}

static int nonsense(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 0);
	fiber_case_t odd = {.op = FIBER_OP_FUTURE + 1}, less = {.op = -1}, none = {0};

	(void)arg;
	cr_expect(fiber_select(NULL, 1) == -EINVAL && fiber_select_now(NULL, 1) == -EINVAL);
	cr_expect(fiber_select(&none, 65537) == -EINVAL);
	cr_expect(fiber_select(&odd, 1) == -EINVAL && fiber_select_now(&less, 1) == -EINVAL);
	cr_expect(fiber_select_now(&none, 1) == -EAGAIN && fiber_select_now(NULL, 0) == -EAGAIN);
	cr_expect(result_alone((fiber_case_t)FIBER_SEND(NULL, &odd)) == -EINVAL);
	cr_expect(result_alone((fiber_case_t)FIBER_RECV(NULL, NULL)) == -EINVAL);
	cr_expect(result_alone((fiber_case_t)FIBER_SEND(a, NULL)) == -EINVAL);
	cr_expect(result_alone((fiber_case_t)FIBER_READY(-1, POLLIN)) == -EBADF);
	cr_expect(result_alone((fiber_case_t)FIBER_READY(12345, POLLIN)) == -EBADF);
	cr_expect(result_alone((fiber_case_t)FIBER_READY(0, 0)) == -EINVAL);
	cr_expect(result_alone((fiber_case_t)FIBER_READY(0, POLLHUP)) == -EINVAL);
	cr_expect(result_alone((fiber_case_t)FIBER_JOINED((fiber_t){0})) == -ESRCH);
	cr_expect(result_alone((fiber_case_t)FIBER_JOINED(fiber_self())) == -EDEADLK);
	fiber_chan_free(a);
	return 0;
}

Test(select, a_case_that_makes_no_sense_can_go, .timeout = 20)
{
	law_holds(nonsense, NULL);
}

/* ---- plain threads ----------------------------------------------------------------------------*/
static void *send_seven(void *chan)
{
	return (void *)(intptr_t)fiber_chan_send(chan, &(int){7});
}

static int of_threads(void *arg)
{
	fiber_chan_t *a = chan_of(sizeof(int), 0), *b = chan_of(sizeof(int), 0);
	int in = -1;
	fiber_case_t cases[] = {FIBER_RECV(a, &in), FIBER_RECV(b, &in), FIBER_READY(0, POLLIN)};
	pthread_t thread;
	void *r;

	(void)arg;
	cr_expect(fiber_select(cases, 3) == -EPERM && fiber_select_now(cases, 3) == -EPERM);
	for (int i = 0; i < 100; i++) {
		cr_expect(pthread_create(&thread, NULL, send_seven, i & 1 ? a : b) == 0);
		cr_expect(fiber_select(cases, 2) == !(i & 1) && in == 7);
		pthread_join(thread, &r);
		cr_expect(r == NULL);
	}
	fiber_chan_free(a);
	fiber_chan_free(b);
	return 0;
}

Test(select, threads_select_among_channels, .timeout = 20)
{
	cr_expect(on_a_thread(of_threads, NULL) == 0);
	law_no_leaks();
}
