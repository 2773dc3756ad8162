/* overflow_posix.c - one handler for SIGSEGV and SIGBUS in the process, which knows an overflow and
 * passes everything else on.
 *
 * An overflow is a fault in the guard of a stack that is in use, while the thread's stack
 * pointer is in that stack's slot, or while the scheduler says that the thread runs on it (a
 * large frame may have carried the stack pointer over the guard). So neither a fiber that writes
 * beyond the top of its own stack, into its neighbour's guard, nor a stray pointer is taken for
 * one.
 *
 * Protocol "beneath": the handlers that ours covers are kept, and called with their own mask and
 * flags. A program may put its handler on top of ours, and that one may pass on to ours. Then
 * ours cannot be removed any more, and putting it on top again makes a chain: ours, theirs,
 * ours, the original. So there are levels; ours knows how often the present signal came by, and
 * calls the next level below. levels and entries are written under `lock`, an entry before the
 * count that covers it (release); the handler reads the count (acquire) and takes no lock. A
 * level that was popped is what the kernel calls now. */
#include "sched/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "os/fault.h"
#include "sched/overflow_report.h"
#include "sched/overflow_trace.h"

enum { LEVELS = 8, SIGNALS = 2 };

static struct beneath {
	int signal;
	_Atomic unsigned levels;
	struct sigaction action[LEVELS];
} chains[SIGNALS] = { { .signal = SIGSEGV }, { .signal = SIGBUS } };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned installs;       /* guarded by lock */
static _Atomic bool active;     /* installs > 0 */

static _Atomic bool reporting;
/* What overflow_report_buffer was told; stack is NULL: nothing. */
static _Thread_local struct overflow_call failed_call;

/* The signal that this thread is passing on. Of the stack address and not a mere flag, because the
 * handler beneath may leave by siglongjmp. */
static _Thread_local struct {
	const siginfo_t *info;
	const char *frame;
	unsigned depth;
} passing;

/* ---- passing on ------------------------------------------------------------------------------*/
/* A fault happens again on return, and then kills with the context it had. What somebody sent does
 * not: it is sent again, and waits until this handler has returned. */
static void die_by(int signal, const siginfo_t *info)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };

	sigaction(signal, &standard, NULL);
	if (info->si_code <= 0)
		raise(signal);
}

static void call_handler(const struct sigaction *a, int signal, siginfo_t *info, void *context)
{
	sigset_t was, only;

	pthread_sigmask(SIG_BLOCK, &a->sa_mask, &was);
	if ((a->sa_flags & SA_NODEFER) && !sigismember(&a->sa_mask, signal)) {
		sigemptyset(&only);
		sigaddset(&only, signal);
		pthread_sigmask(SIG_UNBLOCK, &only, NULL);
	}
	if (a->sa_flags & SA_SIGINFO)
		a->sa_sigaction(signal, info, context);
	else
		a->sa_handler(signal);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

static void act_as(struct sigaction *beneath, int signal, siginfo_t *info, void *context)
{
	struct sigaction a = *beneath;

	if (a.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	/* The kernel kills, too, when a fault is ignored: it could only happen again. */
	if (a.sa_handler == SIG_DFL || a.sa_handler == SIG_IGN) {
		die_by(signal, info);
		return;
	}
	if (a.sa_flags & (int)SA_RESETHAND)
		beneath->sa_handler = SIG_DFL;
	call_handler(&a, signal, info, context);
}

static NOINLINE void pass_on(struct beneath *chain, siginfo_t *info, void *context)
{
	const char *frame = __builtin_frame_address(0);
	unsigned levels = atomic_load_explicit(&chain->levels, memory_order_acquire);
	typeof(passing) was = passing;
	bool again = was.info == info && frame < was.frame;
	unsigned depth = again ? was.depth + 1 : 0;

	/* Somebody still calls us though we left: what was there at first serves him. */
	if (levels == 0)
		levels = 1;
	passing.info = info;
	passing.frame = frame;
	passing.depth = depth;
	if (depth < levels)
		act_as(&chain->action[levels - 1 - depth], chain->signal, info, context);
	else
		die_by(chain->signal, info);
	passing = was;
}

/* ---- the handler -----------------------------------------------------------------------------*/
static const struct stack *overflown(const siginfo_t *info, const void *context)
{
	struct stack *touched, *current;

	if (!atomic_load_explicit(&active, memory_order_relaxed) || info->si_code <= 0)
		return NULL;
	if (stack_locate(info->si_addr, &touched) != STACK_GUARD || !touched->owner)
		return NULL;
	if (stack_locate((const void *)os_fault_sp(context), &current) != STACK_NOT_OURS &&
	    current == touched)
		return touched;
	return touched == overflow_stack() ? touched : NULL;
}

static void report(const struct stack *s, const siginfo_t *info, const void *context)
{
	/* The first thread reports, and takes the others with it. */
	while (atomic_exchange_explicit(&reporting, true, memory_order_relaxed))
		pause();
	overflow_report(s, info->si_addr, (const void *)os_fault_pc(context),
			failed_call.stack == s ? &failed_call : NULL);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	int was = errno;
	const struct stack *s = overflown(info, context);

	if (s) {
		report(s, info, context);
		die_by(signal, info);
	} else {
		pass_on(signal == SIGSEGV ? &chains[0] : &chains[1], info, context);
	}
	errno = was;
}

_Noreturn COLD void overflow_report_buffer(const struct stack *running, const void *sp,
					   const void *buffer, size_t bytes)
{
	failed_call = (struct overflow_call){ running, sp, buffer, bytes };
	atomic_signal_fence(memory_order_release); /* the handler below reads it */
	/* The fault that the frame stepped over, made up for: the handler runs on its own stack,
	 * whatever has become of this one, and whoever else handles SIGSEGV sees a true one. */
	for (;;)
		*(volatile char *)(running->bottom - 1) = 0;
}

/* ---- installing ------------------------------------------------------------------------------*/
static bool is_ours(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_fault;
}

static void put_on_top(struct beneath *chain)
{
	unsigned levels = atomic_load_explicit(&chain->levels, memory_order_relaxed);
	struct sigaction ours = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction now;

	sigaction(chain->signal, NULL, &now);
	/* Covered eight times over: from here on those on top decide whether we are asked. */
	if (is_ours(&now) || levels == LEVELS)
		return;
	/* System calls that the former action would not have interrupted go on. */
	ours.sa_flags |= now.sa_handler == SIG_IGN ? SA_RESTART : now.sa_flags & SA_RESTART;
	sigemptyset(&ours.sa_mask);
	chain->action[levels] = now;
	atomic_store_explicit(&chain->levels, levels + 1, memory_order_release); /* see pass_on */
	sigaction(chain->signal, &ours, NULL);
}

static void take_off(struct beneath *chain)
{
	unsigned levels = atomic_load_explicit(&chain->levels, memory_order_relaxed);
	struct sigaction now;

	sigaction(chain->signal, NULL, &now);
	if (!is_ours(&now) || levels == 0)
		return;
	sigaction(chain->signal, &chain->action[levels - 1], NULL);
	atomic_store_explicit(&chain->levels, levels - 1, memory_order_release);
}

void overflow_install(void)
{
	pthread_mutex_lock(&lock);
	if (installs++ == 0 && OVERFLOW_INSTALLS) {
		overflow_trace_prepare();
		for (int i = 0; i < SIGNALS; i++)
			put_on_top(&chains[i]);
		atomic_store_explicit(&active, true, memory_order_relaxed);
	}
	pthread_mutex_unlock(&lock);
}

void overflow_remove(void)
{
	pthread_mutex_lock(&lock);
	must(installs > 0);
	if (--installs == 0 && OVERFLOW_INSTALLS) {
		atomic_store_explicit(&active, false, memory_order_relaxed);
		for (int i = 0; i < SIGNALS; i++)
			take_off(&chains[i]);
	}
	pthread_mutex_unlock(&lock);
}

void overflow_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

void overflow_fork_done(void)
{
	pthread_mutex_unlock(&lock);
}
