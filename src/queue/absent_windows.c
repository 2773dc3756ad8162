/* absent_windows.c - the event queue: not there on Windows so far. Every
 * call says so, -ENOSYS, whatever it is given. */
#include <errno.h>
#include <fiber/queue.h>

#include "base/must.h"

/* Nothing is looked at. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

PUBLIC int fiber_queue_create(fiber_queue_t **out)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_destroy(fiber_queue_t *queue)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_register(fiber_queue_t *queue, fiber_fd fd, uint64_t token,
		unsigned interests)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_reregister(fiber_queue_t *queue, fiber_fd fd, uint64_t token,
		unsigned interests)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_deregister(fiber_queue_t *queue, fiber_fd fd)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_wait(fiber_queue_t *queue, fiber_queue_event_t *events, size_t max,
		int64_t timeout_ns)
{
	return -ENOSYS;
}

PUBLIC bool fiber_queue_current(fiber_queue_t *queue, const fiber_queue_event_t *event)
{
	return false;
}

PUBLIC int fiber_queue_wake(fiber_queue_t *queue)
{
	return -ENOSYS;
}

PUBLIC fiber_fd fiber_queue_fd(fiber_queue_t *queue)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_user_add(fiber_queue_t *queue, fiber_queue_user_t *out, uint64_t token,
		unsigned mode)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_user_raise(fiber_queue_t *queue, fiber_queue_user_t user, unsigned ready)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_user_lower(fiber_queue_t *queue, fiber_queue_user_t user, unsigned ready)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_user_change(fiber_queue_t *queue, fiber_queue_user_t user, uint64_t token,
		unsigned mode)
{
	return -ENOSYS;
}

PUBLIC int fiber_queue_user_remove(fiber_queue_t *queue, fiber_queue_user_t user)
{
	return -ENOSYS;
}
