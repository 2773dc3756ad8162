/* The shapes of bench/switch.c with glibc's swapcontext, which asks the kernel for the signal
 * mask in every switch. */
#include "bench.h"

#include <stdlib.h>
#include <ucontext.h>

enum { CONTEXTS = 8, STACK_BYTES = 64 * 1024, SWITCHES = 400000 };

static ucontext_t contexts[CONTEXTS], main_context;
static long counts[CONTEXTS], current, n, turns, turns_max;

static void finish(void)
{
	swapcontext(&contexts[current], &main_context);
	abort();
}

static __attribute__((__noinline__)) void yield(void)
{
	long me = current;

	current = me + 1 == n ? 0 : me + 1;
	swapcontext(&contexts[me], &contexts[current]);
}

static void ring(void)
{
	long me = current;

	for (;; yield()) {
		if (++turns > turns_max)
			finish();
		counts[me]++;
	}
}

static void ping(void)
{
	for (;;) {
		if (++turns > turns_max)
			finish();
		counts[0]++;
		current = 1;
		swapcontext(&contexts[0], &contexts[1]);
	}
}

static void pong(void)
{
	for (;;) {
		if (++turns > turns_max)
			finish();
		counts[1]++;
		current = 0;
		swapcontext(&contexts[1], &contexts[0]);
	}
}

static __attribute__((__noinline__)) void deeper(long depth)
{
	if (depth)
		deeper(depth - 1);
	else
		yield();
	__asm__ volatile("");
}

static void mixed(void)
{
	long me = current;

	for (;; deeper(me & 3)) {
		if (++turns > turns_max)
			finish();
		counts[me]++;
	}
}

static void make(ucontext_t *context, char *stack, size_t bytes, void (*entry)(void))
{
	BENCH_CHECK(getcontext(context) == 0);
	context->uc_stack.ss_sp = stack;
	context->uc_stack.ss_size = bytes;
	makecontext(context, entry, 0);
}

static double run(const struct bench_row *row, void (*even)(void), void (*odd)(void))
{
	static char *stacks;
	int64_t begin;
	double ns;

	if (!stacks)
		stacks = aligned_alloc(4096, (size_t)CONTEXTS * STACK_BYTES);
	n = row->n;
	turns = 0;
	current = 0;
	turns_max = row->operations;
	for (long i = 0; i < n; i++) {
		make(&contexts[i], stacks + i * STACK_BYTES, STACK_BYTES - (size_t)i * 192,
		     i & 1 ? odd : even);
		counts[i] = 0;
	}
	begin = bench_now();
	swapcontext(&main_context, &contexts[0]);
	ns = (double)(bench_now() - begin) / row->operations;
	bench_fair(counts, n, row->operations, true);
	return ns;
}

static double run_ring(const struct bench_row *row)
{
	return run(row, ring, ring);
}

static double run_ping_pong(const struct bench_row *row)
{
	return run(row, ping, pong);
}

static double run_mixed(const struct bench_row *row)
{
	return run(row, mixed, mixed);
}

static const struct bench_row rows[] = {
	{.name = "ring of 8", .run = run_ring, .operations = SWITCHES, .n = 8},
	{.name = "ping-pong", .run = run_ping_pong, .operations = SWITCHES, .n = 2},
	{.name = "mixed depth", .run = run_mixed, .operations = SWITCHES, .n = 8},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
