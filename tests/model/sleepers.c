/* sleepers.c - "sleepers" (sched/idle.c): a worker that found nothing against one that queues work.
 * Nobody sleeps for good while there is something to run: a thread that waits for ever is a
 * failure. */
#include "bottle.h"

static struct fiber *child[2], *got[MODEL_THREADS];
static int argument[2];

static void begin(unsigned workers, uint32_t flags)
{
	bottle_begin(workers);
	memset(got, 0, sizeof got);
	for (int i = 0; i < 2; i++) {
		child[i] = bottle_fiber(&bottle_worker[0], flags, NULL, NULL);
		argument[i] = 0;
	}
}

/* Somebody else watches, so whoever lies down sleeps until it is woken. */
static void begin_2(void)
{
	begin(2, 0);
	bottle_is_watched();
}

static void begin_unwatched(void)
{
	begin(2, 0);
}

static void begin_roaming(void)
{
	begin(2, F_ROAM | F_STARTED);
	bottle_is_watched();
}

/* What spawn does of it; what the fiber is to work on is written before. */
static void queue_one(struct worker *w, int i)
{
	argument[i] = i + 1;
	child[i]->argument = &argument[i];
	law(deque_push(&w->unstarted, child[i]) == 0);
	idle_offer(&bottle);
}

static void offer_one(void)
{
	queue_one(bottle_be_worker(0), 0);
}

/* A spawn that finds its deque empty offers nothing: a watcher will find it. */
static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_one(void)
{
	fiber_t f;

	bottle_be_worker(0);
	law(fiber_spawn(&f, NULL, nothing, NULL) == 0);
}

static void offer_roaming(void)
{
	struct worker *w = bottle_be_worker(0);

	child[0]->sp = &argument[0];
	worker_ready(w, child[0]);
}

static void find_one(unsigned number)
{
	struct fiber *f = bottle_next(bottle_be_worker(number));

	got[number] = f;
	law(atomic_load_explicit(&f->home, memory_order_relaxed) == &bottle_worker[number]);
}

static void find_as_1(void)
{
	find_one(1);
}

static void found_one(void)
{
	law(got[1]);
}

static void found_argument(void)
{
	law(got[1] == child[0]);
	law(fiber_cold(got[1])->argument == &argument[0] && argument[0] == 1);
}

static void found_context(void)
{
	law(got[1] == child[0] && got[1]->sp == &argument[0]);
}

/* One searches, so nobody is woken for what is queued meanwhile: unless it looks once more when it
 * is done, and passes on.
 *	worker 0        worker 1        worker 2
 *	                                sleeps
 *	queues 1        finds 0         */
static void begin_searched(void)
{
	begin(3, 0);
	bottle_lay_down(2);
	law(deque_push(&bottle_worker[0].unstarted, child[0]) == 0);
}

static void offer_another(void)
{
	queue_one(bottle_be_worker(0), 1);
}

static void search_once(void)
{
	got[1] = idle_search(bottle_be_worker(1));
}

static void found_or_woken(void)
{
	law(got[1] == child[0]);
	law(bottle_rung(2));
}

/* The last fiber has ended: of the last two workers that lie down one sees that both do, and closes
 * the runtime. Somebody still holds it, so both sleep on.
 *	worker 0        worker 1
 *	lies down       lies down   */
static void begin_ended(void)
{
	begin(2, 0);
	bottle_is_watched();
	bottle_stays_down();
	bottle.held = 1;
	atomic_init(&bottle.ending, true);
}

static void lie_down_0(void)
{
	idle_sleep(bottle_be_worker(0));
}

static void lie_down_1(void)
{
	idle_sleep(bottle_be_worker(1));
}

static void closed(void)
{
	law(bottle.closed);
}

const struct scenario scenarios_sleepers[] = {
	SCENARIO("one is offered, one sleeps", begin_2, found_argument, offer_one, find_as_1),
	SCENARIO("one that roams is offered, one sleeps", begin_roaming, found_context,
		 offer_roaming, find_as_1),
	SCENARIO("a lone child is found by who watches", begin_unwatched, found_one,
		 spawn_one, find_as_1),
	SCENARIO("one is offered while another is found", begin_searched, found_or_woken,
		 offer_another, search_once),
	{ .name = "of the last two that lie down one sees the end", .setup = begin_ended,
	  .check = closed, .thread = { lie_down_0, lie_down_1 }, .may_sleep = true },
	{ .name = NULL },
};
