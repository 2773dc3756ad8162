/* claim.h - the claim word of a wait, inline for the doors that are hot. Private to src/sched/;
 * wait.h has the protocol, wait.c the rest of it. */
#ifndef FB_SCHED_CLAIM_H
#define FB_SCHED_CLAIM_H

#include "sched/worker.h"

/* Begins a wait: its ticket. */
INLINE uint64_t claim_begin(struct fiber *self, const struct worker *w, enum wait_what what,
				   const void *object, unsigned index, enum claim_status status)
{
	uint64_t word = atomic_load_explicit(&self->claim, memory_order_relaxed);
	uint64_t ticket;

	must(CLAIM_STATUS(word) == CLAIM_IDLE);
	word += CLAIM_WORD(1, 0, 0);
	if (unlikely(CLAIM_TICKET(word) == 0)) /* none is 0 */
		word += CLAIM_WORD(1, 0, 0);
	ticket = CLAIM_TICKET(word);
	atomic_store_explicit(&self->what, (uint8_t)what, memory_order_relaxed);
	atomic_store_explicit(&self->object, object, memory_order_relaxed);
	if (likely(w != NULL))
		atomic_store_explicit(&self->since, w->now, memory_order_relaxed);
	/* Release: pairs with the acquire in wait_request, for a fiber that has moved here. */
	atomic_store_explicit(&self->claim, CLAIM_WORD(ticket, index, status),
			      memory_order_release);
	return ticket;
}

/* The wait is over: a later claim finds nobody. `word` is what the claim says now. */
INLINE void claim_settle(struct fiber *self, uint64_t word)
{
	atomic_store_explicit(&self->claim, word & ~UINT64_C(0xffffff), memory_order_relaxed);
	atomic_store_explicit(&self->what, WAIT_NOTHING, memory_order_relaxed);
}

/* Moves WAITING or HARD to how the wait ended; of all who try, one succeeds. */
INLINE bool claim_end(struct fiber *f, uint64_t ticket, unsigned index, enum claim_status how)
{
	uint64_t word = atomic_load_explicit(&f->claim, memory_order_relaxed);

	for (;;) {
		enum claim_status status = CLAIM_STATUS(word);

		if (CLAIM_TICKET(word) != ticket ||
		    (status != CLAIM_WAITING && status != CLAIM_HARD))
			return false;
		/* Release: what a granter wrote before; pairs with the load in wait_outcome.
		 * Acquire: what the waiter wrote before its begin. */
		if (atomic_cas64(&f->claim, &word, CLAIM_WORD(ticket, index, how)))
			return true;
	}
}

/* The same for an event, of a wait that began as WAITING with index 0: then the word is known
 * beforehand. */
INLINE bool claim_grant(struct fiber *f, uint64_t ticket, unsigned index)
{
	uint64_t word = CLAIM_WORD(ticket, 0, CLAIM_WAITING);

	/* Release and acquire: as claim_end. */
	return atomic_cas64(&f->claim, &word, CLAIM_WORD(ticket, index, CLAIM_GRANTED));
}

#endif
