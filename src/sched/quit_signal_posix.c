/* quit_signal_posix.c - SIGQUIT; see quit_signal.h.
 *
 * The former disposition comes back with the last who wants a dump; but not while somebody has put
 * a handler on top of ours, which may pass on to ours. Then ours stays, buried, and does what was
 * done before it came. If it is installed once more, on top of that one, what it covers is
 * `above`. */
#include "sched/quit_signal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

static bool buried;
static struct sigaction former, above;

/* Nobody wants a dump any more. */
static void act_as_before(int signal, siginfo_t *info, void *context)
{
	if (former.sa_flags & SA_SIGINFO) {
		former.sa_sigaction(signal, info, context);
	} else if (former.sa_handler == SIG_DFL) {
		sigaction(signal, &former, NULL);
		raise(signal);
	} else if (former.sa_handler != SIG_IGN) {
		former.sa_handler(signal);
	}
}

static void on_quit(int signal, siginfo_t *info, void *context)
{
	int kept = errno;

	if (quit_wanted())
		quit_arrived();
	else
		act_as_before(signal, info, context);
	errno = kept;
}

static bool is_ours(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_quit;
}

void quit_signal_take(void)
{
	struct sigaction ours = { .sa_sigaction = on_quit, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction now;

	sigaction(SIGQUIT, NULL, &now);
	if (is_ours(&now)) {
		buried = false; /* it has been uncovered */
		return;
	}
	*(buried ? &above : &former) = now;
	sigaction(SIGQUIT, &ours, NULL);
}

void quit_signal_give(void)
{
	struct sigaction now;

	sigaction(SIGQUIT, NULL, &now);
	if (is_ours(&now))
		sigaction(SIGQUIT, buried ? &above : &former, NULL);
	else
		buried = true;
}
