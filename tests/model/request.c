/* request.c - "request" (sched/fiber.h) against a change of home: whoever asks a fiber to end, or
 * to go on, reaches it wherever it is by then. A request that went astray leaves it waiting for
 * ever. */
#include "bottle.h"

static struct fiber *f;
static fiber_t handle;
static int data, woken;
static char context;

/* It parks at once, whoever runs it. */
static int park(void *arg)
{
	int r = fiber_park();

	(void)arg;
	law(r == -ECANCELED || (r == 0 && data == 1)); /* data: a race, if not seen */
	woken++;
	return r;
}

/* Not started, in worker 0's deque; worker 0 sleeps, and passes on what it is posted. */
static void begin_unstarted(void)
{
	bottle_begin(2);
	bottle_plain_blocks();
	f = bottle_fiber(&bottle_worker[0], 0, park, NULL);
	handle = fiber_handle(f);
	law(deque_push(&bottle_worker[0].unstarted, f) == 0);
	data = woken = 0;
	bottle_is_watched();
	bottle_lay_down(0);
}

/* Runnable and roaming, in worker 0's queue. */
static void begin_roaming(void)
{
	bottle_begin(2);
	bottle_plain_blocks();
	bottle_is_watched();
	f = bottle_started(&bottle_worker[0], F_ROAM);
	f->sp = &context;
	handle = fiber_handle(f);
	worker_ready(&bottle_worker[0], f);
	data = woken = 0;
	bottle_lay_down(0);
}

/* Parked on worker 0, its registers saved. */
static void park_there(enum claim_status how)
{
	bottle_begin(2);
	bottle_plain_blocks();
	bottle_is_watched();
	f = bottle_started(&bottle_worker[0], F_ROAM);
	f->sp = &context;
	handle = fiber_handle(f);
	claim_begin(f, NULL, WAIT_EVENT, NULL, 0, how);
	atomic_init(&f->landed, 1);
	data = woken = 0;
	bottle_lay_down(0);
}

static void begin_parked_hard(void)
{
	park_there(CLAIM_HARD);
}

static void begin_parked(void)
{
	park_there(CLAIM_WAITING);
}

static void cancel(void)
{
	bottle_be_plain();
	law(fiber_cancel(handle) == 0);
}

static void unpark(void)
{
	bottle_be_plain();
	data = 1;
	law(fiber_unpark(handle) == 0);
}

static void answer(void)
{
	bottle_answer(0);
}

static void steal_and_run(void)
{
	worker_loop(bottle_be_worker(1));
}

/* What fiber_park does on a worker, but without a stack to leave: interrupted already, or parked
 * until the request comes. */
static void park_on(struct worker *w)
{
	uint64_t state;

	worker_show(w, f);
	law(atomic_load_explicit(&f->home, memory_order_relaxed) == w);
	state = atomic_load_explicit(&f->state, memory_order_relaxed);
	if (!(state & (STATE_CANCEL | STATE_PERMIT))) {
		claim_begin(f, w, WAIT_PARK, NULL, 0, CLAIM_WAITING);
		state = atomic_load_explicit(&f->state, memory_order_relaxed);
		if (state & STATE_CANCEL && claim_end(f, CLAIM_TICKET(atomic_load_explicit(
				&f->claim, memory_order_relaxed)), 0, CLAIM_CANCELLED)) {
			woken++;
			return;
		}
		/* Still on its stack: who takes it for parked here is in a race with this. */
		f->flags &= ~(uint32_t)F_ARMED;
		f->sp = &context;
		worker_show(w, &w->loop);
		atomic_store_explicit(&f->landed, 1, memory_order_release);
		law(bottle_next(w) == f);
	}
	woken++;
}

static void take_and_park(void)
{
	struct worker *w = bottle_be_worker(1);

	law(bottle_next(w) == f);
	park_on(w);
}

static void adopt_and_park(void)
{
	struct worker *w = bottle_be_worker(1);

	law(wait_claim(f, 1, 0));
	wait_wake(f);
	law(bottle_next(w) == f);
	claim_settle(f, atomic_load_explicit(&f->claim, memory_order_acquire));
	atomic_store_explicit(&f->landed, 0, memory_order_relaxed);
	park_on(w);
}

/* Its home may be looking at it, to cancel it, when it is adopted and runs. */
static void adopt_and_run(void)
{
	struct worker *w = bottle_be_worker(1);

	if (wait_claim(f, 1, 0))
		wait_wake(f);
	law(bottle_next(w) == f);
	claim_settle(f, atomic_load_explicit(&f->claim, memory_order_acquire));
	fiber_change_flags(f, 0, F_SHIELDED);
	woken++;
}

static void woken_once(void)
{
	law(woken == 1);
}

/* Permitted in time, it goes on to wait for something else: a worker that it has left finds the
 * word, and must not take it for parked there.
 *	worker 1        outside         worker 0
 *	takes it        unparks it      empties its inbox
 *	waits for an event   */
static void begin_roaming_after_park(void)
{
	begin_roaming();
	atomic_init(&f->what, WAIT_PARK); /* its former wait */
}

static void take_and_wait(void)
{
	struct worker *w = bottle_be_worker(1);

	law(bottle_next(w) == f);
	worker_show(w, f);
	claim_begin(f, w, WAIT_EVENT, NULL, 0, CLAIM_WAITING);
	f->flags &= ~(uint32_t)F_ARMED;
	f->sp = &context;
	worker_show(w, &w->loop);
	atomic_store_explicit(&f->landed, 1, memory_order_release);
	bottle_next(w);
	woken++;
}

static void never_woken(void)
{
	law(woken == 0);
}

#define REQUEST(title, begin, ...)                                                                 \
	{ .name = title, .setup = begin, .check = woken_once, .thread = { __VA_ARGS__ },           \
	  .may_sleep = true }

const struct scenario scenarios_request[] = {
	REQUEST("cancelled while it is stolen", begin_unstarted, steal_and_run, cancel, answer),
	REQUEST("unparked while it is stolen", begin_unstarted, steal_and_run, unpark, answer),
	REQUEST("cancelled while it is taken", begin_roaming, take_and_park, cancel, answer),
	REQUEST("cancelled while it is adopted", begin_parked_hard, adopt_and_park, cancel,
		answer),
	REQUEST("cancelled or adopted", begin_parked, adopt_and_run, cancel, answer),
	{ .name = "unparked while it is taken, and waits for an event",
	  .setup = begin_roaming_after_park, .check = never_woken,
	  .thread = { take_and_wait, unpark, answer }, .may_sleep = true },
	{ .name = NULL },
};
