/* I/O on Windows, as fiber/io.h has it: streams and connections by completion ports, on 1, 2 and 8
 * workers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

enum { ROUNDS = 200 };

static void pair(fiber_fd out[2])
{
	cr_assert(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, out) == 0);
}

static void close_both(const fiber_fd fd[2])
{
	cr_expect(fiber_close(fd[0]) == 0 && fiber_close(fd[1]) == 0);
}

/* ---- streams ----------------------------------------------------------------------------------*/
static int echo(void *arg)
{
	fiber_fd fd = *(fiber_fd *)arg;
	char buffer[4096];
	ssize_t n;

	while ((n = fiber_read(fd, buffer, sizeof buffer)) > 0)
		cr_expect(fiber_write_all(fd, buffer, (size_t)n, NULL) == n);
	cr_expect(n == 0, "%lld", (long long)n);
	cr_expect(fiber_shutdown(fd, SHUT_WR) == 0);
	return (int)n;
}

static int ask(void *arg)
{
	char out[1000], in[1000];
	fiber_fd fd[2];
	fiber_t f;

	(void)arg;
	pair(fd);
	cr_expect(fiber_spawn(&f, NULL, echo, &fd[1]) == 0);
	for (int i = 0; i < 50; i++) {
		memset(out, i, sizeof out);
		cr_expect(fiber_send(fd[0], out, sizeof out, 0) == sizeof out);
		cr_expect(fiber_recv(fd[0], in, sizeof in, MSG_WAITALL) == sizeof in);
		cr_expect(memcmp(in, out, sizeof in) == 0);
	}
	cr_expect(fiber_shutdown(fd[0], SHUT_WR) == 0);
	cr_expect(fiber_read(fd[0], in, sizeof in) == 0);
	cr_expect(fiber_join(f, NULL) == 0);
	close_both(fd);
	return 0;
}

static int many_ask(void *arg)
{
	fiber_t f[20];

	for (int i = 0; i < 20; i++)
		cr_expect(fiber_spawn(&f[i], NULL, ask, arg) == 0);
	for (int i = 0; i < 20; i++)
		cr_expect(fiber_join(f[i], NULL) == 0);
	return 0;
}

Test(io_windows, what_is_written_is_read_in_order, .timeout = 30)
{
	law_holds(many_ask, NULL);
}

static int bytes_are_not_lost(void *arg)
{
	fiber_fd fd[2];
	char byte = 0;

	(void)arg;
	pair(fd);
	for (int i = 1; i <= ROUNDS; i++) {
		ssize_t r = FIBER_TIMEOUT(i % 4 * FIBER_MILLISECOND, fiber_read(fd[0], &byte, 1));

		cr_expect(r == -ETIMEDOUT, "%lld", (long long)r);
		cr_expect(fiber_write(fd[1], &(char){ (char)i }, 1) == 1);
		cr_expect(fiber_read(fd[0], &byte, 1) == 1 && byte == (char)i);
	}
	close_both(fd);
	return 0;
}

Test(io_windows, a_read_that_timed_out_takes_no_bytes, .timeout = 60)
{
	law_holds(bytes_are_not_lost, NULL);
}

struct race {
	fiber_fd fd[2];
	_Atomic int go;
};

static int write_soon(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < ROUNDS; i++) {
		UNTIL(atomic_load(&race->go) > i);
		cr_expect(fiber_write(race->fd[1], "x", 1) == 1);
	}
	return 0;
}

/* The deadline and the byte come at about the same time: one of them, never both, never none. */
static int races(void *arg)
{
	struct race race = { .go = 0 };
	int taken = 0, timed_out = 0;
	fiber_t f;
	char byte;

	(void)arg;
	pair(race.fd);
	cr_expect(fiber_spawn(&f, NULL, write_soon, &race) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		ssize_t r;

		atomic_store(&race.go, i + 1);
		r = FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_read(race.fd[0], &byte, 1));
		taken += r == 1;
		timed_out += r == -ETIMEDOUT;
	}
	cr_expect(taken + timed_out == ROUNDS, "%d + %d", taken, timed_out);
	cr_expect(fiber_join(f, NULL) == 0);
	while (taken < ROUNDS && fiber_read(race.fd[0], &byte, 1) == 1)
		taken++;
	cr_expect(fiber_recv(race.fd[0], &byte, 1, MSG_DONTWAIT) == -EAGAIN);
	close_both(race.fd);
	return 0;
}

Test(io_windows, a_byte_is_returned_or_left_whatever_ends_the_wait, .timeout = 60)
{
	law_holds(races, NULL);
}

static int reads(void *arg)
{
	char byte;

	return (int)fiber_read(*(fiber_fd *)arg, &byte, 1);
}

static int closing(void *arg)
{
	fiber_fd fd[2];
	fiber_t f[2];
	int r = 0;

	(void)arg;
	for (int i = 0; i < 10; i++) {
		pair(fd);
		for (int k = 0; k < 2; k++) {
			cr_expect(fiber_spawn(&f[k], NULL, reads, &fd[0]) == 0);
			until_it_waits_for(f[k], "read");
		}
		cr_expect(fiber_close(fd[0]) == 0);
		for (int k = 0; k < 2; k++)
			cr_expect(fiber_join(f[k], &r) == 0 && r == -EBADF, "%d", r);
		cr_expect(fiber_close(fd[0]) == -EBADF);
		cr_expect(fiber_close(fd[1]) == 0);
	}
	pair(fd);
	cr_expect(fiber_spawn(&f[0], NULL, reads, &fd[0]) == 0);
	until_it_waits_for(f[0], "read");
	cr_expect(fiber_cancel(f[0]) == 0);
	cr_expect(fiber_join(f[0], &r) == 0 && r == -ECANCELED, "%d", r);
	close_both(fd);
	return 0;
}

Test(io_windows, close_and_cancel_end_a_read, .timeout = 30)
{
	law_holds(closing, NULL);
}

/* ---- connections ------------------------------------------------------------------------------*/
static int listen_here(fiber_fd *out, struct sockaddr_in *name)
{
	socklen_t bytes = sizeof *name;

	*out = fiber_socket(AF_INET, SOCK_STREAM, 0);
	*name = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return *out < 0 || bind((SOCKET)*out, (struct sockaddr *)name, sizeof *name) != 0 ||
	       listen((SOCKET)*out, SOMAXCONN) != 0 ||
	       getsockname((SOCKET)*out, (struct sockaddr *)name, &bytes) != 0;
}

static int accepts(void *arg)
{
	struct sockaddr_in peer;
	socklen_t bytes = sizeof peer;
	fiber_fd fd;

	for (int i = 0; i < 10; i++) {
		fd = fiber_accept(*(fiber_fd *)arg, (struct sockaddr *)&peer, &bytes);
		cr_expect(fd >= 0 && peer.sin_family == AF_INET && bytes == sizeof peer);
		cr_expect(peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
		cr_expect(fiber_write(fd, "hello", 5) == 5);
		cr_expect(fiber_close(fd) == 0);
	}
	fd = fiber_accept(*(fiber_fd *)arg, NULL, NULL);
	return (int)fd;
}

static int connections(void *arg)
{
	struct sockaddr_in name;
	fiber_fd listener, fd;
	char text[16];
	fiber_t f;
	int r;

	(void)arg;
	cr_expect(listen_here(&listener, &name) == 0);
	cr_expect(fiber_spawn(&f, NULL, accepts, &listener) == 0);
	for (int i = 0; i < 10; i++) {
		fd = fiber_socket(AF_INET, SOCK_STREAM, 0);
		r = fiber_connect(fd, (struct sockaddr *)&name, sizeof name);
		cr_expect(r == 0, "%d", r);
		cr_expect(fiber_read_full(fd, text, sizeof text, NULL) == 5);
		cr_expect(fiber_close(fd) == 0);
	}
	until_it_waits_for(f, "accept");
	cr_expect(fiber_close(listener) == 0);
	cr_expect(fiber_join(f, &r) == 0 && r == -EBADF, "%d", r);
	fd = fiber_socket(AF_INET, SOCK_STREAM, 0);
	r = fiber_connect(fd, (struct sockaddr *)&name, sizeof name);
	cr_expect(r == -ECONNREFUSED, "%d (%s)", r, fiber_strerror(r));
	cr_expect(fiber_close(fd) == 0);
	return 0;
}

Test(io_windows, connections_are_made_accepted_and_refused, .timeout = 60)
{
	law_holds(connections, NULL);
}
