/* Channels in a process with one thread, where atomics are plain loads and stores: a program of its
 * own, because a Criterion worker has two threads from the start. */
#include <errno.h>
#include <fiber/chan.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPECT(x) expect(x, #x, __LINE__)

static void expect(bool held, const char *what, int line)
{
	if (held)
		return;
	fprintf(stderr, "chan_alone.c:%d: %s\n", line, what);
	exit(1);
}

enum { MANY = 10000 };

static fiber_chan_t *one, *other;

static int produce(void *chan)
{
	for (int i = 0; i < MANY; i++)
		EXPECT(fiber_chan_send(chan, &i) == 0);
	return fiber_chan_close(chan);
}

static void open_both(size_t capacity)
{
	EXPECT(fiber_chan_create(&one, sizeof(int), capacity) == 0);
	EXPECT(fiber_chan_create(&other, sizeof(int), 0) == 0);
}

static void free_both(void)
{
	fiber_chan_free(one);
	fiber_chan_free(other);
}

/* By a receive, then by a select. */
static void consume(size_t capacity, bool select)
{
	int got = -1, n = 0;
	fiber_t producer;

	open_both(capacity);
	EXPECT(fiber_spawn(&producer, NULL, produce, one) == 0);
	for (;; n++) {
		fiber_case_t cases[] = {FIBER_RECV(other, &got), FIBER_RECV(one, &got)};
		int r = select ? fiber_select(cases, 2) : fiber_chan_recv(one, &got);

		if ((select ? cases[1].result : r) == -EPIPE)
			break;
		EXPECT(r == select && got == n);
	}
	EXPECT(n == MANY && fiber_join(producer, NULL) == 0);
	EXPECT(fiber_chan_recv_until(other, &got, fiber_after(FIBER_MILLISECOND)) == -ETIMEDOUT);
	free_both();
}

static int messages(void *unused)
{
	(void)unused;
	for (size_t capacity = 0; capacity < 4; capacity++) {
		consume(capacity, false);
		consume(capacity, true);
	}
	return 0;
}

int main(void)
{
	fiber_options_t alone = {.workers = 1};

	EXPECT(fiber_run(&alone, messages, NULL) == 0);
	return 0;
}
