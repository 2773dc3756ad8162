/* quit.c - FIBER_DUMP_ON_QUIT: SIGQUIT, on Windows Ctrl-Break, prints the fibers of the runtimes
 * that asked for it.
 *
 * The handler only sets `asked` and wakes their workers: printing is no work for a signal handler.
 * The first worker that looks at the world writes all the dumps. Runtimes that want this are in
 * `wanting`, a fixed table, because the handler reads it; who takes one out waits until no handler
 * runs (`inside`). What leads here, and what it did before, is in quit_signal_*.c. */
#include "os/os.h"
#include "sched/forked.h"
#include "sched/quit_signal.h"
#include "sched/worker.h"

enum { MOST = 64 };

static _Atomic bool asked;
static _Atomic unsigned inside; /* handlers that run now */
static _Atomic(struct runtime *) wanting[MOST];
static struct spin guard; /* guards installed and changes of wanting */
static _Atomic unsigned installed;

bool quit_wanted(void)
{
	return atomic_load_explicit(&installed, memory_order_relaxed) > 0;
}

void quit_arrived(void)
{
	/* All four of these in one order: either we find nothing, or we are waited for. */
	atomic_fetch_add_explicit(&inside, 1, memory_order_seq_cst);
	atomic_store_explicit(&asked, true, memory_order_release);
	for (int i = 0; i < MOST; i++) {
		struct runtime *rt = atomic_load_explicit(&wanting[i], memory_order_seq_cst);

		for (unsigned k = 0; rt && k < rt->workers; k++)
			worker_rouse(&rt->worker[k]);
	}
	atomic_fetch_sub_explicit(&inside, 1, memory_order_release);
}

bool info_dump_is_asked(void)
{
	return atomic_load_explicit(&asked, memory_order_relaxed);
}

void info_dump_if_asked(void)
{
	if (likely(!info_dump_is_asked()) ||
	    !atomic_exchange_explicit(&asked, false, memory_order_acquire))
		return;
	for (int i = 0; i < MOST; i++) {
		struct runtime *rt = atomic_load_explicit(&wanting[i], memory_order_acquire);

		if (!rt || !runtime_hold(rt))
			continue;
		info_dump(rt, stderr);
		runtime_let_go(rt);
	}
}

void info_dump_on_quit(struct runtime *rt)
{
	struct runtime *none;

	spin_lock(&guard);
	for (int i = 0; i < MOST; i++) {
		none = NULL;
		if (atomic_compare_exchange_strong_explicit(&wanting[i], &none, rt,
							    memory_order_release,
							    memory_order_relaxed))
			break;
	}
	if (atomic_fetch_add_explicit(&installed, 1, memory_order_relaxed) == 0)
		quit_signal_take();
	spin_unlock(&guard);
}

void info_dump_off(struct runtime *rt)
{
	spin_lock(&guard);
	for (int i = 0; i < MOST; i++)
		if (atomic_load_explicit(&wanting[i], memory_order_relaxed) == rt)
			atomic_store_explicit(&wanting[i], NULL, memory_order_seq_cst);
	if (atomic_fetch_sub_explicit(&installed, 1, memory_order_relaxed) == 1)
		quit_signal_give();
	spin_unlock(&guard);
	while (atomic_load_explicit(&inside, memory_order_seq_cst) > 0)
		os_yield();
}

/* ---- fork -------------------------------------------------------------------------------------*/
void quit_guard(bool take)
{
	if (take)
		spin_lock(&guard);
	else
		spin_unlock(&guard);
}

/* A terminal sends SIGQUIT to parent and child alike: ours would wake the parent's workers. */
void quit_forked(void)
{
	for (int i = 0; i < MOST; i++)
		atomic_store_explicit(&wanting[i], NULL, memory_order_relaxed);
	if (atomic_load_explicit(&installed, memory_order_relaxed))
		quit_signal_give();
	atomic_store_explicit(&installed, 0, memory_order_relaxed);
	atomic_store_explicit(&asked, false, memory_order_relaxed);
	atomic_store_explicit(&inside, 0, memory_order_relaxed);
}
