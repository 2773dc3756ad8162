/* switch.c - from one fiber to the next, what the one who lands finishes for its predecessor, and a
 * fiber's first and last moments.
 *
 * A fiber that parks goes straight to the next runnable one; only when there is none does the
 * worker's own context (loop, on the thread's own stack) run. All switches go through one call of
 * arch_switch (and one of the bare form), reached by call and left by ret: the return predictor decides
 * what a switch costs, and a second site would make every other return mispredict.
 *
 * The message says what could not be done while still on the predecessor's stack:
 *	NOTHING  it parked and has one thread, or it yielded and is in a queue of this thread only
 *	LANDED   a roaming fiber parked: from now on others may run it
 *	YIELDED  a roaming fiber yielded: queue it where others may take it
 *	DEAD     a fiber ended: its stack goes to the cache */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch.h"
#include "os/sanitize.h"
#include "sched/worker.h"

enum { NOTHING, LANDED, YIELDED, DEAD, MESSAGE_MASK = 7 };

static struct cold *cold_of_stack(struct stack *s)
{
	return (struct cold *)(((uintptr_t)stack_top(s) - sizeof(struct cold)) & ~(uintptr_t)15);
}

static void land(struct worker *w, uintptr_t message)
{
	struct fiber *f = (struct fiber *)(message & ~(uintptr_t)MESSAGE_MASK);
	struct stack *s = (struct stack *)(message & ~(uintptr_t)MESSAGE_MASK);

	switch (message & MESSAGE_MASK) {
	case LANDED: /* release: pairs with the acquire of wait_wake */
		atomic_store_explicit(&f->landed, 1, memory_order_release);
		break;
	case YIELDED:
		worker_ready(w, f);
		break;
	case DEAD:
		sanitize_destroy(cold_of_stack(s)->sanitizer);
		s->owner = NULL;
		stack_put(&w->stacks, s);
		break;
	}
}

static inline bool both_bare(const struct fiber *a, const struct fiber *b)
{
	return a->flags & b->flags & F_NO_FPU;
}

/* Returns when somebody switches back, with the worker that did. */
static NOINLINE NO_SANITIZE_THREAD struct worker *switch_to(struct worker *w, struct fiber *me,
							    struct fiber *to, uintptr_t message)
{
	struct exceptions kept = { NULL, 0 };
	void *fake = NULL;

	worker_show(w, to);
	count_up(&w->switches);
	if (unlikely(w->exceptions != NULL))
		kept = *w->exceptions;
	sanitize_leave(&fake, fiber_cold(to)->stack_bottom, fiber_cold(to)->stack_bytes);
	sanitize_switch(fiber_cold(to)->sanitizer);
	if (both_bare(me, to))
		message = arch_switch_bare(&me->sp, to->sp, message, w->control_words);
	else
		message = arch_switch(&me->sp, to->sp, message);
	sanitize_arrive(fake);
	if (unlikely(me->flags & F_ROAM))
		w = worker_self();
	if (unlikely(w->exceptions != NULL))
		*w->exceptions = kept;
	if (unlikely(message != NOTHING))
		land(w, message);
	return w;
}

static struct fiber *successor(struct worker *w)
{
	struct fiber *f = worker_pick(w);

	return f ? f : &w->loop;
}

void switch_park(struct worker *w)
{
	struct fiber *me = w->current, *next;
	uintptr_t message = NOTHING;

	if (unlikely(++w->ticks % TICKS_PER_LOOK == 0))
		worker_look(w);
	next = successor(w);
	if (next == me)
		return; /* woken while looking */
	if (unlikely(me->flags & F_ROAM)) {
		message = (uintptr_t)me | LANDED;
		switch_to(w, me, next, message);
		/* A waker that finds landed still set would take a running fiber. It reads the word
		 * after a guard or claim of our next wait, which comes after this store. */
		atomic_store_explicit(&me->landed, 0, memory_order_relaxed);
		return;
	}
	switch_to(w, me, next, message);
}

void switch_yield(struct worker *w)
{
	struct fiber *me = w->current, *next;

	if (unlikely(++w->ticks % TICKS_PER_LOOK == 0))
		worker_look(w);
	next = worker_pick(w);
	if (!next)
		return;
	if (unlikely(fiber_may_move(me))) {
		switch_to(w, me, next, (uintptr_t)me | YIELDED);
		return;
	}
	queue_push(&w->ready, me);
	switch_to(w, me, next, NOTHING);
}

void switch_run(struct worker *w, struct fiber *f)
{
	switch_to(w, &w->loop, f, NOTHING);
}

NO_SANITIZE_THREAD _Noreturn void switch_leave(struct worker *w, struct fiber *next,
					       struct stack *dead)
{
	if (!next) {
		if (unlikely(++w->ticks % TICKS_PER_LOOK == 0))
			worker_look(w);
		next = successor(w);
	}
	worker_show(w, next);
	count_up(&w->switches);
	sanitize_leave(NULL, fiber_cold(next)->stack_bottom, fiber_cold(next)->stack_bytes);
	sanitize_switch(fiber_cold(next)->sanitizer);
	arch_switch(&w->discarded_sp, next->sp, (uintptr_t)dead | DEAD);
	unreachable();
}

/* ---- the first moment --------------------------------------------------------------------------*/
static void fiber_main(uintptr_t message)
{
	struct worker *w = worker_self();
	struct fiber *me = w->current;
	struct cold *cold = fiber_cold(me);
	int result;

	sanitize_arrive(NULL);
	if (unlikely(w->exceptions != NULL))
		*w->exceptions = (struct exceptions){ NULL, 0 };
	if (message != NOTHING)
		land(w, message);
	result = cold->function(cold->argument);
	w = worker_self();
	if (unlikely(!w)) /* it forked, and this is the child: there is nobody to go on to */
		_exit(result < 0 ? 1 : result & 0xff);
	fiber_finish(w, me, result);
}

/* The argument's copy stands above the first frame; returns where the frame may begin. */
static void *copy_argument(struct cold *cold, const struct extra *extra)
{
	char *copy = (char *)cold - ((extra->copy_bytes + 15) & ~(size_t)15);

	memcpy(copy, extra->copy, extra->copy_bytes);
	cold->argument = copy;
	return copy;
}

static int first_stack(struct worker *w, struct extra *extra, struct stack **out)
{
	if (likely(!extra))
		return stack_get(&w->stacks, 0, out);
	if (extra->stack) {
		*out = extra->stack;
		return 0;
	}
	return stack_get(&w->stacks, extra->stack_bytes + extra->copy_bytes, out);
}

int switch_start(struct worker *w, struct fiber *f)
{
	struct extra *extra = f->extra;
	struct stack *s;
	struct cold *cold;
	void *top;
	int r = first_stack(w, extra, &s);

	if (unlikely(r < 0))
		return r;
	top = cold = cold_of_stack(s);
	cold->stack = s;
	cold->spawned_at = f->spawned_at;
	cold->function = f->function;
	cold->argument = f->argument;
	cold->locals = NULL;
	cold->member = NULL;
	cold->stack_bottom = s->bottom;
	cold->stack_bytes = s->bytes;
	cold->sanitizer = sanitize_create();
	atomic_store_explicit(&cold->name[0], 0, memory_order_relaxed);
	atomic_store_explicit(&cold->name[1], 0, memory_order_relaxed);
	if (unlikely(extra != NULL)) {
		atomic_store_explicit(&cold->name[0], extra->name[0], memory_order_relaxed);
		atomic_store_explicit(&cold->name[1], extra->name[1], memory_order_relaxed);
		cold->member = extra->member;
		if (extra->copy_bytes)
			top = copy_argument(cold, extra);
		free(extra);
	}
	s->owner = f;
	f->scope = NULL;
	f->wake_at = OS_NEVER;
	atomic_store_explicit(&f->deadline, OS_NEVER, memory_order_relaxed);
	atomic_store_explicit(&f->landed, 0, memory_order_relaxed);
	atomic_store_explicit(&f->cold, cold, memory_order_relaxed);
	atomic_store_explicit(&f->home, w, memory_order_relaxed);
	f->flags |= F_STARTED;
	f->sp = arch_frame(top, fiber_main, w->control_words);
	/* Release: home and cold; see "request" in fiber.h. */
	atomic_or64(&f->state, STATE_STARTED);
	return 0;
}
