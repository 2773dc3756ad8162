/* overflow_fiber.c - what the report of an overflow and the check ask of the scheduler. Nothing
 * here takes a lock: the signal handler calls it. */
#include "sched/lend.h"
#include "sched/overflow.h"
#include "sched/worker.h"

void overflow_describe(const void *owner, struct overflow_fiber *out)
{
	struct fiber *f = (struct fiber *)(uintptr_t)owner;
	struct cold *cold = fiber_cold(f);

	out->id = fiber_handle(f).id;
	out->name = (const char *)cold->name; /* ends with a zero: fiber_name_words */
	out->spawned_at = atomic_load_explicit(&cold->spawned_at, memory_order_relaxed);
}

const struct stack *overflow_stack(void)
{
	struct worker *w = worker_self();
	struct fiber *f = likely(w != NULL) ? worker_current(w) : lend_fiber();

	return f ? cold_stack(fiber_cold(f)) : NULL;
}
