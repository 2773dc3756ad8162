/* word.h - a word that is its own guard.
 *
 * Every primitive here keeps what it is (free, held, a count) in one 64-bit word, and the same word
 * guards the rest of it, its queue. So releasing the guard and publishing the new state are one
 * store, and the last touch of the object: whoever sees from it that a lock is free, a count zero
 * or an event set may free the memory at once. With a guard of its own there would be a second
 * touch, too late for the usual
 *
 *	lock; last = --uses == 0; unlock; if (last) free(object);
 *
 * It also lets an uncontended operation be one compare-and-swap that goes past the guard: it
 * succeeds only while nobody holds that and nobody is queued.
 *
 * Bits 2 and up are the primitive's. Held for a few lines, as os/spin.h. */
#ifndef FB_SYNC_WORD_H
#define FB_SYNC_WORD_H

#include "os/atomic.h"
#include "os/os.h"

enum {
	WORD_GUARDED = 1,       /* somebody is between word_guard and word_release */
	WORD_QUEUED = 2,        /* somebody waits, or was woken and is on its way: ask the queue */
	WORD_SHIFT = 2,         /* of counts */
};

/* What the word said, without WORD_GUARDED. Acquire: pairs with word_release. */
static inline uint64_t word_guard(_Atomic uint64_t *word)
{
	uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);

	for (unsigned tries = 1;; tries++) {
		if (likely(!(seen & WORD_GUARDED)) &&
		    atomic_cas64(word, &seen, seen | WORD_GUARDED))
			return seen;
		if (!(seen & WORD_GUARDED))
			continue;
		os_pause();
		if (tries % 128 == 0) /* the holder may be preempted, for want of our processor */
			os_yield();
		seen = atomic_load_explicit(word, memory_order_relaxed);
	}
}

/* Nobody changes a guarded word, so this need not be a read-modify-write. */
static inline void word_release(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

#endif
