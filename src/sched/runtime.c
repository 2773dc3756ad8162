/* runtime.c - workers put together: making and unmaking, fiber_run and its end.
 *
 * The list of running runtimes is guarded by `guard`. Workers are never freed: a late word to a
 * fiber that ended long ago may still look at its home's inbox, and finds it closed. Retired arrays
 * are used again. */
#include <errno.h>
#include <stdlib.h>

#include "arch.h"
#include "os/os.h"
#include "sched/crew.h"
#include "sched/forked.h"
#include "sched/helpers.h"
#include "sched/lend.h"
#include "sched/overflow.h"
#include "sched/stall.h"
#include "sched/worker.h"

enum { MOST_WORKERS = 1024 };
#define KNOWN_FLAGS                                                                                \
	(FIBER_ALL_ROAM | FIBER_WAIT_AT_END | FIBER_NO_DEADLOCK | FIBER_ONLY_FIBERS |              \
	 FIBER_NO_FAULT_REPORT | FIBER_DUMP_ON_QUIT)

/* ---- making -----------------------------------------------------------------------------------*/
static int check(const fiber_options_t *o)
{
	if ((o->flags & ~KNOWN_FLAGS) || o->workers > MOST_WORKERS || o->idle_spin_ns < 0 ||
	    o->stall_ns < 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++)
		if (o->reserved[i])
			return -EINVAL;
	return o->stack_bytes > (size_t)1 << 40 ? -ENOMEM : 0;
}

static void set_up(struct runtime *rt, const fiber_options_t *o)
{
	const char *move = getenv("FIBER_TEST_MOVE");

	rt->options = *o;
	rt->options.stall_ns = stall_wanted(o->stall_ns);
	rt->workers = o->workers ? o->workers : os_processors();
	if (rt->workers > MOST_WORKERS)
		rt->workers = MOST_WORKERS;
	rt->fiber_flags = (o->flags & FIBER_ALL_ROAM ? F_ROAM : 0) |
			  (exceptions_exist() ? F_EXCEPTIONS : 0);
	rt->control_words = arch_control_words();
	rt->test_move = move && *move == '1' && rt->workers > 1;
	list_init(&rt->idle);
	/* One worker needs nobody to watch it. */
	atomic_store_explicit(&rt->watching, rt->workers == 1, memory_order_relaxed);
}

static void unmake(struct runtime *rt)
{
	bool last;

	if (rt->options.flags & FIBER_DUMP_ON_QUIT)
		info_dump_off(rt);
	stall_end(rt);
	last = runtime_delist(rt);
	for (unsigned i = 0; i < rt->workers; i++)
		crew_close(&rt->worker[i]);
	if (!rt->deadlocked)
		crew_put(rt->worker, rt->workers);
	if (!(rt->options.flags & FIBER_NO_FAULT_REPORT))
		overflow_remove();
	if (last)
		helpers_stop();
	free(rt);
}

static int make(struct runtime **out, const fiber_options_t *o)
{
	static const fiber_options_t defaults;
	struct runtime *rt;
	unsigned opened = 0;
	int r;

	o = o ? o : &defaults;
	if ((r = check(o)) < 0)
		return r;
	forked_watch();
	rt = calloc(1, sizeof *rt);
	if (!rt)
		return -ENOMEM;
	set_up(rt, o);
	r = -ENOTSUP;
	rt->ops = poller_choose(o->poller);
	if (!rt->ops)
		goto free_runtime;
	r = -ENOMEM;
	rt->worker = crew_get(rt->workers);
	if (!rt->worker)
		goto free_runtime;
	for (; opened < rt->workers; opened++)
		if ((r = crew_open(&rt->worker[opened], rt, opened + 1)) < 0)
			goto close_workers;
	runtime_enlist(rt);
	helpers_limit(o->helpers_max);
	if (!(o->flags & FIBER_NO_FAULT_REPORT))
		overflow_install();
	if (o->flags & FIBER_DUMP_ON_QUIT)
		info_dump_on_quit(rt);
	*out = rt;
	r = stall_watch(rt);
	if (r < 0)
		unmake(rt);
	return r;

close_workers:
	while (opened)
		crew_close(&rt->worker[--opened]);
	crew_put(rt->worker, rt->workers);
free_runtime:
	free(rt);
	return r;
}

/* ---- threads ----------------------------------------------------------------------------------*/
static void thread_main(void *argument)
{
	worker_run(argument);
}

static void threads_join(struct runtime *rt)
{
	for (unsigned i = 0; i < rt->workers; i++)
		if (rt->worker[i].thread)
			os_thread_join(rt->worker[i].thread);
}

/* Those from `first` on. On failure none is left. */
static int threads_start(struct runtime *rt, unsigned first)
{
	int r;

	for (unsigned i = first; i < rt->workers; i++) {
		struct worker *w = &rt->worker[i];

		r = os_thread_start(&w->thread, thread_main, w, "fiber worker");
		if (r < 0) {
			w->thread = NULL;
			atomic_store_explicit(&rt->stopping, true, memory_order_release);
			for (unsigned k = first; k < i; k++)
				worker_rouse(&rt->worker[k]);
			threads_join(rt);
			return r;
		}
	}
	return 0;
}

/* ---- ending -----------------------------------------------------------------------------------*/
void runtime_be_careful(struct runtime *rt, bool stacks_short)
{
	if (stacks_short)
		atomic_store_explicit(&rt->stacks_short, true, memory_order_relaxed);
	for (unsigned i = 0; i < rt->workers; i++)
		atomic_store_explicit(&rt->worker[i].careful, true, memory_order_relaxed);
}

static void cancel_those_born(struct runtime *rt)
{
	uint32_t end = fiber_blocks();

	for (uint32_t i = JOIN_CODES; i < end; i++) {
		struct fiber *f = fiber_at(i);
		uint64_t state = f ? atomic_load_explicit(&f->state, memory_order_acquire) : 0;

		if (!(STATE_GENERATION(state) & 1) || (state & STATE_CANCEL) ||
		    !runtime_owns(rt, atomic_load_explicit(&f->home, memory_order_acquire)))
			continue;
		fiber_cancel((fiber_t){ STATE_GENERATION(state) << 24 | i });
	}
}

void runtime_cancel_all(struct runtime *rt)
{
	atomic_store_explicit(&rt->cancelled, true, memory_order_release);
	runtime_be_careful(rt, false);
	cancel_those_born(rt);
	for (unsigned i = 0; i < rt->workers; i++) /* so that each takes note */
		worker_rouse(&rt->worker[i]);
}

void runtime_note_cancelled(struct worker *w)
{
	struct runtime *rt = w->runtime;

	w->noted_cancelled = true;
	atomic_store_explicit(&w->careful, true, memory_order_relaxed);
	/* Acquire and release: what each of us spawned before it took note. */
	if (atomic_fetch_add_explicit(&rt->noted_cancelled, 1, memory_order_acq_rel) + 1 ==
	    rt->workers)
		cancel_those_born(rt);
}

/* Cancelled, fibers still spawn others; but nobody from outside does any more. */
static void end_fibers(struct runtime *rt)
{
	if (rt->options.flags & FIBER_WAIT_AT_END)
		return;
	runtime_close(rt);
	runtime_cancel_all(rt);
}

void runtime_main_ended(struct runtime *rt, int result)
{
	atomic_store_explicit(&rt->main_result, result, memory_order_relaxed);
	atomic_store_explicit(&rt->ending, true, memory_order_release);
	end_fibers(rt);
}

/* ---- public -----------------------------------------------------------------------------------*/
/* The main fiber runs on the calling thread, worker 1, and nowhere else. */
static int spawn_main(struct runtime *rt, fiber_fn *main, void *arg)
{
	fiber_attr_t attr = { .name = "main", .worker = 1, .runtime = (fiber_runtime_t *)rt };
	struct fiber *f;
	int r = spawn_prepare(&f, &attr, main, arg, NULL, __builtin_return_address(0));

	if (r < 0)
		return r;
	f->flags |= F_MAIN;
	join_detach_unborn(f);
	spawn_launch(f);
	return 0;
}

PUBLIC int fiber_run(const fiber_options_t *options, fiber_fn *main, void *arg)
{
	struct runtime *rt;
	int r;

	if (!main)
		return -EINVAL;
	if (worker_self() || lend_fiber())
		return -EBUSY;
	forked_revive();
	r = make(&rt, options);
	if (r < 0)
		return r;
	rt->own_thread = true;
	r = threads_start(rt, 1);
	if (r < 0)
		goto unmake;
	r = spawn_main(rt, main, arg);
	if (r < 0)
		atomic_store_explicit(&rt->ending, true, memory_order_release);
	worker_run(&rt->worker[0]);
	threads_join(rt);
	if (r == 0)
		r = atomic_load_explicit(&rt->main_result, memory_order_relaxed);
	if (rt->deadlocked)
		r = -EDEADLK;
unmake:
	unmake(rt);
	return r;
}

PUBLIC int fiber_runtime_create(fiber_runtime_t **out, const fiber_options_t *options)
{
	struct runtime *rt;
	int r;

	if (!out)
		return -EINVAL;
	if (!worker_self())
		forked_revive();
	r = make(&rt, options);
	if (r < 0)
		return r;
	r = threads_start(rt, 0);
	if (r < 0) {
		unmake(rt);
		return r;
	}
	*out = (fiber_runtime_t *)rt;
	return 0;
}

PUBLIC int fiber_runtime_free(fiber_runtime_t *public)
{
	struct runtime *rt = (struct runtime *)public;
	struct worker *w = worker_self();

	if (runtime_forked())
		return -ECHILD;
	if (!rt || !runtime_known(rt) || rt->own_thread)
		return -EINVAL;
	if (w && w->runtime == rt)
		return -EDEADLK;
	atomic_store_explicit(&rt->ending, true, memory_order_release);
	end_fibers(rt);
	worker_rouse(&rt->worker[0]);
	threads_join(rt);
	unmake(rt);
	return 0;
}

PUBLIC void fiber_runtime_cancel(fiber_runtime_t *public)
{
	struct runtime *rt = (struct runtime *)public;

	if (!rt || !runtime_hold(rt))
		return;
	runtime_cancel_all(rt);
	runtime_let_go(rt);
}

PUBLIC int fiber_block_on(fiber_runtime_t *runtime, fiber_fn *fn, void *arg)
{
	fiber_attr_t attr = { .runtime = runtime };
	fiber_t fiber;
	int r, result;

	if (runtime_forked())
		return -ECHILD;
	if (!runtime)
		return -EINVAL;
	r = fiber_spawn(&fiber, &attr, fn, arg);
	if (r < 0)
		return r;
	r = fiber_join(fiber, &result);
	if (r < 0)
		fiber_detach(fiber);
	return r < 0 ? r : result;
}
