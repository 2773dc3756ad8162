/* hot.h - the one door (wait.h), inline, for calls of a few nanoseconds: channels.
 *
 * The same steps in the same order as behind wait.h, for a fiber that nothing unusual happens to;
 * each says so when it cannot, and the caller then takes the way of wait.h. Whoever includes this
 * uses the hot_* functions, and nothing else of what they are made of.
 *
 * The rule of wait.h, "who calls, inline", holds for hot_worker: nothing before it in the function,
 * or in whoever it is inlined into, can have parked. After hot_park its result is worthless. */
#ifndef FB_SCHED_HOT_H
#define FB_SCHED_HOT_H

#include "sched/claim.h"
#include "sched/scope.h"
#include "sched/switch.h"

/* The caller's; NULL on a plain thread. */
INLINE struct worker *hot_worker(void)
{
	return worker_here();
}

/* wait_check and wait_done say that there is nothing to do but hot_done. */
INLINE bool hot_may(const struct worker *w)
{
	return likely(w != NULL) && likely(!scope_interrupted(worker_current(w))) &&
	       likely(!worker_tick_looks(w));
}

INLINE void hot_done(struct worker *w)
{
	worker_tick(w);
}

/* wait_claim, of a wait that was begun as WAIT_INTERRUPTIBLE. */
INLINE bool hot_claim(struct fiber *f, uint64_t ticket, unsigned index)
{
	return claim_grant(f, ticket, index);
}

/* wait_wake, if nothing is in the way. */
INLINE bool hot_wake(struct worker *w, struct fiber *f)
{
	if (atomic_load_explicit(&f->home, memory_order_relaxed) != w ||
	    unlikely(w->next || w->next_left == 0 || fiber_may_move(f)))
		return false;
	w->next_left--;
	w->next = f;
	return true;
}

/* The caller, if it has neither a deadline nor a timer from before: then it may begin its wait by
 * hot_begin, and must end it by hot_park, which knows of no time. NULL: by wait_begin and
 * wait_park. */
INLINE struct fiber *hot_self(const struct worker *w)
{
	struct fiber *self;

	if (unlikely(!w))
		return NULL;
	self = worker_current(w);
	if (unlikely(scope_deadline(self) != OS_NEVER || timer_set(&self->timer)))
		return NULL;
	return self;
}

/* wait_begin, interruptible. */
INLINE uint64_t hot_begin(const struct worker *w, struct fiber *self, enum wait_what what,
			  const void *object)
{
	return claim_begin(self, w, what, object, 0, CLAIM_WAITING);
}

/* wait_park without an end, in a function that looked for an interruption (wait_check, hot_may) and
 * has neither parked nor yielded since: one that comes later is carried out by this worker, after
 * the switch. */
INLINE int hot_park(struct worker *w, struct fiber *self)
{
	uint64_t word;

	if (unlikely(self->flags & F_ARMED))
		fiber_change_flags(self, F_ARMED, 0);
	switch_park(w, self);
	/* Acquire: pairs with the CAS of the claim: what the granter copied. */
	word = atomic_load_explicit(&self->claim, memory_order_acquire);
	if (unlikely(CLAIM_STATUS(word) != CLAIM_GRANTED))
		return wait_outcome(self, OS_NEVER, OS_NEVER);
	claim_settle(self, word);
	return (int)CLAIM_INDEX(word);
}

#endif
