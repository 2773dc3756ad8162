/* Readiness: fiber_poll means what poll(2) means, and leaves nothing behind. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct polling {
	struct pollfd set[4];
	nfds_t count;
	int timeout_ms;
};

static int polls(void *arg)
{
	struct polling *p = arg;

	return fiber_poll(p->set, p->count, p->timeout_ms);
}

static struct pollfd entry(int fd, short events)
{
	return (struct pollfd){ .fd = fd, .events = events, .revents = 0x77 };
}

/* ---- as poll(2) -------------------------------------------------------------------------------*/
static int same_as_poll(void *arg)
{
	enum { N = 8 };
	struct pollfd ours[N], theirs[N];
	int tcp[2], pipe[2], broken[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char address[64];
	int listener = law_listener(address, sizeof address);

	(void)arg;
	cr_expect(law_tcp_pair(tcp) == 0 && fiber_pipe(pipe) == 0 && fiber_pipe(broken) == 0);
	cr_expect(fiber_close(broken[0]) == 0);
	cr_expect(fiber_write(pipe[1], "x", 1) == 1);
	cr_expect(fiber_shutdown(tcp[1], SHUT_WR) == 0);
	while (poll(&(struct pollfd){ .fd = tcp[0], .events = POLLIN }, 1, -1) != 1)
		;
	for (int mask = 0; mask < 4; mask++) {
		short events = (short)((mask & 1 ? POLLIN | POLLRDNORM | POLLRDHUP : 0) |
				       (mask & 2 ? POLLOUT | POLLPRI : 0));
		int fds[N] = { tcp[0], tcp[1], pipe[0], pipe[1], broken[1], file, null, -1 };
		int n;

		for (int i = 0; i < N; i++)
			ours[i] = theirs[i] = entry(fds[i], events);
		n = poll(theirs, N, 0);
		cr_expect(n > 0);
		cr_expect(fiber_poll(ours, N, mask ? -1 : 0) == n);
		for (int i = 0; i < N; i++)
			cr_expect(ours[i].revents == theirs[i].revents, "entry %d: %x, not %x", i,
				  ours[i].revents, theirs[i].revents);
	}
	cr_expect(fiber_close(tcp[0]) == 0 && fiber_close(tcp[1]) == 0);
	cr_expect(fiber_close(pipe[0]) == 0 && fiber_close(pipe[1]) == 0);
	cr_expect(fiber_close(broken[1]) == 0 && fiber_close(file) == 0);
	cr_expect(fiber_close(null) == 0 && fiber_close(listener) == 0);
	return 0;
}

Test(io_poll, events_are_those_of_poll, .timeout = 30)
{
	law_holds(same_as_poll, NULL);
}

/* ---- waiting ----------------------------------------------------------------------------------*/
static int any_of_several(void *arg)
{
	struct polling p = { .count = 4, .timeout_ms = -1 };
	int a[2], b[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(a) == 0 && fiber_pipe(b) == 0);
	for (int turn = 0; turn < 3; turn++) {
		p.set[0] = entry(a[0], POLLIN);
		p.set[1] = entry(-1, POLLIN);
		p.set[2] = entry(b[0], POLLIN);
		p.set[3] = entry(b[0], POLLIN); /* twice the same */
		f = spawned(polls, &p);
		until_it_waits_for(f, "poll");
		cr_expect(fiber_write(turn == 1 ? a[1] : b[1], "x", 1) == 1);
		cr_expect(result_of(f) == (turn == 1 ? 1 : 2));
		cr_expect(p.set[0].revents == (turn == 1 ? POLLIN : 0));
		cr_expect(p.set[1].revents == 0);
		cr_expect(p.set[2].revents == (turn == 1 ? 0 : POLLIN));
		cr_expect(p.set[3].revents == p.set[2].revents);
		cr_expect(fiber_read(turn == 1 ? a[0] : b[0], &(char){ 0 }, 1) == 1);
	}
	/* The other end goes away. */
	p.set[0] = entry(a[0], 0);
	p.count = 1;
	f = spawned(polls, &p);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_close(a[1]) == 0);
	cr_expect(result_of(f) == 1 && p.set[0].revents == POLLHUP);
	cr_expect(fiber_close(a[0]) == 0 && fiber_close(b[0]) == 0 && fiber_close(b[1]) == 0);
	return 0;
}

Test(io_poll, whichever_comes_first_ends_the_wait, .timeout = 30)
{
	law_holds(any_of_several, NULL);
}

/* More than are kept on the stack. */
static int hundreds(void *arg)
{
	enum { MANY = 300 };
	struct pollfd *set = calloc(MANY, sizeof *set);
	int fds[MANY][2];

	(void)arg;
	for (int i = 0; i < MANY; i++)
		cr_expect(fiber_pipe(fds[i]) == 0);
	for (int turn = 0; turn < MANY; turn += 37) {
		for (int i = 0; i < MANY; i++)
			set[i] = entry(fds[i][0], POLLIN);
		cr_expect(fiber_poll(set, MANY, 1) == 0);
		cr_expect(fiber_write(fds[turn][1], "x", 1) == 1);
		cr_expect(fiber_poll(set, MANY, -1) == 1);
		for (int i = 0; i < MANY; i++)
			cr_expect(set[i].revents == (i == turn ? POLLIN : 0));
		cr_expect(fiber_read(fds[turn][0], &(char){ 0 }, 1) == 1);
	}
	for (int i = 0; i < MANY; i++)
		cr_expect(fiber_close(fds[i][0]) == 0 && fiber_close(fds[i][1]) == 0);
	free(set);
	return 0;
}

Test(io_poll, hundreds_are_watched_at_once, .timeout = 60)
{
	law_holds(hundreds, NULL);
}

/* Three fibers poll and one reads: the byte goes to the reader, the others are told. */
static int reads(void *arg)
{
	return (int)fiber_read(*(int *)arg, &(char){ 0 }, 1);
}

static int beside_a_reader(void *arg)
{
	struct polling p[3];
	fiber_t f[3], reader;
	int fds[2];

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	for (int i = 0; i < 3; i++) {
		p[i] = (struct polling){ .set = { entry(fds[0], POLLIN) }, .count = 1,
					 .timeout_ms = -1 };
		f[i] = spawned(polls, &p[i]);
		until_it_waits_for(f[i], "poll");
	}
	reader = spawned(reads, &fds[0]);
	until_it_waits_for(reader, "read");
	cr_expect(fiber_write(fds[1], "xx", 2) == 2);
	cr_expect(result_of(reader) == 1);
	for (int i = 0; i < 3; i++)
		cr_expect(result_of(f[i]) == 1);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_poll, pollers_and_a_reader_share_a_descriptor, .timeout = 30)
{
	law_holds(beside_a_reader, NULL);
}

/* ---- the end of a wait ------------------------------------------------------------------------*/
static int timeouts(void *arg)
{
	struct polling p = { .count = 1, .timeout_ms = 20 };
	int64_t begin = fiber_now();
	fiber_scope_t scope;
	int fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	p.set[0] = entry(fds[0], POLLIN);
	cr_expect(polls(&p) == 0 && p.set[0].revents == 0);
	cr_expect(fiber_now() - begin >= 20 * FIBER_MILLISECOND);
	p.timeout_ms = 0;
	cr_expect(polls(&p) == 0);
	p.timeout_ms = INT_MAX;
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, polls(&p)) == -ETIMEDOUT);
	fiber_within(&scope, fiber_after(3600 * FIBER_SECOND));
	p.timeout_ms = 1;
	cr_expect(polls(&p) == 0, "its own time is no interruption");
	cr_expect(fiber_scope_end(&scope, 0) == 0);
	p.count = 0;
	p.timeout_ms = 1;
	cr_expect(polls(&p) == 0, "nothing to watch is a sleep");
	p.timeout_ms = INT_MIN;
	p.count = 1;
	f = spawned(polls, &p);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_wait_fd(fds[0], POLLIN)) == -ETIMEDOUT);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_poll, time_deadline_and_cancellation_end_it_each_in_its_way, .timeout = 30)
{
	law_holds(timeouts, NULL);
}

static int closed_meanwhile(void *arg)
{
	struct polling p = { .count = 2, .timeout_ms = -1 };
	int fds[2], again[2], other[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0 && fiber_pipe(other) == 0);
	p.set[0] = entry(fds[0], POLLIN);
	p.set[1] = entry(other[0], POLLIN);
	f = spawned(polls, &p);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_pipe(again) == 0); /* the number is a file again, and not ready */
	cr_expect(again[0] == fds[0]);
	cr_expect(result_of(f) == 1 && p.set[0].revents == POLLNVAL && p.set[1].revents == 0);
	cr_expect(fiber_close(fds[1]) == 0);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(again[i]) == 0 && fiber_close(other[i]) == 0);
	return 0;
}

Test(io_poll, what_is_closed_meanwhile_is_not_valid, .timeout = 30)
{
	law_holds(closed_meanwhile, NULL);
}

/* A case that lost leaves nothing: rounds of polls on two pipes that are then closed and made
 * anew. */
static int nothing_left(void *arg)
{
	struct polling p = { .count = 2, .timeout_ms = -1 };

	(void)arg;
	for (unsigned i = 0; i < law_rounds(2000); i++) {
		int a[2], b[2];
		fiber_t f;

		cr_expect(fiber_pipe(a) == 0 && fiber_pipe(b) == 0);
		p.set[0] = entry(a[0], POLLIN);
		p.set[1] = entry(b[0], POLLIN);
		f = spawned(polls, &p);
		if (i % 2)
			fiber_yield();
		cr_expect(fiber_write(i % 3 ? a[1] : b[1], "x", 1) == 1);
		if (i % 5 == 0)
			fiber_cancel(f);
		if (i % 7 == 0)
			cr_expect(fiber_write(i % 3 ? b[1] : a[1], "x", 1) == 1);
		cr_expect(fiber_join(f, NULL) == 0);
		for (int j = 0; j < 2; j++)
			cr_expect(fiber_close(a[j]) == 0 && fiber_close(b[j]) == 0);
	}
	return 0;
}

Test(io_poll, a_case_that_lost_leaves_nothing, .timeout = 60)
{
	law_holds(nothing_left, NULL);
}

/* Roaming fibers stay where they have submitted. */
static int roams(void *arg)
{
	struct polling p = { .count = 1, .timeout_ms = -1 };
	fiber_attr_t attr = { .flags = FIBER_ROAM };
	int fds[2], result;
	fiber_t f;

	(void)arg;
	for (unsigned i = 0; i < law_rounds(1000); i++) {
		cr_expect(fiber_pipe(fds) == 0);
		p.set[0] = entry(fds[0], POLLIN);
		cr_expect(fiber_spawn(&f, &attr, polls, &p) == 0);
		fiber_yield();
		if (i % 2)
			cr_expect(fiber_write(fds[1], "x", 1) == 1);
		else
			fiber_cancel(f);
		cr_expect(fiber_join(f, &result) == 0);
		cr_expect(result == (i % 2 ? 1 : -ECANCELED), "%d", result);
		cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	}
	return 0;
}

Test(io_poll, a_roaming_fiber_polls_too, .timeout = 60)
{
	law_holds(roams, NULL);
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds(roams, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	struct pollfd p = { .fd = 1 << 20, .events = POLLIN };
	int fds[2];

	(void)arg;
	cr_expect(fiber_poll(NULL, 1, 0) == -EFAULT);
	cr_expect(fiber_poll(NULL, 0, 0) == 0);
	cr_expect(fiber_poll(&p, (nfds_t)-1, 0) == -EINVAL);
	cr_expect(fiber_poll(&p, INT_MAX, 0) == -EINVAL);
	cr_expect(fiber_poll(&p, 1, -1) == 1 && p.revents == POLLNVAL);
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_wait_fd(-1, POLLIN) == -EBADF);
	cr_expect(fiber_wait_fd(INT_MAX, POLLIN) == -EBADF);
	cr_expect(fiber_wait_fd(fds[0], 0) == -EINVAL);
	cr_expect(fiber_wait_fd(fds[0], POLLNVAL) == -EINVAL);
	cr_expect(fiber_wait_fd(fds[0], -1) == -EINVAL);
	cr_expect(fiber_wait_fd(fds[1], POLLOUT) == POLLOUT);
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_wait_fd(fds[0], POLLIN) == -EBADF);
	cr_expect(fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_poll, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}
