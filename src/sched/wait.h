/* wait.h - contract 2, blocking: the one door. Everything that can block waits here.
 *
 * Protocol "claim". A wait has a ticket; ticket, status and outcome are one 64-bit word in the
 * fiber's control block, which is never unmapped:
 *
 *	IDLE      nobody waits.
 *	WAITING   whoever moves the word from WAITING by CAS - an event (wait_claim), the deadline,
 *	          the cancellation - decides the outcome. Exactly one does. An event's claimer then
 *	          calls wait_wake, exactly once, and touches nothing of the waiter's any more;
 *	          between claim and wake it may copy into the waiter's memory.
 *	IN_FLIGHT an operation is in a poller (or in a helper thread): its return is the only
 *	          claimant. Deadline and cancellation only ask the poller to give it back.
 *
 * Entries in queues carry (fiber, ticket, index). A stale entry's ticket no longer matches, so its
 * claim fails; nobody follows a pointer into a parked stack to claim. A queue entry leaves popped
 * by a granter or removed by its own fiber, both under the object's guard.
 *
 * A waiter goes on only by its wake, never by reading the outcome. Deadline and cancellation are
 * carried out by the fiber's home worker only (or by the thread itself, for a plain thread), so
 * time and synchronisation share no lock order.
 *
 * How a primitive uses it (the object's guard is the primitive's own):
 *
 *	r = wait_check();               law 1: a known interruption fails before any effect
 *	lock the guard
 *	available? take it, unlock, wait_done(), return
 *	self = wait_self(); NULL: unlock, return -ENOMEM
 *	waiter.ticket = wait_begin(self, WAIT_MUTEX, object, WAIT_INTERRUPTIBLE);
 *	enqueue &waiter; unlock the guard
 *	r = wait_park(until);           index >= 0, -ECANCELED, -ETIMEDOUT (this call's own `until`)
 *	r < 0: lock the guard, remove &waiter if still queued, unlock
 *
 * and a granter: lock; pop waiters until wait_claim(w->fiber, w->ticket, w->index) succeeds; copy;
 * unlock; wait_wake(fiber). It must read what it needs of the waiter before wait_wake.
 *
 * Plain threads use the same door: a thread that waits borrows a control block, and sleeps where a
 * fiber would park. */
#ifndef FB_WAIT_H
#define FB_WAIT_H

#include <fiber.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/must.h"

struct fiber;
struct poller;
struct poller_op;

/* What fiber_info and fiber_dump show as waits_for. */
enum wait_what {
	WAIT_NOTHING, WAIT_SLEEP, WAIT_PARK, WAIT_JOIN, WAIT_GROUP, WAIT_LIMIT, WAIT_OFFLOAD,
	WAIT_READ, WAIT_WRITE, WAIT_ACCEPT, WAIT_CONNECT, WAIT_POLL,
	WAIT_MUTEX, WAIT_COND, WAIT_RDLOCK, WAIT_WRLOCK, WAIT_SEM, WAIT_EVENT, WAIT_BARRIER,
	WAIT_WAITGROUP, WAIT_ONCE, WAIT_SEND, WAIT_RECV, WAIT_SELECT, WAIT_FUTURE, WAIT_PROCESS,
	WAIT_SIGNAL,
	WAIT_BLOCKING,              /* no wait: it runs on a helper thread (lend.c) */
	WAIT_KINDS
};
const char *wait_name(enum wait_what);

/* An entry of an object's queue, mostly on the waiter's stack. */
struct waiter {
	struct list link;
	struct fiber *fiber;
	uint64_t ticket;
	unsigned index;             /* handed to wait_claim: which case of several */
	void *data;                 /* the primitive's: where to copy from or to */
};

enum wait_mode {
	WAIT_INTERRUPTIBLE,         /* ambient deadline and cancellation end it */
	WAIT_HARD,                  /* neither does; its own `until` still does */
};

/* The running fiber, or the calling plain thread's borrowed block. NULL: none to be had, -ENOMEM
 * (or, in a forked child, -ECHILD: wait_why). */
struct fiber *wait_self(void);
int wait_why(void);
/* True when called from a fiber (false: a plain thread). */
bool wait_on_fiber(void);
/* True in a fiber that may be on another thread after a park. */
bool wait_roams(void);

/* Law 1 and law 5: 0, or -ECANCELED when an interruption is already known, having yielded first.
 * Also -ECHILD in a forked child. A cancellation point. */
int wait_check(void);
/* Law 4: call when an operation ended without parking. Every 64th yields and runs the timers. */
void wait_done(void);

/* ---- who calls, inline ------------------------------------------------------------------------*/
/* For calls of a few nanoseconds. Only where nothing before them in the function, or in whoever it
 * is inlined into, can have parked: a compiler may keep the address of a thread-local, and the
 * fiber be on another thread by then. */

/* A worker begins with this (worker.h), so that nobody here needs to know more of it. */
struct wait_place {
	_Atomic(struct fiber *) running;
	unsigned brief;             /* brief calls so far */
};
struct worker;
extern __thread struct worker *worker_mine __attribute__((__visibility__("hidden")));

enum { WAIT_IS_THREAD = 4 };    /* a bit of an identity: a plain thread's */

/* Who calls, in one word: not 0, its two lowest bits free, the same on whichever thread the fiber
 * runs. It takes no memory, unlike wait_self. When a fiber or thread has ended another one may
 * have its word. */
static inline uintptr_t wait_identity(void)
{
	struct wait_place *here = (struct wait_place *)worker_mine;

	if (likely(here != NULL))
		return (uintptr_t)atomic_load_explicit(&here->running, memory_order_relaxed);
	return (uintptr_t)&worker_mine | WAIT_IS_THREAD;
}

/* Is it running at this moment, on another thread than the caller's? Of a plain thread nobody can
 * tell: true. For whoever would rather spin than park; outdated when it returns. */
bool wait_elsewhere(uintptr_t identity);

/* Law 4 for calls of a few nanoseconds that are not cancellation points: every 64th counts as one
 * wait_done. May yield. */
static inline void wait_brief(void)
{
	struct wait_place *here = (struct wait_place *)worker_mine;

	if (likely(here != NULL) && unlikely(++here->brief % 64 == 0))
		wait_done();
}

/* Starts a wait; returns its ticket (never 0). From here on the fiber must call wait_park,
 * wait_park_op or wait_abandon. `object` is shown by fiber_info. */
uint64_t wait_begin(struct fiber *self, enum wait_what, const void *object, enum wait_mode);
/* Nothing was queued anywhere (or all was removed under its guard before a claim could happen). */
void wait_abandon(struct fiber *self);
/* Tries to end one's own wait before parking, as if by event `index`: true: ended, do not park.
 * False: somebody claimed it, park to take the wake-up. */
bool wait_withdraw(struct fiber *self, unsigned index);
/* Parks until claimed. The index given to the claim; or -ECANCELED; -ETIMEDOUT if `until` passed;
 * -ENOMEM if no timer could be had (nothing happened otherwise). */
int wait_park(struct fiber *self, int64_t until);

/* A granter's side; any thread. */
bool wait_claim(struct fiber *, uint64_t ticket, unsigned index);
void wait_wake(struct fiber *);

/* +1: from now on something outside of all fibers - a thread of the library's own - may wake one,
 * so that no deadlock is found; -1: no more. Any thread. */
void wait_from_outside(int change);

/* ---- a fiber's end, in a select ---------------------------------------------------------------*/
/* What a claim by the end of a fiber gives as index. */
enum { WAIT_JOINED = 0xfffff };
/* Joins if it has ended: 0 and *result; -EAGAIN: it has not; else the errors of fiber_join. */
int wait_join_now(fiber_t, int *result);
/* Its end shall claim this wait. 0; -EALREADY: it has ended; else the errors of fiber_join. */
int wait_join_enter(fiber_t, struct fiber *self, uint64_t ticket);
/* After the wait, for each that was entered. `take`: if it has ended, join it: true, and *result.
 * Otherwise it is left joinable. */
bool wait_join_leave(fiber_t, struct fiber *self, uint64_t ticket, bool take, int *result);

/* ---- operations in a poller ------------------------------------------------------------------*/
/* One operation from start to end: submits, parks, retries. Its result, -errno, -ECANCELED,
 * -ETIMEDOUT (own `until`), or -EINPROGRESS: would block, use a helper thread. Fibers only. */
ssize_t wait_op(struct poller_op *, enum wait_what, int64_t until);
/* Does the poller of this worker perform IO_FILE? Fibers only. */
bool wait_performs_files(void);
/* Several IO_POLL operations in one WAITING wait (select, fiber_poll): between wait_begin and
 * wait_park, for each op with owner, ticket and index set. POLLER_DONE: op->result is there. */
int wait_submit(struct poller_op *);
/* After that wait, for every op given to wait_submit: takes it back if still in flight, and stays
 * until it is. */
void wait_retrieve(struct poller_op *);
/* What `forget` or `wait` gave back: tells each owner. Any thread. */
void wait_ops_back(struct list *back);

/* ---- helper threads (sched/helpers.c) --------------------------------------------------------*/
/* Runs fn(arg) on a helper thread and parks until it has ended, whatever deadline or cancellation
 * say. Its result. -EAGAIN: no thread could be started. On a plain thread: calls fn. */
int wait_offload(int (*fn)(void *), void *arg);

#endif
