/* quit.c - FIBER_DUMP_ON_QUIT: SIGQUIT prints the fibers of the runtimes that asked for it.
 *
 * The handler only sets `asked` and wakes their workers: printing is no work for a signal handler.
 * The first worker that looks at the world writes all the dumps. Runtimes that want this are in
 * `wanting`, a fixed table, because the handler reads it. The former disposition comes back with
 * the last. */
#include <signal.h>

#include "sched/worker.h"

enum { MOST = 64 };

static _Atomic bool asked;
static _Atomic(struct runtime *) wanting[MOST];
static struct spin guard; /* guards installed and changes of wanting */
static unsigned installed;
static struct sigaction former;

static void on_quit(int signal)
{
	(void)signal;
	atomic_store_explicit(&asked, true, memory_order_release);
	for (int i = 0; i < MOST; i++) {
		struct runtime *rt = atomic_load_explicit(&wanting[i], memory_order_acquire);

		for (unsigned k = 0; rt && k < rt->workers; k++)
			worker_rouse(&rt->worker[k]);
	}
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

		if (rt)
			info_dump(rt, stderr);
	}
}

void info_dump_on_quit(struct runtime *rt)
{
	struct sigaction action = { .sa_handler = on_quit, .sa_flags = SA_RESTART };
	struct runtime *none;

	spin_lock(&guard);
	for (int i = 0; i < MOST; i++) {
		none = NULL;
		if (atomic_compare_exchange_strong_explicit(&wanting[i], &none, rt,
							    memory_order_release,
							    memory_order_relaxed))
			break;
	}
	if (installed++ == 0)
		sigaction(SIGQUIT, &action, &former);
	spin_unlock(&guard);
}

void info_dump_off(struct runtime *rt)
{
	spin_lock(&guard);
	for (int i = 0; i < MOST; i++)
		if (atomic_load_explicit(&wanting[i], memory_order_relaxed) == rt)
			atomic_store_explicit(&wanting[i], NULL, memory_order_release);
	if (--installed == 0)
		sigaction(SIGQUIT, &former, NULL);
	spin_unlock(&guard);
}
