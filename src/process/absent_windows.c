/* absent_windows.c - children, and signals as messages: not there on Windows so far. Every
 * call says so, -ENOSYS, whatever it is given. */
#include <errno.h>
#include <fiber/process.h>
#include <fiber/signal.h>

#include "base/must.h"

/* Nothing is looked at. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

PUBLIC int fiber_process_start(fiber_process_t *out, const fiber_process_options_t *options)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_wait(fiber_process_t *process, fiber_process_status_t *status)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_wait_until(fiber_process_t *process, fiber_process_status_t *status,
		int64_t when)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_kill(fiber_process_t *process, int signal)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_stop(fiber_process_t *process, int64_t grace_ns,
		fiber_process_status_t *status)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_close_input(fiber_process_t *process)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_close(fiber_process_t *process)
{
	return -ENOSYS;
}

PUBLIC int fiber_process_run(fiber_process_result_t *out, const fiber_process_options_t *options,
		const void *input, size_t input_bytes, size_t limit)
{
	return -ENOSYS;
}

PUBLIC void fiber_process_result_free(fiber_process_result_t *result)
{
}

PUBLIC int fiber_signal_open(fiber_chan_t **out, const int *numbers, size_t count)
{
	return -ENOSYS;
}

PUBLIC int fiber_signal_close(fiber_chan_t *chan)
{
	return -ENOSYS;
}
