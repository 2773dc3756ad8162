/* offload.c - the program's own blocking calls. */
#include "io/io.h"
#include "sched/helpers.h"

PUBLIC int fiber_offload(fiber_fn *function, void *argument)
{
	struct helpers_job job = { .run = function, .argument = argument,
				   .flags = HELPERS_PROGRAM };
	int r;

	if (!function)
		return -EINVAL;
	r = io_check_time();
	if (r < 0)
		return r;
	return wait_on_fiber() ? helpers_call(&job) : function(argument);
}
