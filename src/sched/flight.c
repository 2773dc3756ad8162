/* flight.c - a fiber and its operation in a poller.
 *
 * While the operation is in flight the claim word says IN_FLIGHT: deadline and cancellation only
 * ask the poller to give it back (flight_interrupt, by the home worker, which is the thread that
 * submitted), and the operation's return is the only claimant. So "100 bytes read" and "timed out"
 * can never both happen. IO_POLL operations of a select move no bytes: there the word stays
 * WAITING, and a return claims like any granter. */
#include <errno.h>

#include "sched/claim.h"
#include "sched/scope.h"
#include "sched/switch.h"

/* An operation that is back, in whatever way: its fiber goes on. */
static void land_flight(struct fiber *f, enum claim_status how)
{
	uint64_t word = atomic_load_explicit(&f->claim, memory_order_relaxed);

	must(CLAIM_STATUS(word) == CLAIM_IN_FLIGHT);
	/* Release: the result; pairs with the acquire in wait_outcome. */
	atomic_store_explicit(&f->claim, CLAIM_WORD(CLAIM_TICKET(word), 0, how),
			      memory_order_release);
}

static void tell_owner(struct poller_op *op)
{
	struct fiber *f = op->owner;
	bool claimed = true;

	if (op->ticket) {
		claimed = wait_claim(f, op->ticket, op->index);
		/* Release: pairs with the acquire in wait_retrieve. Its last touch. */
		atomic_store_explicit(&op->back, 1, memory_order_release);
	} else {
		land_flight(f, CLAIM_GRANTED);
	}
	if (claimed)
		wait_wake(f);
}

void wait_ops_back(struct list *back)
{
	struct list *node;

	while ((node = list_pop(back)))
		tell_owner(container_of(node, struct poller_op, link));
}

void flight_interrupt(struct worker *w, struct fiber *f, enum claim_status how)
{
	struct poller_op *op = (struct poller_op *)atomic_load_explicit(&f->object,
									memory_order_relaxed);

	if (!w->ops->cancel(w->poller, op))
		return; /* it comes back by itself */
	land_flight(f, op->result == -ECANCELED ? how : CLAIM_GRANTED);
	worker_ready(w, f);
}

/* Whoever is to go on beside this operation, because it was handed the readiness, goes first. */
int flight_submit(struct worker *w, struct poller_op *op)
{
	struct list back;
	int r;

	list_init(&back);
	r = w->ops->submit(w->poller, op, &back);
	if (unlikely(!list_empty(&back)))
		wait_ops_back(&back);
	return r;
}

/* Parks until the operation is back. 0: op->result tells; else the interruption. */
static int park_in_flight(struct worker *w, struct fiber *self, struct poller_op *op, int64_t until)
{
	int64_t deadline = scope_deadline(self);
	int64_t limit = until < deadline ? until : deadline;
	int why = 0;

	if (unlikely(scope_interrupted(self)))
		why = -ECANCELED;
	else if (limit != OS_NEVER)
		why = wait_arm(w, self, limit);
	if (unlikely(why < 0) && w->ops->cancel(w->poller, op)) {
		wait_abandon(self);
		self->wake_at = OS_NEVER;
		return op->result == -ECANCELED ? why : 0;
	}
	count_up(&w->flight_begun);
	w = switch_park(w, self);
	count_up(&w->flight_over);
	self->wake_at = OS_NEVER;
	return wait_outcome(self, until, deadline);
}

/* The poller could not give it back at once when it was asked to (flight_interrupt), but later. */
static COLD ssize_t interrupted_late(struct fiber *self, int64_t until)
{
	int64_t now = os_now();

	if (until <= scope_deadline(self) && until <= now)
		return -ETIMEDOUT;
	scope_look(self, now);
	return -ECANCELED;
}

ssize_t wait_op(struct poller_op *op, enum wait_what what, int64_t until)
{
	struct worker *w = worker_self();
	struct fiber *self = worker_current(w);
	int r;

	op->owner = self;
	op->ticket = 0;
	op->again = false;
	for (;;) {
		claim_begin(self, w, what, op, (unsigned)op->fd & 0xfffff, CLAIM_IN_FLIGHT);
		r = flight_submit(w, op);
		if (r != POLLER_IN_FLIGHT)
			break;
		r = park_in_flight(w, self, op, until);
		if (r < 0)
			return r;
		if (op->result != POLLER_RETRY)
			return likely(op->result != -ECANCELED) ? op->result
								: interrupted_late(self, until);
		w = worker_self();
	}
	wait_abandon(self);
	wait_done();
	return r == POLLER_DONE ? op->result : -EINPROGRESS;
}

bool wait_performs_files(void)
{
	return worker_self()->ops->files;
}

int wait_submit(struct poller_op *op)
{
	struct worker *w = worker_self();
	int r;

	op->again = false;
	atomic_store_explicit(&op->back, 0, memory_order_relaxed);
	r = flight_submit(w, op);
	count_up(&w->flight_begun);
	if (r != POLLER_IN_FLIGHT)
		atomic_store_explicit(&op->back, 1, memory_order_relaxed);
	return r;
}

void wait_retrieve(struct poller_op *op)
{
	struct worker *w = worker_self();

	count_up(&w->flight_over);
	/* Acquire: pairs with the release in tell_owner. */
	if (atomic_load_explicit(&op->back, memory_order_acquire) ||
	    w->ops->cancel(w->poller, op))
		return;
	/* Some worker has it in its hands, and is about to find that its claim comes too late. */
	while (!atomic_load_explicit(&op->back, memory_order_acquire)) {
		worker_look(w);
		w = switch_yield(w);
	}
}
