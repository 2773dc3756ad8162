/* forked.c - fork(2): the child has one thread, and everything of the runtime belongs to its
 * parent.
 *
 * Until the child starts a runtime of its own every call returns -ECHILD. Above all it touches no
 * epoll of the parent's: removing a descriptor there would remove the parent's registration. The
 * parent's fibers, stacks and slots stay in the child's memory, unused. Locks of process-wide
 * stores are taken around the fork, so that the child finds them whole. */
#include "sched/forked.h"

#include <pthread.h>

#include "poller/poller.h"
#include "sched/helpers.h"
#include "sched/overflow.h"
#include "sched/thread.h"
#include "sched/worker.h"

static _Atomic bool forked;
static pthread_once_t once = PTHREAD_ONCE_INIT;

bool runtime_forked(void)
{
	return atomic_load_explicit(&forked, memory_order_relaxed);
}

static void prepare(void)
{
	runtime_guard(true);
	fiber_slab_fork_prepare();
	stack_fork_prepare();
	overflow_fork_prepare();
}

static void release(void)
{
	overflow_fork_done();
	stack_fork_done();
	fiber_slab_fork_done();
	runtime_guard(false);
}

static void child(void)
{
	release();
	runtime_forget_all();
	worker_set_self(NULL);
	thread_forget();
	helpers_forked();
	poller_forked();
	atomic_store_explicit(&forked, true, memory_order_relaxed);
}

static void watch(void)
{
	must(pthread_atfork(prepare, release, child) == 0);
}

void forked_watch(void)
{
	pthread_once(&once, watch);
}

void forked_revive(void)
{
	atomic_store_explicit(&forked, false, memory_order_relaxed);
}
