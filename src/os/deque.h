/* deque.h - what one worker pushes and pops at one end, and other threads steal from the other.
 *
 * The deque of Chase and Lev with the memory orders of Le, Pop, Cohen and Zappa Nardelli, "Correct
 * and Efficient Work-Stealing for Weak Memory Models" (PPoPP 2013).
 *
 * Items lie in [top, bottom) of a circular array. The owner alone moves bottom, up and down; top
 * only ever grows, and whoever moves it by CAS owns the item it passed. An owner that pops any item
 * but the last needs no CAS; instead, protocol "last item":
 *
 *	owner: bottom = b; barrier; reads top         thief: reads top = t; barrier; reads bottom
 *
 * One of the two sees what the other did, so they cannot both believe that item b is theirs without
 * having met at the CAS of top.
 *
 * Two departures from the paper. Every store of bottom is a release (the paper has a fence in push,
 * which ThreadSanitizer does not see): it pairs with the acquire in steal and carries the item's
 * contents. And pop asks first, without a barrier, whether there is anything: top is never ahead of
 * what the owner sees, so an empty answer is right.
 *
 * A full array is replaced by one of twice the size. Thieves may still be reading the old one, so
 * all are kept until the end: together they are no larger than the last. */
#ifndef FB_OS_DEQUE_H
#define FB_OS_DEQUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/must.h"
#include "os/atomic.h"

struct deque_array {
	int64_t mask;                /* the number of slots, a power of two, minus one */
	struct deque_array *older;   /* the one it replaced */
	_Atomic(void *) slots[];
};

struct deque {
	_Atomic int64_t bottom;      /* written by the owner */
	_Atomic(struct deque_array *) array;
	char apart[64];              /* thieves write top: not on the owner's cache line */
	_Atomic int64_t top;
};

/* -ENOMEM. */
int deque_init(struct deque *);
/* Nobody steals any more. Items still inside are the caller's business. */
void deque_destroy(struct deque *);

/* Behind push and pop. */
int deque_push_full(struct deque *, void *item);
void *deque_pop_last(struct deque *, int64_t bottom, int64_t top);

/* Any thread: the oldest item. NULL: empty, or others were faster many times in a row. Never a
 * reason to go to sleep without having asked deque_empty behind a barrier of one's own. */
void *deque_steal(struct deque *);

INLINE _Atomic(void *) *deque_slot(struct deque_array *array, int64_t index)
{
	return &array->slots[index & array->mask];
}

/* Any thread. What it says may be over at once; only an owner who reads 0 may rely on it. */
INLINE size_t deque_count(const struct deque *d)
{
	int64_t top = atomic_load_explicit(&d->top, memory_order_relaxed);
	int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);

	return bottom > top ? (size_t)(bottom - top) : 0;
}

INLINE bool deque_empty(const struct deque *d)
{
	return deque_count(d) == 0;
}

/* Owner. `item` is not NULL. How many it held before, about; -ENOMEM: no room, and no memory for
 * more; nothing happened. */
static inline int64_t deque_push_count(struct deque *d, void *item)
{
	int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
	/* Pairs with the CAS in steal: the thief has read the slot that is used again now. */
	int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);
	struct deque_array *array = atomic_load_explicit(&d->array, memory_order_relaxed);

	if (unlikely(bottom - top > array->mask)) {
		int r = deque_push_full(d, item);

		return r < 0 ? r : bottom - top;
	}
	atomic_store_explicit(deque_slot(array, bottom), item, memory_order_relaxed);
	atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release); /* pairs with steal */
	return bottom - top;
}

/* 0 or -ENOMEM. */
INLINE int deque_push(struct deque *d, void *item)
{
	int64_t held = deque_push_count(d, item);

	return held < 0 ? (int)held : 0;
}

/* Owner: a pop in two halves, for whoever executes a full barrier between them anyway. The first
 * half lowers bottom to where the newest item is; false: there is none. */
INLINE bool deque_pop_begin(struct deque *d, int64_t *bottom)
{
	int64_t top = atomic_load_explicit(&d->top, memory_order_relaxed);

	*bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;
	if (*bottom < top)
		return false;
	atomic_store_explicit(&d->bottom, *bottom, memory_order_release);
	return true;
}

/* Nothing was popped after all. */
INLINE void deque_pop_undo(struct deque *d, int64_t bottom)
{
	atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release);
}

/* The item, or NULL if a thief has it. */
INLINE void *deque_pop_end(struct deque *d, int64_t bottom)
{
	int64_t top = atomic_load_explicit(&d->top, memory_order_relaxed);

	if (unlikely(bottom <= top))
		return deque_pop_last(d, bottom, top);
	return atomic_load_explicit(
		deque_slot(atomic_load_explicit(&d->array, memory_order_relaxed), bottom),
		memory_order_relaxed);
}

/* Owner: the newest item, NULL if there is none. */
INLINE void *deque_pop(struct deque *d)
{
	int64_t bottom;

	if (!deque_pop_begin(d, &bottom))
		return NULL;
	os_barrier(); /* pairs with the one in steal: "last item" */
	return deque_pop_end(d, bottom);
}

#endif
