/* wait.c - the one door: how a wait begins, is claimed, parks and ends (protocol "claim", wait.h).
 *
 * The word is written by its fiber (begin, withdraw, and after waking), by claimers, and by the
 * home worker (deadline, cancellation). WAITING -> anything else is always a CAS; everything else
 * is a plain store of the fiber itself while nobody may claim. A begin is published to claimers by
 * whatever publishes the queue entry (the object's guard), so it needs no order of its own. */
#include "sched/wait.h"

#include <errno.h>

#include "sched/claim.h"
#include "sched/scope.h"
#include "sched/thread.h"
#include "sched/switch.h"

/* ---- claiming: any thread ---------------------------------------------------------------------*/
bool wait_end(struct fiber *f, uint64_t ticket, unsigned index, enum claim_status how)
{
	return claim_end(f, ticket, index, how);
}

bool wait_claim(struct fiber *f, uint64_t ticket, unsigned index)
{
	return wait_end(f, ticket, index, CLAIM_GRANTED);
}

/* A roaming fiber whose registers are saved, and which no timer of its home knows. `landed` comes
 * first: until then the fiber itself writes its flags on its way to the park. */
static bool may_adopt(struct worker *w, struct fiber *f, struct worker *home)
{
	return w && w->runtime == home->runtime &&
	       atomic_load_explicit(&f->landed, memory_order_acquire) && fiber_may_move(f) &&
	       !(f->flags & F_ARMED) &&
	       !(unlikely(w->runtime->test_move) && worker_elsewhere(w) == home);
}

NOINLINE void wait_wake(struct fiber *f)
{
	struct worker *w = worker_here(), *home;

	home = atomic_load_explicit(&f->home, memory_order_relaxed);
	if (unlikely(!home)) {
		thread_wake(f); /* a plain thread's block */
	} else if (likely(home == w)) {
		worker_ready_next(w, f);
	} else if (may_adopt(w, f, home)) {
		fiber_moves_to(f, w);
		worker_ready(w, f);
	} else {
		worker_post(f, POST_WAKE);
	}
}

/* ---- who calls --------------------------------------------------------------------------------*/
_Static_assert(offsetof(struct worker, place) == 0, "a worker is a place");

/* Blocks and workers are never unmapped: an identity whose fiber ended long ago does no harm. */
bool wait_elsewhere(uintptr_t identity)
{
	struct fiber *f = (struct fiber *)identity;
	struct worker *home;

	if (identity & WAIT_IS_THREAD)
		return true;
	home = atomic_load_explicit(&f->home, memory_order_relaxed);
	return home && home != worker_self() && worker_current(home) == f;
}

/* ---- the waiter -------------------------------------------------------------------------------*/
NOINLINE struct fiber *wait_self(void)
{
	struct worker *w = worker_here();

	return likely(w != NULL) ? worker_current(w) : thread_block();
}

int wait_why(void)
{
	return runtime_forked() ? -ECHILD : -ENOMEM;
}

bool wait_on_fiber(void)
{
	return worker_self() != NULL;
}

bool wait_roams(void)
{
	struct worker *w = worker_self();

	return w && fiber_may_move(worker_current(w));
}

static int interrupted(struct worker *w)
{
	if (w)
		switch_yield(w); /* law 5 */
	return -ECANCELED;
}

NOINLINE int wait_check(void)
{
	struct worker *w = worker_here();
	struct fiber *self;

	if (unlikely(!w)) {
		if (runtime_forked())
			return -ECHILD;
		self = thread_block_if_any();
		return self && scope_interrupted(self) ? interrupted(NULL) : 0;
	}
	self = worker_current(w);
	return unlikely(scope_interrupted(self)) ? interrupted(w) : 0;
}

/* A plain thread has nobody to yield to, and no ticks: it looks whenever it has a deadline. */
static COLD void look_as_thread(void)
{
	struct fiber *self = thread_block_if_any();

	if (self && scope_deadline(self) != OS_NEVER)
		scope_look(self, os_now());
}

/* Apart, so that the way that is mostly taken needs no frame. */
static COLD void look_around(struct worker *w)
{
	worker_look(w);
	scope_look(worker_current(w), w->now);
	switch_yield(w);
}

NOINLINE void wait_done(void)
{
	struct worker *w = worker_here();

	if (unlikely(!w))
		look_as_thread();
	else if (unlikely(worker_tick(w)))
		look_around(w);
}

NOINLINE uint64_t wait_begin(struct fiber *self, enum wait_what what, const void *object,
		    enum wait_mode mode)
{
	return claim_begin(self, worker_here(), what, object, 0,
			   mode == WAIT_HARD ? CLAIM_HARD : CLAIM_WAITING);
}

static void settle(struct fiber *self)
{
	claim_settle(self, atomic_load_explicit(&self->claim, memory_order_relaxed));
}

void wait_abandon(struct fiber *self)
{
	settle(self);
}

bool wait_withdraw(struct fiber *self, unsigned index)
{
	uint64_t word = atomic_load_explicit(&self->claim, memory_order_relaxed);

	if (!wait_end(self, CLAIM_TICKET(word), index, CLAIM_GRANTED))
		return false;
	settle(self);
	return true;
}

/* Sets the timer for `limit` unless one is set that comes first and will be corrected then. */
int wait_arm(struct worker *w, struct fiber *self, int64_t limit)
{
	int r = 0;

	if (unlikely(limit < 0))
		limit = 0; /* long ago; differences to it must not overflow */
	self->wake_at = limit;
	if (!timer_set(&self->timer) || timer_when(&w->timers, &self->timer) > limit)
		r = timers_put(&w->timers, &self->timer, limit);
	fiber_change_flags(self, 0, F_ARMED);
	return r;
}

/* What the claim says, as a result. */
int wait_outcome(struct fiber *self, int64_t until, int64_t deadline)
{
	/* Acquire: pairs with the CAS of wait_end: what the granter copied. */
	uint64_t word = atomic_load_explicit(&self->claim, memory_order_acquire);

	claim_settle(self, word);
	switch (CLAIM_STATUS(word)) {
	case CLAIM_GRANTED:
		return (int)CLAIM_INDEX(word);
	case CLAIM_CANCELLED:
		return -ECANCELED;
	case CLAIM_TIMED_OUT:
		if (until <= deadline)
			return -ETIMEDOUT;
		fiber_change_flags(self, 0, F_EXPIRED);
		return -ECANCELED;
	default:
		unreachable();
	}
}

/* Something known already ends the wait, unless a claim was faster. */
static bool end_before_parking(struct fiber *self, enum claim_status how)
{
	uint64_t word = atomic_load_explicit(&self->claim, memory_order_relaxed);

	return wait_end(self, CLAIM_TICKET(word), 0, how);
}

static int park_fiber(struct worker *w, struct fiber *self, int64_t until, int64_t deadline)
{
	int64_t limit = until < deadline ? until : deadline;

	if (limit != OS_NEVER && wait_arm(w, self, limit) < 0 &&
	    end_before_parking(self, CLAIM_GRANTED)) {
		settle(self);
		return -ENOMEM;
	}
	if (likely(!timer_set(&self->timer)))
		fiber_change_flags(self, F_ARMED, 0);
	switch_park(w, self);
	self->wake_at = OS_NEVER;
	return wait_outcome(self, until, deadline);
}

NOINLINE int wait_park(struct fiber *self, int64_t until)
{
	struct worker *w = worker_here();
	int64_t deadline = OS_NEVER;
	uint64_t word = atomic_load_explicit(&self->claim, memory_order_relaxed);

	/* An interruption may have become known since wait_check: a home worker that looked while
	 * this fiber was not waiting found nothing to end. From here on it will. */
	if (CLAIM_STATUS(word) == CLAIM_WAITING) {
		deadline = scope_deadline(self);
		if (unlikely(scope_interrupted(self)) &&
		    end_before_parking(self, CLAIM_CANCELLED)) {
			settle(self);
			return -ECANCELED;
		}
	}
	if (unlikely(!w))
		return thread_park(self, until, deadline);
	return park_fiber(w, self, until, deadline);
}

/* ---- the home worker --------------------------------------------------------------------------*/
static void end_and_ready(struct worker *w, struct fiber *f, uint64_t word,
			  enum claim_status how)
{
	if (wait_end(f, CLAIM_TICKET(word), 0, how))
		worker_ready(w, f);
}

void wait_time_out(struct worker *w, struct fiber *f)
{
	uint64_t word = atomic_load_explicit(&f->claim, memory_order_relaxed);

	if (f->wake_at > w->now) { /* set for an earlier wait; this one ends later, or never */
		if (f->wake_at != OS_NEVER) /* there is room: it has just been taken out */
			must(timers_put(&w->timers, &f->timer, f->wake_at) == 0);
		return;
	}
	f->wake_at = OS_NEVER;
	switch (CLAIM_STATUS(word)) {
	case CLAIM_WAITING:
	case CLAIM_HARD:
		end_and_ready(w, f, word, CLAIM_TIMED_OUT);
		break;
	case CLAIM_IN_FLIGHT:
		flight_interrupt(w, f, CLAIM_TIMED_OUT);
		break;
	default: /* an event was faster; it is being woken */
		break;
	}
}

/* A request by cancel or unpark: ends the wait, if it is one that this ends. The claim is read
 * before home: a wait that began elsewhere was published with the new home, so if both say
 * "waiting" and "here", the fiber is parked here, and stays until somebody claims it. */
void wait_request(struct worker *w, struct fiber *f)
{
	uint64_t word = atomic_load_explicit(&f->claim, memory_order_acquire);
	uint64_t state;

	if (atomic_load_explicit(&f->home, memory_order_acquire) != w) {
		worker_post(f, POST_REQUEST);
		return;
	}
	if (CLAIM_STATUS(word) != CLAIM_WAITING && CLAIM_STATUS(word) != CLAIM_IN_FLIGHT)
		return; /* it sees the request itself, at its next check */
	state = atomic_load_explicit(&f->state, memory_order_acquire);
	if (atomic_load_explicit(&f->what, memory_order_relaxed) == WAIT_PARK &&
	    (state & STATE_PERMIT)) {
		end_and_ready(w, f, word, CLAIM_GRANTED);
		return;
	}
	if (!(state & STATE_CANCEL) || fiber_is_shielded(f))
		return;
	if (CLAIM_STATUS(word) == CLAIM_WAITING)
		end_and_ready(w, f, word, CLAIM_CANCELLED);
	else
		flight_interrupt(w, f, CLAIM_CANCELLED);
}

void wait_tell(struct fiber *f)
{
	struct worker *w = worker_self();

	if (w && atomic_load_explicit(&f->home, memory_order_relaxed) == w)
		wait_request(w, f);
	else
		worker_post(f, POST_REQUEST);
}

const char *wait_name(enum wait_what what)
{
	static const char *const name[WAIT_KINDS] = {
		[WAIT_NOTHING] = "", [WAIT_SLEEP] = "sleep", [WAIT_PARK] = "park",
		[WAIT_JOIN] = "join", [WAIT_GROUP] = "group", [WAIT_LIMIT] = "group limit",
		[WAIT_OFFLOAD] = "offload", [WAIT_READ] = "read", [WAIT_WRITE] = "write",
		[WAIT_ACCEPT] = "accept", [WAIT_CONNECT] = "connect", [WAIT_POLL] = "poll",
		[WAIT_MUTEX] = "mutex", [WAIT_COND] = "cond", [WAIT_RDLOCK] = "rdlock",
		[WAIT_WRLOCK] = "wrlock", [WAIT_SEM] = "sem", [WAIT_EVENT] = "event",
		[WAIT_BARRIER] = "barrier", [WAIT_WAITGROUP] = "waitgroup", [WAIT_ONCE] = "once",
		[WAIT_SEND] = "chan send", [WAIT_RECV] = "chan recv", [WAIT_SELECT] = "select",
		[WAIT_FUTURE] = "future", [WAIT_PROCESS] = "child", [WAIT_SIGNAL] = "signal",
		[WAIT_BLOCKING] = "blocking",
	};

	return what < WAIT_KINDS ? name[what] : "";
}
