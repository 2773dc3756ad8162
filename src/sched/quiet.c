/* quiet.c - all workers of a runtime are idle: has it ended, or is it stuck?
 *
 * Only then are the workers' counters at rest. idle_guard is held while they are read: whoever
 * wants to be busy again must take it first, and whoever is idle changes nothing. */
#include <errno.h>
#include <stdio.h>

#include "os/os.h"
#include "sched/helpers.h"
#include "sched/worker.h"

uint64_t runtime_alive(const struct runtime *rt)
{
	uint64_t alive = atomic_load_explicit(&rt->outside, memory_order_relaxed);

	for (unsigned i = 0; i < rt->workers; i++)
		alive += count_read(&rt->worker[i].spawned) - count_read(&rt->worker[i].ended);
	return alive;
}

/* Nothing queued, no time to come, no operation in a poller: this worker's part. */
static bool at_rest(const struct worker *w)
{
	return w->timers.count == 0 &&
	       atomic_load_explicit(&w->inbox.head, memory_order_acquire) == INBOX_SLEEPING &&
	       deque_empty(&w->unstarted) &&
	       atomic_load_explicit(&w->roam_count, memory_order_relaxed) == 0;
}

static bool all_at_rest(const struct runtime *rt)
{
	for (unsigned i = 0; i < rt->workers; i++)
		if (!at_rest(&rt->worker[i]))
			return false;
	return true;
}

static bool nothing_in_flight(const struct runtime *rt)
{
	uint64_t flying = 0;

	for (unsigned i = 0; i < rt->workers; i++)
		flying += count_read(&rt->worker[i].flight_begun) -
			  count_read(&rt->worker[i].flight_over);
	return flying == 0;
}

/* A plain thread that has not called yet may still wake someone. */
static bool only_our_threads(const struct runtime *rt)
{
	unsigned helpers;

	if (rt->options.flags & FIBER_ONLY_FIBERS)
		return true;
	if (!rt->own_thread || runtime_count() != 1)
		return false;
	helpers = helpers_threads(); /* first: it joins those that have ended */
	return os_threads() == rt->workers + helpers + (rt->stall ? 1 : 0);
}

static _Atomic int outsiders;

void wait_from_outside(int change)
{
	atomic_fetch_add_explicit(&outsiders, change, memory_order_relaxed);
}

static bool is_stuck(const struct runtime *rt)
{
	if (atomic_load_explicit(&outsiders, memory_order_relaxed) > 0)
		return false;
	if ((rt->options.flags & FIBER_NO_DEADLOCK) || !nothing_in_flight(rt))
		return false;
	if (helpers_busy() != 0) /* before the inboxes: see helpers.h */
		return false;
	/* Once more after counting, which is dear: a plain thread may have woken somebody, and have
	 * ended, between the first look and the count. */
	return all_at_rest(rt) && only_our_threads(rt) && all_at_rest(rt);
}

static void stop(struct runtime *rt)
{
	/* Release: pairs with the acquire in idle_sleep. */
	atomic_store_explicit(&rt->stopping, true, memory_order_release);
	for (unsigned i = 0; i < rt->workers; i++)
		worker_rouse(&rt->worker[i]);
}

static void report(struct runtime *rt)
{
	fprintf(stderr, "fiber: deadlock: every fiber waits, and nothing is left that could wake "
			"one; all are cancelled now\n");
	info_dump(rt, stderr);
}

void runtime_quiet(struct runtime *rt)
{
	enum { NOTHING, END, STUCK, STUCK_FOR_GOOD } what = NOTHING;
	uint64_t alive;

	spin_lock(&rt->idle_guard);
	if (atomic_load_explicit(&rt->idle_count, memory_order_relaxed) == rt->workers) {
		alive = runtime_alive(rt);
		if (alive == 0 && atomic_load_explicit(&rt->ending, memory_order_acquire))
			what = runtime_close(rt) ? END : NOTHING;
		else if (alive > 0 && is_stuck(rt))
			what = !rt->deadlocked ? STUCK : rt->told ? STUCK_FOR_GOOD : NOTHING;
	}
	if (what == STUCK)
		rt->deadlocked = true;
	spin_unlock(&rt->idle_guard);

	switch (what) {
	case NOTHING:
		break;
	case END:
	case STUCK_FOR_GOOD: /* waits that nothing can end: their fibers are left behind */
		stop(rt);
		break;
	case STUCK:
		report(rt);
		atomic_store_explicit(&rt->ending, true, memory_order_release);
		runtime_cancel_all(rt);
		/* Not before: another worker would find all still waiting, for good. */
		spin_lock(&rt->idle_guard);
		rt->told = true;
		spin_unlock(&rt->idle_guard);
		break;
	}
}
