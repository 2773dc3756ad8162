/* I/O on Windows: datagrams and flags, pipes, files, readiness; on plain threads, and in one
 * runtime after the other. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/io.h>
#include <pthread.h>

#include "law.h"
#include "until.h"

static const int64_t BRIEF_NS = 20 * FIBER_MILLISECOND;

static void pair(fiber_fd out[2])
{
	cr_assert(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, out) == 0);
}

static void close_both(const fiber_fd fd[2])
{
	cr_expect(fiber_close(fd[0]) == 0 && fiber_close(fd[1]) == 0);
}

static int reads(void *arg)
{
	char byte;

	return (int)fiber_read(*(fiber_fd *)arg, &byte, 1);
}

/* ---- datagrams, flags -------------------------------------------------------------------------*/
static int datagrams(void *arg)
{
	struct sockaddr_in name = { .sin_family = AF_INET }, from;
	socklen_t bytes = sizeof name;
	fiber_fd a = fiber_socket(AF_INET, SOCK_DGRAM, 0), b = fiber_socket(AF_INET, SOCK_DGRAM, 0);
	char text[100];
	ssize_t n;

	(void)arg;
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_expect(bind((SOCKET)a, (struct sockaddr *)&name, sizeof name) == 0);
	cr_expect(getsockname((SOCKET)a, (struct sockaddr *)&name, &bytes) == 0);
	cr_expect(fiber_recv(a, text, sizeof text, MSG_DONTWAIT) == -EAGAIN);
	for (int i = 0; i < 5; i++) {
		n = fiber_sendto(b, "twelve bytes", 12, 0, (struct sockaddr *)&name, sizeof name);
		cr_expect(n == 12);
		bytes = sizeof from;
		n = fiber_recvfrom(a, text, i == 4 ? 6 : sizeof text, 0, (struct sockaddr *)&from,
				   &bytes);
		cr_expect(n == (i == 4 ? 6 : 12), "%lld", (long long)n);
		cr_expect(memcmp(text, "twelve bytes", (size_t)(n > 0 ? n : 0)) == 0);
		cr_expect(bytes == sizeof from && from.sin_family == AF_INET);
	}
	cr_expect(FIBER_TIMEOUT(BRIEF_NS, fiber_recv(a, text, 1, 0)) == -ETIMEDOUT);
	cr_expect(fiber_close(a) == 0 && fiber_close(b) == 0);
	return 0;
}

Test(io_windows_kinds, datagrams_keep_their_ends_and_say_who_sent_them, .timeout = 30)
{
	law_holds(datagrams, NULL);
}

static int flags(void *arg)
{
	fiber_fd fd[2];
	char text[8];

	(void)arg;
	pair(fd);
	cr_expect(fiber_recv(fd[0], text, 8, MSG_DONTWAIT) == -EAGAIN);
	cr_expect(fiber_write(fd[1], "abcdef", 6) == 6);
	cr_expect(fiber_recv(fd[0], text, 3, MSG_PEEK) == 3 && text[2] == 'c');
	cr_expect(fiber_recv(fd[0], text, 8, 0) == 6 && text[0] == 'a');
	cr_expect(fiber_recv(fd[0], text, 8, MSG_ERRQUEUE) == -ENOTSUP);
	cr_expect(fiber_read(fd[0], text, 0) == 0);
	cr_expect(fiber_read(-1, text, 1) == -EBADF && fiber_read(fd[0], NULL, 1) == -EFAULT);
	close_both(fd);
	cr_expect(fiber_read(fd[0], text, 1) == -EBADF);
	return 0;
}

Test(io_windows_kinds, flags_mean_what_they_mean_elsewhere, .timeout = 30)
{
	law_holds(flags, NULL);
}

/* ---- pipes and files --------------------------------------------------------------------------*/
static int pipes(void *arg)
{
	fiber_fd fd[2];
	char text[8];
	fiber_t f;
	int r;

	(void)arg;
	cr_expect(fiber_pipe(fd) == 0);
	cr_expect(FIBER_TIMEOUT(BRIEF_NS, fiber_read(fd[0], text, 8)) == -ETIMEDOUT);
	cr_expect(fiber_write(fd[1], "pipe", 4) == 4);
	cr_expect(fiber_read(fd[0], text, 8) == 4 && memcmp(text, "pipe", 4) == 0);
	cr_expect(fiber_spawn(&f, NULL, reads, &fd[0]) == 0);
	until_it_waits_for(f, "read");
	cr_expect(fiber_close(fd[1]) == 0);
	cr_expect(fiber_join(f, &r) == 0 && r == 0, "the end of a pipe: %d", r);
	cr_expect(fiber_close(fd[0]) == 0);
	cr_expect(fiber_pipe(fd) == 0 && fiber_close(fd[0]) == 0);
	cr_expect(fiber_write(fd[1], "x", 1) == -EPIPE);
	cr_expect(fiber_close(fd[1]) == 0);
	return 0;
}

Test(io_windows_kinds, pipes_wait_and_end, .timeout = 30)
{
	law_holds(pipes, NULL);
}

static int files(void *arg)
{
	const char *path = "fiber-io-windows.tmp";
	char text[32];
	fiber_fd fd = fiber_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	(void)arg;
	cr_expect(fd >= 0, "%lld", (long long)fd);
	cr_expect(fiber_write(fd, "0123456789", 10) == 10);
	cr_expect(fiber_write(fd, "abc", 3) == 3);
	cr_expect(fiber_pread(fd, text, 5, 8) == 5 && memcmp(text, "89abc", 5) == 0);
	cr_expect(fiber_pwrite(fd, "X", 1, 0) == 1);
	cr_expect(fiber_pread(fd, text, 32, 100) == 0, "behind the end");
	cr_expect(fiber_pread(fd, text, 1, -1) == -EINVAL);
	cr_expect(fiber_read(fd, text, 32) == 0, "the position is at the end");
	cr_expect(fiber_fsync(fd) == 0);
	cr_expect(fiber_close(fd) == 0);
	fd = fiber_open(path, O_RDONLY);
	cr_expect(fiber_read_full(fd, text, sizeof text, NULL) == 13);
	cr_expect(memcmp(text, "X123456789abc", 13) == 0);
	cr_expect(fiber_close(fd) == 0);
	cr_expect(fiber_open("no/such/file", O_RDONLY) == -ENOENT);
	cr_expect(DeleteFileA(path));
	return 0;
}

Test(io_windows_kinds, files_are_read_and_written_at_their_position_and_elsewhere, .timeout = 30)
{
	law_holds(files, NULL);
}

/* ---- readiness --------------------------------------------------------------------------------*/
static int readiness(void *arg)
{
	fiber_fd a[2], b[2];
	struct pollfd set[2];
	char text[8];

	(void)arg;
	pair(a);
	pair(b);
	set[0] = (struct pollfd){ .fd = (SOCKET)a[0], .events = POLLIN };
	set[1] = (struct pollfd){ .fd = (SOCKET)b[0], .events = POLLIN };
	cr_expect(fiber_poll(set, 2, 0) == 0);
	cr_expect(fiber_poll(set, 2, 20) == 0);
	cr_expect(fiber_write(b[1], "x", 1) == 1);
	cr_expect(fiber_poll(set, 2, -1) == 1 && set[0].revents == 0 && set[1].revents);
	cr_expect(fiber_wait_fd(b[0], POLLIN) > 0 && fiber_wait_fd(a[0], POLLOUT) > 0);
	cr_expect(FIBER_TIMEOUT(BRIEF_NS, fiber_wait_fd(a[0], POLLIN)) == -ETIMEDOUT);
	cr_expect(fiber_read(b[0], text, 8) == 1);
	close_both(a);
	close_both(b);
	cr_expect(fiber_wait_fd(a[0], POLLIN) == -EBADF);
	return 0;
}

Test(io_windows_kinds, readiness_of_one_and_of_many, .timeout = 30)
{
	law_holds(readiness, NULL);
}

/* ---- places -----------------------------------------------------------------------------------*/
static void *on_thread(void *arg)
{
	static fiber_fn *const laws[] = { flags, pipes, files, datagrams, readiness };

	for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
		if (laws[i] != pipes) /* fibers are spawned there */
			laws[i](arg);
	return arg;
}

Test(io_windows_kinds, plain_threads_do_the_same, .timeout = 60)
{
	pthread_t t;

	cr_expect(pthread_create(&t, NULL, on_thread, NULL) == 0);
	pthread_join(t, NULL);
}

static int write_one(void *arg)
{
	return (int)fiber_write(((fiber_fd *)arg)[1], "x", 1);
}

static int read_one(void *arg)
{
	char byte;
	fiber_t f;

	cr_expect(fiber_spawn(&f, NULL, write_one, arg) == 0);
	cr_expect(fiber_read(*(fiber_fd *)arg, &byte, 1) == 1);
	return fiber_join(f, NULL);
}

/* A descriptor keeps the port of whoever used it first. */
Test(io_windows_kinds, a_descriptor_outlives_the_runtime_that_used_it_first, .timeout = 60)
{
	static const unsigned workers[] = { 8, 1, 2, 1 };
	fiber_fd fd[2];

	pair(fd);
	for (int i = 0; i < 4; i++)
		cr_expect(law_run(workers[i], read_one, fd) == 0);
	close_both(fd);
}
