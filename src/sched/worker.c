/* worker.c - an OS thread that runs fibers: its queues, and where it looks for work.
 *
 * Concepts. A worker has four places for work:
 *	next       one fiber that the running one has just woken: it runs next, because what was
 *	           handed over is still in the cache; at most NEXT_IN_A_ROW times running, or two
 *	           fibers that wake each other would starve the rest.
 *	ready      runnable fibers, first come first served. Private: no atomics.
 *	roam       runnable fibers that were asked to roam. Others may take them: under a spinlock,
 *	           because only those fibers pay for it.
 *	unstarted  fibers that never ran: the owner takes the newest, thieves the oldest.
 *	           Depth-first order keeps the live stacks few and hot, and a thief gets the largest
 *	           subtree.
 * A fiber that has run is never put into `unstarted`: last-in-first-out plus yield starves
 * everyone.
 *
 * Every TICKS_PER_LOOK picks the worker looks at the world, whatever is queued: inbox, due timers,
 * poller, and whether unstarted fibers have been waiting for too long. The poller costs a
 * system call, about what 64 yields cost, so it is asked every POLL_EVERY_NS at the most.
 *
 * Home. A fiber's home is the worker that runs it, and only the home worker ends its parks: whoever
 * wakes it from elsewhere posts it to home's inbox, and the home takes it out between two fibers,
 * when nobody is in the middle of leaving a stack. So no token is needed to protect a parking
 * fiber's registers, and a park costs no locked instruction. (The alternative, a
 * RUNNING/PARKED/NOTIFIED word that whoever lands moves by CAS, costs two: 10 ns in each
 * rendezvous.) For a roaming fiber the lander sets `landed`, after which its waker may adopt it
 * instead of posting.
 *
 * Idle. idle.c: who sleeps, who searches, and the race between "I found nothing" and "I queued
 * work". */
#include "sched/worker.h"

#include "os/os.h"
#include "sched/dormant.h"
#include "sched/switch.h"

__thread struct worker *worker_mine;

NOINLINE struct worker *worker_self(void)
{
	__asm__ volatile(""); /* or the call is folded into its callers after all */
	return worker_mine;
}

void worker_set_self(struct worker *w)
{
	worker_mine = w;
	stack_cache_lend(w ? &w->stacks : NULL);
}

/* ---- posting: any thread ----------------------------------------------------------------------*/
void worker_wake(struct worker *w)
{
	w->ops->wake(w->poller);
	/* Release: the wake-up is over; pairs with the acquire where a worker ends. */
	atomic_fetch_add_explicit(&w->wakes_paid, 1, memory_order_release);
}

/* What it shall look at was written before. The barrier pairs with the one in become_idle (idle.c):
 * either it is seen asleep here, or it sees that on its way to sleep. */
void worker_rouse(struct worker *w)
{
	os_barrier();
	if (inbox_rouse(&w->inbox))
		worker_wake(w);
}

/* The worker has ended, so the fiber is in another life, or in none. Returns whether to go on. */
static bool redirect(struct fiber *f, struct worker *closed)
{
	uint32_t reasons = atomic_swap32(&f->reasons, 0);

	if (atomic_load_explicit(&f->home, memory_order_acquire) == closed &&
	    atomic_load_explicit(&closed->inbox.head, memory_order_acquire) == INBOX_CLOSED)
		return false;
	return reasons && atomic_or32(&f->reasons, reasons) == 0;
}

void worker_post(struct fiber *f, uint32_t reason)
{
	struct worker *w;

	if (atomic_or32(&f->reasons, reason) != 0)
		return; /* it is in an inbox, or on its way into one */
	do {
		w = atomic_load_explicit(&f->home, memory_order_acquire);
		switch (inbox_put(&w->inbox, &f->inbox)) {
		case INBOX_PUT:
			return;
		case INBOX_PUT_WAKE:
			worker_wake(w);
			return;
		case INBOX_PUT_CLOSED:
			break;
		}
	} while (redirect(f, w));
}

/* ---- queues: the owner ------------------------------------------------------------------------*/
static void roam_push(struct worker *w, struct fiber *f)
{
	spin_lock(&w->roam_guard);
	queue_push(&w->roam, f);
	atomic_fetch_add_explicit(&w->roam_count, 1, memory_order_relaxed);
	spin_unlock(&w->roam_guard);
}

/* Any worker's; the taker becomes home. */
struct fiber *worker_take_roaming(struct worker *from, struct worker *w)
{
	struct fiber *f;

	if (atomic_load_explicit(&from->roam_count, memory_order_relaxed) == 0)
		return NULL;
	spin_lock(&from->roam_guard);
	f = queue_pop(&from->roam);
	if (f)
		atomic_fetch_sub_explicit(&from->roam_count, 1, memory_order_relaxed);
	spin_unlock(&from->roam_guard);
	if (f && atomic_load_explicit(&f->home, memory_order_relaxed) != w)
		fiber_moves_to(f, w);
	return f;
}

struct worker *worker_elsewhere(struct worker *w)
{
	return &w->runtime->worker[w->number % w->runtime->workers];
}

static void ready_roaming(struct worker *w, struct fiber *f)
{
	timers_remove(&w->timers, &f->timer); /* a thief could not reach it in our heap */
	if (unlikely(w->runtime->test_move)) {
		struct worker *other = worker_elsewhere(w);

		roam_push(other, f);
		worker_rouse(other);
		return;
	}
	roam_push(w, f);
	idle_offer(w->runtime);
}

void worker_ready(struct worker *w, struct fiber *f)
{
	if (unlikely(fiber_may_move(f)) && f != worker_current(w) && w->runtime->workers > 1)
		ready_roaming(w, f);
	else
		queue_push(&w->ready, f);
}

void worker_ready_next(struct worker *w, struct fiber *f)
{
	struct fiber *was = w->next;

	/* Only one that has a stack jumps the queue, and not one that roams. */
	if (unlikely(w->next_left == 0 || (f->flags & (F_STARTED | F_ROAM)) != F_STARTED)) {
		worker_ready(w, f);
		return;
	}
	w->next_left--;
	w->next = f;
	if (was)
		queue_push(&w->ready, was);
}

static struct fiber *queued(struct worker *w)
{
	unsigned ticks = atomic_load_explicit(&w->ticks, memory_order_relaxed);
	struct fiber *f;

	if (unlikely(ticks & 1) && (f = worker_take_roaming(w, w)))
		return f;
	f = queue_pop(&w->ready);
	if (!f)
		f = deque_pop(&w->unstarted);
	return f ? f : worker_take_roaming(w, w);
}

struct fiber *worker_pick_queued(struct worker *w)
{
	struct fiber *f;
	int r;

	while ((f = queued(w))) {
		if (f->flags & F_STARTED)
			return f;
		r = life_begin(w, f);
		if (likely(r == 0))
			return f;
		life_end_unrun(w, f, r);
	}
	return NULL;
}

/* ---- looking at the world ---------------------------------------------------------------------*/
static void start_here(struct worker *w, struct fiber *f)
{
	int64_t held;

	/* Who spawned it may have looked just before the cancellation. */
	if (unlikely(atomic_load_explicit(&w->runtime->cancelled, memory_order_relaxed)))
		atomic_or64(&f->state, STATE_CANCEL);
	if ((f->flags & F_DORMANT) && dormant_begin(w, f))
		return;
	held = f->flags & (F_PLACED | F_DORMANT) ? -1 : deque_push_count(&w->unstarted, f);
	if (held < 0)
		queue_push(&w->ready, f);
	else if (held > 0)
		idle_offer(w->runtime);
}

void worker_offer(struct runtime *rt, struct fiber *f)
{
	spin_lock(&rt->offered_guard);
	queue_push(&rt->offered, f);
	atomic_fetch_add_explicit(&rt->offered_count, 1, memory_order_relaxed);
	spin_unlock(&rt->offered_guard);
	idle_offer(rt);
}

static struct fiber *offered(struct runtime *rt)
{
	struct fiber *f;

	if (likely(atomic_load_explicit(&rt->offered_count, memory_order_relaxed) == 0))
		return NULL;
	spin_lock(&rt->offered_guard);
	f = queue_pop(&rt->offered);
	if (f)
		atomic_fetch_sub_explicit(&rt->offered_count, 1, memory_order_relaxed);
	spin_unlock(&rt->offered_guard);
	return f;
}

/* A few of those that came from outside. True: there was one. */
static bool take_offered(struct worker *w)
{
	struct fiber *f = NULL;
	int n = 0;

	while (n < STARTS_PER_LOOK && (f = offered(w->runtime))) {
		if (atomic_load_explicit(&f->home, memory_order_relaxed) != w)
			fiber_moves_to(f, w);
		start_here(w, f);
		n++;
	}
	return n > 0;
}

static void act_on(struct worker *w, struct fiber *f, uint32_t reasons)
{
	if (atomic_load_explicit(&f->home, memory_order_relaxed) != w) {
		worker_post(f, reasons); /* it moved, or this is a late word to an earlier life */
		return;
	}
	count_up(&w->remote_wakes);
	if (reasons & POST_START)
		start_here(w, f);
	if (reasons & POST_WAKE)
		worker_ready(w, f);
	else if (reasons & POST_REQUEST)
		wait_request(w, f);
}

void worker_take_inbox(struct worker *w)
{
	struct inbox_node *node = inbox_take(&w->inbox), *next;

	for (; node; node = next) {
		struct fiber *f = container_of(node, struct fiber, inbox);

		next = node->next;
		act_on(w, f, atomic_swap32(&f->reasons, 0));
	}
}

void worker_run_timers(struct worker *w)
{
	struct timer *t;

	while ((t = timers_due(&w->timers, w->now)))
		wait_time_out(w, container_of(t, struct fiber, timer));
}

static void look_at_poller(struct worker *w)
{
	struct list back;

	if (w->now - w->polled < POLL_EVERY_NS)
		return;
	w->polled = w->now;
	list_init(&back);
	count_up(&w->polls);
	if (w->ops->wait(w->poller, 0, &back) > 0)
		wait_ops_back(&back);
}

/* Up to n of the oldest unstarted fibers queue for their turn. */
static void start_oldest(struct worker *w, int n)
{
	struct fiber *f;

	while (n-- > 0 && (f = deque_steal(&w->unstarted)))
		queue_push(&w->ready, f);
}

/* The newest unstarted fibers go first, and only when nobody is ready, so others might wait for
 * ever. If none was popped since the last look, the ready ones had all turns: unstarted ones queue
 * with them. If only newer ones were, the oldest has its turn when it has been that for a while;
 * at every look, skynet would have 2,758 stacks alive instead of a few dozen. */
static void start_waiting(struct worker *w)
{
	int64_t top = atomic_load_explicit(&w->unstarted.top, memory_order_relaxed);
	int64_t bottom = atomic_load_explicit(&w->unstarted.bottom, memory_order_relaxed);
	int64_t popped = (int64_t)count_read(&w->spawned) - bottom; /* give or take a constant */

	if (deque_empty(&w->unstarted))
		return;
	if (popped == w->popped)
		start_oldest(w, STARTS_PER_LOOK);
	w->popped = popped;
	if (top != w->oldest) {
		w->oldest = top;
		w->oldest_since = w->now;
	} else if (w->now - w->oldest_since >= OLDEST_WAITS_NS) {
		start_oldest(w, 1);
	}
}

void worker_look(struct worker *w)
{
	w->now = os_now();
	info_dump_if_asked();
	if (unlikely(runtime_must_note(w)))
		runtime_note_cancelled(w);
	atomic_store_explicit(&w->timers_seen, w->timers.count, memory_order_relaxed);
	atomic_store_explicit(&w->stacks_seen, w->stacks.count, memory_order_relaxed);
	if (!inbox_empty(&w->inbox))
		worker_take_inbox(w);
	if (timers_next(&w->timers) <= w->now)
		worker_run_timers(w);
	look_at_poller(w);
	take_offered(w);
	start_waiting(w);
}

void worker_loop(struct worker *w)
{
	for (;;) {
		struct fiber *f;

		if (!inbox_empty(&w->inbox))
			worker_take_inbox(w);
		if (unlikely(worker_tick(w)))
			worker_look(w);
		f = worker_pick(w);
		if (!f && take_offered(w))
			continue;
		if (!f)
			f = idle_search(w);
		if (f)
			switch_run(w, f);
		else if (!idle_sleep(w))
			return;
	}
}
