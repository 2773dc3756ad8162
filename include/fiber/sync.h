/* fiber/sync.h - locks, conditions, counters. SPDX-License-Identifier: MIT
 *
 * They work between fibers, between plain threads, and between the two. A fiber that has to wait is
 * parked, and its worker goes on with others; a plain thread that has to wait is blocked.
 *
 * What all of them have in common:
 *
 *  Memory      is the caller's: static, on a stack, in a structure. Zero bytes are an idle object
 *              of every kind but a barrier, so static ones need no set-up; ..._INIT says the same.
 *              ..._init makes any memory an idle object. An object is not copied or moved once it
 *              is in use. ..._destroy says -EBUSY where it is still held or waited for, and
 *              otherwise has nothing to release: it may also be left out.
 *  Freeing     A call's last access to the object comes before anybody can learn of its effect. So
 *              the memory may go as soon as the last user knows that it is the last: right after
 *              the unlock of a mutex under which a count of users came to zero, or right after a
 *              wait for a wait group, event or semaphore has returned.
 *  Interrupted Calls that say "a cancellation point" fail with -ECANCELED as fiber.h describes:
 *              before any effect if the interruption is known, else when it comes while they wait.
 *              On a plain thread only deadlines interrupt. A wait that ends so, or by its own
 *              `when`, has left the queue: it has taken nothing, and nothing was lost with it.
 *  until       The forms with `when` also end with -ETIMEDOUT, once that has passed and what they
 *              wait for was not to be had; what is there at once they take whatever `when` is.
 *  Order       What was written before an unlock, signal, post, set, done or arrival is seen by
 *              whoever goes on because of it.
 *
 * What all of them may return, beside what each names:
 *
 *	-EINVAL      a pointer that must not be NULL is
 *	-ENOMEM      no memory to wait with (those that are cancellation points)
 *	-ECHILD      in a forked child of a process that has run fibers, before a new fiber_run:
 *	             every cancellation point, and what would have to wait */
#ifndef FIBER_SYNC_H
#define FIBER_SYNC_H
#include <fiber.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- mutex ------------------------------------------------------------------------------------*/
/* Held by one fiber or plain thread at a time. It belongs to the fiber, not to the thread that the
 * fiber runs on, and may be held across everything that parks. A fiber that ends while it holds a
 * mutex leaves it locked. */
typedef struct fiber_mutex { uintptr_t private_[5]; } fiber_mutex_t;
#define FIBER_MUTEX_INIT           {{0, 0, 0, 0, 0}}
#define FIBER_RECURSIVE_MUTEX_INIT {{0, 0, 0, 0, 1}}

enum {                                 /* flags of fiber_mutex_init */
	FIBER_RECURSIVE = 1u << 0,         /* its holder may lock it again; unlocks as often */
};

/* Makes *mutex an unlocked mutex. Never parks. Returns 0, or -EINVAL: NULL, or unknown flags. */
int fiber_mutex_init(fiber_mutex_t *mutex, unsigned flags);

/* Says whether the mutex is out of use, and its memory may go. Never parks. Returns 0, or -EBUSY:
 * it is locked, or somebody waits for it. */
int fiber_mutex_destroy(fiber_mutex_t *mutex);

/* Waits until the caller holds the mutex.
 *
 * May park. Not a cancellation point, and no deadline ends it: code that does not look at the
 * result holds the mutex afterwards.
 *
 * A mutex that is unlocked is free for whoever runs; one who waits is woken and tries again. Who
 * was passed over in that way for a millisecond is handed the mutex by the next unlock. Whoever
 * waits for a holder that runs on another thread spins for some microseconds before it parks.
 *
 * Returns 0, or
 *	-EDEADLK        the caller holds it already, and it is not recursive
 *	-EAGAIN         recursive, and locked four thousand million times */
int fiber_mutex_lock(fiber_mutex_t *mutex);

/* The same; but a cancellation point, and it ends once `when` has passed. Returns 0, or what
 * fiber_mutex_lock does, or -ECANCELED or -ETIMEDOUT: then the caller does not hold it. */
FIBER_CHECKED int fiber_mutex_lock_until(fiber_mutex_t *mutex, int64_t when);

/* Takes the mutex if it is free now, even where others wait for it. Does not wait, but where it
 * fails time after time it yields. Not a cancellation point. Returns 0, -EBUSY (it is held; also
 * by the caller, if it is not recursive) or -EAGAIN. */
FIBER_CHECKED int fiber_mutex_trylock(fiber_mutex_t *mutex);

/* Lets go of it. Never parks. Returns 0, or -EPERM: the caller does not hold it. */
int fiber_mutex_unlock(fiber_mutex_t *mutex);

/* ---- condition variable -----------------------------------------------------------------------*/
/* Where one waits until something that a mutex guards has changed:
 *
 *	fiber_mutex_lock(&m);                  fiber_mutex_lock(&m);
 *	while (r == 0 && !ready)               ready = true;
 *		r = fiber_cond_wait(&c, &m);   fiber_mutex_unlock(&m);
 *	...                                    fiber_cond_signal(&c);
 *	fiber_mutex_unlock(&m);
 *
 * There are no spurious wake-ups, but between the signal and the return others may have had the
 * mutex: hence the loop. */
typedef struct fiber_cond { uintptr_t private_[4]; } fiber_cond_t;
#define FIBER_COND_INIT {{0, 0, 0, 0}}

/* Makes *cond a condition that nobody waits for. Never parks. Returns 0. */
int fiber_cond_init(fiber_cond_t *cond);

/* Never parks. Returns 0, or -EBUSY: somebody waits. */
int fiber_cond_destroy(fiber_cond_t *cond);

/* Lets go of the mutex, waits for a signal, and locks the mutex again. No signal that comes after
 * the mutex was let go of is missed. A recursive mutex is let go of entirely, and held as often as
 * before afterwards.
 *
 * May park. A cancellation point; interrupted or not, the mutex is held when it returns: locking
 * it again is not interrupted. An interrupted wait takes no signal from others.
 *
 * Returns 0, or
 *	-EPERM          the caller does not hold the mutex
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed */
FIBER_CHECKED int fiber_cond_wait(fiber_cond_t *cond, fiber_mutex_t *mutex);
FIBER_CHECKED int fiber_cond_wait_until(fiber_cond_t *cond, fiber_mutex_t *mutex, int64_t when);

/* Wakes the one who has waited longest, or (broadcast) all of them. With or without the mutex in
 * hand. Never parks. Returns 0. */
int fiber_cond_signal(fiber_cond_t *cond);
int fiber_cond_broadcast(fiber_cond_t *cond);

/* ---- reader-writer lock -----------------------------------------------------------------------*/
/* Held by one writer, or by any number of readers. A reader waits also where somebody else waits
 * already, so readers cannot keep a writer out; when a writer lets go, the readers who have waited
 * longest all get it before the next writer. A reader must therefore not lock it again for reading:
 * a writer may wait between the two. Among writers it is as with a mutex. */
typedef struct fiber_rwlock { uintptr_t private_[4]; } fiber_rwlock_t;
#define FIBER_RWLOCK_INIT {{0, 0, 0, 0}}

/* Makes *lock free. Never parks. Returns 0. */
int fiber_rwlock_init(fiber_rwlock_t *lock);

/* Never parks. Returns 0, or -EBUSY: it is held, or somebody waits for it. */
int fiber_rwlock_destroy(fiber_rwlock_t *lock);

/* Waits until the caller holds it as one of the readers, or as the writer. May park. Not a
 * cancellation point, as fiber_mutex_lock. Returns 0, or -EDEADLK: the caller is the writer.
 * (A reader who asks to be the writer waits for itself, for ever.) */
int fiber_rwlock_rdlock(fiber_rwlock_t *lock);
int fiber_rwlock_wrlock(fiber_rwlock_t *lock);

/* The same; but cancellation points, and they end once `when` has passed. Return 0, -EDEADLK,
 * -ECANCELED or -ETIMEDOUT. */
FIBER_CHECKED int fiber_rwlock_rdlock_until(fiber_rwlock_t *lock, int64_t when);
FIBER_CHECKED int fiber_rwlock_wrlock_until(fiber_rwlock_t *lock, int64_t when);

/* If it can be had now. Do not wait, but yield where they fail time after time. Not cancellation
 * points. Return 0, or -EBUSY. */
FIBER_CHECKED int fiber_rwlock_tryrdlock(fiber_rwlock_t *lock);
FIBER_CHECKED int fiber_rwlock_trywrlock(fiber_rwlock_t *lock);

/* Lets go of it: the writer, or one of the readers. Never parks. Returns 0, or -EPERM: another one
 * is the writer, or nobody holds it. (Which fibers are readers is not kept.) */
int fiber_rwlock_unlock(fiber_rwlock_t *lock);

/* ---- semaphore --------------------------------------------------------------------------------*/
/* A count that is never negative. */
typedef struct fiber_sem { uintptr_t private_[4]; } fiber_sem_t;
#define FIBER_SEM_INIT(value) {{(uintptr_t)(value) << 2, 0, 0, 0}}

/* Sets it to `value`, at most INT_MAX. Never parks. Returns 0, or -EINVAL. */
int fiber_sem_init(fiber_sem_t *sem, unsigned value);

/* Never parks. Returns 0, or -EBUSY: somebody waits. */
int fiber_sem_destroy(fiber_sem_t *sem);

/* Waits until the count is above zero, and takes one from it. Those who wait are served in order;
 * what was posted for one of them is not taken by another.
 *
 * May park. A cancellation point. Returns 0, -ECANCELED, or (until) -ETIMEDOUT: then nothing was
 * taken. */
FIBER_CHECKED int fiber_sem_wait(fiber_sem_t *sem);
FIBER_CHECKED int fiber_sem_wait_until(fiber_sem_t *sem, int64_t when);

/* Takes one if the count is above zero now. Does not wait, but yields where it fails time after
 * time. Not a cancellation point. Returns 0, or -EBUSY. */
FIBER_CHECKED int fiber_sem_trywait(fiber_sem_t *sem);

/* Adds one, or gives it to the one who has waited longest. Anybody may post. Never parks. Returns
 * 0, or -EOVERFLOW: the count is INT_MAX. */
int fiber_sem_post(fiber_sem_t *sem);

/* ---- event ------------------------------------------------------------------------------------*/
/* Something that has happened, or not yet. */
typedef struct fiber_event { uintptr_t private_[4]; } fiber_event_t;
#define FIBER_EVENT_INIT {{0, 0, 0, 0}}

/* Makes it an event that has not happened. Never parks. Returns 0. */
int fiber_event_init(fiber_event_t *event);

/* Never parks. Returns 0, or -EBUSY: somebody waits. */
int fiber_event_destroy(fiber_event_t *event);

/* It has happened: all who wait go on, and until it is reset nobody waits. Never parks. NULL:
 * nothing happens. */
void fiber_event_set(fiber_event_t *event);

/* It has not happened: from now on one waits for it. Who was let go on before that does so. Never
 * parks. NULL: nothing happens. */
void fiber_event_reset(fiber_event_t *event);

/* Waits until it has happened. May park. A cancellation point. Returns 0, -ECANCELED, or (until)
 * -ETIMEDOUT. */
FIBER_CHECKED int fiber_event_wait(fiber_event_t *event);
FIBER_CHECKED int fiber_event_wait_until(fiber_event_t *event, int64_t when);

/* ---- wait group -------------------------------------------------------------------------------*/
/* Counts what is still under way. Unlike a fiber_group_t it starts and cancels nothing, and has no
 * owner.
 *
 *	fiber_waitgroup_add(&g, 1);            in the one who starts it, before it runs
 *	fiber_waitgroup_done(&g);              at its end
 *	r = fiber_waitgroup_wait(&g);          all have come to their end */
typedef struct fiber_waitgroup { uintptr_t private_[4]; } fiber_waitgroup_t;
#define FIBER_WAITGROUP_INIT {{0, 0, 0, 0}}

/* Makes it a wait group that counts nothing. Never parks. Returns 0. */
int fiber_waitgroup_init(fiber_waitgroup_t *group);

/* Never parks. Returns 0, or -EBUSY: somebody waits. */
int fiber_waitgroup_destroy(fiber_waitgroup_t *group);

/* Adds n, which may be negative; done: one less. When the count comes to zero all who wait go on,
 * and it may be used anew. Never parks. Returns 0, or (and nothing has changed)
 *	-EINVAL         the count would be negative
 *	-EOVERFLOW      the count would be above INT_MAX */
int fiber_waitgroup_add(fiber_waitgroup_t *group, int n);
int fiber_waitgroup_done(fiber_waitgroup_t *group);

/* Waits until the count is zero. May park. A cancellation point. Returns 0, -ECANCELED, or (until)
 * -ETIMEDOUT. */
FIBER_CHECKED int fiber_waitgroup_wait(fiber_waitgroup_t *group);
FIBER_CHECKED int fiber_waitgroup_wait_until(fiber_waitgroup_t *group, int64_t when);

/* ---- barrier ----------------------------------------------------------------------------------*/
/* Where n meet before any of them goes on; then it is ready for the next n. */
typedef struct fiber_barrier { uintptr_t private_[4]; } fiber_barrier_t;

/* Sets it up for n, 1 to INT_MAX; also once more, when it is broken and nobody waits. Never parks.
 * Returns 0, or -EINVAL. */
int fiber_barrier_init(fiber_barrier_t *barrier, unsigned n);

/* Never parks. Returns 0, or -EBUSY: somebody waits. */
int fiber_barrier_destroy(fiber_barrier_t *barrier);

/* Waits until n have come.
 *
 * May park. A cancellation point; and since one who was interrupted will be missing, before it came
 * or while it waited, that breaks the barrier: nobody is left waiting for it.
 *
 * Returns 1 to one of the n and 0 to the others, or
 *	-ECANCELED      interrupted; the barrier is broken
 *	-EPIPE          somebody else was, and until it is set up again everybody gets this
 *	-EINVAL         it was never set up */
FIBER_CHECKED int fiber_barrier_wait(fiber_barrier_t *barrier);

/* ---- once -------------------------------------------------------------------------------------*/
/* A function that is to be called once, by whoever comes first. */
typedef struct fiber_once { uintptr_t private_[2]; } fiber_once_t;
#define FIBER_ONCE_INIT {{0, 0}}

/* Calls function() if nobody has yet; if somebody is about it, waits until it has returned. The
 * function may park, and must return.
 *
 * May park. Not a cancellation point: afterwards it has been called. Returns 0, or
 *	-EINVAL         once or function is NULL
 *	-EDEADLK        called from that very function */
int fiber_once(fiber_once_t *once, void (*function)(void));
#ifdef __cplusplus
}
#endif
#endif
