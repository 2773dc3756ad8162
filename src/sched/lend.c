/* lend.c - fiber_blocking_begin and _end: a fiber goes on on a helper thread, and comes home.
 *
 * Begin. The fiber hands a job to the pool, whose `run` carries it, and leaves its worker as if it
 * parked. The helper waits until its registers are saved (`landed`, set by whoever lands after it,
 * as for a fiber that roams), claims the wait, and switches to the fiber's stack. If deadline or
 * cancellation claim first, because the pool was full, the fiber is woken at home, and the helper,
 * should it have got the job meanwhile, drops it. Either way the claim decides who runs the fiber.
 *
 * In between the helper has no worker: worker_self is NULL, so every call is one of a plain thread
 * and nothing of the fiber's that its home may look at - timer, wake_at, scope - is touched from
 * here. A deadline that passes finds no wait to end; a cancellation sets its bit. Both show at the
 * first call after the end.
 *
 * End. The fiber switches to the helper's own context; the helper's job ends, and it posts the
 * fiber to its home's inbox. Nobody else can end that "wait", so there is no claim in it.
 *
 * The exceptions that C++ is handling are a thread's, and move with the fiber. Sanitizers are told
 * of both switches. The stack check asks lend_fiber where there is no worker. */
#include "sched/lend.h"

#include <errno.h>
#include <stdlib.h>

#include "os/exceptions.h"
#include "os/os.h"
#include "sched/claim.h"
#include "sched/forked.h"
#include "sched/overflow.h"
#include "sched/scope.h"
#include "sched/switch.h"

struct ride {
	struct helpers_job job;        /* first: HELPERS_LEND */
	struct fiber *fiber;
	uint64_t ticket;               /* of the wait that the helper claims */
	bool reports;                  /* the runtime reports overflows */
	void *helper_sp;               /* the helper's own context, while it carries */
	struct cold helper;            /* its stack and sanitizer context */
};

static __thread struct ride *carried;
static __thread bool has_fault_stack;

/* Not inline: a fiber that asks may be on another thread than when it asked before. */
static NOINLINE struct ride *mine(void)
{
	__asm__ volatile("");
	return carried;
}

struct fiber *lend_fiber(void)
{
	struct ride *ride = mine();

	return ride ? ride->fiber : NULL;
}

/* ---- exceptions being handled -----------------------------------------------------------------*/
static struct exceptions take_exceptions(void)
{
	struct exceptions *here = exceptions_here();

	return here ? *here : (struct exceptions){ NULL, 0 };
}

static void put_exceptions(struct exceptions kept)
{
	struct exceptions *here = exceptions_here();

	if (here)
		*here = kept;
}

/* ---- the two switches that leave the fiber ----------------------------------------------------*/
/* Returns on whatever thread the fiber goes on. */
static NO_SANITIZE_THREAD void leave(struct fiber *me, struct cold *cold, void *sp,
				     uintptr_t message)
{
	void *fake = NULL, *own = switch_note(me);

	sanitize_leave(&fake, cold->stack_bottom, cold->stack_bytes);
	sanitize_switch(cold->sanitizer);
	message = arch_switch(&me->sp, sp, message);
	switch_note_back(me, own);
	sanitize_arrive(fake);
	if (message != SWITCH_NOTHING)
		switch_land(worker_self(), message);
}

static void leave_worker(struct worker *w, struct fiber *me)
{
	struct exceptions kept = take_exceptions();
	struct fiber *next;

	switch_tick(w);
	next = worker_pick(w);
	if (!next)
		next = &w->loop;
	if (next == me) { /* interrupted while looking; the helper's claim will fail */
		atomic_store_explicit(&me->landed, 1, memory_order_release);
		return;
	}
	if (switch_is_fresh(next))
		life_frame(w, next);
	worker_show(w, next);
	count_up(&w->switches);
	leave(me, fiber_cold(next), next->sp, (uintptr_t)me | SWITCH_LANDED);
	put_exceptions(kept);
}

static void leave_helper(struct ride *ride)
{
	struct exceptions kept = take_exceptions();

	leave(ride->fiber, &ride->helper, ride->helper_sp, SWITCH_NOTHING);
	put_exceptions(kept);
}

/* ---- on the helper ----------------------------------------------------------------------------*/
static void prepare(struct ride *ride)
{
	ride->helper.sanitizer = sanitize_current();
	worker_own_stack(&ride->helper);
	if (ride->reports && !has_fault_stack) {
		has_fault_stack = true;
		overflow_thread_enter();
	}
	carried = ride;
}

static NO_SANITIZE_THREAD void switch_to_it(struct ride *ride)
{
	struct cold *cold = fiber_cold(ride->fiber);
	void *fake = NULL;

	sanitize_leave(&fake, cold->stack_bottom, cold->stack_bytes);
	sanitize_switch(cold->sanitizer);
	arch_switch(&ride->helper_sp, ride->fiber->sp, SWITCH_NOTHING);
	sanitize_arrive(fake);
}

static int carry(void *argument)
{
	struct ride *ride = argument;
	struct exceptions kept;

	/* Acquire: pairs with whoever landed after it: its registers, and the ticket. A few
	 * instructions away, unless that worker was preempted. */
	for (unsigned n = 1; !atomic_load_explicit(&ride->fiber->landed, memory_order_acquire); n++)
		if (n % 128 == 0)
			os_yield();
		else
			os_pause();
	if (!wait_claim(ride->fiber, ride->ticket, 0))
		return -EINTR;
	kept = take_exceptions();
	prepare(ride);
	switch_to_it(ride);
	carried = NULL;
	put_exceptions(kept);
	return 0;
}

void lend_return(struct fiber *f)
{
	worker_post(f, POST_WAKE);
}

void lend_thread_ends(void)
{
	if (has_fault_stack)
		overflow_thread_leave();
	has_fault_stack = false;
}

void lend_forked(void)
{
	carried = NULL;
}

/* ---- the fiber --------------------------------------------------------------------------------*/
static void settle(struct fiber *self, enum wait_what what)
{
	claim_settle(self, atomic_load_explicit(&self->claim, memory_order_acquire));
	atomic_store_explicit(&self->what, (uint8_t)what, memory_order_relaxed);
}

/* Something is known already that ends the wait; nobody can have claimed it before we land. */
static int stay(struct fiber *self, struct ride *ride, int why)
{
	must(claim_end(self, ride->ticket, 0, CLAIM_GRANTED));
	settle(self, WAIT_NOTHING);
	self->wake_at = OS_NEVER;
	atomic_store_explicit(&self->landed, 1, memory_order_release);
	return why;
}

int lend_park(struct fiber *self, struct helpers_job *job)
{
	struct ride *ride = container_of(job, struct ride, job);
	struct worker *w = worker_self();
	int64_t deadline = scope_deadline(self);
	int why = 0;

	ride->ticket = CLAIM_TICKET(atomic_load_explicit(&self->claim, memory_order_relaxed));
	if (scope_interrupted(self))
		why = -ECANCELED;
	else if (deadline != OS_NEVER)
		why = wait_arm(w, self, deadline);
	if (why < 0)
		return stay(self, ride, why);
	if (!timer_set(&self->timer))
		fiber_change_flags(self, F_ARMED, 0);
	leave_worker(w, self);
	if (mine()) {
		settle(self, WAIT_BLOCKING);
		return 0;
	}
	self->wake_at = OS_NEVER;
	return wait_outcome(self, OS_NEVER, deadline);
}

static void come_home(struct ride *ride)
{
	struct fiber *self = ride->fiber;

	leave_helper(ride);
	/* What it was when the fiber left, if its deadline did not come meanwhile. */
	self->wake_at = OS_NEVER;
	atomic_store_explicit(&self->what, WAIT_NOTHING, memory_order_relaxed);
	free(ride);
}

struct worker *lend_home(void)
{
	struct ride *ride = mine();

	if (!ride)
		return NULL;
	come_home(ride);
	return worker_self();
}

PUBLIC int fiber_blocking_begin(void)
{
	struct worker *w = worker_self();
	struct ride *ride;
	int r;

	if (mine())
		return -EALREADY;
	if (!w)
		return runtime_forked() ? -ECHILD : 0;
	fiber_check(); /* looks at the clock: from here on nothing interrupts */
	r = wait_check();
	if (r < 0)
		return r;
	ride = calloc(1, sizeof *ride);
	if (!ride)
		return -ENOMEM;
	w = worker_self();
	ride->fiber = worker_current(w);
	ride->reports = !(w->runtime->options.flags & FIBER_NO_FAULT_REPORT);
	ride->job.run = carry;
	ride->job.argument = ride;
	ride->job.flags = HELPERS_LEND | HELPERS_PROGRAM | HELPERS_UNBEGUN;
	r = helpers_call(&ride->job);
	/* Nobody looks at it any more; for a fiber that roams it must not say "parked". */
	atomic_store_explicit(&ride->fiber->landed, 0, memory_order_relaxed);
	if (r < 0)
		free(ride);
	return r;
}

PUBLIC int fiber_blocking_end(void)
{
	struct ride *ride = mine();

	if (!ride)
		return worker_self() ? -EINVAL : runtime_forked() ? -ECHILD : 0;
	come_home(ride);
	return 0;
}
