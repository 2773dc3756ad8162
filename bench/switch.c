/* switch.c - what one arch_switch costs, in the three shapes that decide it.
 *
 * The processor predicts returns from a stack of the calls it saw, and a switch breaks the
 * pairing. So the same instructions cost three different things:
 *	ring         eight contexts, all of which switch in one function: predicted well
 *	ping-pong    two contexts at two sites: each return goes where the other side called
 *	mixed depth  eight contexts at the bottom of zero to three further calls: the outer returns
 *	             are mispredicted as well
 *
 * Checked: every context gets its turns in order, and a message arrives with every switch. */
#include "bench.h"

#include <stdlib.h>

#include "arch.h"

enum { CONTEXTS = 8, STACK_BYTES = 64 * 1024 };
enum { BARE, FULL };

struct context {
	void *sp;
	struct context *next;
	long turns;
};

static struct context contexts[CONTEXTS], *current;
static void *main_sp;
static long turns, turns_max;
static uint64_t control_words;
static uintptr_t messages;

static void finish(void)
{
	void *never;

	arch_switch(&never, main_sp, 0);
	abort();
}

/* One macro body for both switches: a test of `row->variant` at run time would be measured too. */
#define PROGRAMS(name, SWITCH)                                                                     \
	static __attribute__((__noinline__)) void name##_yield(void)                               \
	{                                                                                          \
		struct context *me = current, *to = me->next;                                      \
                                                                                                   \
		current = to;                                                                      \
		messages += SWITCH(&me->sp, to->sp, 1);                                            \
	}                                                                                          \
	static void name##_ring(uintptr_t message)                                                 \
	{                                                                                          \
		struct context *me = current;                                                      \
                                                                                                   \
		for (messages += message;; name##_yield()) {                                       \
			if (++turns > turns_max)                                                   \
				finish();                                                          \
			me->turns++;                                                               \
		}                                                                                  \
	}                                                                                          \
	static void name##_ping(uintptr_t message)                                                 \
	{                                                                                          \
		for (messages += message;;) {                                                      \
			if (++turns > turns_max)                                                   \
				finish();                                                          \
			contexts[0].turns++;                                                       \
			messages += SWITCH(&contexts[0].sp, contexts[1].sp, 1);                    \
		}                                                                                  \
	}                                                                                          \
	static void name##_pong(uintptr_t message)                                                 \
	{                                                                                          \
		for (messages += message;;) {                                                      \
			if (++turns > turns_max)                                                   \
				finish();                                                          \
			contexts[1].turns++;                                                       \
			messages += SWITCH(&contexts[1].sp, contexts[0].sp, 1);                    \
		}                                                                                  \
	}                                                                                          \
	static __attribute__((__noinline__)) void name##_one_deeper(void)                          \
	{                                                                                          \
		name##_yield();                                                                    \
		__asm__ volatile("");                                                              \
	}                                                                                          \
	static __attribute__((__noinline__)) void name##_two_deeper(void)                          \
	{                                                                                          \
		name##_one_deeper();                                                               \
		__asm__ volatile("");                                                              \
	}                                                                                          \
	static __attribute__((__noinline__)) void name##_three_deeper(void)                        \
	{                                                                                          \
		name##_two_deeper();                                                               \
		__asm__ volatile("");                                                              \
	}                                                                                          \
	static void name##_mixed(uintptr_t message)                                                \
	{                                                                                          \
		struct context *me = current;                                                      \
		long depth = (me - contexts) & 3;                                                  \
                                                                                                   \
		for (messages += message;;) {                                                      \
			if (++turns > turns_max)                                                   \
				finish();                                                          \
			me->turns++;                                                               \
			switch (depth) {                                                           \
			case 0: name##_yield(); break;                                             \
			case 1: name##_one_deeper(); break;                                        \
			case 2: name##_two_deeper(); break;                                        \
			default: name##_three_deeper(); break;                                     \
			}                                                                          \
		}                                                                                  \
	}

#define SWITCH_BARE(save, to, message) arch_switch_bare(save, to, message, control_words)
PROGRAMS(bare, SWITCH_BARE)
PROGRAMS(full, arch_switch)

static void prepare(long n, void (*even)(uintptr_t), void (*odd)(uintptr_t))
{
	static char *stacks;

	if (!stacks)
		stacks = aligned_alloc(4096, (size_t)CONTEXTS * STACK_BYTES);
	BENCH_CHECK(stacks);
	control_words = arch_control_words();
	for (long i = 0; i < n; i++) {
		/* A few lines apart, or all tops would fight for one set of the cache. */
		char *top = stacks + (i + 1) * STACK_BYTES - 64 - i * 192;

		contexts[i].sp = arch_frame(top, i & 1 ? odd : even, control_words);
		contexts[i].next = &contexts[(i + 1) % n];
		contexts[i].turns = 0;
	}
	current = &contexts[0];
	turns = 0;
	messages = 0;
}

static double run(const struct bench_row *row, void (*even)(uintptr_t), void (*odd)(uintptr_t))
{
	long counts[CONTEXTS];
	int64_t begin, end;

	prepare(row->n, even, odd);
	turns_max = row->operations;
	begin = bench_now();
	arch_switch(&main_sp, contexts[0].sp, 1);
	end = bench_now();
	for (long i = 0; i < row->n; i++)
		counts[i] = contexts[i].turns;
	bench_fair(counts, row->n, row->operations, true);
	BENCH_CHECK(messages == (uintptr_t)row->operations + 1);
	return (double)(end - begin) / row->operations;
}

static double ring(const struct bench_row *row)
{
	if (row->variant == BARE)
		return run(row, bare_ring, bare_ring);
	return run(row, full_ring, full_ring);
}

static double ping_pong(const struct bench_row *row)
{
	if (row->variant == BARE)
		return run(row, bare_ping, bare_pong);
	return run(row, full_ping, full_pong);
}

static double mixed_depth(const struct bench_row *row)
{
	if (row->variant == BARE)
		return run(row, bare_mixed, bare_mixed);
	return run(row, full_mixed, full_mixed);
}

enum { SWITCHES = 8000000 };

static const struct bench_row rows[] = {
	{"ring of 8, bare", ring, 2.5, SWITCHES, .n = 8, .variant = BARE},
	{"ring of 8, full", ring, 5, SWITCHES, .n = 8, .variant = FULL},
	{"ping-pong, bare", ping_pong, 8, SWITCHES, .n = 2, .variant = BARE},
	{"ping-pong, full", ping_pong, 10.5, SWITCHES, .n = 2, .variant = FULL},
	{"mixed depth, bare", mixed_depth, 15, SWITCHES, .n = 8, .variant = BARE},
	{"mixed depth, full", mixed_depth, 0, SWITCHES, .n = 8, .variant = FULL},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
