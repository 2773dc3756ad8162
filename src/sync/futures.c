/* futures.c - all, any, or the first of several futures, in one wait.
 *
 * The wait is entered at each future, with its number as index, and two counters say how many
 * values, and how many errors, end it: whoever counts one of them down to nothing claims the wait.
 * So n futures cost n entries, however many times one of them is set meanwhile; with a wait for
 * each that has yet to come it would be n * n. */
#include <stdlib.h>

#include "sync/future.h"

enum { MOST = 65536, FEW = 8 };

struct several {
	fiber_future_t *const *futures;
	size_t n;
	struct future_count count;
	struct future_waiter *entry;
	struct fiber *self;
	int result;             /* of the future that ended the wait */
};

/* What enter_all found: nothing ends the wait yet; or somebody has claimed it. */
enum { NONE = -1, LOST = -2 };

/* Enters one after the other, or counts what is set. The index of the one that ends the wait, which
 * was withdrawn then. *entered: so many were looked at. */
static int enter_all(struct several *s, uint64_t ticket, size_t *entered)
{
	for (size_t i = 0; i < s->n; i++) {
		struct future *f = future_inside(s->futures[i]);
		struct future_waiter *w = &s->entry[i];
		int result;

		*w = (struct future_waiter){
			.base = { .fiber = s->self, .ticket = ticket, .index = (unsigned)i },
			.result = &s->result, .count = &s->count,
		};
		*entered = i + 1;
		if (future_enter(f, w))
			continue;
		w->count = NULL; /* nothing to leave */
		result = future_read(f, NULL);
		if (!future_counts(&s->count, result))
			continue;
		if (!wait_withdraw(s->self, (unsigned)i))
			return LOST;
		s->result = result;
		return (int)i;
	}
	return NONE;
}

/* `claimed`: the entry that claimed the wait, which nobody counts as leaving; or negative. */
static void leave_all(struct several *s, size_t entered, int claimed)
{
	for (size_t i = 0; i < entered; i++)
		if (s->entry[i].count && (int)i != claimed)
			future_leave(future_inside(s->futures[i]), &s->entry[i]);
}

static int wait_for_count(struct several *s, int64_t until)
{
	uint64_t ticket = wait_begin(s->self, WAIT_FUTURE, s->futures[0], WAIT_INTERRUPTIBLE);
	size_t entered = 0;
	int r = enter_all(s, ticket, &entered);

	if (r >= 0) {
		leave_all(s, entered, -1);
		wait_done();
		return r;
	}
	r = wait_park(s->self, until);
	leave_all(s, entered, r);
	return r;
}

static int check(fiber_future_t *const *futures, size_t n)
{
	if ((!futures && n) || n > MOST)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!futures[i])
			return -EINVAL;
	return wait_check();
}

/* So many values, or so many errors, end it. The index of the future that did, or *error. */
static int wait_for_several(struct several *s, size_t values, size_t errors, int64_t until)
{
	struct future_waiter few[FEW];
	int r = check(s->futures, s->n);

	if (r < 0)
		return r;
	atomic_init(&s->count.values, values);
	atomic_init(&s->count.errors, errors);
	s->self = wait_self();
	if (!s->self)
		return wait_why();
	s->entry = s->n <= FEW ? few : malloc(s->n * sizeof *s->entry);
	if (!s->entry)
		return -ENOMEM;
	r = wait_for_count(s, until);
	if (s->entry != few)
		free(s->entry);
	return r;
}

static int first_error(const struct several *s)
{
	return atomic_load_explicit(&s->count.first_error, memory_order_relaxed);
}

/* ---- public ----------------------------------------------------------------------------------*/
PUBLIC int fiber_future_all_until(fiber_future_t *const *futures, size_t n, int64_t when)
{
	struct several s = { .futures = futures, .n = n };
	int r;

	if (n == 0)
		return wait_check();
	r = wait_for_several(&s, n, 1, when);
	if (r < 0)
		return r;
	return s.result < 0 ? first_error(&s) : 0;
}

PUBLIC int fiber_future_any_until(fiber_future_t *const *futures, size_t n, int64_t when)
{
	struct several s = { .futures = futures, .n = n };
	int r = n ? wait_for_several(&s, 1, n, when) : -EINVAL;

	return r >= 0 && s.result < 0 ? first_error(&s) : r;
}

PUBLIC int fiber_future_race_until(fiber_future_t *const *futures, size_t n, int64_t when)
{
	struct several s = { .futures = futures, .n = n };

	return n ? wait_for_several(&s, 1, 1, when) : -EINVAL;
}

PUBLIC int fiber_future_all(fiber_future_t *const *futures, size_t n)
{
	return fiber_future_all_until(futures, n, FIBER_NEVER);
}

PUBLIC int fiber_future_any(fiber_future_t *const *futures, size_t n)
{
	return fiber_future_any_until(futures, n, FIBER_NEVER);
}

PUBLIC int fiber_future_race(fiber_future_t *const *futures, size_t n)
{
	return fiber_future_race_until(futures, n, FIBER_NEVER);
}
