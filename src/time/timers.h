/* timers.h - deadlines of one worker, nearest first.
 *
 * A 4-ary heap of (when, timer) pairs: the times lie side by side, so that a comparison touches no
 * timer. A timer is four bytes inside its owner: its position, 0 when it is in no heap. Belongs to
 * one thread. Nobody here knows what a timer is for: due ones are handed to the caller. */
#ifndef FB_TIMERS_H
#define FB_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct timer {
	uint32_t position; /* 1..count; 0: not set */
};

struct timer_entry {
	int64_t when;
	struct timer *timer;
};

/* Zero bytes: no timers. */
struct timers {
	struct timer_entry *heap; /* 1-based */
	uint32_t count, capacity;
};

static inline bool timer_set(const struct timer *t)
{
	return t->position != 0;
}

/* When it will be due now; only of a timer that is set. */
static inline int64_t timer_when(const struct timers *heap, const struct timer *t)
{
	return heap->heap[t->position].when;
}

/* The nearest time; OS_NEVER when there is none. */
static inline int64_t timers_next(const struct timers *heap)
{
	return heap->count ? heap->heap[1].when : OS_NEVER;
}

/* Sets it, or moves it if it is set. -ENOMEM: it is as it was. */
int timers_put(struct timers *, struct timer *, int64_t when);
/* Harmless when it is not set. */
void timers_remove(struct timers *, struct timer *);
/* Takes out the nearest that is due at `now`; NULL: none. */
struct timer *timers_due(struct timers *, int64_t now);
void timers_destroy(struct timers *);

#endif
