/* helpers.h - a few threads for calls that block: files, names, and what the program hands over.
 *
 * One pool for the process. Its bound protects the process (threads, memory), not a runtime, and
 * plain threads use it too; a pool per runtime would need an owner for calls that come from
 * neither. The largest options.helpers_max of the runtimes that live is the bound.
 *
 * A job lies on the parked caller's stack: handing one over allocates nothing. Jobs that find no
 * idle helper start one up to the bound, and queue beyond it, first come first served. A helper
 * that was idle for ten seconds ends. */
#ifndef FB_SCHED_HELPERS_H
#define FB_SCHED_HELPERS_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "os/mask.h"
#include "sched/wait.h"

struct helper;

enum {
	/* Deadline and cancellation ask the call to come back: `stop` is set, and the helper gets
	 * a signal that does nothing, again and again, so that the system call it sits in ends
	 * with EINTR. `run` looks at `stop` before each system call, and returns -EINTR if it is
	 * set. Without this flag nothing interrupts the call. */
	HELPERS_STOPPABLE = 1u << 0,
	/* The program's own code: it runs with the caller's signal mask, so that children it starts
	 * and signals it raises are as they would be in the caller. Everything else runs with all
	 * signals blocked. */
	HELPERS_PROGRAM = 1u << 1,
	/* As long as it is queued, deadline and cancellation take the job back unrun. */
	HELPERS_UNBEGUN = 1u << 2,
	/* And once it runs, an interrupted caller leaves it behind (HELPERS_LEFT). The job is the
	 * first member of what was allocated for it, and then freed by the pool. */
	HELPERS_LEAVE = 1u << 3,
	/* `run` carries the fiber itself (lend.c): its return is the wake-up. */
	HELPERS_LEND = 1u << 4,
};

/* Of helpers_call: the caller was interrupted, and the job goes on without it. */
#define HELPERS_LEFT INT_MIN

struct helpers_job {
	/* Set by the caller; the rest zero. */
	int (*run)(void *argument);
	void *argument;
	unsigned flags;
	enum wait_what what;           /* shown as what the fiber waits for; 0: offload */

	_Atomic uint32_t stop;         /* read by run */

	/* The pool's; guarded by its lock once the job is submitted. */
	struct list link;              /* in the queue */
	enum { JOB_NEW, JOB_QUEUED, JOB_RUNNING, JOB_ENDED } state;
	int result;
	struct fiber *fiber;           /* who waits, with which ticket */
	uint64_t ticket;
	struct helper *helper;         /* who runs it */
	bool left;                     /* nobody waits for it any more */
	struct os_mask mask;           /* HELPERS_PROGRAM: the caller's */
};

/* Runs the job on a helper and waits for its end: a fiber parks, a plain thread sleeps. What `run`
 * returned; a stoppable job that came back with -EINTR because of an interruption, and one that was
 * taken back unrun: -ECANCELED. One that was recalled: -EINTR. HELPERS_LEFT: see there.
 * -EAGAIN: there is no helper, and none could be started. -ENOMEM, -ECHILD: as wait_self. */
int helpers_call(struct helpers_job *);
/* Another thread asks a job to come back: `stop` is set, and a stoppable one ends with -EINTR,
 * soon if this is repeated (a signal may come just before the system call), or with what it had
 * already reached. A job that is not submitted yet or has ended is left alone. Its memory must be
 * sure to stay. */
void helpers_recall(struct helpers_job *);

/* A runtime starts, and wants at most so many helpers (0: 64). */
void helpers_limit(unsigned most);
/* The last runtime has ended: idle helpers end and are joined. Those in a call of a plain thread
 * end by themselves later. */
void helpers_stop(void);

/* For the deadlock report. Helpers that exist: those that ended are joined first, so that the count
 * agrees with os_threads. */
unsigned helpers_threads(void);
/* Calls queued or running. A call is counted until its caller has been woken: read this before the
 * inboxes, and a caller that is in neither is still waiting. */
unsigned helpers_busy(void);
/* Statistics: calls handed over so far, and of them those that found no helper free; jobs that wait
 * for one now. */
uint64_t helpers_calls(void);
uint64_t helpers_delayed(void);
unsigned helpers_queued(void);

/* In a forked child: there are no helpers. */
void helpers_forked(void);

#endif
