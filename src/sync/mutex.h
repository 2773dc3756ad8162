/* mutex.h - the inside of a mutex, for mutex.c and for who waits with one in hand (cond.c). */
#ifndef FB_SYNC_MUTEX_H
#define FB_SYNC_MUTEX_H

#include <fiber/sync.h>

#include "sync/lock.h"

struct mutex {
	struct lock lock;
	/* MUTEX_RECURSIVE, and MUTEX_AGAIN for each time that its holder has locked it again.
	 * Written by the holder only; atomic because others ask whether they are the holder after
	 * they looked at it. */
	_Atomic uintptr_t depth;
};
_Static_assert(sizeof(struct mutex) <= sizeof(fiber_mutex_t), "private_ must hold it");

enum { MUTEX_RECURSIVE = 1, MUTEX_AGAIN = 2 };
#define MUTEX_DEPTH_MOST ((uintptr_t)UINT32_MAX * MUTEX_AGAIN)

static inline struct mutex *mutex_inside(fiber_mutex_t *m)
{
	return (struct mutex *)(void *)m;
}

/* Its holder lets go of it entirely; returns what mutex_take_back needs. */
uintptr_t mutex_let_go(struct mutex *m, uintptr_t holder);
/* Waits until it is held again as before, whatever happens. */
void mutex_take_back(struct mutex *m, uintptr_t holder, uintptr_t depth);

#endif
