/* Code that was built without -fstack-clash-protection: what its large frames step over, the io
 * calls find. (Frames of up to the guard's size fault by themselves:
 * tests/stack_overrun_unprobed.c.) */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber.h>
#include <fiber/io.h>

#include "death.h"
#include "sched/overflow.h"

static struct death death;

static int neighbour(void *argument)
{
	(void)argument;
	return fiber_park();
}

/* 64 KiB and a guard's worth below the end, in some neighbour's slot. */
static NOINLINE int read_far_below(int fd)
{
	char buffer[192 * 1024];
	ssize_t n = fiber_read(fd, buffer, sizeof buffer);

	return n < 0 ? (int)n : buffer[0];
}

static NOINLINE int write_far_below(int fd)
{
	char buffer[192 * 1024];
	ssize_t n;

	buffer[0] = 'x';
	n = fiber_write(fd, buffer, 1);
	return n < 0 ? (int)n : buffer[0];
}

static int ends[2];

static int reader(void *argument)
{
	(void)argument;
	return read_far_below(ends[0]);
}

static int writer(void *argument)
{
	(void)argument;
	return write_far_below(ends[1]);
}

static int among_neighbours(void *function)
{
	fiber_t f;

	if (fiber_pipe(ends) < 0 || fiber_write(ends[1], "hello", 5) != 5)
		return -EIO;
	for (int i = 0; i < 20; i++)
		if (fiber_go(neighbour, NULL) < 0)
			return -ENOMEM;
	fiber_yield();
	if (fiber_spawn(&f, &(fiber_attr_t){ .name = "large" }, *(fiber_fn **)function, NULL) < 0)
		return -ENOMEM;
	return fiber_join(f, NULL);
}

static fiber_fn *function;

static int run(void)
{
	return fiber_run(&(fiber_options_t){ .workers = 1 }, among_neighbours, &function);
}

static void dies_in(fiber_fn *f)
{
	function = f;
	die_of(run, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d: %s", death.signal, death.status,
		     death.text);
	if (!OVERFLOW_INSTALLS)
		return;
	cr_expect(strstr(death.text, "fiber: stack overflow: fiber ") != NULL, "%s", death.text);
	cr_expect(strstr(death.text, "\"large\" made a call on a frame that lies ") != NULL, "%s",
		  death.text);
}

Test(overflow_unprobed, a_read_on_a_frame_below_the_stack_is_an_overflow, .timeout = 60)
{
	dies_in(reader);
}

Test(overflow_unprobed, a_write_on_a_frame_below_the_stack_is_an_overflow, .timeout = 60)
{
	dies_in(writer);
}
