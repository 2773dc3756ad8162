/* offload.c - the program's own blocking calls.
 *
 * What the function returned is kept apart from what the pool says, or a function's own -EINTR
 * would look like a call that was taken back unrun. errno is read on the helper, in the line after
 * the call: it is that thread's, and the fiber would find its own. */
#include <stdlib.h>

#include "io/io.h"
#include "sched/helpers.h"

struct offload {
	struct helpers_job job;        /* first: the pool frees it, if it was left */
	fiber_fn *function;
	void *argument;
	void (*release)(void *);
	int result;
	int error;
};

static int run(void *self)
{
	struct offload *o = self;

	errno = 0;
	o->result = o->function(o->argument);
	o->error = errno;
	if (o->release)
		o->release(o->argument);
	return 0;
}

static void set_up(struct offload *o, fiber_fn *function, void *argument, unsigned flags)
{
	*o = (struct offload){ .function = function, .argument = argument };
	o->job = (struct helpers_job){ .run = run, .argument = o,
				       .flags = HELPERS_PROGRAM | flags };
}

static int wait_for(fiber_fn *function, void *argument, int *error)
{
	struct offload o;
	int r = function ? io_check_time() : -EINVAL;

	if (r < 0)
		return r;
	set_up(&o, function, argument, HELPERS_UNBEGUN);
	r = wait_on_fiber() ? helpers_call(&o.job) : run(&o);
	if (r < 0)
		return r;
	if (error)
		*error = o.error;
	return o.result;
}

PUBLIC int fiber_offload(fiber_fn *function, void *argument)
{
	return wait_for(function, argument, NULL);
}

PUBLIC int fiber_offload_errno(fiber_fn *function, void *argument, int *error)
{
	if (error)
		*error = 0;
	return wait_for(function, argument, error);
}

/* A plain thread needs a helper only if something may interrupt it. */
static int call_and_leave(struct offload *o)
{
	if (!wait_on_fiber() && fiber_deadline() == FIBER_NEVER)
		return run(o);
	return helpers_call(&o->job);
}

PUBLIC int fiber_offload_leave(fiber_fn *function, void *argument, void (*release)(void *))
{
	struct offload *o;
	int r = function ? io_check_time() : -EINVAL, result;

	if (r < 0)
		goto unrun;
	r = -ENOMEM;
	o = malloc(sizeof *o);
	if (!o)
		goto unrun;
	set_up(o, function, argument, HELPERS_LEAVE);
	o->release = release;
	r = call_and_leave(o);
	if (r == HELPERS_LEFT)
		return -ECANCELED;
	result = o->result;
	free(o);
	if (r == 0)
		return result;
unrun:
	if (release)
		release(argument);
	return r;
}
