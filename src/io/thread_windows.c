/* thread_windows.c - every operation on a plain thread: begun, and waited for by its event until
 * the ambient deadline. A close by another thread ends it (the kernel aborts what is in flight). */
#include "io/io.h"
#include "poller/alone.h"

#define SLICE_NS FIBER_MILLISECOND

ssize_t thread_op(struct poller_op *op)
{
	int64_t until = fiber_deadline();
	int r = POLLER_IN_FLIGHT;

	while (r == POLLER_IN_FLIGHT) {
		if (fiber_check() < 0)
			return -ECANCELED;
		r = op->kind == IO_POLL ? alone_poll(op, until) : alone_run(op, until);
	}
	return r == POLLER_DONE ? op->result : -EINPROGRESS;
}

/* Nothing here waits for many at once that need no port: they are looked at every millisecond. */
int thread_poll(struct pollfd *set, nfds_t count, int64_t until)
{
	for (;;) {
		int ready = poller_look(set, count);

		if (ready != 0 || os_now() >= until)
			return ready;
		if (fiber_sleep(SLICE_NS) < 0)
			return -ECANCELED;
	}
}
