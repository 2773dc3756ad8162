/* enter.c - what makes an OS thread a worker, and unmakes it. */
#include <pthread.h>

#include "arch.h"
#include "os/os.h"
#include "os/sanitize.h"
#include "sched/overflow.h"
#include "sched/stall.h"
#include "sched/worker.h"

/* AddressSanitizer is told which stack it arrives on: for the loop, the thread's own. */
void worker_own_stack(struct cold *cold)
{
#if defined(FB_ASAN)
	pthread_attr_t attr;
	void *bottom = NULL;

	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &bottom, &cold->stack_bytes);
		pthread_attr_destroy(&attr);
	}
	cold->stack_bottom = bottom;
#else
	(void)cold;
#endif
}

static void become(struct worker *w)
{
	worker_set_self(w);
	w->exceptions = exceptions_here();
	w->loop_cold.sanitizer = sanitize_current();
	worker_own_stack(&w->loop_cold);
	worker_show(w, &w->loop);
	w->now = w->trimmed = os_now();
}

/* Late words of fibers that have ended: their blocks must not stay in a dead inbox. */
static void close_inbox(struct worker *w)
{
	struct inbox_node *node = inbox_close(&w->inbox), *next;

	for (; node; node = next) {
		struct fiber *f = container_of(node, struct fiber, inbox);
		uint32_t reasons;

		next = node->next;
		reasons = atomic_swap32(&f->reasons, 0);
		if (atomic_load_explicit(&f->home, memory_order_acquire) != w && reasons)
			worker_post(f, reasons);
	}
	/* Acquire: pairs with worker_wake; after it nobody touches our poller. */
	while (atomic_load_explicit(&w->wakes_paid, memory_order_acquire) < w->wakes_owed)
		os_yield();
}

void worker_run(struct worker *w)
{
	const fiber_options_t *options = &w->runtime->options;
	bool report = !(options->flags & FIBER_NO_FAULT_REPORT);

	if (report)
		overflow_thread_enter();
	/* The hooks see a plain thread: there is no fiber that their calls could park. */
	if (options->worker_start)
		options->worker_start(options->context, w->number);
	become(w);
	stall_enter(w);
	worker_loop(w);
	stall_leave(w);
	worker_set_self(NULL);
	if (options->worker_stop)
		options->worker_stop(options->context, w->number);
	if (report)
		overflow_thread_leave();
	close_inbox(w);
}
