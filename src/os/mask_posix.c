/* mask_posix.c - the signal mask of a thread; see mask.h. */
#include "os/mask.h"

#include <signal.h>
#include <stddef.h>

_Static_assert(sizeof(sigset_t) <= sizeof(struct os_mask), "a set fits in");
_Static_assert(_Alignof(sigset_t) <= _Alignof(struct os_mask), "and is aligned");

void os_mask_get(struct os_mask *m)
{
	pthread_sigmask(SIG_SETMASK, NULL, (sigset_t *)m->bytes);
}

void os_mask_set(const struct os_mask *m, struct os_mask *before)
{
	pthread_sigmask(SIG_SETMASK, (const sigset_t *)m->bytes,
			before ? (sigset_t *)before->bytes : NULL);
}

void os_mask_all(struct os_mask *m)
{
	sigfillset((sigset_t *)m->bytes);
}

/* A fault that is blocked kills without asking the program's handler; and a background job that
 * reads its terminal is stopped only by a signal that is not blocked. */
void os_mask_all_but_faults(struct os_mask *m)
{
	static const int open[] = { SIGSEGV, SIGBUS,  SIGFPE, SIGILL, SIGTRAP,
				    SIGABRT, SIGSYS,  SIGTTIN, SIGTTOU };

	os_mask_all(m);
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		sigdelset((sigset_t *)m->bytes, open[i]);
}
