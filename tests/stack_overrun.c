/* Whoever runs off the end of a stack faults in its guard, and has written to no neighbour.
 * Built with -fstack-clash-protection, as fiber.pc asks for. */
#include "overrun.h"

#include <criterion/criterion.h>

DEFINE_RECURSION(small_frames, 64)
DEFINE_RECURSION(frames_of_1_kib, 1024)
DEFINE_RECURSION(frames_of_8_kib, 8 * 1024)
DEFINE_RECURSION(frames_of_64_kib, 64 * 1024)
DEFINE_RECURSION(frames_of_1_mib, 1024 * 1024)

static void all_are_caught(void)
{
	cr_expect_eq(overrun(small_frames), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_of_1_kib), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_of_8_kib), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_of_64_kib), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_of_1_mib), OVERRUN_CAUGHT);
}

Test(stack_overrun, probed_frames_of_any_size_fault_in_the_guard, .timeout = 60)
{
	all_are_caught();
}

Test(stack_overrun, the_same_where_guards_are_mprotected, .timeout = 60)
{
	setenv("FIBER_TEST_NO_GUARD_ADVICE", "1", 1);
	all_are_caught();
}
