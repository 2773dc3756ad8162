/* join.c - a fiber's end and those who wait for it: the protocol "join" of fiber.h. */
#include <errno.h>

#include "sched/claim.h"
#include "sched/scope.h"
#include "sched/switch.h"

void join_detach_unborn(struct fiber *f)
{
	uint64_t state = atomic_load_explicit(&f->state, memory_order_relaxed);
	uint64_t generation = STATE_GENERATION(state);

	atomic_store_explicit(&f->join, JOIN_WORD(generation, JOIN_DETACHED), memory_order_relaxed);
}

/* ---- joining ----------------------------------------------------------------------------------*/
/* The caller alone may: it moved DONE to TAKEN, or is the joiner the end was handed to. */
static void reap(struct fiber *f, int *result)
{
	struct worker *w = worker_self();
	struct fiber_cache cache = {0};

	if (result)
		*result = f->result;
	if (likely(w != NULL)) {
		fiber_block_put(&w->blocks, f);
		return;
	}
	fiber_block_put(&cache, f);
	fiber_cache_drain(&cache);
}

/* Why a handle cannot be joined now, given what its join word says. */
static int refuse(const struct fiber *f, uint64_t generation, uint64_t word)
{
	uint64_t now = STATE_GENERATION(atomic_load_explicit(&f->state, memory_order_acquire));

	if (word == JOIN_WORD(generation, JOIN_DETACHED))
		return -EINVAL;
	if (now != generation)
		return -ESRCH;
	/* TAKEN: its joiner has been told; but if that had lost meanwhile, it gives it back. */
	return JOIN_LOW(word) >= JOIN_CODES || JOIN_LOW(word) == JOIN_TAKEN ? -EBUSY : -ESRCH;
}

/* Registered, and the wait has begun. */
static int wait_for_end(struct fiber *f, struct fiber *self, uint64_t generation, uint64_t mine)
{
	int r = wait_park(self, FIBER_NEVER);

	if (likely(r >= 0))
		return 0;
	if (atomic_cas64(&f->join, &mine, JOIN_WORD(generation, JOIN_NONE)))
		return r;
	/* It ended at the same time, and nobody else may reap it: a success is a success. The
	 * interruption shows at the next call. */
	must(mine == JOIN_WORD(generation, JOIN_TAKEN));
	return 0;
}

/* 0: it has ended and is the caller's to reap; else why not. */
static int await(struct fiber *f, struct fiber *self, uint64_t generation)
{
	uint64_t word = atomic_load_explicit(&f->join, memory_order_acquire);

	for (;;) {
		if (word == JOIN_WORD(generation, JOIN_NONE)) {
			uint64_t ticket = wait_begin(self, WAIT_JOIN, f, WAIT_INTERRUPTIBLE);
			uint64_t mine = JOIN_WORD(ticket, self->index);

			if (atomic_cas64(&f->join, &word, mine))
				return wait_for_end(f, self, generation, mine);
			wait_abandon(self);
		} else if (word == JOIN_WORD(generation, JOIN_DONE)) {
			if (atomic_cas64(&f->join, &word, JOIN_WORD(generation, JOIN_TAKEN)))
				return 0;
		} else {
			return refuse(f, generation, word);
		}
	}
}

/* ---- in a select ------------------------------------------------------------------------------*/
int wait_join_now(fiber_t handle, int *result)
{
	struct fiber *f = fiber_find(handle);
	uint64_t generation = handle_generation(handle);
	uint64_t word = JOIN_WORD(generation, JOIN_DONE);

	if (!f)
		return -ESRCH;
	if (atomic_cas64(&f->join, &word, JOIN_WORD(generation, JOIN_TAKEN))) {
		reap(f, result);
		return 0;
	}
	return word == JOIN_WORD(generation, JOIN_NONE) ? -EAGAIN : refuse(f, generation, word);
}

int wait_join_enter(fiber_t handle, struct fiber *self, uint64_t ticket)
{
	struct fiber *f = fiber_find(handle);
	uint64_t generation = handle_generation(handle);
	uint64_t word = JOIN_WORD(generation, JOIN_NONE);

	if (!f)
		return -ESRCH;
	if (f == self)
		return -EDEADLK;
	if (atomic_cas64(&f->join, &word, JOIN_WORD(ticket, self->index)))
		return 0;
	return word == JOIN_WORD(generation, JOIN_DONE) ? -EALREADY : refuse(f, generation, word);
}

bool wait_join_leave(fiber_t handle, struct fiber *self, uint64_t ticket, bool take, int *result)
{
	struct fiber *f = fiber_at((uint32_t)handle.id); /* still ours to reap, if it has ended */
	uint64_t generation = handle_generation(handle);
	uint64_t mine = JOIN_WORD(ticket, self->index);

	if (atomic_cas64(&f->join, &mine, JOIN_WORD(generation, JOIN_NONE)))
		return false;
	must(mine == JOIN_WORD(generation, JOIN_TAKEN));
	if (take) {
		reap(f, result);
		return true;
	}
	/* Release: pairs with the next joiner's acquire. */
	atomic_store_explicit(&f->join, JOIN_WORD(generation, JOIN_DONE), memory_order_release);
	return false;
}

/* ---- fiber_join -------------------------------------------------------------------------------*/
static NOINLINE int join_slowly(fiber_t handle, int *result)
{
	struct fiber *f = fiber_find(handle), *self;
	int r = wait_check();

	if (r < 0)
		return r;
	if (!f)
		return -ESRCH;
	self = wait_self();
	if (!self)
		return wait_why();
	if (self == f)
		return -EDEADLK;
	r = await(f, self, handle_generation(handle));
	if (r < 0)
		return r;
	reap(f, result);
	wait_done(); /* law 4: it may have ended long ago */
	return 0;
}

/* Law 4: joins that did not have to wait count. */
static NOINLINE int look_around(void)
{
	wait_done();
	return 0;
}

/* It has ended: the caller reaps it, unless somebody else does. */
INLINE int join_ended(struct worker *w, struct fiber *f, fiber_t handle, uint64_t word, int *result)
{
	uint64_t taken = JOIN_WORD(handle_generation(handle), JOIN_TAKEN);

	if (unlikely(!atomic_cas64(&f->join, &word, taken)))
		return join_slowly(handle, result);
	if (result)
		*result = f->result;
	fiber_block_put(&w->blocks, f);
	if (likely(!worker_tick_looks(w))) {
		worker_tick(w);
		return 0;
	}
	return look_around();
}

/* The common cases in one piece: a fiber joins one that has ended, or, without a deadline, one that
 * has not. Everything else, and every surprise, goes the slow way. */
PUBLIC int fiber_join(fiber_t handle, int *result)
{
	struct worker *w = worker_here();
	struct fiber *f = fiber_at((uint32_t)handle.id), *self;
	uint64_t word = JOIN_WORD(handle_generation(handle), JOIN_NONE), mine, now;
	int64_t bottom;
	bool popping;

	if (unlikely(!w || !f || !(handle_generation(handle) & 1)))
		return join_slowly(handle, result);
	self = worker_current(w);
	if (unlikely(f == self || scope_interrupted(self)))
		return join_slowly(handle, result);
	/* Acquire: pairs with the release in publish, if it has ended. */
	now = atomic_load_explicit(&f->join, memory_order_acquire);
	if (now == JOIN_WORD(handle_generation(handle), JOIN_DONE))
		return join_ended(w, f, handle, now, result);
	if (unlikely(now != word || scope_deadline(self) != OS_NEVER))
		return join_slowly(handle, result);
	/* Whose turn is next is an unstarted fiber's, mostly f's: the locked instruction that
	 * registers the joiner is the barrier of its pop as well. */
	popping = switch_unstarted_is_next(w, self) && deque_pop_begin(&w->unstarted, &bottom);
	mine = JOIN_WORD(claim_begin(self, w, WAIT_JOIN, f, 0, CLAIM_WAITING), self->index);
	if (unlikely(!atomic_cas64_barrier(&f->join, &word, mine))) {
		if (popping)
			deque_pop_undo(&w->unstarted, bottom);
		wait_abandon(self);
		return join_slowly(handle, result);
	}
	w = popping ? switch_start(w, self, bottom) : switch_park(w, self);
	word = atomic_load_explicit(&self->claim, memory_order_acquire);
	claim_settle(self, word);
	if (unlikely(CLAIM_STATUS(word) != CLAIM_GRANTED)) {
		word = JOIN_WORD(handle_generation(handle), JOIN_NONE);
		if (atomic_cas64(&f->join, &mine, word))
			return -ECANCELED;
	}
	if (result)
		*result = f->result;
	fiber_block_put(&w->blocks, f);
	return 0;
}

PUBLIC int fiber_detach(fiber_t handle)
{
	struct fiber *f = fiber_find(handle);
	uint64_t generation = handle_generation(handle), word;

	if (!f)
		return runtime_no_fiber();
	word = atomic_load_explicit(&f->join, memory_order_acquire);
	for (;;) {
		if (word == JOIN_WORD(generation, JOIN_NONE)) {
			if (atomic_cas64(&f->join, &word, JOIN_WORD(generation, JOIN_DETACHED)))
				return 0;
		} else if (word == JOIN_WORD(generation, JOIN_DONE)) {
			if (atomic_cas64(&f->join, &word, JOIN_WORD(generation, JOIN_TAKEN))) {
				reap(f, NULL);
				return 0;
			}
		} else {
			return refuse(f, generation, word);
		}
	}
}
