/* counts.c - loops whose instructions counts.py has callgrind count: nothing else in them, one
 * thread.
 *
 *	bench-counts WHAT N
 *
 * counts.py runs each with two values of N and divides the difference, so that what a program
 * does once is not counted. */
#include <fiber.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "counts: %s\n", #x), exit(1)))

static long n, turns;

/* ---- switch*/

static void *main_sp, *other_sp;
static uint64_t control_words;

static void other_bare(uintptr_t message)
{
	for (;; turns++)
		message = arch_switch_bare(&other_sp, main_sp, message, control_words);
}

static void other_full(uintptr_t message)
{
	for (;; turns++)
		message = arch_switch(&other_sp, main_sp, message);
}

static void prepare(void (*entry)(uintptr_t))
{
	static char stack[65536];

	control_words = arch_control_words();
	other_sp = arch_frame(stack + sizeof stack - 64, entry, control_words);
}

/* An operation is one switch: there and back are two. */
static int switch_bare(void *unused)
{
	(void)unused;
	prepare(other_bare);
	for (long i = 0; i < n; i += 2)
		arch_switch_bare(&main_sp, other_sp, 0, control_words);
	CHECK(turns == n / 2 - 1);
	return 0;
}

static int switch_full(void *unused)
{
	(void)unused;
	prepare(other_full);
	for (long i = 0; i < n; i += 2)
		arch_switch(&main_sp, other_sp, 0);
	CHECK(turns == n / 2 - 1);
	return 0;
}

/* ---- the scheduler*/

static int turn(void *unused)
{
	(void)unused;
	while (turns < n) {
		turns++;
		fiber_yield();
	}
	return 0;
}

static int yields(void *unused)
{
	fiber_t fibers[8];

	(void)unused;
	for (int i = 0; i < 8; i++)
		CHECK(fiber_spawn(&fibers[i], NULL, turn, NULL) == 0);
	for (int i = 0; i < 8; i++)
		CHECK(fiber_join(fibers[i], NULL) == 0);
	CHECK(turns == n);
	return 0;
}

static int nothing(void *i)
{
	turns++;
	return (int)(long)i;
}

static int spawn_and_join(void *unused)
{
	fiber_t fiber;
	int result;

	(void)unused;
	for (long i = 0; i < n; i++) {
		CHECK(fiber_spawn(&fiber, NULL, nothing, (void *)(i & 0xffff)) == 0);
		CHECK(fiber_join(fiber, &result) == 0 && result == (i & 0xffff));
	}
	CHECK(turns == n);
	return 0;
}

static int wait_often(void *unused)
{
	(void)unused;
	for (; turns < n; turns++)
		CHECK(fiber_park() == 0);
	return 0;
}

/* An operation is one wait: a park, an unpark, two switches, a yield. */
static int park_and_unpark(void *unused)
{
	fiber_t fiber;

	(void)unused;
	CHECK(fiber_spawn(&fiber, NULL, wait_often, NULL) == 0);
	while (turns < n) {
		fiber_unpark(fiber);
		fiber_yield();
	}
	CHECK(fiber_join(fiber, NULL) == 0);
	return 0;
}

static const struct {
	const char *name;
	fiber_fn *run;
	int on_fibers;
} whats[] = {
	{"switch bare", switch_bare, 0},
	{"switch full", switch_full, 0},
	{"yield", yields, 1},
	{"spawn and join", spawn_and_join, 1},
	{"park and unpark", park_and_unpark, 1},
};

int main(int argc, char **argv)
{
	fiber_options_t options = {.workers = 1};

	if (argc != 3)
		return 2;
	n = atol(argv[2]);
	for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++)
		if (!strcmp(argv[1], whats[i].name))
			return whats[i].on_fibers ? fiber_run(&options, whats[i].run, NULL) != 0
						  : whats[i].run(NULL);
	return 2;
}
