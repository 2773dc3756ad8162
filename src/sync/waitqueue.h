/* waitqueue.h - what every primitive here consists of: a word, and those who wait for it to change.
 *
 * All of it is guarded by the word (word.h). Entries lie on the waiters' stacks. One leaves the
 * queue claimed by a granter, which owes it a wake-up; or by its own fiber, when its wait ended
 * otherwise. A granter that meets an entry of the second kind drops it, and counts its fiber as
 * `leaving` until that has come by: only then will nobody touch the object any more, and it may be
 * destroyed. */
#ifndef FB_SYNC_WAITQUEUE_H
#define FB_SYNC_WAITQUEUE_H

#include "base/list.h"
#include "base/must.h"
#include "sched/wait.h"
#include "sync/word.h"

struct waitqueue {
	_Atomic uint64_t word;  /* WORD_QUEUED: `waiters` is not empty (and see lock.h) */
	struct list waiters;    /* struct waiter, oldest first */
	uint32_t leaving;
	uint32_t own;           /* the primitive's; guarded too */
};

/* WORD_QUEUED, if anybody waits. */
static inline uint64_t waitqueue_bit(const struct waitqueue *q)
{
	return list_empty(&q->waiters) ? 0 : WORD_QUEUED;
}

/* For destroy, under no guard: -EBUSY if somebody waits, or comes by. */
int waitqueue_busy(struct waitqueue *q);

/* ---- granting, under the guard ---------------------------------------------------------------*/
/* Takes out the oldest waiter whose wait nothing else has ended, as event `index`. The caller owes
 * it a wait_wake, after the guard; until then its entry is the caller's. NULL: none. */
struct waiter *waitqueue_claim(struct waitqueue *q, unsigned index);
/* Every one of them, onto a list of the caller's. */
void waitqueue_claim_all(struct waitqueue *q, unsigned index, struct list *claimed);
/* After the guard. */
void waitqueue_wake_all(struct list *claimed);

/* ---- waiting ---------------------------------------------------------------------------------*/
/* Under the guard, which it releases with `value`: begins the wait of the caller, w->fiber, and
 * queues it. It must go on to waitqueue_await. */
void waitqueue_enter(struct waitqueue *q, uint64_t value, struct waiter *w, enum wait_what what);
/* What wait_park returns; if that is negative, no granter ended the wait, and the caller has left
 * the queue. */
int waitqueue_await(struct waitqueue *q, struct waiter *w, int64_t until);
/* Both. */
int waitqueue_park(struct waitqueue *q, uint64_t value, struct fiber *self, enum wait_what what,
		   int64_t until);

#endif
