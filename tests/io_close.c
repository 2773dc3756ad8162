/* The end of a descriptor by fiber_close and fiber_shutdown: everyone who waits is told. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct user {
	fiber_fd fd;
	char byte;
};

static int reads(void *arg)
{
	struct user *u = arg;

	return (int)fiber_read(u->fd, &u->byte, 1);
}

static int writes(void *arg)
{
	struct user *u = arg;
	static char data[65536];
	ssize_t n;

	do
		n = fiber_write(u->fd, data, sizeof data);
	while (n > 0);
	return (int)n;
}

static int accepts(void *arg)
{
	return fiber_accept(((struct user *)arg)->fd, NULL, NULL);
}

static int waits(void *arg)
{
	return fiber_wait_fd(((struct user *)arg)->fd, POLLIN);
}

static int polls(void *arg)
{
	struct pollfd set = { .fd = ((struct user *)arg)->fd, .events = POLLIN };
	int n = fiber_poll(&set, 1, -1);

	return n == 1 && set.revents == POLLNVAL ? -EBADF : n < 0 ? n : 1;
}

/* ---- fiber_close ------------------------------------------------------------------------------*/
static int close_wakes(void *arg)
{
	enum { WAITERS = 6 };
	static fiber_fn *const how[WAITERS] = { reads, reads, writes, waits, polls, polls };
	static const char *const what[WAITERS] = { "read", "read", "write",
						   "poll", "poll", "poll" };
	struct user u = { 0 };
	fiber_t f[WAITERS];
	fiber_fd fds[2];
	char address[64];

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	u.fd = fds[0];
	for (int i = 0; i < WAITERS; i++)
		f[i] = spawned(how[i], &u);
	for (int i = 0; i < WAITERS; i++)
		until_it_waits_for(f[i], what[i]);
	cr_expect(fiber_close(fds[0]) == 0);
	for (int i = 0; i < WAITERS; i++)
		cr_expect(result_of(f[i]) == -EBADF, "%d", i);
	cr_expect(fiber_close(fds[1]) == 0);

	u.fd = law_listener(address, sizeof address);
	f[0] = spawned(accepts, &u);
	until_it_waits_for(f[0], "accept");
	cr_expect(fiber_close(u.fd) == 0);
	cr_expect(result_of(f[0]) == -EBADF);
	return 0;
}

Test(io_close, everyone_who_waits_is_told, .timeout = 30)
{
	law_holds(close_wakes, NULL);
}

static int twice(void *arg)
{
	fiber_fd fds[2];

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_close(fds[0]) == -EBADF);
	cr_expect(fiber_close(fds[1]) == 0);
	cr_expect(fiber_close(fds[1]) == -EBADF);
	cr_expect(fiber_close(-1) == -EBADF);
	cr_expect(fiber_close(INT_MIN) == -EBADF);
	cr_expect(fiber_close(INT_MAX) == -EBADF);
	cr_expect(fiber_forget(-1) == -EBADF);
	cr_expect(fiber_forget(fds[0]) == 0);
	cr_expect(fiber_forget(INT_MAX) == 0);
	cr_expect(fiber_shutdown(-1, SHUT_RD) == -EBADF);
	cr_expect(fiber_shutdown(fds[0], SHUT_RD) == -EBADF);
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_shutdown(fds[0], SHUT_RD) == -ENOTSOCK);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_close, a_second_close_is_told, .timeout = 30)
{
	law_holds(twice, NULL);
}

static int closes_cancelled(void *arg)
{
	fiber_fd *fds = arg;

	cr_expect(fiber_park() == -ECANCELED);
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_close(fds[1]) == 0);
	return fiber_check();
}

static int never_interrupted(void *arg)
{
	fiber_fd fds[2];
	fiber_scope_t scope;
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	f = spawned(closes_cancelled, fds);
	until_it_waits_for(f, "park");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(fiber_pipe(fds) == 0);
	fiber_within(&scope, 0);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	fiber_scope_end(&scope, 0);
	return 0;
}

Test(io_close, a_close_is_never_interrupted, .timeout = 30)
{
	law_holds(never_interrupted, NULL);
}

/* A shutdown gives the end to whoever waits, and the number stays. */
static int shut_down(void *arg)
{
	struct user u = { 0 };
	fiber_fd fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	u.fd = fds[0];
	f = spawned(reads, &u);
	until_it_waits_for(f, "read");
	cr_expect(fiber_shutdown(fds[1], SHUT_WR) == 0);
	cr_expect(result_of(f) == 0);
	f = spawned(writes, &u);
	until_it_waits_for(f, "write");
	cr_expect(fiber_shutdown(fds[0], SHUT_RDWR) == 0);
	cr_expect(result_of(f) == -EPIPE);
	cr_expect(fiber_shutdown(fds[0], 77) == -EINVAL);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_close, a_shutdown_is_the_end_for_those_who_wait, .timeout = 30)
{
	law_holds(shut_down, NULL);
}

/* ---- across threads ---------------------------------------------------------------------------*/
static void *closes_on_a_thread(void *arg)
{
	return (void *)(intptr_t)fiber_close(((struct user *)arg)->fd);
}

static int thread_closes(void *arg)
{
	struct user u = { 0 };
	pthread_t thread;
	fiber_fd fds[2];
	void *result;
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	u.fd = fds[0];
	f = spawned(reads, &u);
	until_it_waits_for(f, "read");
	cr_expect(pthread_create(&thread, NULL, closes_on_a_thread, &u) == 0);
	cr_expect(result_of(f) == -EBADF);
	pthread_join(thread, &result);
	cr_expect(result == NULL);
	return fiber_close(fds[1]);
}

Test(io_close, a_plain_thread_closes_what_a_fiber_reads, .timeout = 30)
{
	law_holds(thread_closes, NULL);
}
