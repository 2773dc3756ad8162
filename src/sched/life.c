/* life.c - a fiber's first and last moments: its stack and first frame, its function, the
 * publishing of its result (protocol "join" of fiber.h), and the switch from which it does not come
 * back. */
#include <stdlib.h>
#include <string.h>

#include "seat.h"
#include "sched/claim.h"
#include "sched/dormant.h"
#include "sched/forked.h"
#include "sched/lend.h"
#include "sched/local.h"
#include "sched/switch.h"

static inline struct cold *cold_of_stack(struct stack *s)
{
	return (struct cold *)(((uintptr_t)stack_top(s) - sizeof(struct cold)) & ~(uintptr_t)15);
}

void life_bury(struct worker *w, struct stack *s)
{
#if defined(FB_TSAN)
	sanitize_destroy(cold_of_stack(s)->sanitizer);
#endif
	s->owner = NULL;
	stack_put(&w->stacks, s);
}

/* ---- the end ----------------------------------------------------------------------------------*/
INLINE struct fiber *wake_joiner(struct worker *w, uint64_t word)
{
	struct fiber *joiner = fiber_at(JOIN_LOW(word));

	if (unlikely(!claim_end(joiner, word >> 24, WAIT_JOINED, CLAIM_GRANTED)))
		return NULL; /* interrupted; it finds TAKEN */
	/* Home first: another worker's fiber may still be writing its flags on its way to the
	 * park. */
	if (likely(atomic_load_explicit(&joiner->home, memory_order_relaxed) == w) &&
	    likely(!fiber_roams(joiner)))
		return joiner;
	wait_wake(joiner);
	return NULL;
}

/* Makes room for another one. Before anybody can learn of the end: who awaited it may spawn. */
INLINE void count_out(struct runtime *rt)
{
	if (unlikely(rt->options.fibers_max != 0))
		atomic_fetch_sub_explicit(&rt->alive, 1, memory_order_relaxed);
}

/* The common case: a fiber that only joins, parked on this very thread. Nobody else can end its
 * wait or change who joins - deadline, cancellation and withdrawal are its home's, that is ours -
 * so stores do. False: not such a one. */
INLINE bool hand_over_here(struct worker *w, struct fiber *f, struct fiber *joiner, uint64_t word,
			   uint64_t taken)
{
	uint64_t claim;

	if (atomic_load_explicit(&joiner->home, memory_order_relaxed) != w ||
	    fiber_roams(joiner) ||
	    atomic_load_explicit(&joiner->what, memory_order_relaxed) != WAIT_JOIN)
		return false;
	claim = atomic_load_explicit(&joiner->claim, memory_order_relaxed);
	if (unlikely(CLAIM_TICKET(claim) != word >> 24 || CLAIM_STATUS(claim) != CLAIM_WAITING))
		return false;
	/* Release: pairs with whoever finds the handle taken. */
	atomic_store_explicit(&f->join, taken, memory_order_release);
	atomic_store_explicit(&joiner->claim,
			      CLAIM_WORD(word >> 24, WAIT_JOINED, CLAIM_GRANTED),
			      memory_order_relaxed);
	return true;
}

/* Publishes the result. A joiner that this worker should run next, or NULL. The block may be
 * somebody else's afterwards. */
INLINE struct fiber *publish(struct worker *w, struct fiber *f, int result)
{
	uint64_t state = atomic_load_explicit(&f->state, memory_order_relaxed);
	uint64_t generation = STATE_GENERATION(state);
	uint64_t word = atomic_load_explicit(&f->join, memory_order_relaxed), mine;

	f->result = result;
	count_up(&w->ended);
	for (;;) {
		uint32_t low = JOIN_LOW(word);

		if (likely(low >= JOIN_CODES)) {
			struct fiber *joiner = fiber_at(low);

			mine = JOIN_WORD(generation, JOIN_TAKEN);
			if (likely(hand_over_here(w, f, joiner, word, mine)))
				return joiner;
			if (likely(atomic_cas64(&f->join, &word, mine)))
				return wake_joiner(w, word);
		} else if (low == JOIN_NONE) {
			if (atomic_cas64(&f->join, &word, JOIN_WORD(generation, JOIN_DONE)))
				return NULL;
		} else {
			must(low == JOIN_DETACHED);
			fiber_block_put(&w->blocks, f);
			return NULL;
		}
	}
}

INLINE struct fiber *successor(struct worker *w, struct fiber *joiner)
{
	struct fiber *next = joiner;

	if (likely(next != NULL))
		return next;
	switch_tick(w);
	next = worker_pick(w);
	return next ? next : &w->loop;
}

/* The common case of trees: nobody waits for it yet, and an unstarted fiber is next. What publishes
 * the end is the barrier of the pop as well. NULL: not so, and nothing happened. */
INLINE struct fiber *publish_and_pick(struct worker *w, struct fiber *f, int result)
{
	uint64_t word = atomic_load_explicit(&f->join, memory_order_relaxed);
	struct fiber *next;
	int64_t bottom;

	if (JOIN_LOW(word) != JOIN_NONE || !switch_unstarted_is_next(w, f) ||
	    !deque_pop_begin(&w->unstarted, &bottom))
		return NULL;
	f->result = result;
	if (unlikely(!atomic_cas64_barrier(&f->join, &word,
					   JOIN_WORD(word >> 24, JOIN_DONE)))) {
		deque_pop_undo(&w->unstarted, bottom);
		return NULL;
	}
	count_up(&w->ended);
	next = switch_pick_unstarted(w, bottom);
	return next ? next : &w->loop;
}

/* Where the worker goes on when this fiber is no more. */
INLINE NO_SANITIZE_THREAD struct arch_next leave(struct worker *w, struct fiber *next,
						 struct stack *dead)
{
	struct arch_next where = { next->sp, (uintptr_t)dead | SWITCH_DEAD };

	worker_show(w, next);
	count_up(&w->switches);
#if defined(FB_ASAN)
	sanitize_leave(NULL, fiber_cold(next)->stack_bottom, fiber_cold(next)->stack_bytes);
#endif
#if defined(FB_TSAN)
	sanitize_switch(fiber_cold(next)->sanitizer);
#endif
#if !SWITCH_STARTS /* a sanitizer has been told that we are gone: not even a return is left */
	arch_leave(where.context, where.message);
#endif
	return where;
}

INLINE struct arch_next finish(struct worker *w, struct fiber *f, int result)
{
	struct cold *cold = fiber_cold(f);
	struct stack *stack = cold_stack(cold);
	struct fiber *next;

	if (unlikely(cold->locals != NULL)) {
		locals_destroy(cold); /* may park */
		w = worker_self();
	}
	count_out(w->runtime);
	if (unlikely(cold->member != NULL))
		group_left(cold->member, result);
	if (unlikely(f->flags & F_MAIN))
		runtime_main_ended(w->runtime, result);
	if (unlikely(timer_set(&f->timer)))
		timers_remove(&w->timers, &f->timer);
	next = publish_and_pick(w, f, result);
	if (!next)
		next = successor(w, publish(w, f, result));
	return leave(w, next, stack);
}

static _Noreturn void go_on(struct arch_next where);

_Noreturn void life_leave(struct worker *w, struct stack *stack)
{
	go_on(leave(w, successor(w, NULL), stack));
}

PUBLIC void fiber_exit(int result)
{
	struct worker *w = worker_self();

	if (unlikely(!w))
		w = lend_home();
	if (unlikely(!w) && forked_was_fiber())
		forked_exit(result);
	must(w != NULL); /* a plain thread has no fiber to end */
	go_on(finish(w, worker_current(w), result));
}

COLD void life_end_unrun(struct worker *w, struct fiber *f, int why)
{
	struct extra *extra = f->extra;
	struct fiber *joiner;

	runtime_be_careful(w->runtime, true);
	if (f->flags & F_DORMANT)
		dormant_drop(f);
	count_out(w->runtime);
	if (extra && extra->member)
		group_left(extra->member, why);
	if (extra)
		free(extra->locals); /* a destructor needs a stack */
	free(extra);
	if (f->flags & F_MAIN)
		runtime_main_ended(w->runtime, why);
	joiner = publish(w, f, why);
	if (joiner)
		queue_push(&w->ready, joiner);
}

/* ---- the beginning ----------------------------------------------------------------------------*/
struct arch_next life_run(uintptr_t message)
{
	struct worker *w = worker_here();
	struct fiber *me = worker_current(w);
	struct cold *cold = fiber_cold(me);
	int result;

	sanitize_arrive(NULL);
	if (unlikely(w->exceptions != NULL))
		*w->exceptions = (struct exceptions){ NULL, 0 };
	if (unlikely(message != SWITCH_NOTHING))
		switch_land(w, message);
	result = cold->function(cold->argument);
	w = worker_self();
	if (unlikely(!w))
		w = lend_home();
	if (unlikely(!w)) /* it forked, and this is the child: there is nobody to go on to */
		forked_exit(result);
	return finish(w, me, result);
}

/* The same in a context that was laid out as a frame, for switches that only know those. */
static void run_framed(uintptr_t message)
{
	go_on(life_run(message));
}

void life_frame(struct worker *w, struct fiber *f)
{
	f->sp = arch_frame(switch_fresh_top(f), run_framed, w->control_words);
}

/* Not by returning from life_run; then a fiber that never ran needs a frame. */
static _Noreturn void go_on(struct arch_next where)
{
	struct worker *w = worker_self();
	struct fiber *next = worker_current(w);
	struct stack *dead = (struct stack *)(where.message & ~(uintptr_t)SWITCH_MASK);

	dead->inner = NULL; /* fiber_exit in a generator */
	if (switch_is_fresh(next))
		life_frame(w, next);
	arch_leave(next->sp, where.message);
}

static char *argument_place(struct stack *s, const struct extra *extra)
{
	return (char *)cold_of_stack(s) - ((extra->copy_bytes + 15) & ~(size_t)15);
}

/* The argument's copy stands above the first frame; returns where the frame may begin. */
static void *copy_argument(struct stack *s, struct cold *cold, const struct extra *extra)
{
	char *copy = argument_place(s, extra);

	memcpy(copy, extra->copy, extra->copy_bytes);
	cold->argument = copy;
	return copy;
}

static COLD int extra_stack(struct worker *w, const struct extra *extra, struct stack **out)
{
	int r = 0;

	*out = extra->stack;
	if (!*out)
		r = stack_get(&w->stacks, extra->stack_bytes, out);
	if (r < 0)
		return r;
	r = seat_reach(*out, argument_place(*out, extra) - SEAT_ROOM);
	if (r < 0 && !extra->stack)
		stack_put(&w->stacks, *out);
	return r;
}

static int first_stack(struct worker *w, const struct extra *extra, struct stack **out)
{
	if (likely(!extra))
		return stack_get(&w->stacks, 0, out);
	return extra_stack(w, extra, out);
}

/* What attributes asked for; returns where the first frame may begin. */
static COLD void *take_extra(struct fiber *f, struct stack *s, struct cold *cold)
{
	struct extra *extra = f->extra;
	void *top = cold;

	atomic_store_explicit(&cold->name[0], extra->name[0], memory_order_relaxed);
	atomic_store_explicit(&cold->name[1], extra->name[1], memory_order_relaxed);
	cold->member = extra->member;
	cold->locals = extra->locals;
	if (extra->copy_bytes)
		top = copy_argument(s, cold, extra);
	free(extra);
	f->scope = NULL;
	return top;
}

int life_begin(struct worker *w, struct fiber *f)
{
	struct stack *s;
	struct cold *cold;
	void *top;
	int r = first_stack(w, f->extra, &s);

	if (unlikely(r < 0))
		return r;
	top = cold = cold_of_stack(s);
	s->owner = f;
	atomic_store_explicit(&cold->stack, s, memory_order_relaxed);
	atomic_store_explicit(&cold->spawned_at,
			      atomic_load_explicit(&f->spawned_at, memory_order_relaxed),
			      memory_order_relaxed);
	cold->function = atomic_load_explicit(&f->function, memory_order_relaxed);
	cold->argument = f->argument;
	cold->locals = NULL;
	cold->member = NULL;
	atomic_store_explicit(&cold->name[0], 0, memory_order_relaxed);
	atomic_store_explicit(&cold->name[1], 0, memory_order_relaxed);
#if defined(FB_ASAN) || defined(FB_TSAN)
	cold->stack_bottom = s->bottom;
	cold->stack_bytes = s->bytes;
	cold->sanitizer = sanitize_create();
#endif
	if (unlikely(f->flags & F_DORMANT))
		dormant_end(f, cold);
	if (unlikely(f->extra != NULL))
		top = take_extra(f, s, cold);
	f->wake_at = OS_NEVER; /* here and below: what the unions held is used up */
	atomic_store_explicit(&f->deadline, OS_NEVER, memory_order_relaxed);
	atomic_store_explicit(&f->landed, 0, memory_order_relaxed);
	atomic_store_explicit(&f->cold, cold, memory_order_relaxed);
	f->flags |= F_STARTED;
	f->sp = (char *)seat_take(s, top) + 1; /* fresh */
#if !SWITCH_STARTS
	life_frame(w, f);
#endif
	/* Release: cold; pairs with fiber_has_begun. */
	atomic_store_explicit(&f->begun, 1, memory_order_release);
	if (unlikely(atomic_load_explicit(&f->home, memory_order_relaxed) != w))
		fiber_moves_to(f, w);
	return 0;
}
