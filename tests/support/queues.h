/* queues.h - what the tests of the event queue share: a queue with pairs of descriptors of every
 * kind, and what it tells of one of them. cr_expect only. */
#ifndef TESTS_QUEUES_H
#define TESTS_QUEUES_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/queue.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "law.h"

enum {
	R = FIBER_QUEUE_READABLE,
	W = FIBER_QUEUE_WRITABLE,
	P = FIBER_QUEUE_PRIORITY,
	ERR = FIBER_QUEUE_ERROR,
	RC = FIBER_QUEUE_READ_CLOSED,
	WC = FIBER_QUEUE_WRITE_CLOSED,
	EDGE = FIBER_QUEUE_EDGE,
	ONCE = FIBER_QUEUE_ONESHOT,
};

/* Waits for something that must come: longer than a test may take. */
#define PATIENCE (100 * FIBER_SECOND)

static inline fiber_queue_t *queue_new(void)
{
	fiber_queue_t *q = NULL;
	int r = fiber_queue_create(&q);

	cr_expect(r == 0, "%s", fiber_strerror(r));
	return q;
}

static inline void queue_gone(fiber_queue_t *q)
{
	cr_expect(fiber_queue_destroy(q) == 0);
	law_no_leaks();
}

/* What a wait tells of the one source that is ready: 0 for nothing. */
static inline unsigned told(fiber_queue_t *q, uint64_t token, int64_t timeout_ns)
{
	fiber_queue_event_t events[8];
	int n = fiber_queue_wait(q, events, 8, timeout_ns);

	cr_expect(n == 0 || n == 1, "%d events, not one", n);
	if (n <= 0)
		return 0;
	cr_expect(events[0].token == token, "token %llx", (unsigned long long)events[0].token);
	cr_expect(fiber_queue_current(q, &events[0]));
	return events[0].ready;
}

/* What is so at this moment, and what will be. */
#define NOW(q, token) told(q, token, 0)
#define SOON(q, token) told(q, token, PATIENCE)

enum pair_kind { TCP, UNIX, DATAGRAMS, PIPE, PAIR_KINDS };
static const char *const pair_names[] = {"tcp", "unix", "datagrams", "pipe"};

static inline void nonblocking(int fd)
{
	cr_expect(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

/* out[0] is read from, out[1] written to; non-blocking. */
static inline bool pair_open(enum pair_kind kind, int out[2])
{
	int r = kind == TCP	    ? law_tcp_pair(out) :
		kind == UNIX	    ? socketpair(AF_UNIX, SOCK_STREAM, 0, out) :
		kind == DATAGRAMS   ? socketpair(AF_UNIX, SOCK_DGRAM, 0, out) :
				      pipe(out);

	cr_expect(r == 0, "a pair of %s", pair_names[kind]);
	if (r != 0)
		return false;
	nonblocking(out[0]);
	nonblocking(out[1]);
	return true;
}

static inline void pair_close(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

static inline void put(int fd, const char *bytes)
{
	cr_expect(write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes));
}

/* Reads until EAGAIN or the end; how many bytes. */
static inline size_t drain(int fd)
{
	char bytes[4096];
	size_t all = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		all += (size_t)n;
	cr_expect(n == 0 || errno == EAGAIN || errno == ECONNRESET);
	return all;
}

/* Writes until EAGAIN. */
static inline void fill(int fd)
{
	static const char bytes[4096];

	while (write(fd, bytes, sizeof bytes) > 0)
		;
	cr_expect(errno == EAGAIN);
}

#endif
