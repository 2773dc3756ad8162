/* queue.h - an event queue's state, and its two protocols.
 *
 * Locks, in this order:
 *	changes   a mutex, held across the kernel's calls: whoever registers or deregisters, so that
 *	          table and kernel change together. The kernel may make it wait.
 *	guard     a spinlock, held for a few lines: what a wait and a raise need.
 * A raise never waits for a change, nor for a system call of others.
 *
 * Protocol "raise": all of it under the guard. A raise puts its source into `raised`. If the waiter
 * is `asleep` (in the kernel or about to be), or the queue `pollable` (its descriptor was handed
 * out, and anybody may be in poll(2) on it), it owes the bell a ring, which it makes after it has
 * let the guard go; unless one is owed since the waiter's last look: `rung`. A waiter goes to sleep
 * only if nothing is raised, and says so under the same guard. After each sleep it clears both
 * words and takes what is raised; of a pollable queue where something is left, it rings itself. So:
 * as long as something is raised and the waiter asleep or the queue pollable, the bell was rung
 * since the last fetch, or somebody is about to. A ring that comes late wakes in vain, once.
 *
 * Protocol "wake": one word, because signal handlers take no locks. fiber_queue_wake sets `woken`,
 * and rings if it was clear. A wait clears it, and then returns (exchanges on both sides: acquire,
 * release). The wait that finds it set at its beginning does not sleep; one that sleeps already is
 * woken by the ring, and finds it afterwards. Who finds it set and so does not ring is served by
 * whoever set it. */
#ifndef FB_QUEUE_QUEUE_H
#define FB_QUEUE_QUEUE_H

#include <errno.h>
#include <fiber/queue.h>
#include <pthread.h>

#include "base/must.h"
#include "os/forks.h"
#include "os/spin.h"
#include "queue/kernel.h"
#include "queue/source.h"

struct fiber_queue {
	struct queue_kernel *kernel;
	uint32_t forks;             /* os_forks() when it was created */
	_Atomic uint32_t woken;
	_Atomic uint32_t waiting;   /* a thread is in fiber_queue_wait */
	pthread_mutex_t changes;
	struct spin guard;
	bool asleep, rung, pollable; /* the guard's */
	bool odd;                   /* the guard's: whose turn it is, of one event */
	struct list raised;         /* the guard's: sources, in the order in which they are told */
	uint32_t raised_count;      /* the guard's */
	struct sources sources;
};

enum {
	QUEUE_INTERESTS = FIBER_QUEUE_READABLE | FIBER_QUEUE_WRITABLE | FIBER_QUEUE_PRIORITY,
	QUEUE_MODES = FIBER_QUEUE_EDGE | FIBER_QUEUE_ONESHOT,
	QUEUE_READY = QUEUE_INTERESTS | FIBER_QUEUE_ERROR | FIBER_QUEUE_READ_CLOSED |
		      FIBER_QUEUE_WRITE_CLOSED,
};

/* What every call begins with. */
static inline int queue_check(const fiber_queue_t *q)
{
	if (unlikely(!q))
		return -EINVAL;
	return unlikely(q->forks != os_forks()) ? -ECHILD : 0;
}

static inline bool queue_mode_valid(unsigned mode)
{
	return mode == 0 || mode == FIBER_QUEUE_EDGE || mode == FIBER_QUEUE_ONESHOT;
}

static inline void queue_lock(fiber_queue_t *q)
{
	must(pthread_mutex_lock(&q->changes) == 0);
	spin_lock(&q->guard);
}

static inline void queue_unlock(fiber_queue_t *q)
{
	spin_unlock(&q->guard);
	must(pthread_mutex_unlock(&q->changes) == 0);
}

/* Under the guard, something was raised. True: the caller rings, without it. */
static inline bool queue_owes_ring(fiber_queue_t *q)
{
	if (q->rung || !(q->asleep || q->pollable))
		return false;
	q->rung = true;
	return true;
}

/* user.c, for the waiter, under the guard: tells of up to `max` of the `among` oldest that are
 * raised. How many. */
int user_take(fiber_queue_t *, fiber_queue_event_t *events, size_t max, uint32_t among);

#endif
