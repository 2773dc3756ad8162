/* Stacks of generators: one that ends is reported with the generator's name and the fiber's; a call
 * whose frame or buffer does not fit is found; and what does fit is not refused. Built without
 * -fstack-clash-protection, so that large frames step over guards. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/gen.h>
#include <fiber/io.h>
#include <stdlib.h>
#include <string.h>

#include "death.h"
#include "law.h"
#include "sched/overflow.h"

static struct death death;

/* ---- what overflows ---------------------------------------------------------------------------*/
static NOINLINE int recurse(int depth)
{
	volatile char frame[100];

	frame[0] = (char)depth;
	return depth > 10000000 ? 0 : recurse(depth + 1) + frame[0];
}

/* A frame from the stack over its guard into some neighbour's slot; touched where the guard is. */
static NOINLINE int step_over_the_guard(int depth)
{
	char frame[160 * 1024];

	__asm__ volatile("" : : "r"(frame) : "memory"); /* all of it is needed */
	frame[50 * 1024] = (char)depth;
	__asm__ volatile("" : : "r"(frame) : "memory");
	return frame[50 * 1024];
}

static int ends[2];

static NOINLINE int read_far_below(int unused)
{
	char buffer[192 * 1024];
	ssize_t n = fiber_read(ends[0], buffer, sizeof buffer);

	return n < 0 ? (int)n : buffer[0] + unused;
}

/* A buffer that begins in the guard and ends in the frame. */
static NOINLINE int read_into_the_guard(int unused)
{
	char *frame = __builtin_frame_address(0);
	ssize_t n = fiber_read(ends[0], frame - 110 * 1024, 110 * 1024);

	return n < 0 ? (int)n : unused;
}

/* ---- in generators ----------------------------------------------------------------------------*/
static int (*culprit)(int);

static void *is_the_culprit(fiber_gen_t *self, void *arg)
{
	(void)arg;
	fiber_gen_yield(self, NULL, NULL);
	return (void *)(intptr_t)culprit(0);
}

static void *waits(fiber_gen_t *self, void *arg)
{
	(void)arg;
	fiber_gen_yield(self, NULL, NULL);
	return NULL;
}

static int resume_twice(fiber_gen_t *gen)
{
	int r = fiber_gen_resume(gen, NULL, NULL);

	return r < 0 ? r : fiber_gen_resume(gen, NULL, NULL);
}

static NOINLINE void *resumes_the_culprit(fiber_gen_t *self, void *arg)
{
	fiber_gen_t *gen, *neighbour;
	fiber_gen_attr_t attr = { .name = "parser" };
	int r = fiber_gen_create(&gen, &attr, is_the_culprit, arg);

	(void)self;
	/* Suspended ones above and below, which nobody may take for the one that runs. */
	for (int i = 0; r == 0 && i < 20; i++) {
		r = fiber_gen_create(&neighbour, NULL, waits, NULL);
		if (r == 0)
			fiber_gen_resume(neighbour, NULL, NULL);
	}
	return (void *)(intptr_t)(r < 0 ? r : resume_twice(gen));
}

static int nest(void *arg)
{
	fiber_gen_t *gen;
	int r = fiber_gen_create(&gen, NULL, resumes_the_culprit, arg);

	return r < 0 ? r : resume_twice(gen);
}

static int prepare(void)
{
	return fiber_pipe(ends) < 0 || fiber_write(ends[1], "hello", 5) != 5 ? -EIO : 0;
}

static int in_a_fiber(void *arg)
{
	fiber_t f;

	if (prepare() < 0 ||
	    fiber_spawn(&f, &(fiber_attr_t){ .name = "worker bee" }, nest, arg) < 0)
		return -EIO;
	fprintf(stderr, "id=%llu\n", (unsigned long long)f.id);
	return fiber_join(f, NULL);
}

static int with_a_runtime(void)
{
	return fiber_run(&(fiber_options_t){ .workers = 1 }, in_a_fiber, NULL);
}

#define says(what) cr_expect(what, "%s", death.text)

static void dies_in_a_generator(int (*function)(int), const char *how)
{
	const char *id;
	char report[100];

	culprit = function;
	die_of(with_a_runtime, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d: %s", death.signal, death.status,
		     death.text);
	if (!OVERFLOW_INSTALLS)
		return;
	id = strstr(death.text, "id=");
	snprintf(report, sizeof report,
		 "fiber: stack overflow: generator \"parser\" in fiber %llu \"worker bee\" ",
		 id ? strtoull(id + 3, NULL, 10) : 0);
	says(strstr(death.text, report) != NULL);
	says(strstr(death.text, how) != NULL);
	says(strstr(death.text, "created at ") != NULL);
	says(strstr(death.text, "spawned at ") != NULL);
	says(strstr(death.text, "fiber_gen_attr_t.stack_bytes = ") != NULL);
	says(strstr(death.text, "or it was") == NULL);
}

Test(overflow_gen, by_recursion_is_reported_with_the_names_of_both, .timeout = 60)
{
	dies_in_a_generator(recurse, " touched ");
}

Test(overflow_gen, by_a_frame_that_ends_in_a_neighbours_slot_is_reported_as_well, .timeout = 60)
{
	dies_in_a_generator(step_over_the_guard, " touched ");
}

Test(overflow_gen, a_call_on_a_frame_below_the_stack_is_found, .timeout = 60)
{
	dies_in_a_generator(read_far_below, " made a call on a frame that lies ");
}

Test(overflow_gen, a_call_with_a_buffer_that_begins_in_the_guard_is_found, .timeout = 60)
{
	dies_in_a_generator(read_into_the_guard, " made a call with a buffer of 112640 bytes ");
}

/* ---- on plain threads -------------------------------------------------------------------------*/
static int without_a_runtime(void)
{
	int r = prepare();

	return r < 0 ? r : nest(NULL);
}

Test(overflow_gen, without_any_runtime_it_kills_as_on_a_threads_own_stack, .timeout = 60)
{
	culprit = recurse;
	die_of(without_a_runtime, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d", death.signal, death.status);
	culprit = read_far_below;
	die_of(without_a_runtime, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d", death.signal, death.status);
}

static int beside_a_runtime(void)
{
	static char alternate[128 * 1024];
	fiber_runtime_t *runtime;

	sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof alternate }, NULL);
	if (fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = 1 }) < 0)
		return 1;
	return without_a_runtime();
}

Test(overflow_gen, beside_a_runtime_it_is_reported_if_the_thread_has_a_stack_for_the_handler,
     .timeout = 60)
{
	if (!OVERFLOW_INSTALLS)
		cr_skip("sanitizers have a handler of their own");
	culprit = recurse;
	die_of(beside_a_runtime, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d", death.signal, death.status);
	says(strstr(death.text, "generator \"parser\" on a plain thread touched ") != NULL);
	culprit = read_far_below;
	die_of(beside_a_runtime, &death);
	says(strstr(death.text, "\"parser\" on a plain thread made a call on a frame ") != NULL);
}

/* ---- what fits --------------------------------------------------------------------------------*/
static void *reads_what_fits(fiber_gen_t *self, void *arg)
{
	char buffer[64 * 1024], *outside = arg;
	fiber_fd pipe[2];

	cr_expect(fiber_pipe(pipe) == 0);
	cr_expect(fiber_write(pipe[1], "hello", 5) == 5);
	cr_expect(fiber_read(pipe[0], buffer, sizeof buffer) == 5);
	/* In the resumer's frame, and on the heap. */
	cr_expect(fiber_write(pipe[1], buffer, 5) == 5);
	cr_expect(fiber_read(pipe[0], outside, 100) == 5);
	fiber_gen_yield(self, NULL, NULL);
	cr_expect(fiber_write(pipe[1], outside, 5) == 5);
	cr_expect(fiber_read(pipe[0], buffer, sizeof buffer) == 5);
	cr_expect(memcmp(buffer, "hello", 5) == 0);
	fiber_close(pipe[0]);
	fiber_close(pipe[1]);
	return NULL;
}

static int reads_in_a_generator(void *arg)
{
	char buffer[100];
	fiber_gen_t *gen;

	cr_expect(fiber_gen_create(&gen, NULL, reads_what_fits, buffer) == 0);
	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 1);
	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 0);
	cr_expect(fiber_gen_destroy(gen) == 0);
	return arg != NULL;
}

Test(overflow_gen, buffers_on_a_generators_stack_are_as_good_as_any, .timeout = 20)
{
	law_holds(reads_in_a_generator, NULL);
	cr_expect(reads_in_a_generator(NULL) == 0, "on a plain thread");
	law_no_leaks();
}
