/* A fiber that overflows its stack is named before the process dies by SIGSEGV; whatever else
 * SIGSEGV may mean goes where it went before. Each law in a child process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <stdio.h>
#include <stdlib.h>

#include "death.h"
#include "sched/overflow.h"

static struct death death;

/* ---- what overflows ---------------------------------------------------------------------------*/

#define DEFINE_OVERFLOW(name, frame_bytes)                                                         \
	static NOINLINE int name##_from(int depth)                                                 \
	{                                                                                          \
		volatile char frame[frame_bytes];                                                  \
                                                                                                   \
		frame[0] = (char)depth;                                                            \
		return depth > 10000000 ? 0 : name##_from(depth + 1) + frame[0];                   \
	}                                                                                          \
	static int name(void *argument)                                                            \
	{                                                                                          \
		return name##_from((int)(uintptr_t)argument);                                      \
	}

DEFINE_OVERFLOW(recursion, 32)
DEFINE_OVERFLOW(frames_of_1_kib, 1024)
DEFINE_OVERFLOW(frames_of_8_kib, 8 * 1024)
DEFINE_OVERFLOW(frames_of_64_kib, 64 * 1024)
DEFINE_OVERFLOW(frames_of_1_mib, 1024 * 1024)

static int read_into_a_buffer_that_is_too_large(void *argument)
{
	char buffer[512 * 1024];
	int ends[2];

	if (pipe(ends) != 0 || write(ends[1], "hello", 5) != 5)
		return -EIO;
	return (int)read(ends[0], buffer, sizeof buffer) + (argument != NULL);
}

/* ---- fibers that do it ------------------------------------------------------------------------*/

static fiber_fn *culprit;

/* Once its id was written down. */
static int overflow_when_told(void *argument)
{
	int r = fiber_park();

	return r < 0 ? r : culprit(argument);
}

static NOINLINE int spawn_the_culprit(void *workers)
{
	fiber_attr_t attr = {
		.name = "parser",
		.stack_bytes = 150000,
		.worker = (unsigned)(uintptr_t)workers,
	};
	fiber_t f;
	int r = fiber_spawn(&f, &attr, overflow_when_told, NULL);

	if (r < 0)
		return r;
	fprintf(stderr, "id=%llu\n", (unsigned long long)f.id);
	fiber_unpark(f);
	return fiber_join(f, NULL);
}

/* A pattern on its stack, and parked when its neighbour overflows. */
static int neighbour(void *argument)
{
	volatile char pattern[20000];

	pattern[0] = pattern[sizeof pattern - 1] = 1;
	(void)fiber_park();
	return pattern[0] + (argument != NULL);
}

static int overflow_among_neighbours(void *workers)
{
	for (int i = 0; i < 20; i++)
		if (fiber_go(neighbour, NULL) < 0)
			return -ENOMEM;
	fiber_yield();
	return spawn_the_culprit(workers);
}

static int on_one_worker(void)
{
	return fiber_run(&(fiber_options_t){ .workers = 1 }, overflow_among_neighbours, NULL);
}

static int on_the_third_of_eight_workers(void)
{
	return fiber_run(&(fiber_options_t){ .workers = 8 }, overflow_among_neighbours, (void *)3);
}

/* ---- the report -------------------------------------------------------------------------------*/

static const char *after(const char *text, const char *what)
{
	const char *found = text ? strstr(text, what) : NULL;

	return found ? found + strlen(what) : NULL;
}

static unsigned long long number_after(const char *text, const char *what)
{
	const char *at = after(text, what);

	return at ? strtoull(at, NULL, 10) : 0;
}

static uintptr_t hex_after(const char *text, const char *what)
{
	const char *at = after(text, what);

	return at ? strtoull(at, NULL, 16) : 0;
}

static bool within(uintptr_t address, const void *function)
{
	return address - (uintptr_t)function < 400; /* they are short */
}

#define says(what) cr_expect(what, "%s", death.text)

static void frames_are_listed(const char *text, const void *function)
{
	const char *frame = after(text, "backtrace, innermost first:\n");
	int all = 0, inside = 0;

	for (; after(frame, "[0x"); frame = after(frame, "[0x")) {
		all++;
		inside += within(hex_after(frame, "[0x"), function);
	}
	says(all >= 3);
	says(inside >= 1);
}

/* Sanitizers have a report of their own, from a handler that Criterion's has replaced. */
static void dies_with_a_report(int (*run)(void), fiber_fn *function, const void *recursive)
{
	unsigned long long id;

	culprit = function;
	die_of(run, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d", death.signal, death.status);
	if (!OVERFLOW_INSTALLS)
		return;
	id = number_after(death.text, "id=");
	says(id != 0 && number_after(death.text, "stack overflow: fiber ") == id);
	says(strstr(death.text, " \"parser\" ") != NULL);
	says(number_after(death.text, "its stack has ") >= 150000);
	says(strstr(death.text, "fiber_attr_t.stack_bytes = ") != NULL);
	says(strstr(death.text, "fiber_options_t.stack_bytes") != NULL);
	says(within(hex_after(after(death.text, "spawned at "), "[0x"),
		    (const void *)spawn_the_culprit));
	frames_are_listed(death.text, recursive);
}

Test(overflow, by_recursion_is_reported_and_kills, .timeout = 60)
{
	dies_with_a_report(on_one_worker, recursion, (const void *)recursion_from);
}

Test(overflow, by_frames_of_any_size_is_reported_and_kills, .timeout = 60)
{
	dies_with_a_report(on_one_worker, frames_of_1_kib, (const void *)frames_of_1_kib_from);
	dies_with_a_report(on_one_worker, frames_of_8_kib, (const void *)frames_of_8_kib_from);
	dies_with_a_report(on_one_worker, frames_of_64_kib, (const void *)frames_of_64_kib_from);
	dies_with_a_report(on_one_worker, frames_of_1_mib, (const void *)frames_of_1_mib_from);
}

Test(overflow, by_a_buffer_for_a_system_call_is_reported_and_kills, .timeout = 60)
{
	dies_with_a_report(on_one_worker, read_into_a_buffer_that_is_too_large,
			   (const void *)read_into_a_buffer_that_is_too_large);
}

static int recursion_on_a_helper(void *argument)
{
	return fiber_blocking_begin() == 0 ? recursion(argument) : 0;
}

Test(overflow, on_a_helper_thread_is_reported_too, .timeout = 60)
{
#if defined(FB_TSAN)
	cr_skip("starts no threads in a forked child");
#endif
	dies_with_a_report(on_one_worker, recursion_on_a_helper, (const void *)recursion_from);
}

Test(overflow, on_a_thread_of_the_runtimes_own_is_reported_too, .timeout = 60)
{
#if defined(FB_TSAN)
	cr_skip("starts no threads in a forked child");
#endif
	dies_with_a_report(on_the_third_of_eight_workers, recursion, (const void *)recursion_from);
}
