/* dormant.c - fibers without a stack, which a descriptor wakes.
 *
 * A dormant fiber is an unstarted one (not F_STARTED) with an operation in a poller, IO_POLL, that
 * lies on the heap: 128 bytes beside its control block. Its claim word says IN_FLIGHT, as of a
 * fiber that is parked in a read, so event, deadline, cancellation and close find it by the
 * protocols that they follow anyway (flight.c), and exactly one of them decides. Who wakes it puts
 * it into a run queue; it gets a stack when it is picked, like everybody who never ran.
 *
 * An unstarted fiber is not stolen once it is dormant: it is in no deque, and its home's poller has
 * its operation. One that roams may be taken when it is awake.
 *
 * Invariants. F_DORMANT: `object` is its operation, whose `buffer` and `bytes`, which IO_POLL does
 * not use, hold function and argument; `wake_at` holds, and not `argument`; the union of `cold`
 * holds anything. Until it has begun to wait, the operation's `result` is the time it waits
 * until. */
#include "sched/dormant.h"

#include <errno.h>
#include <stdlib.h>

#include <fiber/ready.h>

#include "sched/claim.h"
#include "sched/overflow.h"
#include "sched/scope.h"

/* ---- lying down -------------------------------------------------------------------------------*/
static bool events_make_sense(short events)
{
	return events && !(events & ~(POLLIN | POLLOUT | POLLPRI));
}

static struct poller_op *op_create(fiber_fd fd, short events, fiber_fn *fn, void *arg, int64_t when)
{
	struct poller_op *op = calloc(1, sizeof *op);

	if (!op)
		return NULL;
	op->kind = IO_POLL;
	op->fd = fd;
	op->events = events;
	op->buffer = (void *)fn;
	op->bytes = (size_t)arg;
	op->result = when;
	return op;
}

/* Why it need not wait at all: its result; 0: nothing known. */
static int known(const struct fiber *f, const struct poller_op *op)
{
	if (atomic_load_explicit(&f->state, memory_order_acquire) & STATE_CANCEL)
		return -ECANCELED;
	return events_make_sense(op->events) ? 0 : -EINVAL;
}

/* Submitted: it waits, unless there is no memory for its alarm. */
static bool set_alarm(struct worker *w, struct fiber *f, struct poller_op *op, int64_t when)
{
	if (when == OS_NEVER || wait_arm(w, f, when) == 0)
		return true;
	f->wake_at = OS_NEVER;
	if (!w->ops->cancel(w->poller, op))
		return true; /* it is on its way back, without an alarm */
	if (op->result == -ECANCELED)
		op->result = -ENOMEM;
	return false;
}

bool dormant_begin(struct worker *w, struct fiber *f)
{
	struct poller_op *op = (struct poller_op *)atomic_load_explicit(&f->object,
									memory_order_relaxed);
	int64_t when = op->result;
	int r = known(f, op);

	f->wake_at = OS_NEVER;
	op->owner = f;
	op->result = r;
	if (r < 0)
		return false;
	claim_begin(f, w, WAIT_POLL, op, (unsigned)op->fd & 0xfffff, CLAIM_IN_FLIGHT);
	r = flight_submit(w, op);
	if (r == POLLER_IN_FLIGHT && set_alarm(w, f, op, when)) {
		count_up(&w->flight_begun);
		return true;
	}
	if (r == POLLER_WOULD_BLOCK) /* a file that is always ready */
		op->result = op->events;
	claim_settle(f, atomic_load_explicit(&f->claim, memory_order_relaxed));
	return false;
}

/* ---- getting up -------------------------------------------------------------------------------*/
static int outcome(struct fiber *f, const struct poller_op *op)
{
	/* Acquire: the result; pairs with the release in land_flight. */
	uint64_t word = atomic_load_explicit(&f->claim, memory_order_acquire);

	if (CLAIM_STATUS(word) == CLAIM_IDLE)
		return (int)op->result;
	claim_settle(f, word);
	count_up(&worker_self()->flight_over);
	switch (CLAIM_STATUS(word)) {
	case CLAIM_GRANTED:
		return (int)op->result;
	case CLAIM_CANCELLED:
		return -ECANCELED;
	case CLAIM_TIMED_OUT:
		return -ETIMEDOUT;
	default:
		unreachable();
	}
}

void dormant_end(struct fiber *f, struct cold *cold)
{
	struct poller_op *op = (struct poller_op *)atomic_load_explicit(&f->object,
									memory_order_relaxed);

	cold->woken = outcome(f, op);
	cold->function = (fiber_fn *)op->buffer;
	cold->argument = (void *)op->bytes;
	f->flags = (f->flags & ~(uint32_t)F_DORMANT) | F_WAS_DORMANT;
	free(op);
}

void dormant_drop(struct fiber *f)
{
	struct cold dropped;

	dormant_end(f, &dropped);
}

/* ---- the interface ----------------------------------------------------------------------------*/
static int spawn(fiber_t *out, const fiber_attr_t *attr, struct poller_op *op,
		 const void *spawned_at)
{
	struct worker *w = worker_self();
	struct fiber *f;
	int r = spawn_prepare(&f, attr, (fiber_fn *)op->buffer, (void *)op->bytes, NULL,
			      spawned_at);

	if (r < 0)
		return r;
	atomic_store_explicit(&f->object, op, memory_order_relaxed);
	f->flags |= F_DORMANT;
	if (out)
		*out = fiber_handle(f);
	else
		join_detach_unborn(f);
	if (atomic_load_explicit(&f->home, memory_order_relaxed) != w) {
		spawn_launch(f);
		return 0;
	}
	count_up(&w->spawned);
	if (!dormant_begin(w, f))
		queue_push(&w->ready, f);
	return 0;
}

static int spawn_ready(fiber_t *out, const fiber_attr_t *attr, struct poller_op *op,
		       const void *spawned_at)
{
	int r;

	if (!op)
		return -ENOMEM;
	r = events_make_sense(op->events) ? spawn(out, attr, op, spawned_at) : -EINVAL;
	if (r < 0)
		free(op);
	return r;
}

PUBLIC int fiber_spawn_ready(fiber_t *out, const fiber_attr_t *attr, fiber_fd fd, short events,
			     fiber_fn *fn, void *arg)
{
	return spawn_ready(out, attr, op_create(fd, events, fn, arg, FIBER_NEVER),
			   __builtin_return_address(0));
}

PUBLIC int fiber_spawn_ready_until(fiber_t *out, const fiber_attr_t *attr, fiber_fd fd,
				   short events, fiber_fn *fn, void *arg, int64_t when)
{
	return spawn_ready(out, attr, op_create(fd, events, fn, arg, when),
			   __builtin_return_address(0));
}

/* What the next stack's `cold` is to know of this one. NULL: nothing out of the ordinary; or there
 * is no memory (*r). */
static struct extra *keep(const struct cold *cold, int *r)
{
	const struct stack *s = cold_stack((struct cold *)cold);
	struct extra *e;

	*r = 0;
	if (!cold->member && !cold->locals && !s->odd &&
	    !atomic_load_explicit(&cold->name[0], memory_order_relaxed))
		return NULL;
	e = calloc(1, sizeof *e);
	if (!e) {
		*r = -ENOMEM;
		return NULL;
	}
	e->stack_bytes = s->odd ? s->bytes : 0;
	e->member = cold->member;
	e->locals = cold->locals;
	for (int i = 0; i < 2; i++)
		e->name[i] = atomic_load_explicit(&cold->name[i], memory_order_relaxed);
	return e;
}

/* Without memory for the other way it waits on its stack, and goes on there. */
static COLD _Noreturn void stay(struct fiber *me, struct poller_op *op, fiber_fn *fn, void *arg,
				int64_t when)
{
	ssize_t r = events_make_sense(op->events) ? wait_check() : -EINVAL;

	if (r == 0)
		r = wait_op(op, WAIT_POLL, when);
	fiber_cold(me)->woken = r == -EINPROGRESS ? op->events : (int)r;
	me->flags |= F_WAS_DORMANT;
	fiber_exit(fn(arg));
}

/* From here on it has not begun, for whoever looks from outside, and its stack is given up. */
static _Noreturn void become(struct worker *w, struct fiber *me, struct poller_op *op,
			     struct extra *extra)
{
	struct cold *cold = fiber_cold(me);
	struct stack *stack = cold_stack(cold);

	/* Release: pairs with fiber_has_begun. Who saw it before finds memory that stays. */
	atomic_store_explicit(&me->begun, 0, memory_order_release);
	me->flags = (me->flags & ~(uint32_t)(F_STARTED | F_EXPIRED)) | F_DORMANT;
	atomic_store_explicit(&me->spawned_at,
			      atomic_load_explicit(&cold->spawned_at, memory_order_relaxed),
			      memory_order_relaxed);
	me->extra = extra;
	atomic_store_explicit(&me->object, op, memory_order_relaxed);
	if (!dormant_begin(w, me))
		worker_ready(w, me);
	life_leave(w, stack);
}

PUBLIC _Noreturn void fiber_become_ready_until(fiber_fd fd, short events, fiber_fn *fn, void *arg,
					       int64_t when)
{
	struct worker *w = worker_self();
	struct poller_op *op, here = { .kind = IO_POLL, .fd = fd, .events = events };
	struct extra *extra;
	struct fiber *me;
	int r;

	must(w != NULL); /* fiber_become_ready outside of a fiber */
	must(fn != NULL);
	me = worker_current(w);
	must(me->scope == NULL);                                   /* a scope is open */
	must(overflow_stack() == cold_stack(fiber_cold(me)));      /* inside a generator */
	op = op_create(fd, events, fn, arg, when);
	extra = keep(fiber_cold(me), &r);
	if (op && r == 0)
		become(w, me, op, extra);
	free(op);
	free(extra);
	stay(me, &here, fn, arg, when);
}

PUBLIC _Noreturn void fiber_become_ready(fiber_fd fd, short events, fiber_fn *fn, void *arg)
{
	fiber_become_ready_until(fd, events, fn, arg, FIBER_NEVER);
}

PUBLIC int fiber_became_ready(void)
{
	struct worker *w = worker_self();
	struct fiber *me = w ? worker_current(w) : NULL;

	return me && me->flags & F_WAS_DORMANT ? fiber_cold(me)->woken : 0;
}
