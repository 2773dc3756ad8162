/* mutex.c - a lock held by one fiber or thread at a time; lock.h says who is next.
 *
 * Uncontended, lock and unlock are one compare-and-swap each, of 0 and the caller's identity: a
 * plain load and store while the process has one thread. */
#include "sync/mutex.h"

#include <errno.h>
#include <string.h>

static uintptr_t depth_of(const struct mutex *m)
{
	return atomic_load_explicit(&m->depth, memory_order_relaxed);
}

static void set_depth(struct mutex *m, uintptr_t depth)
{
	atomic_store_explicit(&m->depth, depth, memory_order_relaxed);
}

/* By its holder. */
static int lock_again(struct mutex *m)
{
	uintptr_t depth = depth_of(m);

	if (!(depth & MUTEX_RECURSIVE))
		return -EDEADLK;
	if (depth > MUTEX_DEPTH_MOST)
		return -EAGAIN;
	set_depth(m, depth + MUTEX_AGAIN);
	return 0;
}

static NOINLINE int lock_or_wait(struct mutex *m, uintptr_t me, enum wait_mode mode, int64_t until)
{
	struct lock_wish wish = {
		.who = me, .what = WAIT_MUTEX, .mode = mode, .until = until,
	};

	if (lock_held_by(&m->lock, me))
		return lock_again(m);
	return lock_take(&m->lock, &wish);
}

static NOINLINE int lock_slowly(struct mutex *m, uintptr_t me, enum wait_mode mode, int64_t until)
{
	return lock_barge(&m->lock, me, false) ? 0 : lock_or_wait(m, me, mode, until);
}

PUBLIC int fiber_mutex_lock(fiber_mutex_t *public)
{
	struct mutex *m = mutex_inside(public);
	uintptr_t me = wait_identity();

	if (unlikely(!m))
		return -EINVAL;
	wait_brief();
	if (lock_take_at_once(&m->lock, me))
		return 0;
	return lock_slowly(m, me, WAIT_HARD, FIBER_NEVER);
}

PUBLIC int fiber_mutex_lock_until(fiber_mutex_t *public, int64_t when)
{
	struct mutex *m = mutex_inside(public);
	uintptr_t me = wait_identity();
	int r;

	if (!m)
		return -EINVAL;
	wait_done(); /* not afterwards, with the lock in hand */
	r = wait_check();
	if (r < 0)
		return r;
	if (lock_take_at_once(&m->lock, me))
		return 0;
	return lock_slowly(m, me, WAIT_INTERRUPTIBLE, when);
}

PUBLIC int fiber_mutex_trylock(fiber_mutex_t *public)
{
	struct mutex *m = mutex_inside(public);
	uintptr_t me = wait_identity();

	if (unlikely(!m))
		return -EINVAL;
	if (lock_take_at_once(&m->lock, me) || lock_try(&m->lock, me, false))
		return 0;
	if (lock_held_by(&m->lock, me) && (depth_of(m) & MUTEX_RECURSIVE))
		return lock_again(m);
	wait_done(); /* or a loop around this would keep the holder from running */
	return -EBUSY;
}

PUBLIC int fiber_mutex_unlock(fiber_mutex_t *public)
{
	struct mutex *m = mutex_inside(public);
	uintptr_t me = wait_identity(), depth;

	if (unlikely(!m))
		return -EINVAL;
	depth = depth_of(m);
	if (unlikely(depth > MUTEX_RECURSIVE)) {
		if (!lock_held_by(&m->lock, me))
			return -EPERM;
		set_depth(m, depth - MUTEX_AGAIN);
		return 0;
	}
	if (lock_leave_at_once(&m->lock, me))
		return 0;
	return lock_leave(&m->lock, me, false);
}

uintptr_t mutex_let_go(struct mutex *m, uintptr_t holder)
{
	uintptr_t depth = depth_of(m);

	set_depth(m, depth & MUTEX_RECURSIVE);
	if (!lock_leave_at_once(&m->lock, holder))
		lock_leave(&m->lock, holder, false);
	return depth;
}

void mutex_take_back(struct mutex *m, uintptr_t holder, uintptr_t depth)
{
	if (!lock_take_at_once(&m->lock, holder))
		must(lock_slowly(m, holder, WAIT_HARD, FIBER_NEVER) == 0);
	set_depth(m, depth);
}

PUBLIC int fiber_mutex_init(fiber_mutex_t *m, unsigned flags)
{
	if (!m || (flags & ~(unsigned)FIBER_RECURSIVE))
		return -EINVAL;
	memset(m, 0, sizeof *m);
	set_depth(mutex_inside(m), flags & FIBER_RECURSIVE ? MUTEX_RECURSIVE : 0);
	return 0;
}

PUBLIC int fiber_mutex_destroy(fiber_mutex_t *m)
{
	return m ? lock_busy(&mutex_inside(m)->lock) : -EINVAL;
}
