/* One edge may stand for more than one thing: what hangs where a short read, or the first of
 * several waiters, is taken for the whole of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pty.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct reader {
	fiber_fd fd;
	int reads;
	ssize_t result[8];
	char buffer[8][64];
};

/* Reads until the end, an error, or so many times. */
static int reads(void *arg)
{
	struct reader *r = arg;
	int i;

	for (i = 0; i < r->reads; i++) {
		r->result[i] = fiber_read(r->fd, r->buffer[i], sizeof r->buffer[i]);
		if (r->result[i] <= 0)
			break;
	}
	return i;
}

/* main              reader
 *                   read: parks
 * write, close      (one edge: data and FIN)
 *                   read: 5, short; read: 0 */
static int data_and_fin(void *arg)
{
	(void)arg;
	for (int reset = 0; reset < 2; reset++) {
		struct linger now = { .l_onoff = 1 };
		struct reader r = { .reads = 2 };
		fiber_fd fds[2];
		fiber_t f;

		cr_expect(law_tcp_pair(fds) == 0);
		r.fd = fds[0];
		f = spawned(reads, &r);
		until_it_waits_for(f, "read");
		cr_expect(write(fds[1], "hello", 5) == 5);
		if (reset)
			setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof now);
		cr_expect(close(fds[1]) == 0);
		cr_expect(result_of(f) >= 0);
		if (r.result[0] == 5) /* a reset may overtake the data */
			cr_expect(r.result[1] == (reset ? -ECONNRESET : 0));
		else
			cr_expect(reset && r.result[0] == -ECONNRESET);
		cr_expect(fiber_close(fds[0]) == 0);
	}
	return 0;
}

Test(io_edges, data_and_the_end_in_one_edge_are_both_seen, .timeout = 30)
{
	law_holds(data_and_fin, NULL);
}

static int datagrams(void *arg)
{
	struct reader r = { .reads = 3 };
	fiber_fd fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
	r.fd = fds[0];
	f = spawned(reads, &r);
	until_it_waits_for(f, "read");
	for (int i = 0; i < 3; i++)
		cr_expect(write(fds[1], "abc", (size_t)i + 1) == i + 1);
	cr_expect(result_of(f) == 3);
	for (int i = 0; i < 3; i++)
		cr_expect(r.result[i] == i + 1);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_edges, datagrams_behind_a_short_read_are_seen, .timeout = 30)
{
	law_holds(datagrams, NULL);
}

static int records(void *arg)
{
	struct reader r = { .reads = 3 };
	fiber_fd fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
	r.fd = fds[0];
	f = spawned(reads, &r);
	until_it_waits_for(f, "read");
	for (int i = 0; i < 3; i++)
		cr_expect(write(fds[1], "abc", (size_t)i + 1) == i + 1);
	cr_expect(result_of(f) == 3);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_edges, records_behind_a_short_read_are_seen, .timeout = 30)
{
	law_holds(records, NULL);
}

/* A terminal in line mode hands out one line a read, however many there are. */
static int lines(void *arg)
{
	struct reader r = { .reads = 3 };
	int master, slave;
	fiber_t f;

	(void)arg;
	cr_expect(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	r.fd = slave; /* and it blocks, as one's terminal does */
	f = spawned(reads, &r);
	until_it_waits_for(f, "read");
	cr_expect(write(master, "one\ntwo\nthree\n", 14) == 14);
	cr_expect(result_of(f) == 3);
	cr_expect(r.result[0] == 4 && memcmp(r.buffer[0], "one\n", 4) == 0);
	cr_expect(r.result[1] == 4 && memcmp(r.buffer[1], "two\n", 4) == 0);
	cr_expect(r.result[2] == 6);
	cr_expect(fiber_close(slave) == 0 && fiber_close(master) == 0);
	return 0;
}

Test(io_edges, lines_of_a_terminal_are_all_seen, .timeout = 30)
{
	law_holds(lines, NULL);
}

/* A read ends at the urgent mark, short. */
static int urgent(void *arg)
{
	struct reader r = { .reads = 2 };
	fiber_fd fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	r.fd = fds[0];
	f = spawned(reads, &r);
	until_it_waits_for(f, "read");
	cr_expect(send(fds[1], "abc", 3, 0) == 3);
	cr_expect(send(fds[1], "!", 1, MSG_OOB) == 1);
	cr_expect(send(fds[1], "def", 3, 0) == 3);
	cr_expect(result_of(f) == 2);
	cr_expect(r.result[0] == 3 && r.result[1] == 3, "%zd, %zd", r.result[0], r.result[1]);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_edges, bytes_behind_the_urgent_mark_are_seen, .timeout = 30)
{
	law_holds(urgent, NULL);
}

/* ---- several waiters, one edge ----------------------------------------------------------------*/
enum { THREE = 3, FOUR = 4 };

static int accepts(void *arg)
{
	fiber_fd fd = fiber_accept(*(fiber_fd *)arg, NULL, NULL);

	return fd < 0 ? fd : fiber_close(fd);
}

static int connections(void *arg)
{
	struct sockaddr_in name;
	socklen_t size = sizeof name;
	fiber_t f[THREE];
	int client[THREE];
	char address[64];
	fiber_fd listener = law_listener(address, sizeof address);

	(void)arg;
	cr_expect(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
	for (int i = 0; i < THREE; i++)
		f[i] = spawned(accepts, &listener);
	for (int i = 0; i < THREE; i++)
		until_it_waits_for(f[i], "accept");
	for (int i = 0; i < THREE; i++) { /* the worker looks at its poller after the third */
		client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_expect(connect(client[i], (struct sockaddr *)&name, size) == 0);
	}
	for (int i = 0; i < THREE; i++)
		cr_expect(result_of(f[i]) == 0);
	for (int i = 0; i < THREE; i++)
		close(client[i]);
	return fiber_close(listener);
}

Test(io_edges, three_connections_in_one_edge_wake_three_fibers, .timeout = 30)
{
	law_holds(connections, NULL);
}

struct burst {
	fiber_fd fd;
	_Atomic int running;
};

static int takes_one(void *arg)
{
	struct burst *b = arg;
	char byte;
	ssize_t n = fiber_read(b->fd, &byte, 1);

	atomic_fetch_add(&b->running, 1);
	while (n == 1 && atomic_load(&b->running) < FOUR)
		fiber_yield();
	return n == 1 ? 0 : (int)n;
}

static int burst(void *arg)
{
	struct burst b = { 0 };
	fiber_t f[FOUR];
	fiber_fd fds[2];

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
	b.fd = fds[0];
	for (int i = 0; i < FOUR; i++)
		f[i] = spawned(takes_one, &b);
	for (int i = 0; i < FOUR; i++)
		until_it_waits_for(f[i], "read");
	for (int i = 0; i < FOUR; i++)
		cr_expect(write(fds[1], "x", 1) == 1);
	for (int i = 0; i < FOUR; i++)
		cr_expect(result_of(f[i]) == 0);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_edges, four_readers_of_four_datagrams_all_run_before_any_ends, .timeout = 30)
{
	law_holds(burst, NULL);
}

/* The one the edge woke is cancelled before it runs: the readiness is not lost with it. */
static int takes_in_vain(void *arg)
{
	struct burst *b = arg;
	char byte;

	return (int)fiber_read(b->fd, &byte, 1);
}

static int handed_on(void *arg)
{
	struct burst b = { 0 };
	fiber_t first, second;
	fiber_fd fds[2];
	int taken;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		cr_expect(fiber_socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
		b.fd = fds[0];
		first = spawned(takes_in_vain, &b);
		until_it_waits_for(first, "read");
		second = spawned(takes_in_vain, &b);
		until_it_waits_for(second, "read");
		cr_expect(write(fds[1], "x", 1) == 1);
		cr_expect(write(fds[1], "y", 1) == 1);
		if (i % 2)
			fiber_yield();
		cr_expect(fiber_cancel(first) == 0 || i % 2);
		taken = result_of(first) == 1;
		cr_expect(result_of(second) == 1);
		for (; taken < 1; taken++)
			cr_expect(takes_in_vain(&b) == 1);
		cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	}
	return 0;
}

Test(io_edges, a_cancelled_waiter_hands_its_readiness_on, .timeout = 30)
{
	law_holds(handed_on, NULL);
}

/* ---- many directions --------------------------------------------------------------------------*/
static int writes(void *arg)
{
	struct burst *b = arg;
	static char data[1 << 20];

	return fiber_write_all(b->fd, data, sizeof data, NULL) == sizeof data ? 0 : 1;
}

/* A reader and a writer wait on one descriptor, each for its own direction. */
static int both_ways(void *arg)
{
	struct reader r = { .reads = 1 };
	struct burst b = { 0 };
	fiber_fd fds[2];
	fiber_t reader, writer;
	size_t done = 0;
	char *data = malloc(1 << 20);

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	r.fd = b.fd = fds[0];
	reader = spawned(reads, &r);
	writer = spawned(writes, &b);
	until_it_waits_for(reader, "read");
	until_it_waits_for(writer, "write");
	cr_expect(fiber_read_full(fds[1], data, 1 << 20, &done) == 1 << 20);
	cr_expect(result_of(writer) == 0);
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	cr_expect(result_of(reader) == 1);
	free(data);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_edges, a_reader_and_a_writer_share_a_descriptor, .timeout = 30)
{
	law_holds(both_ways, NULL);
}
