/* ready_table.h - what every backend over ready.c answers in the same way. Its struct poller begins
 * with a struct ready. For the backend's file alone. */
#ifndef FB_POLLER_READY_TABLE_H
#define FB_POLLER_READY_TABLE_H

#include "poller/number.h"
#include "poller/ready.h"

/* Nothing is watched, so only the bell could be in the kernel, and what it has to say we know. */
static inline bool nothing_to_look_for(struct poller *p, int64_t until)
{
	const struct ready *r = (const struct ready *)p;

	return until == 0 && atomic_load_explicit(&r->watched, memory_order_relaxed) == 0;
}

static inline int table_submit(struct poller *p, struct poller_op *op, struct list *back)
{
	return ready_submit((struct ready *)p, op, back);
}

/* Of whatever poller, on whatever thread: the slot's guard is all it needs. */
static inline bool table_cancel(struct poller *p, struct poller_op *op)
{
	(void)p;
	return ready_cancel(op);
}

static inline void table_wake(struct poller *p)
{
	struct ready *r = (struct ready *)p;

	r->kernel->wake(r);
}

static inline uint64_t table_syscalls(const struct poller *p)
{
	return count_read(&((const struct ready *)p)->calls);
}

#define READY_TABLE                                                                                \
	.submit = table_submit, .cancel = table_cancel, .wake = table_wake,                        \
	.forget = number_forget, .syscalls = table_syscalls

#endif
