/* Code that was built without -fstack-clash-protection is caught as long as its frames are
 * smaller than the guard. (What larger ones do is why io calls check: tests/overflow.c.) */
#include "overrun.h"

#include <criterion/criterion.h>

DEFINE_RECURSION(small_frames, 64)
DEFINE_RECURSION(frames_of_1_kib, 1024)
DEFINE_RECURSION(frames_of_8_kib, 8 * 1024)
DEFINE_RECURSION(frames_just_below_the_guard, STACK_GUARD_BYTES - 256)

Test(stack_overrun_unprobed, frames_smaller_than_the_guard_do_not_step_over_it, .timeout = 60)
{
	cr_expect_eq(overrun(small_frames), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_of_1_kib), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_of_8_kib), OVERRUN_CAUGHT);
	cr_expect_eq(overrun(frames_just_below_the_guard), OVERRUN_CAUGHT);
}
