/* queue.c - the event queue beside bare epoll: balls that go to and fro between the ends of socket
 * pairs, all registered with one queue, level-triggered, on one thread.
 *
 * The figure is one event: its share of a wait, a read and a write. Bare epoll does the same in
 * turns of the same run; the ratio is the median over the turns. Checked: every byte. */
#include "bench.h"

#include <fiber/queue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 41, PER_TURN = 4000, PAIRS = 100, BYTES = 64 };

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *of)
{
	qsort(of, TURNS, sizeof *of, ascending);
	return of[TURNS / 2];
}

/* The ball comes and goes back. */
static void hit(int fd)
{
	char ball[BYTES + 1];

	BENCH_CHECK(read(fd, ball, sizeof ball) == BYTES);
	BENCH_CHECK(ball[0] == 'o' && ball[BYTES - 1] == 'o');
	BENCH_CHECK(write(fd, ball, BYTES) == BYTES);
}

/* Makes the pairs, and serves each its ball. */
static void serve(long pairs, int (*add)(int fd))
{
	char ball[BYTES];
	int fds[2];

	memset(ball, 'o', sizeof ball);
	for (long i = 0; i < pairs; i++) {
		BENCH_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		BENCH_CHECK(add(fds[0]) == 0 && add(fds[1]) == 0);
		BENCH_CHECK(write(fds[0], ball, BYTES) == BYTES);
	}
}

/* ---- the queue*/

static fiber_queue_t *queue;

static int add_to_queue(int fd)
{
	return fiber_queue_register(queue, fd, (uint64_t)fd, FIBER_QUEUE_READABLE);
}

static double queue_turn(void)
{
	fiber_queue_event_t events[PAIRS];
	int64_t begin = bench_now();
	int done = 0, n;

	while (done < PER_TURN) {
		n = fiber_queue_wait(queue, events, PAIRS, FIBER_NEVER);
		for (int i = 0; i < n; i++)
			hit((int)events[i].token);
		done += n;
	}
	return (double)(bench_now() - begin) / done;
}

/* ---- bare epoll*/

static int epoll;

static int add_to_epoll(int fd)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static double epoll_turn(void)
{
	struct epoll_event events[PAIRS];
	int64_t begin = bench_now();
	int done = 0, n;

	while (done < PER_TURN) {
		n = epoll_wait(epoll, events, PAIRS, -1);
		for (int i = 0; i < n; i++)
			hit(events[i].data.fd);
		done += n;
	}
	return (double)(bench_now() - begin) / done;
}

/* ---- rows*/

static double ping_pong(const struct bench_row *row)
{
	static double ours[TURNS], bare[TURNS], ratio[TURNS];

	bench_pin(0);
	epoll = epoll_create1(0);
	BENCH_CHECK(fiber_queue_create(&queue) == 0 && epoll >= 0);
	serve(row->n, add_to_queue);
	serve(row->n, add_to_epoll);
	for (int i = 0; i < TURNS; i++) {
		bare[i] = epoll_turn();
		ours[i] = queue_turn();
		ratio[i] = ours[i] / bare[i];
	}
	bench_figure("over bare epoll", median(ratio), "times", row->target);
	bench_figure("", median(ours), "ns", 0);
	bench_figure("bare epoll", median(bare), "ns", 0);
	return BENCH_NO_FIGURE;
}

static const struct bench_row rows[] = {
	{.name = "ping-pong, 1 pair", .run = ping_pong, .n = 1, .operations = TURNS * PER_TURN,
	 .cold = true},
	{.name = "ping-pong, 100 pairs", .run = ping_pong, .n = 100,
	 .operations = TURNS * PER_TURN, .cold = true},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
