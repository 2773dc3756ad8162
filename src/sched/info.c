/* info.c - looking inside: one fiber, all of them, the counters; from any thread, at any time.
 *
 * What is read belongs to other threads, so it is read by relaxed atomics, and a fiber may end
 * meanwhile: then its generation has changed when all is read, and what was read is thrown away.
 * Its control block and its stack stay mapped for ever, so looking is safe. */
#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "sched/helpers.h"
#include "sched/symbol.h"
#include "sched/worker.h"

/* ---- one fiber --------------------------------------------------------------------------------*/
static bool is_waiting(uint64_t claim)
{
	enum claim_status status = CLAIM_STATUS(claim);

	return status == CLAIM_WAITING || status == CLAIM_HARD || status == CLAIM_IN_FLIGHT;
}

static const char *state_name(const struct fiber *f, const struct worker *home, bool begun,
			      uint64_t claim)
{
	if (!begun)
		return is_waiting(claim) ? "dormant" : "new";
	if (home && worker_current(home) == f)
		return "running";
	if (is_waiting(claim))
		return "parked";
	if (atomic_load_explicit(&f->what, memory_order_relaxed) == WAIT_BLOCKING)
		return "blocking";
	return "runnable";
}

static void copy_wait(struct fiber *f, uint64_t claim, fiber_info_t *out)
{
	bool flying = CLAIM_STATUS(claim) == CLAIM_IN_FLIGHT;

	out->waits_for = wait_name(atomic_load_explicit(&f->what, memory_order_relaxed));
	out->object = flying ? NULL : atomic_load_explicit(&f->object, memory_order_relaxed);
	out->fd = flying ? (int)CLAIM_INDEX(claim) : -1;
	out->since = atomic_load_explicit(&f->since, memory_order_relaxed);
}

static bool is_same_life(const struct fiber *f, fiber_t handle)
{
	return STATE_GENERATION(atomic_load_explicit(&f->state, memory_order_acquire)) ==
	       handle_generation(handle);
}

/* Its stack is given up then, and may be another's already. */
static bool has_ended(const struct fiber *f, fiber_t handle)
{
	uint64_t word = atomic_load_explicit(&f->join, memory_order_acquire);

	return word == JOIN_WORD(handle_generation(handle), JOIN_DONE) ||
	       word == JOIN_WORD(handle_generation(handle), JOIN_TAKEN);
}

static void copy_cold(struct fiber *f, fiber_info_t *out, struct stack **stack)
{
	/* Acquire: pairs with the release in fill, if it is the next life's function already. */
	struct cold *cold = atomic_load_explicit(&f->cold, memory_order_acquire);
	uint64_t words[2];

	if (!is_same_life(f, out->fiber))
		return;
	for (int i = 0; i < 2; i++)
		words[i] = atomic_load_explicit(&cold->name[i], memory_order_relaxed);
	memcpy(out->name, words, sizeof out->name);
	out->name[sizeof out->name - 1] = 0;
	out->spawned_at = atomic_load_explicit(&cold->spawned_at, memory_order_relaxed);
	out->deadline = atomic_load_explicit(&f->deadline, memory_order_relaxed);
	*stack = cold_stack(cold);
}

/* -ESRCH: not the one that was meant, or not any more. */
static int look(struct fiber *f, fiber_t handle, fiber_info_t *out)
{
	const fiber_info_t ended = {
		.fiber = handle, .state = "ended", .fd = -1, .waits_for = "",
		.deadline = FIBER_NEVER,
	};
	bool begun = is_same_life(f, handle) && fiber_has_begun(f);
	uint64_t claim = atomic_load_explicit(&f->claim, memory_order_relaxed);
	struct worker *home = atomic_load_explicit(&f->home, memory_order_acquire);
	struct stack *stack = NULL;

	*out = ended;
	out->state = state_name(f, home, begun, claim);
	out->worker = home ? home->number : 0;
	if (!strcmp(out->state, "parked") || !strcmp(out->state, "dormant"))
		copy_wait(f, claim, out);
	if (begun)
		copy_cold(f, out, &stack);
	/* Acquire on all loads above is not needed on a block that is still in the same life. */
	if (!is_same_life(f, handle))
		return -ESRCH;
	if (has_ended(f, handle))
		*out = ended;
	else if (stack) {
		out->stack_bytes = stack->bytes;
		out->stack_used = stack_used(stack);
	}
	return 0;
}

PUBLIC int fiber_info(fiber_t handle, fiber_info_t *out)
{
	struct fiber *f = fiber_find(handle);

	if (!out)
		return -EINVAL;
	return f ? look(f, handle, out) : runtime_no_fiber();
}

/* ---- all of them ------------------------------------------------------------------------------*/
static void print_times(FILE *to, const fiber_info_t *i, int64_t now)
{
	if (*i->waits_for)
		fprintf(to, " for %.3f s", (double)(now - i->since) / 1e9);
	if (i->deadline != FIBER_NEVER)
		fprintf(to, ", deadline in %.3f s", (double)(i->deadline - now) / 1e9);
}

static void print_one(FILE *to, const fiber_info_t *i, int64_t now)
{
	fprintf(to, "  fiber %#llx %-15s worker %u  %s", (unsigned long long)i->fiber.id,
		*i->name ? i->name : "-", i->worker, i->state);
	if (*i->waits_for)
		fprintf(to, " in %s", i->waits_for);
	if (i->fd >= 0)
		fprintf(to, " of descriptor %d", i->fd);
	else if (i->object)
		fprintf(to, " of %p", i->object);
	print_times(to, i, now);
	if (i->stack_bytes)
		fprintf(to, ", stack %zu of %zu KiB", i->stack_used / 1024, i->stack_bytes / 1024);
	fputs(", spawned at ", to);
	symbol_print(to, i->spawned_at);
	fputc('\n', to);
}

void info_dump(struct runtime *rt, FILE *to)
{
	uint32_t end = fiber_blocks();
	int64_t now = os_now();

	fprintf(to, "runtime %p: %u workers, poller %s\n", (void *)rt, rt->workers, rt->ops->name);
	for (uint32_t i = JOIN_CODES; i < end; i++) {
		struct fiber *f = fiber_at(i);
		uint64_t state = f ? atomic_load_explicit(&f->state, memory_order_acquire) : 0;
		fiber_info_t info;

		if (!(STATE_GENERATION(state) & 1) ||
		    !runtime_owns(rt, atomic_load_explicit(&f->home, memory_order_acquire)))
			continue;
		if (look(f, (fiber_t){ STATE_GENERATION(state) << 24 | i }, &info) == 0)
			print_one(to, &info, now);
	}
	fflush(to);
}

PUBLIC int fiber_dump(FILE *to)
{
	struct worker *w = worker_self();

	if (!to)
		return -EINVAL;
	if (runtime_forked())
		return -ECHILD;
	if (w)
		info_dump(w->runtime, to);
	for (struct runtime *rt = NULL; !w && (rt = runtime_after(rt));)
		info_dump(rt, to);
	return ferror(to) ? -EIO : 0;
}

/* ---- counters ---------------------------------------------------------------------------------*/
static void add_worker(fiber_stats_t *s, const struct worker *w)
{
	s->spawned += count_read(&w->spawned);
	s->ended += count_read(&w->ended);
	s->switches += count_read(&w->switches);
	s->steals += count_read(&w->steals);
	s->remote_wakes += count_read(&w->remote_wakes);
	s->polls += count_read(&w->polls);
	s->syscalls += w->ops->syscalls(w->poller);
	s->timers += count_read(&w->timers_seen);
	s->stacks_cached += count_read(&w->stacks_seen);
}

/* Counted by looking, so that parking need not count. */
static uint64_t count_parked(const struct runtime *rt)
{
	uint32_t end = fiber_blocks();
	uint64_t parked = 0;

	for (uint32_t i = JOIN_CODES; i < end; i++) {
		struct fiber *f = fiber_at(i);
		uint64_t state = f ? atomic_load_explicit(&f->state, memory_order_acquire) : 0;

		if (!(STATE_GENERATION(state) & 1) || !fiber_has_begun(f))
			continue;
		parked += runtime_owns(rt, atomic_load_explicit(&f->home, memory_order_acquire)) &&
			  is_waiting(atomic_load_explicit(&f->claim, memory_order_relaxed));
	}
	return parked;
}

PUBLIC int fiber_stats(fiber_runtime_t *public, fiber_stats_t *out)
{
	struct runtime *rt = (struct runtime *)public;
	struct worker *w = worker_self();
	struct stack_stats stacks;

	if (!out)
		return -EINVAL;
	if (runtime_forked())
		return -ECHILD;
	if (!rt)
		rt = w ? w->runtime : NULL;
	if (!rt || !runtime_hold(rt))
		return -EINVAL;
	*out = (fiber_stats_t){0};
	for (unsigned i = 0; i < rt->workers; i++)
		add_worker(out, &rt->worker[i]);
	out->spawned += atomic_load_explicit(&rt->outside, memory_order_relaxed);
	out->fibers = out->spawned - out->ended;
	out->parked = count_parked(rt);
	out->offloaded = helpers_calls();
	out->helpers = helpers_threads();
	out->offload_queued = helpers_queued();
	out->offload_delayed = helpers_delayed();
	stack_stats(&stacks);
	out->stack_bytes_resident = stacks.resident_bytes;
	runtime_let_go(rt);
	return 0;
}
