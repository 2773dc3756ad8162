/* select.c - one of several cases.
 *
 * Two rounds. The first tries each case, in a random order, and waits for none. If none can go, the
 * second begins one wait, and enters it in the queue of each case with the case's number as its
 * index; whoever can let a case go claims the wait, and with it the case. Entering, each case is
 * looked at once more under its guard: if it can go by now, the wait is withdrawn - claimed by
 * oneself - before anything is done; if that comes too late, another case has won, and this one is
 * left alone. A partner may be lost between the look and the withdrawal (it has won elsewhere
 * meanwhile): then all is taken back, and both rounds begin again.
 *
 * At the end every case that was entered is left: removed from its queue, its operation retrieved
 * from the poller, its join withdrawn. What each kind of case does is in case.c. */
#include <stdlib.h>

#include "os/atomic.h"
#include "sync/select.h"

enum { MOST = 65536, FEW = 8 }; /* cases; so many are kept on the stack */
_Static_assert(MOST - 1 <= UINT16_MAX, "struct selection, order");

/* xorshift, Marsaglia 2003: never 0, and good enough for fairness. */
static uint32_t next_random(uint32_t x)
{
	x ^= x << 13;
	x ^= x >> 17;
	return x ^ x << 5;
}

/* ---- the first round -------------------------------------------------------------------------*/
/* One by one in a random order (Fisher and Yates), so that each that can go is as likely to come
 * first as any other. In the order in which they stand, from a random one on, whoever stands behind
 * many that cannot go would win all their chances. */
static int try_all(struct selection *s)
{
	static _Atomic uint32_t state = 2463534242; /* for all: a lost update is harmless */
	uint32_t x = atomic_load_explicit(&state, memory_order_relaxed);
	int won = SELECT_NONE;

	for (size_t i = 0; i < s->n; i++)
		s->order[i] = (uint16_t)i;
	for (size_t i = 0; i < s->n && won == SELECT_NONE; i++) {
		size_t drawn = i + (x = next_random(x)) % (s->n - i);
		uint16_t at = s->order[drawn];

		s->order[drawn] = s->order[i];
		if (case_try(&s->cases[at]))
			won = at;
	}
	atomic_store_explicit(&state, x, memory_order_relaxed);
	return won;
}

/* ---- the second round ------------------------------------------------------------------------*/
/* Leaves nothing behind. `won`: the case that did, if it was claimed by another. */
static int leave_all(struct selection *s, int won)
{
	for (size_t i = 0; i < s->n; i++)
		if (case_leave(s, i, won))
			won = (int)i;
	return won;
}

/* A ticker that was set anew has ended the wait: there is nothing to receive. */
static bool look_again(const struct selection *s, int won)
{
	return won >= 0 && won < (int)s->n && s->cases[won].op == FIBER_OP_RECV &&
	       s->cases[won].result == -EAGAIN;
}

static int wait_for_one(struct selection *s, int64_t until)
{
	int won = SELECT_NONE;

	s->ticket = wait_begin(s->self, WAIT_SELECT, NULL, WAIT_INTERRUPTIBLE);
	s->tick = FIBER_NEVER;
	for (size_t i = 0; i < s->n && won == SELECT_NONE; i++)
		won = case_enter(s, i);
	if (won == SELECT_NONE || won == SELECT_LOST) {
		won = wait_park(s->self, until < s->tick ? until : s->tick);
		if (won == -ETIMEDOUT && s->tick <= until)
			won = SELECT_AGAIN;
	}
	won = leave_all(s, won);
	return look_again(s, won) ? SELECT_AGAIN : won;
}

static int wait_in_turns(struct selection *s, int64_t until)
{
	int r;

	do {
		for (size_t i = 0; i < s->n; i++)
			s->entry[i].entered = false;
		r = wait_for_one(s, until);
		if (r == SELECT_AGAIN && (r = try_all(s)) == SELECT_NONE)
			r = SELECT_AGAIN;
	} while (r == SELECT_AGAIN);
	return r;
}

/* Only the worker that submitted an operation can take it back. */
static bool must_stay(const struct selection *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->cases[i].op == FIBER_OP_READY)
			return true;
	return false;
}

/* None could go at once. */
static NOINLINE int wait_for_any(struct selection *s, int64_t until)
{
	struct entry few[FEW];
	bool stays = must_stay(s), pinned;
	int r;

	s->self = wait_self();
	if (!s->self)
		return wait_why();
	s->entry = s->n <= FEW ? few : malloc(s->n * sizeof *s->entry);
	if (!s->entry)
		return -ENOMEM;
	pinned = stays && fiber_pin();
	r = wait_in_turns(s, until);
	if (stays)
		fiber_unpin(pinned);
	if (s->entry != few)
		free(s->entry);
	return r;
}

/* ---- public ----------------------------------------------------------------------------------*/
static int check(const fiber_case_t *cases, size_t n)
{
	if ((!cases && n) || n > MOST)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (cases[i].op < FIBER_OP_NONE || cases[i].op > FIBER_OP_FUTURE)
			return -EINVAL;
		if (cases[i].op == FIBER_OP_READY && !wait_on_fiber())
			return -EPERM;
	}
	return 0;
}

PUBLIC int fiber_select_until(fiber_case_t *cases, size_t n, int64_t when)
{
	uint16_t few[FEW];
	struct selection s = { .cases = cases, .n = n, .order = few };
	int r = check(cases, n);

	if (r < 0 || (r = wait_check()) < 0)
		return r;
	if (n > FEW && !(s.order = malloc(n * sizeof *s.order)))
		return -ENOMEM;
	r = try_all(&s);
	if (r == SELECT_NONE)
		r = wait_for_any(&s, when);
	else
		wait_done();
	if (s.order != few)
		free(s.order);
	return r;
}

PUBLIC int fiber_select(fiber_case_t *cases, size_t n)
{
	return fiber_select_until(cases, n, FIBER_NEVER);
}

PUBLIC int fiber_select_now(fiber_case_t *cases, size_t n)
{
	uint16_t few[FEW];
	struct selection s = { .cases = cases, .n = n, .order = few };
	int r = check(cases, n);

	if (r < 0)
		return r;
	if (n > FEW && !(s.order = malloc(n * sizeof *s.order)))
		return -ENOMEM;
	r = try_all(&s);
	if (s.order != few)
		free(s.order);
	return r == SELECT_NONE ? -EAGAIN : r;
}
