/* lock.h - what mutex and reader-writer lock have in common: holders, and who is next.
 *
 * The word says, beside the bits of word.h:
 *	0                       free
 *	an identity (wait.h)    held by that fiber or thread alone
 *	LOCK_SHARED | n << 2    held by n readers
 *
 * Who is next. A lock that is let go of is free for whoever runs: the oldest waiter is woken and
 * tries again, and may find that somebody was faster. Handing the lock over to it instead would
 * mean that nobody gets it until that fiber runs, which takes 10 us and more where its worker
 * sleeps. But whoever was passed over for a millisecond is handed the lock by the next holder, and
 * cannot be passed over again. At most one woken waiter is on its way (LOCK_WOKEN): until it has
 * been here nobody else need be woken.
 *
 * Readers share. A reader waits while somebody holds the lock alone, and also while anybody waits
 * before it: so writers are not starved. When a writer lets go and a reader is the oldest waiter,
 * all readers up to the next writer get the lock at once, by hand-over: so readers are not starved
 * either.
 *
 * Invariants, whenever the guard is released:
 *	free, and somebody waits              LOCK_WOKEN
 *	held by readers, and somebody waits   the oldest is a writer, or LOCK_WOKEN
 *	WORD_QUEUED                           somebody waits, or LOCK_WOKEN */
#ifndef FB_SYNC_LOCK_H
#define FB_SYNC_LOCK_H

#include "sync/waitqueue.h"

struct lock {
	struct waitqueue queue; /* own: LOCK_WOKEN or 0 */
};

enum { LOCK_WOKEN = 1, LOCK_READER = 1 << WORD_SHIFT };
#define LOCK_SHARED (UINT64_C(1) << 63) /* no address has this bit */
/* Who holds it, whether or not somebody waits. */
#define LOCK_HOLDERS(word) ((word) & ~(uint64_t)(WORD_GUARDED | WORD_QUEUED))

/* How one wants it, and for how long. */
struct lock_wish {
	uintptr_t who;          /* wait_identity */
	bool shared;
	enum wait_what what;
	enum wait_mode mode;
	int64_t until;
};

static inline uint64_t lock_word(const struct lock *l)
{
	return atomic_load_explicit(&l->queue.word, memory_order_relaxed);
}

/* Does that fiber hold it alone? Exact if it is the caller. */
static inline bool lock_held_by(const struct lock *l, uintptr_t who)
{
	return LOCK_HOLDERS(lock_word(l)) == who;
}

/* The uncontended ways. False: ask one of those below. */
static inline bool lock_take_at_once(struct lock *l, uintptr_t who)
{
	uint64_t nobody = 0;

	return likely(atomic_cas64(&l->queue.word, &nobody, who));
}

static inline bool lock_leave_at_once(struct lock *l, uintptr_t who)
{
	uint64_t alone = who;

	return likely(atomic_cas64(&l->queue.word, &alone, 0));
}

/* The next best: where others wait, but need not be asked. Also the first thing to try when the
 * above has failed. */
bool lock_barge(struct lock *l, uintptr_t who, bool shared);

/* Without waiting. */
bool lock_try(struct lock *l, uintptr_t who, bool shared);

/* Waits for it. 0, or -ECANCELED or -ETIMEDOUT. WAIT_HARD without an end fails only in a forked
 * child (-ECHILD): when there is no memory to wait with, it polls. */
int lock_take(struct lock *l, const struct lock_wish *wish);

/* Lets go of it. -EPERM: not held by `who`, or (shared) by no reader. */
int lock_leave(struct lock *l, uintptr_t who, bool shared);

/* -EBUSY: held, waited for, or somebody is on its way. */
int lock_busy(struct lock *l);

#endif
