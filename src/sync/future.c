/* future.c - set once, waited for by any number: see future.h for the invariants. */
#include "sync/future.h"

#include <string.h>

int future_read(const struct future *f, void **value)
{
	int error = (int)f->queue.own;

	if (error == 0 && value)
		*value = f->value;
	return error;
}

bool future_now(struct future *f, void **value, int *result)
{
	uint64_t word;

	if (!future_is_set(f)) { /* or somebody is at it */
		word = word_guard(&f->queue.word);
		word_release(&f->queue.word, word);
		if (!(word & FUTURE_SET))
			return false;
	}
	*result = future_read(f, value);
	return true;
}

/* ---- setting ---------------------------------------------------------------------------------*/
bool future_counts(struct future_count *count, int error)
{
	_Atomic size_t *left = error ? &count->errors : &count->values;
	int none = 0;

	if (error)
		atomic_compare_exchange_strong_explicit(&count->first_error, &none, error,
							memory_order_relaxed,
							memory_order_relaxed);
	/* Acquire and release: the last to count down has seen what the others did. */
	return atomic_fetch_sub_explicit(left, 1, memory_order_acq_rel) == 1;
}

/* Guard held: takes all entries out, and puts those whose wait is over by this onto `claimed`. */
static void claim_all(struct future *f, struct list *claimed)
{
	struct list *node;

	while ((node = list_pop(&f->queue.waiters))) {
		struct future_waiter *w = container_of(node, struct future_waiter, base.link);
		bool claims = !w->count || future_counts(w->count, (int)f->queue.own);

		if (claims && wait_claim(w->base.fiber, w->base.ticket, w->base.index))
			list_append(claimed, node);
		else
			f->queue.leaving++;
	}
}

/* No guard held: whoever waits for this one alone may free the future from here on, so what it
 * wants to know comes with the wake-up. */
static void wake_all(struct list *claimed, int error, void *value)
{
	struct list *node;

	while ((node = list_pop(claimed))) {
		struct future_waiter *w = container_of(node, struct future_waiter, base.link);

		if (w->result)
			*w->result = error;
		if (error == 0 && w->base.data)
			*(void **)w->base.data = value;
		wait_wake(w->base.fiber);
	}
}

int future_settle(struct future *f, int error, void *value)
{
	struct list claimed = { 0 };
	uint64_t word = word_guard(&f->queue.word);
	bool mine = f->promiser == wait_identity();

	if (word & FUTURE_SET || (f->promiser && !mine)) {
		word_release(&f->queue.word, word);
		return word & FUTURE_SET ? -EALREADY : -EPERM;
	}
	if (mine)
		promise_kept(f);
	f->value = value;
	f->queue.own = (uint32_t)error;
	claim_all(f, &claimed);
	word_release(&f->queue.word, FUTURE_SET);
	wake_all(&claimed, error, value);
	return 0;
}

PUBLIC int fiber_future_set(fiber_future_t *f, void *value)
{
	return f ? future_settle(future_inside(f), 0, value) : -EINVAL;
}

PUBLIC int fiber_future_fail(fiber_future_t *f, int error)
{
	return f && error < 0 ? future_settle(future_inside(f), error, NULL) : -EINVAL;
}

/* ---- waiting ---------------------------------------------------------------------------------*/
bool future_enter(struct future *f, struct future_waiter *w)
{
	uint64_t word = word_guard(&f->queue.word);

	if (word & FUTURE_SET) {
		word_release(&f->queue.word, word);
		return false;
	}
	list_append(&f->queue.waiters, &w->base.link);
	word_release(&f->queue.word, word | WORD_QUEUED);
	return true;
}

void future_leave(struct future *f, struct future_waiter *w)
{
	uint64_t word = word_guard(&f->queue.word) & ~(uint64_t)WORD_QUEUED;

	if (list_linked(&w->base.link))
		list_remove(&w->base.link);
	else
		f->queue.leaving--;
	word_release(&f->queue.word, word | waitqueue_bit(&f->queue));
}

static int wait_for(struct future *f, void **value, int64_t until)
{
	int result = 0, r;
	struct future_waiter w = { .base = { .data = value }, .result = &result };

	w.base.fiber = wait_self();
	if (!w.base.fiber)
		return wait_why();
	w.base.ticket = wait_begin(w.base.fiber, WAIT_FUTURE, f, WAIT_INTERRUPTIBLE);
	if (!future_enter(f, &w)) {
		wait_abandon(w.base.fiber);
		wait_done();
		return future_read(f, value);
	}
	r = wait_park(w.base.fiber, until);
	if (r >= 0)
		return result;
	future_leave(f, &w);
	return r;
}

PUBLIC int fiber_future_wait_until(fiber_future_t *f, void **value, int64_t when)
{
	int r;

	if (!f)
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	if (!future_is_set(future_inside(f)))
		return wait_for(future_inside(f), value, when);
	r = future_read(future_inside(f), value);
	wait_done();
	return r;
}

PUBLIC int fiber_future_wait(fiber_future_t *f, void **value)
{
	return fiber_future_wait_until(f, value, FIBER_NEVER);
}

PUBLIC int fiber_future_try(fiber_future_t *f, void **value)
{
	int result;

	if (!f)
		return -EINVAL;
	return future_now(future_inside(f), value, &result) ? result : -EAGAIN;
}

/* ---- life ------------------------------------------------------------------------------------*/
PUBLIC int fiber_future_init(fiber_future_t *f)
{
	if (!f)
		return -EINVAL;
	memset(f, 0, sizeof *f);
	return 0;
}

PUBLIC int fiber_future_destroy(fiber_future_t *future)
{
	struct future *f = future_inside(future);
	uint64_t word;
	bool busy;

	if (!f)
		return -EINVAL;
	word = word_guard(&f->queue.word);
	busy = !list_empty(&f->queue.waiters) || f->queue.leaving != 0 ||
	       (f->promiser && f->promiser != wait_identity());
	if (!busy && f->promiser)
		promise_kept(f);
	word_release(&f->queue.word, word);
	return busy ? -EBUSY : 0;
}
