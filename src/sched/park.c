/* park.c - the plain ways to give up the processor: yield, sleep, park; and who and where one
 * is. */
#include <errno.h>

#include "sched/scope.h"
#include "sched/switch.h"
#include "sched/thread.h"

PUBLIC int64_t fiber_now(void)
{
	return os_now();
}

PUBLIC int64_t fiber_after(int64_t ns)
{
	int64_t now = os_now();

	if (ns > FIBER_NEVER - now)
		return FIBER_NEVER;
	return ns < 0 ? now : now + ns;
}

PUBLIC void fiber_yield(void)
{
	struct worker *w = worker_here();

	if (likely(w != NULL))
		switch_yield(w);
	else
		os_yield();
}

PUBLIC int fiber_sleep_until(int64_t when)
{
	struct fiber *self;
	int64_t now;
	int r = wait_check();

	if (unlikely(r < 0))
		return r;
	self = wait_self();
	if (unlikely(!self))
		return wait_why();
	now = os_now();
	if (when <= now) {
		scope_look(self, now); /* law 4: a loop of these never parks */
		fiber_yield();
		return 0;
	}
	wait_begin(self, WAIT_SLEEP, NULL, WAIT_INTERRUPTIBLE);
	r = wait_park(self, when);
	return r == -ETIMEDOUT ? 0 : r;
}

PUBLIC int fiber_sleep(int64_t ns)
{
	return fiber_sleep_until(ns <= 0 ? 0 : fiber_after(ns));
}

/* ---- park and unpark --------------------------------------------------------------------------*/
static bool take_permit(struct fiber *self)
{
	uint64_t state = atomic_load_explicit(&self->state, memory_order_relaxed);

	/* Acquire: pairs with the CAS in request: what the unparker wrote before. */
	return (state & STATE_PERMIT) &&
	       (atomic_and64(&self->state, ~(uint64_t)STATE_PERMIT) & STATE_PERMIT);
}

PUBLIC int fiber_park(void)
{
	struct worker *w = worker_self();
	struct fiber *self;
	int r;

	if (unlikely(!w))
		return runtime_forked() ? -ECHILD : -EPERM;
	self = worker_current(w);
	r = wait_check();
	if (unlikely(r < 0))
		return r;
	if (take_permit(self)) {
		wait_done();
		return 0;
	}
	wait_begin(self, WAIT_PARK, NULL, WAIT_INTERRUPTIBLE);
	r = wait_park(self, FIBER_NEVER);
	return take_permit(self) ? 0 : r;
}

/* Sets a bit of state by handle (protocol "request"). */
static int request(fiber_t handle, uint64_t bit)
{
	struct fiber *f = fiber_find(handle);
	uint64_t state;

	if (!f)
		return runtime_no_fiber();
	state = atomic_load_explicit(&f->state, memory_order_relaxed);
	do {
		if (STATE_GENERATION(state) != handle_generation(handle))
			return -ESRCH;
		if (state & bit)
			return 0;
	} while (!atomic_cas64(&f->state, &state, state | bit));
	wait_tell(f);
	return 0;
}

PUBLIC int fiber_unpark(fiber_t handle)
{
	return request(handle, STATE_PERMIT);
}

PUBLIC int fiber_cancel(fiber_t handle)
{
	return request(handle, STATE_CANCEL);
}

/* ---- who and where ----------------------------------------------------------------------------*/
PUBLIC fiber_t fiber_self(void)
{
	struct worker *w = worker_self();

	return w ? fiber_handle(worker_current(w)) : (fiber_t){0};
}

PUBLIC unsigned fiber_worker(void)
{
	struct worker *w = worker_self();

	return w ? w->number : 0;
}

PUBLIC unsigned fiber_workers(void)
{
	struct worker *w = worker_self();

	return w ? w->runtime->workers : 0;
}

PUBLIC fiber_runtime_t *fiber_runtime(void)
{
	struct worker *w = worker_self();

	return w ? (fiber_runtime_t *)w->runtime : NULL;
}

PUBLIC bool fiber_pin(void)
{
	struct worker *w = worker_self();
	bool was;

	if (!w)
		return false;
	was = worker_current(w)->flags & F_PINNED;
	fiber_change_flags(worker_current(w), 0, F_PINNED);
	return was;
}

PUBLIC void fiber_unpin(bool was)
{
	struct worker *w = worker_self();

	if (w && !was)
		fiber_change_flags(worker_current(w), F_PINNED, 0);
}

PUBLIC int fiber_set_name(const char *name)
{
	struct fiber *self = wait_self();
	uint64_t words[2];

	if (!self)
		return wait_why();
	if (!name)
		return -EINVAL;
	fiber_name_words(words, name);
	atomic_store_explicit(&fiber_cold(self)->name[0], words[0], memory_order_relaxed);
	atomic_store_explicit(&fiber_cold(self)->name[1], words[1], memory_order_relaxed);
	return 0;
}
