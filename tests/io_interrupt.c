/* Interruptions against data: what was taken is returned, what was not is still there. And loops
 * that never park, because they fail at once or succeed at once, let the others run. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

enum { TIMES = 100000 };

/* ---- against data -----------------------------------------------------------------------------*/
struct taker {
	fiber_fd fd;
	int64_t deadline;      /* FIBER_NEVER, or from now */
	ssize_t result;
};

static int takes(void *arg)
{
	struct taker *t = arg;
	char buffer[256];
	fiber_scope_t scope;

	fiber_within(&scope, t->deadline == FIBER_NEVER ? FIBER_NEVER : fiber_after(t->deadline));
	t->result = fiber_read(t->fd, buffer, sizeof buffer);
	t->result = fiber_scope_end(&scope, t->result);
	return 0;
}

static size_t what_is_left(fiber_fd fd)
{
	char buffer[256];
	size_t left = 0;
	ssize_t n;

	while ((n = fiber_recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
		left += (size_t)n;
	cr_expect(n == -EAGAIN);
	return left;
}

struct tally {
	size_t sent, returned;
	unsigned taken, interrupted;
};

static void count(struct tally *tally, ssize_t result, int interruption)
{
	if (result > 0) {
		tally->returned += (size_t)result;
		tally->taken++;
	} else {
		cr_expect(result == interruption, "%zd", result);
		tally->interrupted++;
	}
}

/* Both came first now and then, or nothing was tried. */
static void settle(struct tally *tally, fiber_fd fd)
{
	tally->returned += what_is_left(fd);
	cr_expect(tally->returned == tally->sent, "%zu bytes returned of %zu", tally->returned,
		  tally->sent);
	cr_expect(tally->taken > 0 && tally->interrupted > 0, "%u taken, %u interrupted",
		  tally->taken, tally->interrupted);
}

static int cancel_against_data(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	struct tally tally = { 0 };
	fiber_fd fds[2];

	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (unsigned i = 0; i < law_rounds(TIMES); i++) {
		struct taker t = { .fd = fds[0], .deadline = FIBER_NEVER };
		fiber_t f = spawned(takes, &t);
		unsigned how = (unsigned)law_random(&state);

		if (how & 1)
			fiber_yield();
		if (how & 2)
			cr_expect(fiber_cancel(f) == 0);
		if (how & 4)
			fiber_yield();
		tally.sent++;
		cr_expect(fiber_write(fds[1], "x", 1) == 1);
		if (how & 8)
			fiber_yield();
		fiber_cancel(f);
		cr_expect(fiber_join(f, NULL) == 0);
		count(&tally, t.result, -ECANCELED);
	}
	settle(&tally, fds[0]);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_interrupt, a_cancellation_against_data_loses_nothing, .timeout = 300)
{
	uint64_t seed = law_seed();

	law_holds(cancel_against_data, &seed);
}

static int deadline_against_data(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	struct tally tally = { 0 };
	fiber_fd fds[2];

	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (unsigned i = 0; i < law_rounds(TIMES); i++) {
		unsigned how = (unsigned)law_random(&state);
		struct taker t = { .fd = fds[0], .deadline = (int64_t)(how >> 8 & 0x3fff) };
		int64_t end = fiber_after((int64_t)(law_random(&state) & 0x3fff));
		fiber_t f = spawned(takes, &t);

		if (how & 1)
			fiber_yield();
		if (how & 2) /* the writer is late as well, by as much */
			while (fiber_now() < end)
				fiber_yield();
		tally.sent++;
		cr_expect(fiber_write(fds[1], "x", 1) == 1);
		cr_expect(fiber_join(f, NULL) == 0);
		count(&tally, t.result, -ETIMEDOUT);
	}
	settle(&tally, fds[0]);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_interrupt, a_deadline_against_data_loses_nothing, .timeout = 300)
{
	uint64_t seed = law_seed();

	law_holds(deadline_against_data, &seed);
}

/* The same with records: each arrives whole, once, and in order. */
static int records_in_order(void *arg)
{
	uint64_t state = *(uint64_t *)arg;
	uint32_t expected = 0, got, sent = 0;
	fiber_fd fds[2];
	ssize_t n;

	cr_expect(fiber_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
	for (unsigned i = 0; i < law_rounds(TIMES) / 4; i++) {
		if (law_random(&state) & 1) {
			n = fiber_send(fds[1], &sent, sizeof sent, MSG_DONTWAIT);
			sent += n > 0;
		}
		n = FIBER_TIMEOUT((int64_t)(law_random(&state) & 0xfff),
				  fiber_read(fds[0], &got, sizeof got));
		if (n < 0) {
			cr_expect(n == -ETIMEDOUT);
			continue;
		}
		cr_expect(n == sizeof got && got == expected, "%u instead of %u", got, expected);
		expected++;
	}
	while (fiber_recv(fds[0], &got, sizeof got, MSG_DONTWAIT) == sizeof got)
		cr_expect(got == expected++);
	cr_expect(expected == sent);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_interrupt, records_stay_in_order_under_deadlines, .timeout = 120)
{
	uint64_t seed = law_seed();

	law_holds(records_in_order, &seed);
}

/* ---- loops that never park --------------------------------------------------------------------*/
struct neighbour {
	_Atomic bool stop;
	_Atomic unsigned turns;
};

static int takes_turns(void *arg)
{
	struct neighbour *n = arg;

	while (!atomic_load(&n->stop)) {
		atomic_fetch_add(&n->turns, 1);
		fiber_yield();
	}
	return 0;
}

/* A loop that does not look at the error it gets: the only worker must go on with the others. */
static int retries(void *arg)
{
	struct neighbour n = { 0 };
	fiber_t f = spawned(takes_turns, &n);
	fiber_scope_t scope;
	unsigned before;
	fiber_fd fds[2];
	char byte;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	cr_expect(fiber_read(fds[0], &byte, 1) == -ECANCELED);
	before = atomic_load(&n.turns);
	while (atomic_load(&n.turns) - before < 1000)
		cr_expect(fiber_read(fds[0], &byte, 1) == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	atomic_store(&n.stop, true);
	cr_expect(result_of(f) == 0);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_interrupt, a_retry_loop_under_an_expired_deadline_lets_others_run, .timeout = 60)
{
	law_holds(retries, NULL);
}

/* There always is a byte to peek at; there always is room in /dev/null. */
static ssize_t peek(fiber_fd fd)
{
	char byte;

	return fiber_recv(fd, &byte, 1, MSG_PEEK);
}

static ssize_t discard(fiber_fd fd)
{
	return fiber_write(fd, "x", 1);
}

static ssize_t look(fiber_fd fd)
{
	return fiber_poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
}

static ssize_t look_at_one(fiber_fd fd)
{
	int r = fiber_wait_fd(fd, POLLOUT);

	return r > 0 ? 1 : r;
}

static ssize_t empty(fiber_fd fd)
{
	char byte;
	ssize_t r = fiber_read(fd, &byte, 0);

	return r == 0 ? 1 : r;
}

static ssize_t pread_byte(fiber_fd fd)
{
	char byte;

	return fiber_pread(fd, &byte, 1, 0);
}

static void never_empty(ssize_t (*call)(fiber_fd), fiber_fd fd)
{
	struct neighbour n = { 0 };
	fiber_t f = spawned(takes_turns, &n);
	fiber_scope_t scope;
	ssize_t r;

	for (unsigned i = 1; i <= 1000; i++)
		cr_expect(call(fd) == 1);
	cr_expect(atomic_load(&n.turns) >= 1000 / 64, "%u turns", atomic_load(&n.turns));
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	do
		r = call(fd);
	while (r == 1);
	cr_expect(fiber_scope_end(&scope, r) == -ETIMEDOUT, "%zd", r);
	atomic_store(&n.stop, true);
	cr_expect(result_of(f) == 0);
}

static int always_ready(void *arg)
{
	fiber_fd fds[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	fiber_fd file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	cr_expect(fiber_write(fds[1], "data", 4) == 4);
	cr_expect(peek(fds[0]) == 1); /* it has arrived */
	never_empty(peek, fds[0]);
	never_empty(discard, null);
	never_empty(look, fds[0]);
	never_empty(empty, fds[0]);
	never_empty(pread_byte, file);
	cr_expect(fiber_close(null) == 0 && fiber_close(file) == 0);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_interrupt, what_is_always_ready_starves_nobody_and_sees_its_deadline, .timeout = 60)
{
	/* On one worker the neighbour has nowhere else to run. */
	cr_expect(law_run(1, always_ready, NULL) == 0);
	law_no_leaks();
}

static int poll_always_ready(void *arg)
{
	fiber_fd fds[2];

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	never_empty(look_at_one, fds[0]);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_interrupt, readiness_that_never_ends_starves_nobody_either, .timeout = 60)
{
	cr_expect(law_run(1, poll_always_ready, NULL) == 0);
	law_no_leaks();
}
