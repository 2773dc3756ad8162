/* switch.h - from one fiber to the next: the hot path, inlined into the few doors that use it.
 * Private to src/sched/.
 *
 * A fiber that parks goes straight to the next runnable one; only when there is none does the
 * worker's own context (loop, on the thread's own stack) run.
 *
 * Inlined, because the return predictor decides what a switch costs: after it every return up to
 * the caller of the public function is predicted from the calls of whoever ran before, so each
 * level of calls between the two costs a mispredicted return, about 3 ns. arch_switch itself is
 * called and left by ret: in a ring of fibers of one function all of it is predicted.
 *
 * The message says what could not be done while still on the predecessor's stack:
 *	NOTHING  it parked and has one thread, or it yielded and is in a queue of this thread only
 *	LANDED   a roaming fiber parked: from now on others may run it
 *	YIELDED  a roaming fiber yielded: queue it where others may take it
 *	DEAD     a fiber ended: its stack goes to the cache */
#ifndef FB_SCHED_SWITCH_H
#define FB_SCHED_SWITCH_H

#include "arch.h"
#include "os/sanitize.h"
#include "sched/worker.h"

enum switch_message {
	SWITCH_NOTHING,
	SWITCH_LANDED,
	SWITCH_YIELDED,
	SWITCH_DEAD,
	SWITCH_MASK = 7,
};

#define SWITCH_INLINE INLINE

/* Fibers that never ran are entered by arch_start, except under sanitizers, which must be told of
 * every change of stack and understand only switches. */
#if defined(FB_ASAN) || defined(FB_TSAN)
#define SWITCH_STARTS 0
#else
#define SWITCH_STARTS 1
#endif

/* It never ran: sp is the top of its stack, with bit 0 set. */
static inline bool switch_is_fresh(const struct fiber *f)
{
	return SWITCH_STARTS && ((uintptr_t)f->sp & 1);
}

static inline void *switch_fresh_top(const struct fiber *f)
{
	return (char *)f->sp - 1;
}

/* Finishes what the predecessor left. */
void switch_land(struct worker *w, uintptr_t message);
/* The switch itself for fibers that roam, that leave the control words alone, or in a program with
 * C++; *message becomes what the predecessor left. */
struct worker *switch_unusual(struct worker *w, struct fiber *me, struct fiber *to,
			      uintptr_t *message);

/* A fiber leaves. It may be inside a generator: then whoever comes back must tell the sanitizers of
 * that one's stack and context. What to give switch_note_back when it is back. */
INLINE void *switch_note(struct fiber *me)
{
	void *own = NULL;
#if defined(FB_ASAN)
	struct stack *s;

	if (stack_locate(__builtin_frame_address(0), &s) == STACK_INSIDE) {
		fiber_cold(me)->stack_bottom = s->bottom;
		fiber_cold(me)->stack_bytes = s->bytes;
	}
#elif defined(FB_TSAN)
	own = fiber_cold(me)->sanitizer;
	fiber_cold(me)->sanitizer = sanitize_current();
#else
	(void)me;
#endif
	return own;
}

INLINE void switch_note_back(struct fiber *me, void *own)
{
#if defined(FB_TSAN)
	fiber_cold(me)->sanitizer = own;
#else
	(void)me, (void)own;
#endif
}

/* A program with C++ is told from w->exceptions by the flag that every fiber has there. */
static inline bool switch_is_unusual(const struct fiber *me, const struct fiber *to)
{
	return (me->flags | to->flags) & (F_ROAM | F_NO_FPU | F_EXCEPTIONS);
}

/* Returns when somebody switches back, with the worker that did. */
SWITCH_INLINE struct worker *switch_to(struct worker *w, struct fiber *me, struct fiber *to,
				       uintptr_t message)
{
	void *fake = NULL;

	worker_show(w, to);
	count_up(&w->switches);
#if defined(FB_ASAN)
	switch_note(me);
	sanitize_leave(&fake, fiber_cold(to)->stack_bottom, fiber_cold(to)->stack_bytes);
#endif
#if defined(FB_TSAN)
	w = switch_unusual(w, me, to, &message);
#else
	if (unlikely(switch_is_unusual(me, to)))
		w = switch_unusual(w, me, to, &message);
	else if (switch_is_fresh(to))
		message = arch_start(&me->sp, switch_fresh_top(to), life_run, message,
				     w->control_words);
	else
		message = arch_switch(&me->sp, to->sp, message);
#endif
	sanitize_arrive(fake);
	if (unlikely(message != SWITCH_NOTHING))
		switch_land(w, message);
	return w;
}

/* Whoever is queued here: next, ready, roaming, unstarted (started now). NULL: nobody. */
INLINE struct fiber *worker_pick(struct worker *w)
{
	struct fiber *f = w->next, *after;

	if (f) {
		w->next = NULL;
		return f;
	}
	w->next_left = NEXT_IN_A_ROW;
	if (unlikely(atomic_load_explicit(&w->roam_count, memory_order_relaxed) != 0))
		return worker_pick_queued(w);
	f = w->ready.head;
	if (unlikely(!f)) {
		f = deque_pop(&w->unstarted);
		if (!f || likely(life_begin(w, f) == 0))
			return f;
		queue_push(&w->ready, f);
		return worker_pick_queued(w);
	}
	if (unlikely(!(f->flags & F_STARTED)))
		return worker_pick_queued(w);
	after = f->next;
	w->ready.head = after;
	if (after) { /* whose block came with the prefetch before this one */
		__builtin_prefetch(after->sp);
		__builtin_prefetch(after->next);
	}
	return f;
}

static inline void switch_tick(struct worker *w)
{
	if (unlikely(worker_tick(w)))
		worker_look(w);
}

/* Leaves the running fiber, which is somebody else's to wake, for the next runnable one. */
SWITCH_INLINE struct worker *switch_park(struct worker *w, struct fiber *me)
{
	struct fiber *next;

	switch_tick(w);
	next = worker_pick(w);
	if (!next)
		next = &w->loop;
	if (unlikely(next == me))
		return w; /* woken while looking */
	if (likely(!(me->flags & F_ROAM)))
		return switch_to(w, me, next, SWITCH_NOTHING);
	w = switch_to(w, me, next, (uintptr_t)me | SWITCH_LANDED);
	/* A waker that found landed still set would take a running fiber. It reads the word after a
	 * guard or claim of our next wait, which comes after this store. */
	atomic_store_explicit(&me->landed, 0, memory_order_relaxed);
	return w;
}

/* If `me`, which does not roam, parked now, would an unstarted fiber have the next turn? */
static inline bool switch_unstarted_is_next(const struct worker *w, const struct fiber *me)
{
	return !w->next && !w->ready.head && !(me->flags & F_ROAM) &&
	       !worker_tick_looks(w) &&
	       !atomic_load_explicit(&w->roam_count, memory_order_relaxed);
}

/* The pick, when that is so and the pop has begun; a full barrier came in between. */
INLINE struct fiber *switch_pick_unstarted(struct worker *w, int64_t bottom)
{
	struct fiber *f = deque_pop_end(&w->unstarted, bottom);

	worker_tick(w);
	w->next_left = NEXT_IN_A_ROW;
	if (likely(f && life_begin(w, f) == 0))
		return f;
	if (f)
		queue_push(&w->ready, f);
	return worker_pick_queued(w);
}

/* switch_park, with that pick. */
SWITCH_INLINE struct worker *switch_start(struct worker *w, struct fiber *me, int64_t bottom)
{
	struct fiber *next = switch_pick_unstarted(w, bottom);

	return switch_to(w, me, next ? next : &w->loop, SWITCH_NOTHING);
}

/* Lets the others run first; returns at once if there are none. */
SWITCH_INLINE struct worker *switch_yield(struct worker *w)
{
	struct fiber *me = worker_current(w), *next;

	switch_tick(w);
	next = worker_pick(w);
	if (!next)
		return w;
	if (unlikely(fiber_may_move(me)))
		return switch_to(w, me, next, (uintptr_t)me | SWITCH_YIELDED);
	queue_push(&w->ready, me);
	return switch_to(w, me, next, SWITCH_NOTHING);
}

/* The worker's own context lets a fiber run. */
SWITCH_INLINE void switch_run(struct worker *w, struct fiber *f)
{
	switch_to(w, &w->loop, f, SWITCH_NOTHING);
}

#endif
