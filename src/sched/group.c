/* group.c - children that never outlive the scope they were started in.
 *
 * A group lives in its owner's memory; its members are records on the heap, in `members` until they
 * were asked to end, then in `asked`. Everything is guarded by `guard`. A member that ends touches
 * the group for the last time when it releases the guard, having counted itself out; until then the
 * group exists, because its owner waits for the count.
 *
 * Mode. Whether the first failure ends the others (wait) or the first success does (race) is known
 * once the owner waits, sets a limit, or cancels. Until then results are only noted, so that a
 * child which fails on another worker before its parent gets to fiber_group_race does not end the
 * race. */
#include <errno.h>
#include <stdlib.h>

#include "sched/worker.h"

enum mode { UNDECIDED, ALL, RACE };
enum { CANCELLED = 1u << 0, SUCCEEDED = 1u << 1, FAILED = 1u << 2 };

struct group {
	struct spin guard;
	uint32_t running;
	uint32_t limit;          /* of running; 0: none */
	uint16_t mode, flags;
	int32_t failure;         /* the first negative result, if FAILED */
	int32_t success;         /* the first other one, if SUCCEEDED */
	struct list members;     /* running, not asked to end */
	struct list asked;
	struct list limited;     /* waiters: spawners at the limit */
	struct waiter *owner;    /* in wait or race */
};
_Static_assert(sizeof(struct group) <= sizeof(fiber_group_t), "private_ must hold it");

struct group_member {
	struct list link;
	struct group *group;
	fiber_t fiber;
};

static struct group *inside(fiber_group_t *g)
{
	return (struct group *)(void *)g;
}

/* ---- asking members to end -------------------------------------------------------------------*/
/* One at a time, because a cancellation may wake, and nothing is woken under a guard. */
static void ask_all(struct group *g)
{
	struct list *node;
	fiber_t fiber;

	for (;;) {
		spin_lock(&g->guard);
		g->flags |= CANCELLED;
		node = list_pop(&g->members);
		if (node) {
			list_append(&g->asked, node);
			fiber = container_of(node, struct group_member, link)->fiber;
		}
		spin_unlock(&g->guard);
		if (!node)
			return;
		fiber_cancel(fiber);
	}
}

/* Under guard: have the results so far ended the others? */
static bool decided(const struct group *g)
{
	if (g->flags & CANCELLED)
		return false;
	return (g->mode == ALL && (g->flags & FAILED)) ||
	       (g->mode == RACE && (g->flags & SUCCEEDED));
}

static void note(struct group *g, int result)
{
	if (result < 0 && !(g->flags & FAILED)) {
		g->flags |= FAILED;
		g->failure = result;
	}
	if (result >= 0 && !(g->flags & SUCCEEDED)) {
		g->flags |= SUCCEEDED;
		g->success = result;
	}
}

/* The owner's last word rules: a race in a group with a limit is a race. */
static void decide(struct group *g, enum mode mode)
{
	bool end;

	spin_lock(&g->guard);
	g->mode = (uint16_t)mode;
	end = decided(g);
	spin_unlock(&g->guard);
	if (end)
		ask_all(g);
}

/* ---- members ---------------------------------------------------------------------------------*/
/* Under guard: who goes on because there is one less. To be woken after it. */
static struct fiber *next_to_wake(struct group *g)
{
	struct list *node;
	struct waiter *w;

	if (g->running == 0 && g->owner) {
		w = g->owner;
		g->owner = NULL;
		return wait_claim(w->fiber, w->ticket, 0) ? w->fiber : NULL;
	}
	while ((g->running < g->limit || !g->limit) && (node = list_pop(&g->limited))) {
		w = container_of(node, struct waiter, link);
		if (wait_claim(w->fiber, w->ticket, 0))
			return w->fiber;
	}
	return NULL;
}

/* Counts one out; the last touch of the group. */
static void count_out(struct group *g, struct group_member *m)
{
	struct fiber *woken;

	spin_lock(&g->guard);
	if (m && list_linked(&m->link)) /* else it did not come to be */
		list_remove(&m->link);
	g->running--;
	woken = next_to_wake(g);
	spin_unlock(&g->guard);
	free(m);
	if (woken)
		wait_wake(woken);
}

/* Of a result. True: it has decided, and the others are to end. */
static bool takes_note(struct group *g, int result)
{
	bool end;

	spin_lock(&g->guard);
	note(g, result);
	end = decided(g);
	spin_unlock(&g->guard);
	return end;
}

void group_left(struct group_member *m, int result)
{
	struct group *g = m->group;

	if (takes_note(g, result))
		ask_all(g);
	count_out(g, m);
}

/* Parks while the group is full. 0: one more is counted in. */
static int count_in(struct group *g)
{
	struct fiber *self = wait_self();
	struct waiter w = { .fiber = self };
	int r;

	if (!self)
		return wait_why();
	for (;;) {
		spin_lock(&g->guard);
		if (!g->limit || g->running < g->limit) {
			g->running++;
			spin_unlock(&g->guard);
			return 0;
		}
		w.ticket = wait_begin(self, WAIT_LIMIT, g, WAIT_INTERRUPTIBLE);
		list_append(&g->limited, &w.link);
		spin_unlock(&g->guard);
		r = wait_park(self, FIBER_NEVER);
		if (r >= 0)
			continue; /* there was room; somebody may have been faster */
		spin_lock(&g->guard);
		if (list_linked(&w.link))
			list_remove(&w.link);
		spin_unlock(&g->guard);
		return r;
	}
}

static int enter(struct group *g, struct group_member *m, const fiber_attr_t *attr, fiber_fn *fn,
		 void *arg, const void *spawned_at)
{
	struct fiber *f;
	int r;

	m->group = g;
	r = spawn_prepare(&f, attr, fn, arg, m, spawned_at);
	if (r < 0)
		return r;
	m->fiber = fiber_handle(f);
	join_detach_unborn(f);
	spin_lock(&g->guard);
	if (g->flags & CANCELLED) {
		atomic_fetch_or_explicit(&f->state, STATE_CANCEL, memory_order_relaxed);
		list_append(&g->asked, &m->link);
	} else {
		list_append(&g->members, &m->link);
	}
	spin_unlock(&g->guard);
	spawn_launch(f);
	return 0;
}

PUBLIC int fiber_group_spawn(fiber_group_t *public, const fiber_attr_t *attr, fiber_fn *fn,
			     void *arg)
{
	struct group *g = inside(public);
	struct group_member *m;
	int r;

	if (!g)
		return -EINVAL;
	if ((r = wait_check()) < 0 || (r = count_in(g)) < 0)
		goto failed;
	m = calloc(1, sizeof *m);
	r = m ? enter(g, m, attr, fn, arg, __builtin_return_address(0)) : -ENOMEM;
	if (r == 0) {
		wait_done(); /* law 4 */
		return 0;
	}
	count_out(g, m);
failed:
	if (takes_note(g, r))
		ask_all(g);
	return r;
}

PUBLIC void fiber_group_limit(fiber_group_t *public, unsigned running)
{
	struct group *g = inside(public);
	struct fiber *woken;

	if (!g)
		return;
	spin_lock(&g->guard);
	g->limit = running;
	spin_unlock(&g->guard);
	do {
		spin_lock(&g->guard);
		woken = g->running ? next_to_wake(g) : NULL;
		spin_unlock(&g->guard);
		if (woken)
			wait_wake(woken);
	} while (woken);
	decide(g, ALL);
}

PUBLIC void fiber_group_cancel(fiber_group_t *public)
{
	if (public)
		ask_all(inside(public));
}

/* ---- the owner -------------------------------------------------------------------------------*/
/* Parks until none is running. The interruption that ended it; then some still are. */
static int await_none(struct group *g, struct fiber *self, enum wait_mode mode)
{
	struct waiter w = { .fiber = self };
	int r = 0;

	spin_lock(&g->guard);
	if (g->running == 0) {
		spin_unlock(&g->guard);
		wait_done(); /* law 4 */
		return 0;
	}
	if (g->owner) {
		spin_unlock(&g->guard);
		return -EBUSY;
	}
	w.ticket = wait_begin(self, WAIT_GROUP, g, mode);
	g->owner = &w;
	spin_unlock(&g->guard);
	r = wait_park(self, FIBER_NEVER);
	if (r < 0) {
		spin_lock(&g->guard);
		if (g->owner == &w)
			g->owner = NULL;
		spin_unlock(&g->guard);
	}
	return r < 0 ? r : 0;
}

static int finish(struct group *g)
{
	int result = 0;

	spin_lock(&g->guard);
	if (g->mode == RACE && (g->flags & SUCCEEDED))
		result = g->success;
	else if (g->flags & FAILED)
		result = g->failure;
	g->mode = UNDECIDED;
	g->flags = 0;
	spin_unlock(&g->guard);
	return result;
}

static int wait_as(struct group *g, enum mode mode)
{
	struct fiber *self;
	int why, r;

	if (!g)
		return -EINVAL;
	self = wait_self();
	if (!self)
		return wait_why();
	why = wait_check();
	if (why == 0) {
		decide(g, mode);
		why = await_none(g, self, WAIT_INTERRUPTIBLE);
		if (why == -EBUSY)
			return why;
	}
	if (why < 0) { /* law 8: the group ends with its owner, and all are joined */
		ask_all(g);
		while ((r = await_none(g, self, WAIT_HARD)) < 0)
			if (r == -EBUSY)
				return r;
	}
	r = finish(g);
	return why < 0 ? why : r;
}

PUBLIC int fiber_group_wait(fiber_group_t *g)
{
	return wait_as(inside(g), ALL);
}

PUBLIC int fiber_group_race(fiber_group_t *g)
{
	return wait_as(inside(g), RACE);
}
