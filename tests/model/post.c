/* post.c - "post" and "landed" (sched/fiber.h, worker.c): how a fiber that waits comes to run
 * again. Whoever ends its wait, it becomes runnable exactly once, on a worker that may run it, and
 * never while its registers are still being saved. */
#include "bottle.h"
#include "sched/switch.h"

static struct fiber *f;
static struct spin guard;            /* of what follows: the queue of some primitive */
static uint64_t ticket;
static int *given;                   /* the waiter's memory */
static int gift, claims, ran, why;
static char context[8];

static void begin(uint32_t flags)
{
	bottle_begin(2);
	bottle_plain_blocks();
	memset(&guard, 0, sizeof guard);
	f = bottle_started(&bottle_worker[0], flags);
	f->sp = &context[0];
	ticket = 0;
	given = NULL;
	gift = claims = ran = why = 0;
}

/* The wait that f is in, queued; f has left its stack. */
static void begin_parked(void)
{
	begin(0);
	ticket = claim_begin(f, NULL, WAIT_EVENT, NULL, 0, CLAIM_WAITING);
	given = &gift;
}

/* As fiber_park does. */
static void begin_parked_for_permit(void)
{
	begin(0);
	claim_begin(f, NULL, WAIT_PARK, NULL, 0, CLAIM_WAITING);
}

static void begin_roaming(void)
{
	begin(F_ROAM);
}

/* ---- those who wake ---------------------------------------------------------------------------*/
static void grant(void)
{
	uint64_t mine;

	spin_lock(&guard);
	mine = ticket;
	ticket = 0;
	if (mine && wait_claim(f, mine, 5)) {
		*given = 1;
		claims++;
	} else {
		mine = 0;
	}
	spin_unlock(&guard);
	if (mine)
		wait_wake(f);
}

static void grant_plain(void)
{
	bottle_be_plain();
	grant();
}

static void cancel_plain(void)
{
	bottle_be_plain();
	law(fiber_cancel(fiber_handle(f)) == 0);
}

static void unpark_plain(void)
{
	bottle_be_plain();
	gift = 1; /* before the unpark: after the park */
	law(fiber_unpark(fiber_handle(f)) == 0);
}

/* ---- its home ---------------------------------------------------------------------------------*/
static void go_on(struct worker *w)
{
	law(bottle_next(w) == f);
	law(!w->ready.head && !w->next);
	ran++;
	why = wait_outcome(f, OS_NEVER, OS_NEVER);
}

static void home_runs_it(void)
{
	go_on(bottle_be_worker(0));
	law(why == -ECANCELED || (why == 5 && gift == 1)); /* gift: a data race, if not seen */
}

static void home_runs_it_permitted(void)
{
	go_on(bottle_be_worker(0));
	if (!(atomic_load_explicit(&f->state, memory_order_relaxed) & STATE_CANCEL))
		law(gift == 1);
}

static void ran_once(void)
{
	law(ran == 1);
	law(!deque_pop(&bottle_worker[0].unstarted) && !bottle_worker[0].ready.head);
}

static void ran_as_claimed(void)
{
	ran_once();
	law(claims == (why == 5));
}

/* ---- one that roams ---------------------------------------------------------------------------*/
/* Enters a queue, lets others run, and its registers are saved only then. */
static void leave(struct worker *w)
{
	spin_lock(&guard);
	ticket = claim_begin(f, w, WAIT_EVENT, NULL, 0, CLAIM_WAITING);
	given = &gift;
	spin_unlock(&guard);
	f->flags &= ~(uint32_t)F_ARMED; /* as wait_park does on its way */
	f->sp = &context[1];
	switch_land(w, (uintptr_t)f | SWITCH_LANDED);
}

static void enter(struct worker *w)
{
	law(bottle_next(w) == f);
	law(f->sp == &context[1]);
	law(atomic_load_explicit(&f->home, memory_order_relaxed) == w);
	atomic_store_explicit(&f->landed, 0, memory_order_relaxed);
	ran++;
	why = wait_outcome(f, OS_NEVER, OS_NEVER);
	law(why == 5 && gift == 1);
}

static void leave_and_look(void)
{
	struct worker *w = bottle_be_worker(0);

	leave(w);
	enter(w);
}

/* From another worker: may adopt it, and then runs it itself. */
static void grant_and_look(void)
{
	struct worker *w = bottle_be_worker(1);

	grant();
	enter(w);
}

static void leave_only(void)
{
	leave(bottle_be_worker(0));
}

static void ran_or_posted(void)
{
	law(ran <= claims);
	if (ran < claims)
		law(inbox_take(&bottle_worker[0].inbox) == &f->inbox);
}

static void grant_only(void)
{
	bottle_be_worker(1);
	grant();
}

static void ran_if_claimed(void)
{
	law(ran == claims);
}

/* ---- a worker ends ----------------------------------------------------------------------------*/
/* Its poller is gone when it has paid all debts: whoever rang late would ring at nobody's. */
static void run_until_stopped(void)
{
	bottle_be_worker(0);
	worker_run(&bottle_worker[0]);
	bottle_close_poller(0);
}

static void stop_it(void)
{
	atomic_store_explicit(&bottle.stopping, true, memory_order_release);
	worker_rouse(&bottle_worker[0]);
}

/* A late word to a fiber of an earlier life. */
static void begin_late(void)
{
	begin(0);
	bottle.workers = 1;
	atomic_init(&f->claim, 0);
}

static void post_late(void)
{
	worker_post(f, POST_REQUEST);
}

static void nothing_left(void)
{
	law(atomic_load_explicit(&bottle_worker[0].inbox.head, memory_order_relaxed) ==
	    INBOX_CLOSED);
}

#define SLEEPY(title, begin, end, ...)                                                             \
	{ .name = title, .setup = begin, .check = end, .thread = { __VA_ARGS__ },                  \
	  .may_sleep = true }

const struct scenario scenarios_post[] = {
	SCENARIO("granted from outside", begin_parked, ran_as_claimed, home_runs_it, grant_plain),
	SCENARIO("granted and cancelled at once", begin_parked, ran_as_claimed, home_runs_it,
		 grant_plain, cancel_plain),
	SCENARIO("unparked", begin_parked_for_permit, ran_once, home_runs_it_permitted,
		 unpark_plain),
	SCENARIO("unparked and cancelled at once", begin_parked_for_permit, ran_once,
		 home_runs_it_permitted, unpark_plain, cancel_plain),
	SLEEPY("one that roams is woken while it leaves", begin_roaming, ran_if_claimed,
	       leave_and_look, grant_only),
	SLEEPY("one that roams is adopted by who wakes it", begin_roaming, ran_or_posted,
	       leave_only, grant_and_look),
	SCENARIO("a worker ends when all who wake it have done", begin_late, nothing_left,
		 run_until_stopped, stop_it, post_late),
	{ .name = NULL },
};
