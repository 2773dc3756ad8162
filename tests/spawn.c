/* New fibers: what they are given, what is refused, where and in which order they first run. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fenv.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int spawn_and_join(const fiber_attr_t *attr, fiber_fn *fn, void *arg)
{
	int result = -1, r;
	fiber_t f;

	r = fiber_spawn(&f, attr, fn, arg);
	if (r == 0)
		r = fiber_join(f, &result);
	return r < 0 ? r : result;
}

/* ---- results and arguments --------------------------------------------------------------------*/
static int every_result_arrives(void *arg)
{
	static const int results[] = { 0, 1, -1, INT32_MAX, INT32_MIN, -ENOMEM, -ECANCELED };
	int result = 0;
	fiber_t f;

	(void)arg;
	for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
		void *argument = (void *)(intptr_t)results[i];

		cr_expect(fiber_spawn(&f, NULL, return_argument, argument) == 0);
		cr_expect(fiber_join(f, &result) == 0);
		cr_expect(result == results[i], "%d arrived as %d", results[i], result);
	}
	return 0;
}

Test(spawn, a_joiner_gets_what_the_function_returned, .timeout = 20)
{
	law_holds(every_result_arrives, NULL);
}

static int exit_with_argument(void *arg)
{
	volatile char frame[4096];

	frame[0] = 1;
	fiber_exit((int)(intptr_t)arg + frame[0] - 1);
}

static int exits(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		cr_expect(spawn_and_join(NULL, exit_with_argument, (void *)(intptr_t)i) == i);
	fiber_exit(0); /* of the main fiber */
}

Test(spawn, fiber_exit_gives_the_result_from_any_depth, .timeout = 20)
{
	law_holds(exits, NULL);
}

struct copied {
	size_t bytes;
	unsigned char first;
	unsigned char rest[];
};

static int check_copy(void *arg)
{
	const struct copied *c = arg;
	int wrong = (uintptr_t)arg % 16 != 0;

	for (int step = 0; step < 2; step++) {
		for (size_t i = 0; i < c->bytes - sizeof *c; i++)
			wrong += c->rest[i] != (unsigned char)(c->first + i);
		fiber_yield();
	}
	return wrong;
}

static int copies(void *arg)
{
	static const size_t sizes[] = { 17, 100, 4000, 4096, 40000, 90000, 300000 };
	enum { SIZES = sizeof sizes / sizeof *sizes };
	struct copied *c = malloc(sizes[SIZES - 1]);
	fiber_t f[SIZES];
	int result = 0;

	(void)arg;
	for (size_t k = 0; k < SIZES; k++) {
		fiber_attr_t attr = { .copy_bytes = sizes[k] };

		c->bytes = sizes[k];
		c->first = (unsigned char)k;
		for (size_t i = 0; i < c->bytes - sizeof *c; i++)
			c->rest[i] = (unsigned char)(k + i);
		cr_expect(fiber_spawn(&f[k], &attr, check_copy, c) == 0);
		memset(c, 0x77, sizes[k]);
	}
	free(c);
	for (size_t k = 0; k < SIZES; k++) {
		cr_expect(fiber_join(f[k], &result) == 0);
		cr_expect(result == 0, "%zu bytes: %d are wrong", sizes[k], result);
	}
	return 0;
}

Test(spawn, a_copied_argument_is_the_fibers_own, .timeout = 20)
{
	law_holds(copies, NULL);
}

static int use_stack(void *arg)
{
	volatile char deep[64 * 1024];

	for (size_t i = sizeof deep; i > 0; i -= 1024)
		deep[i - 1] = 1;
	return ((const char *)arg)[0] + deep[1023];
}

static int copy_beside_a_full_stack(void *arg)
{
	fiber_attr_t attr = { .copy_bytes = 90000 };
	char *copied = calloc(1, attr.copy_bytes);

	(void)arg;
	copied[0] = 41;
	cr_expect(spawn_and_join(&attr, use_stack, copied) == 42);
	free(copied);
	return 0;
}

/* The copy lay inside a stack of the default size, and the fiber overflowed in its first frame. */
Test(spawn, a_copied_argument_takes_nothing_off_the_stack, .timeout = 20)
{
	law_holds(copy_beside_a_full_stack, NULL);
}

static int use_much_stack(void *arg)
{
	volatile char deep[900 * 1024];

	for (size_t i = 0; i < sizeof deep; i += 512)
		deep[sizeof deep - 1 - i] = 1;
	return (int)(intptr_t)arg + deep[sizeof deep - 1];
}

static int large_stacks(void *arg)
{
	fiber_attr_t attr = { .stack_bytes = 1024 * 1024 };

	cr_expect(spawn_and_join(&attr, use_much_stack, arg) == 1);
	attr.flags = FIBER_STACK_NOW;
	cr_expect(spawn_and_join(&attr, use_much_stack, arg) == 1);
	return 0;
}

Test(spawn, a_fiber_has_the_stack_it_asked_for, .timeout = 20)
{
	law_holds(large_stacks, NULL);
}

static int large_stacks_of_the_runtime(void *arg)
{
	cr_expect(use_much_stack(arg) == 1);
	return spawn_and_join(NULL, use_much_stack, arg) - 1;
}

Test(spawn, a_runtimes_stack_size_is_that_of_all_its_fibers, .timeout = 20)
{
	fiber_options_t options = { .stack_bytes = 1024 * 1024 };

	law_holds_with(&options, large_stacks_of_the_runtime, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int refused(void *arg)
{
	char byte = 0;
	const struct {
		fiber_attr_t attr;
		void *argument;
		int r;
	} wrong[] = {
		{ { .flags = 1u << 4 }, NULL, -EINVAL },
		{ { .flags = ~0u }, NULL, -EINVAL },
		{ { .flags = FIBER_ROAM | FIBER_STAY }, NULL, -EINVAL },
		{ { .copy_bytes = 1 }, NULL, -EINVAL },
		{ { .copy_bytes = SIZE_MAX }, &byte, -ENOMEM },
		{ { .copy_bytes = SIZE_MAX / 2 + 1 }, &byte, -ENOMEM },
		{ { .stack_bytes = SIZE_MAX }, NULL, -ENOMEM },
		{ { .stack_bytes = SIZE_MAX - 4096 }, NULL, -ENOMEM },
		{ { .stack_bytes = (size_t)1 << 47 }, NULL, -ENOMEM },
		{ { .stack_bytes = (size_t)1 << 47, .flags = FIBER_STACK_NOW }, NULL, -ENOMEM },
		{ { .worker = fiber_workers() + 1 }, NULL, -EINVAL },
		{ { .worker = ~0u }, NULL, -EINVAL },
		{ { .reserved = { 1, 0 } }, NULL, -EINVAL },
		{ { .reserved = { 0, 1 } }, NULL, -EINVAL },
		{ { .runtime = (fiber_runtime_t *)&byte }, NULL, -EINVAL },
	};
	fiber_t f = { 0x1234 };

	(void)arg;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int r = fiber_spawn(&f, &wrong[i].attr, return_argument, wrong[i].argument);

		cr_expect(r == wrong[i].r, "case %zu: %d instead of %d", i, r, wrong[i].r);
		cr_expect(f.id == 0x1234, "case %zu wrote a handle", i);
	}
	cr_expect(fiber_spawn(&f, NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_go(NULL, NULL) == -EINVAL);
	return spawn_and_join(NULL, return_argument, NULL);
}

Test(spawn, what_makes_no_sense_is_refused_and_the_runtime_goes_on, .timeout = 20)
{
	law_holds(refused, NULL);
}

Test(spawn, outside_of_a_runtime_there_is_nowhere_to_spawn, .timeout = 20)
{
	fiber_t f;

	cr_expect(fiber_spawn(&f, NULL, return_argument, NULL) == -EINVAL);
	cr_expect(fiber_spawn(NULL, NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_go(return_argument, NULL) == -EINVAL);
}

/* ---- where ------------------------------------------------------------------------------------*/
static int stay_there(void *arg)
{
	unsigned worker = (unsigned)(uintptr_t)arg;
	int elsewhere = 0;

	for (int i = 0; i < 50; i++) {
		elsewhere += fiber_worker() != worker;
		if (i % 10 == 0)
			fiber_sleep(FIBER_MICROSECOND);
		else
			fiber_yield();
	}
	return elsewhere;
}

static int placed(void *arg)
{
	enum { EACH = 20 };
	unsigned workers = fiber_workers();
	fiber_t f[8 * EACH];
	int result = 0;

	(void)arg;
	for (unsigned i = 0; i < workers * EACH; i++) {
		/* Roaming is refused silently: the place is the stronger word. */
		fiber_attr_t attr = { .worker = i % workers + 1, .flags = i & 1 ? FIBER_ROAM : 0 };

		void *worker = (void *)(uintptr_t)attr.worker;

		cr_expect(fiber_spawn(&f[i], &attr, stay_there, worker) == 0);
	}
	for (unsigned i = 0; i < workers * EACH; i++) {
		cr_expect(fiber_join(f[i], &result) == 0);
		cr_expect(result == 0, "%d steps elsewhere than on worker %u", result,
			  i % workers + 1);
	}
	return 0;
}

Test(spawn, a_placed_fiber_is_on_its_worker_and_nowhere_else, .timeout = 30)
{
	law_holds(placed, NULL);
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, placed, NULL);
}

/* ---- in which order ---------------------------------------------------------------------------*/
static _Atomic int turn;

static int note_turn(void *arg)
{
	*(int *)arg = atomic_fetch_add(&turn, 1);
	return 0;
}

static int newest_first(void *arg)
{
	int turns[10];
	fiber_t f[10];

	(void)arg;
	for (int i = 0; i < 10; i++)
		cr_expect(fiber_spawn(&f[i], NULL, note_turn, &turns[i]) == 0);
	for (int i = 0; i < 10; i++)
		cr_expect(fiber_join(f[i], NULL) == 0);
	for (int i = 0; i < 10; i++)
		cr_expect(turns[i] == 9 - i, "fiber %d came as number %d", i, turns[i]);
	return 0;
}

Test(spawn, of_unstarted_fibers_the_newest_runs_first, .timeout = 10)
{
	cr_expect(law_run(1, newest_first, NULL) == 0);
}

static _Atomic bool ran;

static int note(void *arg)
{
	atomic_store(&ran, true);
	return (int)(intptr_t)arg;
}

/* Newer and newer ones, always one before it. */
static int feed_newer_ones(void *arg)
{
	fiber_t first, f;
	int rounds = 0;

	atomic_store(&ran, false);
	cr_expect(fiber_spawn(&first, NULL, note, arg) == 0);
	while (!atomic_load(&ran) && rounds++ < 100000) {
		cr_expect(fiber_spawn(&f, NULL, return_argument, NULL) == 0);
		cr_expect(fiber_join(f, NULL) == 0);
	}
	cr_expect(atomic_load(&ran), "it never came to run");
	return fiber_join(first, NULL);
}

Test(spawn, the_oldest_unstarted_fiber_is_not_kept_waiting_for_ever, .timeout = 20)
{
	cr_expect(law_run(1, feed_newer_ones, NULL) == 0);
}

/* ---- FIBER_NO_FPU -----------------------------------------------------------------------------*/
static int round_upward(void *arg)
{
	int wrong = 0;

	(void)arg;
	fesetround(FE_UPWARD);
	for (int i = 0; i < 100; i++) {
		fiber_yield();
		wrong += fegetround() != FE_UPWARD;
	}
	return wrong;
}

static int promise_not_to_touch(void *arg)
{
	int wrong = 0;

	(void)arg;
	for (int i = 0; i < 100; i++) {
		fiber_yield();
		wrong += fegetround() != FE_TONEAREST;
	}
	return wrong;
}

static int mixed_rounding(void *arg)
{
	fiber_attr_t bare = { .flags = FIBER_NO_FPU };
	int result = 0;
	fiber_t f[30];

	(void)arg;
	for (int i = 0; i < 30; i++)
		cr_expect(fiber_spawn(&f[i], i % 3 ? &bare : NULL,
				      i % 3 ? promise_not_to_touch : round_upward, NULL) == 0);
	for (int i = 0; i < 30; i++) {
		cr_expect(fiber_join(f[i], &result) == 0);
		cr_expect(result == 0, "fiber %d found %d times another's rounding", i, result);
	}
	cr_expect(fegetround() == FE_TONEAREST);
	return 0;
}

Test(spawn, control_words_stay_with_the_fiber_beside_fibers_that_promised_not_to_touch_them,
     .timeout = 20)
{
	law_holds(mixed_rounding, NULL);
}
