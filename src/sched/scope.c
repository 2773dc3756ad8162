/* scope.c - deadlines and shields: a stack of scopes, innermost first, each on its opener's stack.
 *
 * A scope remembers what ruled outside, and puts it back. It is its deadline's `owner` if it made
 * the ruling deadline earlier (a shield always does: it hides what is outside). Laws:
 *  - the nearest deadline up to the innermost shield rules;
 *  - a deadline that has been noticed (F_EXPIRED) stays noticed until its owner ends; when a scope
 *    that does not own it ends, it stays noticed outside;
 *  - the owner, and nobody else, turns -ECANCELED into -ETIMEDOUT. */
#include "sched/scope.h"

#include <errno.h>

#include "sched/forked.h"
#include "sched/thread.h"
#include "sched/wait.h"
#include "sched/worker.h"

struct scope {
	struct fiber *fiber;     /* NULL: there was no memory for a thread's block; the scope is
	                          * inert */
	fiber_scope_t *outer;
	int64_t outer_deadline;
	uint32_t outer_flags;    /* F_SHIELDED, F_EXPIRED */
	uint32_t owner;
	uint32_t forks;          /* when it was opened: in a forked child it is inert */
};
_Static_assert(sizeof(struct scope) <= sizeof(fiber_scope_t), "private_ must hold it");

static struct scope *inside(fiber_scope_t *s)
{
	return (struct scope *)(void *)s;
}

static void rule(struct fiber *self, int64_t when)
{
	atomic_store_explicit(&self->deadline, when, memory_order_relaxed);
}

static fiber_scope_t *open_scope(fiber_scope_t *public, int64_t when, bool shield)
{
	struct scope *s = inside(public);
	struct fiber *self = wait_self();

	must(public != NULL);
	if (when < 0)
		when = 0; /* long ago; differences to it must not overflow */
	s->fiber = self;
	s->forks = forked_count();
	if (!self)
		return public;
	s->outer = self->scope;
	s->outer_deadline = scope_deadline(self);
	s->outer_flags = self->flags & (F_SHIELDED | F_EXPIRED);
	s->owner = shield || when < s->outer_deadline;
	self->scope = public;
	if (s->owner)
		rule(self, when);
	if (shield)
		fiber_change_flags(self, F_EXPIRED, F_SHIELDED);
	return public;
}

PUBLIC fiber_scope_t *fiber_within(fiber_scope_t *s, int64_t when)
{
	return open_scope(s, when, false);
}

PUBLIC fiber_scope_t *fiber_shield(fiber_scope_t *s, int64_t when)
{
	return open_scope(s, when, true);
}

PUBLIC ssize_t fiber_scope_end(fiber_scope_t *public, ssize_t result)
{
	struct scope *s = inside(public);
	struct fiber *self = s->fiber;
	bool expired;

	if (!self || s->forks != forked_count())
		return result;
	must(self == wait_self() && self->scope == public); /* scopes nest */
	expired = (self->flags & F_EXPIRED) && !(s->outer_flags & F_EXPIRED);
	if (!s->owner)
		s->outer_flags |= self->flags & F_EXPIRED;
	self->scope = s->outer;
	fiber_change_flags(self, F_SHIELDED | F_EXPIRED, s->outer_flags);
	rule(self, s->outer_deadline);
	s->fiber = NULL;
	return s->owner && expired && result == -ECANCELED ? -ETIMEDOUT : result;
}

PUBLIC void fiber_scope_leave_(fiber_scope_t *s)
{
	fiber_scope_end(s, 0);
}

PUBLIC int64_t fiber_deadline(void)
{
	struct fiber *self = wait_on_fiber() ? wait_self() : thread_block_if_any();

	return self ? scope_deadline(self) : FIBER_NEVER;
}

PUBLIC int fiber_check(void)
{
	struct fiber *self = wait_on_fiber() ? wait_self() : thread_block_if_any();

	if (!self)
		return runtime_forked() ? -ECHILD : 0;
	if (scope_deadline(self) != FIBER_NEVER)
		scope_look(self, os_now());
	return scope_interrupted(self) ? -ECANCELED : 0;
}
