/* idle.c - workers without work: who searches, who sleeps, who is woken.
 *
 * At most one worker searches the others' queues. Whoever queues something that others may take
 * wakes a sleeper only if nobody searches, and spawn only if its deque already held one (spawn.c):
 * or the thief would take the very child that its parent joins next, which costs more than running
 * it.
 *
 * Protocol "sleepers", the store-load race between "I found nothing" and "I queued work":
 *	sleeper:  counts itself in idle_count; os_barrier; looks at every queue once more; sleeps.
 *	offerer:  queues; os_barrier; reads idle_count, and wakes one if it is not zero.
 * Each names the other's barrier: one of the two sees what the other wrote.
 *
 * A lone unstarted fiber of a worker that then computes for long is found all the same: while some
 * workers are busy, one idle worker (`watching`) sleeps no longer than WATCH_NS. It goes on so for
 * a while when all are idle; then nobody watches, and the next lone fiber wakes one to watch.
 *
 * All idle is the only moment at which the end of a runtime and a deadlock can be seen: then the
 * counters of all workers are at rest (idle_guard orders them). */
#include "sched/switch.h"

#include "os/os.h"

enum {
	WATCH_NS = 10 * 1000 * 1000,
	WATCHES_LEFT = 3, /* of an idle runtime */
	TRIM_NS = 1000 * 1000 * 1000,
	TRIM_MOST = 4096,
	TRIM_FLOOR = 64,
};

static struct worker *pop_idle(struct runtime *rt)
{
	struct list *node;

	spin_lock(&rt->idle_guard);
	node = list_pop(&rt->idle);
	if (node) /* counted out here, so that two offers do not wake the same one */
		atomic_fetch_sub_explicit(&rt->idle_count, 1, memory_order_relaxed);
	spin_unlock(&rt->idle_guard);
	return node ? container_of(node, struct worker, idle) : NULL;
}

void idle_offer(struct runtime *rt)
{
	struct worker *w;

	if (rt->workers == 1)
		return;
	os_barrier(); /* pairs with the one in idle_sleep */
	if (atomic_load_explicit(&rt->idle_count, memory_order_relaxed) == 0 ||
	    atomic_load_explicit(&rt->searching, memory_order_relaxed) != 0)
		return;
	w = pop_idle(rt);
	if (w)
		worker_rouse(w);
}

struct worker *idle_take(struct runtime *rt)
{
	if (atomic_load_explicit(&rt->idle_count, memory_order_relaxed) == 0)
		return NULL;
	return pop_idle(rt);
}

/* A fiber was queued, alone, and nobody watches. No barrier: a worker that is just about to sleep
 * finds others busy, and watches then. */
COLD void idle_watch(struct runtime *rt)
{
	struct worker *w = idle_take(rt);

	if (w)
		worker_rouse(w);
}

/* ---- searching --------------------------------------------------------------------------------*/
static struct fiber *with_stack(struct worker *w, struct fiber *f)
{
	if (!f || f->flags & F_STARTED || life_begin(w, f) == 0)
		return f;
	queue_push(&w->ready, f); /* no stack here either: worker_pick ends it */
	return NULL;
}

static struct fiber *take_from(struct worker *victim, struct worker *w)
{
	struct fiber *f;

	while ((f = deque_steal(&victim->unstarted)))
		if (likely(with_stack(w, f)))
			return f;
	/* One that was dormant has no stack yet. */
	return w->runtime->test_move ? NULL : with_stack(w, worker_take_roaming(victim, w));
}

/* Something that w may take. In the test mode fibers that roam are the victim's alone, or one might
 * come back to where it parked. */
static bool holds_work(const struct worker *victim, const struct worker *w)
{
	if (!deque_empty(&victim->unstarted))
		return true;
	return atomic_load_explicit(&victim->roam_count, memory_order_relaxed) != 0 &&
	       (victim == w || !w->runtime->test_move);
}

static struct fiber *search_once(struct worker *w)
{
	struct runtime *rt = w->runtime;

	for (unsigned i = 0; i < rt->workers; i++) {
		struct worker *victim = &rt->worker[(w->victim + i) % rt->workers];
		struct fiber *f = NULL;

		if (victim != w && holds_work(victim, w))
			f = take_from(victim, w);
		if (f) {
			w->victim = victim->number - 1;
			count_up(&w->steals);
			return f;
		}
	}
	return NULL;
}

static bool more_anywhere(const struct worker *w)
{
	const struct runtime *rt = w->runtime;

	if (atomic_load_explicit(&rt->offered_count, memory_order_relaxed) != 0)
		return true;
	for (unsigned i = 0; i < rt->workers; i++)
		if (holds_work(&rt->worker[i], w))
			return true;
	return false;
}

struct fiber *idle_search(struct worker *w)
{
	struct runtime *rt = w->runtime;
	struct fiber *f;
	uint32_t none = 0;

	if (rt->workers == 1 ||
	    !atomic_compare_exchange_strong_explicit(&rt->searching, &none, 1,
						     memory_order_acquire, memory_order_relaxed))
		return NULL;
	f = search_once(w);
	atomic_store_explicit(&rt->searching, 0, memory_order_release);
	os_barrier(); /* pairs with the one in idle_offer: who saw us search queued before this */
	if (f && more_anywhere(w))
		idle_offer(rt);
	return f;
}

/* ---- sleeping ---------------------------------------------------------------------------------*/
static bool all_are_idle(struct runtime *rt)
{
	return atomic_load_explicit(&rt->idle_count, memory_order_acquire) == rt->workers;
}

static void become_idle(struct worker *w)
{
	struct runtime *rt = w->runtime;

	spin_lock(&rt->idle_guard);
	list_append(&rt->idle, &w->idle);
	atomic_fetch_add_explicit(&rt->idle_count, 1, memory_order_relaxed);
	spin_unlock(&rt->idle_guard);
	os_barrier(); /* pairs with the one in idle_offer */
}

/* True: an offer took us out. */
static bool become_busy(struct worker *w)
{
	struct runtime *rt = w->runtime;
	bool linked;

	spin_lock(&rt->idle_guard);
	linked = list_linked(&w->idle);
	if (linked) {
		list_remove(&w->idle);
		atomic_fetch_sub_explicit(&rt->idle_count, 1, memory_order_relaxed);
	}
	spin_unlock(&rt->idle_guard);
	return !linked;
}

/* Woken by an offer, and by work of our own besides, which comes first: the offer is for others. */
static void pass_on(struct worker *w)
{
	if ((w->next || w->ready.head || !inbox_empty(&w->inbox)) && more_anywhere(w))
		idle_offer(w->runtime);
}

/* What is seen to only when all sleep, or on the way to sleep. */
static bool spinning_is_over(const struct worker *w)
{
	return atomic_load_explicit(&w->runtime->ending, memory_order_relaxed) ||
	       runtime_must_note(w) || info_dump_is_asked();
}

/* Spins a while for something to come, if the program asked for that. True: something did. */
static bool spin_for_work(struct worker *w)
{
	int64_t spin = w->runtime->options.idle_spin_ns, end;
	struct list back;

	if (spin <= 0 || spinning_is_over(w))
		return false;
	list_init(&back);
	end = fiber_after(spin);
	do {
		if (w->ops->wait(w->poller, 0, &back) > 0) {
			wait_ops_back(&back);
			return true;
		}
		if (!inbox_empty(&w->inbox) || (w->runtime->workers > 1 && more_anywhere(w)))
			return true;
		w->now = os_now();
		if (timers_next(&w->timers) <= w->now)
			return true;
	} while (w->now < end && !spinning_is_over(w));
	return false;
}

/* Memory that was not needed for a second goes back, while there is nothing else to do. */
static void trim(struct worker *w)
{
	if (w->now - w->trimmed < TRIM_NS)
		return;
	w->trimmed = w->now;
	stack_cache_trim(&w->stacks, TRIM_MOST);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t sleep_until(struct worker *w, bool watch)
{
	int64_t until = timers_next(&w->timers);

	if (watch)
		until = earlier(until, w->now + WATCH_NS);
	if (w->stacks.count > TRIM_FLOOR)
		until = earlier(until, w->now + TRIM_NS);
	return until;
}

/* Is it on us to sleep briefly? */
static bool shall_watch(struct worker *w, bool others_are_busy)
{
	struct runtime *rt = w->runtime;

	if (others_are_busy)
		w->watches_left = WATCHES_LEFT;
	else if (w->watches_left > 0)
		w->watches_left--;
	return w->watches_left > 0 && rt->workers > 1 &&
	       !atomic_exchange_explicit(&rt->watching, true, memory_order_relaxed);
}

/* Whoever asked for one of these may not have seen us sleep, and woken nobody; and runtime_quiet
 * may have cancelled fibers of ours, which are runnable now. */
static bool is_urgent(const struct worker *w)
{
	return atomic_load_explicit(&w->runtime->stopping, memory_order_acquire) ||
	       runtime_must_note(w) || info_dump_is_asked() || w->ready.head;
}

/* From here to become_busy another worker that holds idle_guard may look at our counters and
 * timers: nothing of ours is changed in between. */
static void sleep_in_poller(struct worker *w, struct list *back)
{
	struct runtime *rt = w->runtime;
	bool all = all_are_idle(rt), watch;

	os_barrier(); /* pairs with itself: of two last workers one sees both asleep */
	all |= all_are_idle(rt);
	if (all)
		runtime_quiet(rt);
	watch = shall_watch(w, !all);
	count_up(&w->polls);
	w->ops->wait(w->poller, is_urgent(w) ? 0 : sleep_until(w, watch), back);
	if (watch)
		atomic_store_explicit(&rt->watching, false, memory_order_relaxed);
}

bool idle_sleep(struct worker *w)
{
	struct runtime *rt = w->runtime;
	struct list back;
	bool offered;

	if (atomic_load_explicit(&rt->stopping, memory_order_acquire))
		return false;
	if (spin_for_work(w))
		return true;
	info_dump_if_asked();
	if (unlikely(runtime_must_note(w)))
		runtime_note_cancelled(w);
	w->now = os_now();
	trim(w);
	list_init(&back);
	/* Asleep in the inbox first, and listed then: or an offer would take us off the list and
	 * find nobody to wake, just before we sleep after all. */
	if (!inbox_sleep(&w->inbox))
		return true;
	become_idle(w);
	if (rt->workers == 1 || !more_anywhere(w))
		sleep_in_poller(w, &back);
	if (inbox_wake_up(&w->inbox))
		w->wakes_owed++;
	offered = become_busy(w);
	wait_ops_back(&back);
	if (w->timers.count) {
		w->now = os_now();
		worker_run_timers(w);
	}
	if (offered)
		pass_on(w);
	return true;
}
