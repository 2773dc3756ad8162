/* kick_posix.c - a real-time signal with a handler that does nothing.
 *
 * accept(2) and connect(2) have no form that does not block for one call only, and a read of a
 * terminal has none either. A helper thread that sits in one, because another process took what
 * was ready, can only be brought back by a signal whose handler was installed without SA_RESTART.
 * The library takes a real-time signal for it, the highest that nobody uses, and not before the
 * first such call, so most programs never see it. It is sent to helper threads only, by number of
 * thread; elsewhere it stays as it was, and exec puts the default back.
 *
 * Rejected: pthread_cancel, because glibc before 2.41 may lose the descriptor that accept was just
 * returning; SO_RCVTIMEO, because it changes the socket for every process that shares it. */
#include "sched/kick.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

static _Atomic int chosen; /* 0: not yet; -1: none is free */
static _Atomic uint64_t owned; /* a bit for each number */

static void nothing(int number)
{
	(void)number;
}

/* Two threads that come here at once find the same one: a handler of ours counts as free. */
int kick_install(void (*handler)(int), int flags)
{
	struct sigaction now, ours = { .sa_handler = handler, .sa_flags = flags };

	sigfillset(&ours.sa_mask);
	for (int number = SIGRTMAX; number >= SIGRTMIN; number--)
		if (sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
		    (now.sa_handler == SIG_DFL || now.sa_handler == handler) &&
		    sigaction(number, &ours, NULL) == 0) {
			atomic_fetch_or_explicit(&owned, UINT64_C(1) << (number - 1),
						 memory_order_relaxed);
			return number;
		}
	return -1;
}

bool kick_owns(int number)
{
	return atomic_load_explicit(&owned, memory_order_relaxed) >> (number - 1) & 1;
}

int kick_signal(void)
{
	int number = atomic_load_explicit(&chosen, memory_order_acquire);

	if (number == 0) {
		number = kick_install(nothing, 0);
		/* Pairs with the load above: the handler is there. */
		atomic_store_explicit(&chosen, number, memory_order_release);
	}
	return number > 0 ? number : 0;
}

void kick_allow(void)
{
	int number = kick_signal();
	sigset_t set;

	if (number == 0)
		return;
	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void kick_send(pthread_t thread)
{
	int number = kick_signal();

	if (number)
		pthread_kill(thread, number);
}
