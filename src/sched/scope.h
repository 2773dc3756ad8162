/* scope.h - what the scopes of a fiber say at this moment: deadline, shield. Private to src/sched/.
 *
 * Only the fiber itself opens and closes scopes. The ruling deadline and the two flags in its
 * control block (F_SHIELDED, F_EXPIRED) are all that the rest of the scheduler looks at. */
#ifndef FB_SCHED_SCOPE_H
#define FB_SCHED_SCOPE_H

#include "sched/fiber.h"

static inline int64_t scope_deadline(const struct fiber *self)
{
	return atomic_load_explicit(&self->deadline, memory_order_relaxed);
}

/* Is an interruption known? No look at the clock. */
static inline bool scope_interrupted(const struct fiber *self)
{
	uint64_t state = atomic_load_explicit(&self->state, memory_order_relaxed);

	return (self->flags & F_EXPIRED) ||
	       (unlikely(state & STATE_CANCEL) && !(self->flags & F_SHIELDED));
}

/* Notices a deadline that has passed. */
static inline void scope_look(struct fiber *self, int64_t now)
{
	if (scope_deadline(self) <= now)
		fiber_change_flags(self, 0, F_EXPIRED);
}

#endif
