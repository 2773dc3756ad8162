/* spawn.c - new fibers: what they are given, and where they wait for their first run.
 *
 * A spawn costs a block and a push; the stack is taken when the fiber first runs. So a shortage of
 * stacks shows late: the first fiber that gets none ends with -ENOMEM, unrun; from then on
 * (`stacks_short`) spawn takes the stack itself and says so, until that works again.
 *
 * Where it waits: in its spawner's deque, from where idle workers may take it; placed on a worker,
 * in that one's queue; spawned from outside, it is posted to an idle worker, or, if there is none,
 * offered to all. A spawn wakes a sleeping worker only if the deque already held one, or
 * nobody watches (idle.c): else the thief would take the child that its parent joins next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sched/spawn.h"
#include "sched/worker.h"

#define KNOWN_FLAGS (FIBER_ROAM | FIBER_STAY | FIBER_NO_FPU | FIBER_STACK_NOW)
#define MOST_BYTES ((size_t)1 << 40) /* of a stack or a copied argument: more is a mistake */
enum { COPY_BESIDE = 2048 }; /* bytes of an argument that every slot has to spare */

/* ---- letting go -------------------------------------------------------------------------------*/
static inline void push_here(struct worker *w, struct fiber *f)
{
	int64_t held = deque_push_count(&w->unstarted, f);

	count_up(&w->spawned);
	if (unlikely(held != 0)) {
		if (held < 0) /* no memory for a larger deque: it runs here */
			queue_push(&w->ready, f);
		else if (atomic_load_explicit(&w->runtime->idle_count, memory_order_relaxed))
			idle_offer(w->runtime); /* one that is just lying down will watch */
	} else if (unlikely(!atomic_load_explicit(&w->runtime->watching, memory_order_relaxed))) {
		idle_watch(w->runtime);
	}
}

/* To an idle worker; or else to whichever comes first, because in the inbox of a busy one nobody
 * could take it. */
static void post(struct fiber *f, struct runtime *rt)
{
	bool anywhere = !(f->flags & F_PLACED) && rt->workers > 1;
	struct worker *idle = anywhere ? idle_take(rt) : NULL;

	if (idle)
		atomic_store_explicit(&f->home, idle, memory_order_relaxed);
	atomic_fetch_add_explicit(&rt->outside, 1, memory_order_relaxed);
	if (anywhere && !idle)
		worker_offer(rt, f);
	else
		worker_post(f, POST_START);
	runtime_let_go(rt); /* held in runtime_for */
}

void spawn_launch(struct fiber *f)
{
	struct worker *w = worker_self();
	struct worker *home = atomic_load_explicit(&f->home, memory_order_relaxed);

	if (w != home) {
		post(f, home->runtime);
	} else if (f->flags & F_PLACED) {
		count_up(&w->spawned);
		queue_push(&w->ready, f);
	} else {
		push_here(w, f);
	}
}

/* ---- what it is given -------------------------------------------------------------------------*/
static inline void fill(struct fiber *f, struct worker *home, fiber_fn *function, void *argument,
			const void *spawned_at)
{
	fiber_block_open(f);
	/* Release: pairs with copy_cold, which must not follow it as the former life's `cold`. */
	atomic_store_explicit(&f->function, function, memory_order_release);
	f->argument = argument;
	atomic_store_explicit(&f->spawned_at, spawned_at, memory_order_relaxed);
	f->extra = NULL;
	f->flags = home->fiber_flags;
	atomic_store_explicit(&f->home, home, memory_order_relaxed);
}

static int check(const fiber_attr_t *a, const void *argument)
{
	const unsigned both = FIBER_ROAM | FIBER_STAY;

	if ((a->flags & ~KNOWN_FLAGS) || (a->flags & both) == both)
		return -EINVAL;
	if (a->copy_bytes && !argument)
		return -EINVAL;
	if (a->stack_bytes > MOST_BYTES || a->copy_bytes > MOST_BYTES)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof a->reserved / sizeof *a->reserved; i++)
		if (a->reserved[i])
			return -EINVAL;
	return 0;
}

static uint32_t flags_of(const fiber_attr_t *a, uint32_t flags)
{
	if (a->flags & FIBER_ROAM)
		flags |= F_ROAM;
	if (a->flags & FIBER_STAY)
		flags &= ~(uint32_t)F_ROAM;
	if (a->flags & FIBER_NO_FPU)
		flags |= F_NO_FPU;
	if (a->worker) /* there and nowhere else */
		flags = (flags | F_PLACED) & ~(uint32_t)F_ROAM;
	return flags;
}

/* The copy lies on the stack, and takes nothing off it; a small one fits beside what was asked for,
 * because slots are rounded up to an odd number of pages. */
static size_t stack_wanted(const struct runtime *rt, const fiber_attr_t *a)
{
	size_t bytes = a->stack_bytes ? a->stack_bytes : rt->options.stack_bytes;

	if (a->copy_bytes <= COPY_BESIDE)
		return bytes;
	return (bytes > STACK_DEFAULT_BYTES ? bytes : STACK_DEFAULT_BYTES) + a->copy_bytes;
}

/* Needed as soon as anything differs from the defaults. */
static int make_extra(struct fiber *f, const struct runtime *rt, const fiber_attr_t *a,
		      struct group_member *member, bool stack_now)
{
	struct extra *e = malloc(sizeof *e + a->copy_bytes);
	struct worker *w = worker_self();
	struct stack_cache none = {0};
	int r;

	if (!e)
		return -ENOMEM;
	e->stack = NULL;
	e->stack_bytes = stack_wanted(rt, a);
	e->member = member;
	e->locals = NULL;
	e->copy_bytes = a->copy_bytes;
	fiber_name_words(e->name, a->name);
	if (a->copy_bytes)
		memcpy(e->copy, f->argument, a->copy_bytes);
	if (stack_now || a->stack_bytes > STACK_DEFAULT_BYTES) { /* unusual: better told now */
		r = stack_get(w ? &w->stacks : &none, e->stack_bytes, &e->stack);
		stack_cache_drain(&none);
		if (r < 0) {
			free(e);
			return r;
		}
	}
	f->extra = e;
	return 0;
}

static bool plain(const fiber_attr_t *a)
{
	return !a->name && !a->stack_bytes && !a->copy_bytes && !(a->flags & FIBER_STACK_NOW);
}

/* ---- limits -----------------------------------------------------------------------------------*/
static int count_in(struct runtime *rt)
{
	size_t most = rt->options.fibers_max;

	if (!most)
		return 0;
	if (atomic_fetch_add_explicit(&rt->alive, 1, memory_order_relaxed) < most)
		return 0;
	atomic_fetch_sub_explicit(&rt->alive, 1, memory_order_relaxed);
	return -EAGAIN;
}

static void count_out(struct runtime *rt)
{
	if (rt->options.fibers_max)
		atomic_fetch_sub_explicit(&rt->alive, 1, memory_order_relaxed);
}

/* ---- the full way -----------------------------------------------------------------------------*/
static struct fiber *block_for(struct worker *w)
{
	struct fiber_cache cache = {0};
	struct fiber *f;

	if (w)
		return fiber_block_get(&w->blocks);
	f = fiber_block_get(&cache);
	fiber_cache_drain(&cache);
	return f;
}

static void block_back(struct worker *w, struct fiber *f)
{
	struct fiber_cache cache = {0};

	fiber_block_put(w ? &w->blocks : &cache, f);
	fiber_cache_drain(&cache);
}

static struct worker *home_for(struct worker *w, struct runtime *rt, const fiber_attr_t *a)
{
	uint32_t turn;

	if (a->worker)
		return &rt->worker[a->worker - 1];
	if (w && w->runtime == rt)
		return w;
	turn = atomic_fetch_add_explicit(&rt->turn, 1, memory_order_relaxed);
	return &rt->worker[turn % rt->workers];
}

/* It is held until the fiber is in an inbox, or its end might come before. */
static int runtime_for(struct worker *w, const fiber_attr_t *a, struct runtime **out)
{
	if (runtime_forked() && !w)
		return -ECHILD;
	*out = a->runtime ? (struct runtime *)a->runtime : w ? w->runtime : NULL;
	if (!*out || !runtime_hold(*out))
		return -EINVAL;
	if (a->worker <= (*out)->workers)
		return 0;
	runtime_let_go(*out);
	return -EINVAL;
}

static void born(struct fiber *f, const struct runtime *rt)
{
	if (atomic_load_explicit(&rt->cancelled, memory_order_acquire))
		atomic_fetch_or_explicit(&f->state, STATE_CANCEL, memory_order_relaxed);
}

int spawn_prepare(struct fiber **out, const fiber_attr_t *attr, fiber_fn *function, void *argument,
		  struct group_member *member, const void *spawned_at)
{
	static const fiber_attr_t defaults;
	const fiber_attr_t *a = attr ? attr : &defaults;
	struct worker *w = worker_self();
	struct runtime *rt;
	struct fiber *f;
	bool now;
	int r;

	if (!function)
		return -EINVAL;
	if ((r = check(a, argument)) < 0 || (r = runtime_for(w, a, &rt)) < 0)
		return r;
	if ((r = count_in(rt)) < 0)
		goto let_go;
	f = block_for(w);
	if (!f) {
		r = -ENOMEM;
		goto uncount;
	}
	fill(f, home_for(w, rt, a), function, argument, spawned_at);
	f->flags = flags_of(a, f->flags);
	now = (a->flags & FIBER_STACK_NOW) ||
	      atomic_load_explicit(&rt->stacks_short, memory_order_relaxed);
	if ((!plain(a) || member || now || rt->options.stack_bytes) &&
	    (r = make_extra(f, rt, a, member, now)) < 0)
		goto put_back;
	if (now)
		atomic_store_explicit(&rt->stacks_short, false, memory_order_relaxed);
	born(f, rt);
	*out = f;
	return 0;
put_back:
	block_back(w, f);
uncount:
	count_out(rt);
let_go:
	runtime_let_go(rt);
	return r;
}

int spawn_from(fiber_t *out, const fiber_attr_t *attr, fiber_fn *function, void *argument,
	       const void *spawned_at)
{
	struct fiber *f;
	int r = spawn_prepare(&f, attr, function, argument, NULL, spawned_at);

	if (r < 0)
		return r;
	if (out)
		*out = fiber_handle(f);
	else
		join_detach_unborn(f);
	spawn_launch(f);
	return 0;
}

PUBLIC int fiber_spawn(fiber_t *out, const fiber_attr_t *attr, fiber_fn *function, void *argument)
{
	struct worker *w = worker_here();
	struct fiber *f;

	if (likely(w && !attr && function && out &&
		   !atomic_load_explicit(&w->careful, memory_order_relaxed))) {
		f = fiber_block_get(&w->blocks);
		if (unlikely(!f))
			return -ENOMEM;
		fill(f, w, function, argument, __builtin_return_address(0));
		*out = fiber_handle(f);
		push_here(w, f);
		return 0;
	}
	return spawn_from(out, attr, function, argument, __builtin_return_address(0));
}

PUBLIC int fiber_go(fiber_fn *function, void *argument)
{
	return spawn_from(NULL, NULL, function, argument, __builtin_return_address(0));
}
