/* The same calls on plain threads: they block the thread, meet deadlines, and change nothing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct task {
	ssize_t (*call)(struct task *);
	fiber_fd fd;
	char buffer[64];
	struct pollfd set[2];
	_Atomic int tid;
	ssize_t result;
	pthread_t thread;
};

static void *run_task(void *arg)
{
	struct task *t = arg;

	atomic_store(&t->tid, gettid());
	t->result = t->call(t);
	return NULL;
}

static void start(struct task *t, ssize_t (*call)(struct task *), fiber_fd fd)
{
	t->call = call;
	t->fd = fd;
	atomic_store(&t->tid, 0);
	cr_expect(pthread_create(&t->thread, NULL, run_task, t) == 0);
}

static ssize_t end(struct task *t)
{
	pthread_join(t->thread, NULL);
	return t->result;
}

static bool is_poll(int number)
{
#ifdef SYS_poll
	if (number == SYS_poll)
		return true;
#endif
	return number == SYS_ppoll;
}

/* The thread sleeps in poll(2), says /proc. */
static void until_it_sleeps(struct task *t)
{
	char path[64], text[64];
	int tid, number;
	FILE *f;

	do {
		tid = atomic_load(&t->tid);
		snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
		number = -1;
		f = tid ? fopen(path, "r") : NULL;
		if (f && fgets(text, sizeof text, f))
			number = text[0] == 'r' ? -1 : atoi(text); /* "running" */
		if (f)
			fclose(f);
		sched_yield();
	} while (!is_poll(number));
}

static ssize_t do_read(struct task *t)
{
	return fiber_read(t->fd, t->buffer, sizeof t->buffer);
}

static ssize_t do_accept(struct task *t)
{
	return fiber_accept(t->fd, NULL, NULL);
}

static ssize_t do_poll(struct task *t)
{
	return fiber_poll(t->set, 2, -1);
}

static ssize_t do_wait(struct task *t)
{
	return fiber_wait_fd(t->fd, POLLIN);
}

static ssize_t do_fill(struct task *t)
{
	static char data[65536];
	ssize_t n;

	do
		n = fiber_write(t->fd, data, sizeof data);
	while (n > 0);
	return n;
}

/* ---- data -------------------------------------------------------------------------------------*/
Test(io_threads, a_thread_waits_for_bytes, .timeout = 30)
{
	for (int blocking = 0; blocking < 2; blocking++) {
		struct task t = { 0 };
		int fds[2], flags;

		cr_assert(pipe2(fds, O_CLOEXEC | (blocking ? 0 : O_NONBLOCK)) == 0);
		flags = fcntl(fds[0], F_GETFL);
		start(&t, do_read, fds[0]);
		until_it_sleeps(&t);
		cr_expect(fiber_write(fds[1], "hello", 5) == 5);
		cr_expect(end(&t) == 5 && memcmp(t.buffer, "hello", 5) == 0);
		start(&t, do_wait, fds[0]);
		until_it_sleeps(&t);
		cr_expect(fiber_write(fds[1], "x", 1) == 1);
		cr_expect(end(&t) == POLLIN);
		cr_expect(do_read(&t) == 1);
		start(&t, do_fill, fds[1]);
		until_it_sleeps(&t);
		cr_expect(fiber_close(fds[0]) == 0);
		cr_expect(end(&t) == -EPIPE);
		cr_expect(fcntl(fds[1], F_GETFL) == (flags | O_WRONLY));
		cr_expect(fiber_close(fds[1]) == 0);
	}
	law_no_leaks();
}

Test(io_threads, a_thread_connects_and_accepts, .timeout = 30)
{
	for (int blocking = 0; blocking < 2; blocking++) {
		struct task t = { 0 };
		struct sockaddr_in name;
		socklen_t size = sizeof name;
		char address[64];
		int listener = law_listener(address, sizeof address), fd, client;

		if (blocking)
			fcntl(listener, F_SETFL, O_RDWR);
		cr_expect(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
		start(&t, do_accept, listener);
		until_it_sleeps(&t);
		client = blocking ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) :
				    fiber_socket(AF_INET, SOCK_STREAM, 0);
		cr_expect(fiber_connect(client, (struct sockaddr *)&name, size) == 0);
		fd = (int)end(&t);
		cr_expect(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
		cr_expect(!!(fcntl(listener, F_GETFL) & O_NONBLOCK) == !blocking);
		cr_expect(fiber_write(client, "x", 1) == 1);
		t.fd = fd;
		cr_expect(do_read(&t) == 1);
		cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_accept(listener, NULL, NULL)) ==
			  -ETIMEDOUT);
		cr_expect(fiber_close(client) == 0 && fiber_close(fd) == 0);
		cr_expect(fiber_close(listener) == 0);
		client = fiber_socket(AF_INET, SOCK_STREAM, 0);
		cr_expect(fiber_connect(client, (struct sockaddr *)&name, size) == -ECONNREFUSED);
		cr_expect(fiber_close(client) == 0);
	}
	law_no_leaks();
}

/* A Unix server whose queue is full gives no readiness: the thread tries by time. */
Test(io_threads, a_full_unix_server_is_waited_for, .timeout = 30)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t size = sizeof name;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), first, fd, taken;

	cr_expect(bind(listener, (struct sockaddr *)&name, sizeof name.sun_family) == 0);
	cr_expect(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
	cr_expect(listen(listener, 0) == 0);
	first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_expect(connect(first, (struct sockaddr *)&name, size) == 0);
	fd = fiber_socket(AF_UNIX, SOCK_STREAM, 0);
	cr_expect(FIBER_TIMEOUT(20 * FIBER_MILLISECOND,
				fiber_connect(fd, (struct sockaddr *)&name, size)) == -ETIMEDOUT);
	taken = accept(listener, NULL, NULL);
	cr_expect(taken >= 0);
	cr_expect(fiber_connect(fd, (struct sockaddr *)&name, size) == 0);
	close(taken);
	close(first);
	close(listener);
	cr_expect(fiber_close(fd) == 0);
}

Test(io_threads, polls_as_poll_does, .timeout = 30)
{
	struct task t = { 0 };
	int a[2], b[2];

	cr_expect(fiber_pipe(a) == 0 && fiber_pipe(b) == 0);
	t.set[0] = (struct pollfd){ .fd = a[0], .events = POLLIN };
	t.set[1] = (struct pollfd){ .fd = b[0], .events = POLLIN };
	cr_expect(fiber_poll(t.set, 2, 5) == 0);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, do_poll(&t)) == -ETIMEDOUT);
	start(&t, do_poll, -1);
	until_it_sleeps(&t);
	cr_expect(fiber_write(b[1], "x", 1) == 1);
	cr_expect(end(&t) == 1 && t.set[0].revents == 0 && t.set[1].revents == POLLIN);
	cr_expect(fiber_read(b[0], t.buffer, 8) == 1);
	start(&t, do_poll, -1);
	until_it_sleeps(&t);
	cr_expect(fiber_close(a[0]) == 0);
	cr_expect(end(&t) == 1 && t.set[0].revents == POLLNVAL && t.set[1].revents == 0);
	cr_expect(fiber_close(a[1]) == 0 && fiber_close(b[0]) == 0 && fiber_close(b[1]) == 0);
	law_no_leaks();
}

/* ---- interruptions ----------------------------------------------------------------------------*/
Test(io_threads, a_deadline_ends_a_wait_and_loses_nothing, .timeout = 60)
{
	uint64_t state = law_seed();
	size_t sent = 0, returned = 0;
	char buffer[64];
	int fds[2];

	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (unsigned i = 0; i < law_rounds(2000); i++) {
		int64_t most = (int64_t)(law_random(&state) & 0xffff);
		ssize_t n;

		if (law_random(&state) & 1)
			sent += (size_t)fiber_write(fds[1], "x", 1);
		n = FIBER_TIMEOUT(most, fiber_read(fds[0], buffer, sizeof buffer));
		cr_expect(n > 0 || n == -ETIMEDOUT);
		returned += n > 0 ? (size_t)n : 0;
	}
	while (fiber_recv(fds[0], buffer, 1, MSG_DONTWAIT) == 1)
		returned++;
	cr_expect(sent == returned);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	law_no_leaks();
}

Test(io_threads, a_known_deadline_comes_before_any_effect, .timeout = 30)
{
	fiber_scope_t scope;
	char byte = 0;
	int fds[2];

	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	fiber_within(&scope, 0);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_read(fds[0], &byte, 1) == -ECANCELED);
	cr_expect(fiber_poll(NULL, 0, -1) == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	cr_expect(fiber_read(fds[0], &byte, 1) == 1 && byte == 'x');
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	law_no_leaks();
}

static void nothing(int number)
{
	(void)number;
}

Test(io_threads, eintr_never_shows, .timeout = 30)
{
	struct sigaction action = { .sa_handler = nothing };
	struct task t = { 0 };
	int fds[2];

	cr_expect(sigaction(SIGUSR1, &action, NULL) == 0);
	cr_expect(fiber_pipe(fds) == 0);
	start(&t, do_read, fds[0]);
	for (int i = 0; i < 20; i++) {
		until_it_sleeps(&t);
		pthread_kill(t.thread, SIGUSR1);
	}
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	cr_expect(end(&t) == 1);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
}

/* ---- close ------------------------------------------------------------------------------------*/
Test(io_threads, a_close_wakes_every_thread_that_waits, .timeout = 30)
{
	struct task t[3] = { 0 };
	int fds[2], again[2];
	char byte;

	cr_expect(fiber_pipe(fds) == 0);
	start(&t[0], do_read, fds[0]);
	start(&t[1], do_read, fds[0]);
	start(&t[2], do_wait, fds[0]);
	for (int i = 0; i < 3; i++)
		until_it_sleeps(&t[i]);
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_pipe(again) == 0 && again[0] == fds[0]);
	cr_expect(fiber_write(again[1], "x", 1) == 1);
	for (int i = 0; i < 3; i++)
		cr_expect(end(&t[i]) == -EBADF);
	cr_expect(fiber_read(again[0], &byte, 1) == 1, "nobody took it");
	cr_expect(fiber_close(again[0]) == 0 && fiber_close(again[1]) == 0);
	cr_expect(fiber_close(fds[1]) == 0);
	law_no_leaks();
}

/* Without a descriptor for the wait's own pipe it is noticed a little later. */
Test(io_threads, a_close_is_noticed_without_descriptors_too, .timeout = 30)
{
	struct rlimit before, none;
	struct task t = { 0 };
	int fds[2];

	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){ (rlim_t)fds[1] + 1, before.rlim_max };
	start(&t, do_read, fds[0]);
	until_it_sleeps(&t);
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	cr_expect(end(&t) == 1);
	cr_expect(setrlimit(RLIMIT_NOFILE, &none) == 0);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, do_read(&t)) == -ETIMEDOUT);
	start(&t, do_read, fds[0]);
	while (atomic_load(&t.tid) == 0)
		sched_yield();
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(end(&t) == -EBADF);
	cr_expect(setrlimit(RLIMIT_NOFILE, &before) == 0);
	cr_expect(fiber_close(fds[1]) == 0);
}

/* A thread in accept on a listener that blocks, which the other takes from; and one that closes. */
static int closes(void *arg)
{
	return fiber_close(*(int *)arg);
}

Test(io_threads, a_fiber_closes_what_a_thread_waits_for, .timeout = 30)
{
	for (int blocking = 0; blocking < 2; blocking++) {
		struct task t = { 0 };
		char address[64];
		int listener = law_listener(address, sizeof address);

		if (blocking)
			fcntl(listener, F_SETFL, O_RDWR);
		start(&t, do_accept, listener);
		until_it_sleeps(&t);
		cr_expect(law_run(2, closes, &listener) == 0);
		cr_expect(end(&t) == -EBADF);
	}
	law_no_leaks();
}

/* ---- files ------------------------------------------------------------------------------------*/
Test(io_threads, files_are_used_in_place, .timeout = 30)
{
	char name[] = "io_threads.XXXXXX", buffer[16];
	int fd = mkstemp(name), threads = law_threads(), copy;
	int64_t offset = 0;

	cr_expect(fd >= 0);
	copy = fiber_open(name, O_RDWR);
	cr_expect(copy >= 0 && unlink(name) == 0);
	cr_expect(fiber_write(fd, "0123456789", 10) == 10);
	cr_expect(fiber_pwrite(fd, "x", 1, 3) == 1);
	cr_expect(fiber_pread(copy, buffer, 16, 2) == 8 && memcmp(buffer, "2x456789", 8) == 0);
	cr_expect(fiber_read(copy, buffer, 4) == 4 && memcmp(buffer, "012x", 4) == 0);
	cr_expect(fiber_fsync(fd) == 0);
	cr_expect(fiber_sendfile(fd, copy, &offset, 5) == 5 && offset == 5);
	cr_expect(law_threads() == threads, "no helper is needed");
	cr_expect(fiber_close(fd) == 0 && fiber_close(copy) == 0);
}
