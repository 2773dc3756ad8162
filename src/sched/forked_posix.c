/* forked_posix.c - fork(2): the child has one thread, and everything of the runtime belongs to its
 * parent.
 *
 * Until the child starts a runtime of its own every call returns -ECHILD. Above all it touches no
 * epoll of the parent's: removing a descriptor there would remove the parent's registration. The
 * parent's fibers, stacks and slots stay in the child's memory, unused. Locks of process-wide
 * stores are taken around the fork, so that the child finds them whole. */
#include "sched/forked.h"

#include <pthread.h>
#include <unistd.h>

#include "poller/poller.h"
#include "sched/crew.h"
#include "sched/helpers.h"
#include "sched/lend.h"
#include "sched/local.h"
#include "sched/overflow.h"
#include "sched/stall.h"
#include "sched/thread.h"
#include "sched/worker.h"

static _Atomic bool forked;
_Atomic uint32_t forked_times;
static __thread bool was_fiber;
static pthread_once_t once = PTHREAD_ONCE_INIT;

bool runtime_forked(void)
{
	return atomic_load_explicit(&forked, memory_order_relaxed);
}

bool forked_was_fiber(void)
{
	return was_fiber;
}

_Noreturn void forked_exit(int result)
{
	_exit(result < 0 ? 1 : result & 0xff);
}

static void prepare(void)
{
	locals_guard(true);
	quit_guard(true);
	crew_guard(true);
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
	crew_guard(false);
	quit_guard(false);
	locals_guard(false);
}

/* Without a runtime there is nothing that died: plain threads go on in the child. */
static void child(void)
{
	bool none;

	release();
	helpers_forked();
	poller_forked();
	quit_forked();
	stall_forked();
	none = runtime_forget_all() == 0;
	if (none && !worker_self())
		return;
	if (worker_self() || lend_fiber())
		was_fiber = true;
	lend_forked();
	worker_set_self(NULL);
	thread_forget();
	fiber_slab_forget();
	atomic_fetch_add_explicit(&forked_times, 1, memory_order_relaxed);
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
