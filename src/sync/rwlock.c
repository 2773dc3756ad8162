/* rwlock.c - a lock held by one writer or by any number of readers; lock.h says who is next. */
#include <errno.h>
#include <fiber/sync.h>
#include <string.h>

#include "sync/lock.h"

_Static_assert(sizeof(struct lock) <= sizeof(fiber_rwlock_t), "private_ must hold it");

static struct lock *inside(fiber_rwlock_t *l)
{
	return (struct lock *)(void *)l;
}

/* No writer holds it, and nobody waits. */
static bool is_quiet(uint64_t word)
{
	return word == 0 || (word & (LOCK_SHARED | WORD_GUARDED | WORD_QUEUED)) == LOCK_SHARED;
}

static bool join_readers(struct lock *l)
{
	uint64_t word = lock_word(l);

	while (likely(is_quiet(word)))
		if (atomic_cas64(&l->queue.word, &word, (word | LOCK_SHARED) + LOCK_READER))
			return true;
	return false;
}

static bool leave_readers(struct lock *l, uint64_t word)
{
	while (likely(word != 0 && is_quiet(word))) {
		uint64_t less = word - LOCK_READER;

		if (atomic_cas64(&l->queue.word, &word, less == LOCK_SHARED ? 0 : less))
			return true;
	}
	return false;
}

static NOINLINE int lock_or_wait(struct lock *l, bool shared, uintptr_t me, enum wait_mode mode,
				int64_t until)
{
	struct lock_wish wish = {
		.who = me, .shared = shared, .mode = mode, .until = until,
		.what = shared ? WAIT_RDLOCK : WAIT_WRLOCK,
	};

	if (lock_held_by(l, me))
		return -EDEADLK;
	return lock_take(l, &wish);
}

static NOINLINE int lock_slowly(struct lock *l, bool shared, uintptr_t me, enum wait_mode mode,
				int64_t until)
{
	return lock_barge(l, me, shared) ? 0 : lock_or_wait(l, shared, me, mode, until);
}

static bool take_at_once(struct lock *l, bool shared, uintptr_t me)
{
	return shared ? join_readers(l) : lock_take_at_once(l, me);
}

INLINE int lock_hard(struct lock *l, bool shared)
{
	uintptr_t me = wait_identity();

	if (unlikely(!l))
		return -EINVAL;
	wait_brief();
	if (likely(take_at_once(l, shared, me)))
		return 0;
	return lock_slowly(l, shared, me, WAIT_HARD, FIBER_NEVER);
}

static int lock_until(struct lock *l, bool shared, int64_t when)
{
	uintptr_t me = wait_identity();
	int r;

	if (!l)
		return -EINVAL;
	wait_done(); /* not afterwards, with the lock in hand */
	r = wait_check();
	if (r < 0)
		return r;
	if (take_at_once(l, shared, me))
		return 0;
	return lock_slowly(l, shared, me, WAIT_INTERRUPTIBLE, when);
}

static int try_lock(struct lock *l, bool shared)
{
	uintptr_t me = wait_identity();

	if (!l)
		return -EINVAL;
	if (take_at_once(l, shared, me) || lock_try(l, me, shared))
		return 0;
	wait_done(); /* or a loop around this would keep the holder from running */
	return -EBUSY;
}

PUBLIC int fiber_rwlock_rdlock(fiber_rwlock_t *l)
{
	return lock_hard(inside(l), true);
}

PUBLIC int fiber_rwlock_wrlock(fiber_rwlock_t *l)
{
	return lock_hard(inside(l), false);
}

PUBLIC int fiber_rwlock_rdlock_until(fiber_rwlock_t *l, int64_t when)
{
	return lock_until(inside(l), true, when);
}

PUBLIC int fiber_rwlock_wrlock_until(fiber_rwlock_t *l, int64_t when)
{
	return lock_until(inside(l), false, when);
}

PUBLIC int fiber_rwlock_tryrdlock(fiber_rwlock_t *l)
{
	return try_lock(inside(l), true);
}

PUBLIC int fiber_rwlock_trywrlock(fiber_rwlock_t *l)
{
	return try_lock(inside(l), false);
}

PUBLIC int fiber_rwlock_unlock(fiber_rwlock_t *public)
{
	struct lock *l = inside(public);
	uintptr_t me = wait_identity();
	uint64_t word;

	if (unlikely(!l))
		return -EINVAL;
	word = lock_word(l);
	if (word & LOCK_SHARED)
		return likely(leave_readers(l, word)) ? 0 : lock_leave(l, me, true);
	return lock_leave_at_once(l, me) ? 0 : lock_leave(l, me, false);
}

PUBLIC int fiber_rwlock_init(fiber_rwlock_t *l)
{
	if (!l)
		return -EINVAL;
	memset(l, 0, sizeof *l);
	return 0;
}

PUBLIC int fiber_rwlock_destroy(fiber_rwlock_t *l)
{
	return l ? lock_busy(inside(l)) : -EINVAL;
}
