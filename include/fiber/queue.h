/* fiber/queue.h - a queue of events, for callbacks and state machines.
 * SPDX-License-Identifier: MIT
 *
 * One interface over epoll and its like, for code that keeps its own state for each connection and
 * wants to be told when something can be done. It needs no fiber, no runtime and no thread of the
 * library's; a program may use nothing else of it.
 *
 *	fiber_queue_t *queue;
 *	fiber_queue_event_t events[64];
 *
 *	r = fiber_queue_create(&queue);
 *	r = fiber_queue_register(queue, fd, (uintptr_t)connection, FIBER_QUEUE_READABLE);
 *	while ((n = fiber_queue_wait(queue, events, 64, FIBER_NEVER)) >= 0)
 *		for (int i = 0; i < n; i++)
 *			step((struct connection *)(uintptr_t)events[i].token, events[i].ready);
 *
 *  Tokens      are 64 bits that the queue hands back and never looks at: a pointer (by way of
 *              uintptr_t), an index, an index with a generation. Two sources may share one. A
 *              number and not a pointer, because a table's index needs no memory that must
 *              outlive the last event, and every pointer fits.
 *  Modes       Level, unless another is asked for: told at every wait as long as it is so.
 *              FIBER_QUEUE_EDGE: told once when it becomes so, and again whenever more arrives;
 *              read or write until EAGAIN before the next wait, or what is left is never told.
 *              FIBER_QUEUE_ONESHOT: told once, then silent until it is registered again by
 *              fiber_queue_reregister. That arms every mode anew: what is ready at that moment is
 *              told, also in edge mode.
 *  Hints       An event says that an attempt is worth while, not that it will succeed: another
 *              thread or process may have been faster, a checksum wrong, and in edge mode one
 *              arrival may be told twice. So descriptors should be non-blocking, and code must bear
 *              EAGAIN. No event is also possible: a wait that was woken returns 0.
 *  Threads     Every call may come from any thread at any time, also while one waits: what is
 *              registered or raised then is told by that wait. But one thread waits at a time. With
 *              several, two could hold events of one connection at once, in no order, and no call
 *              could tell whether a fetched event still holds; for more threads take a queue for
 *              each, which is also what scales. fiber_queue_destroy comes after every other call
 *              has returned, save that it notices a wait.
 *  Fibers      No call parks or is a cancellation point. So a wait blocks its thread, and inside a
 *              fiber the whole worker. There, wait for the queue as for any descriptor, and then
 *              only look:
 *
 *	while ((r = fiber_wait_fd(fiber_queue_fd(queue), POLLIN)) > 0)
 *		n = fiber_queue_wait(queue, events, 64, 0);
 *
 *  Closing     Deregister before close(2), fiber_close or dup2 onto the number. A registered
 *              descriptor that is closed by plain close(2) is told no more, its number may be
 *              registered anew, and until then it costs some memory. But on Linux, if a duplicate
 *              of it is open anywhere (dup, a forked child), the system goes on reporting the old
 *              one: its events keep coming under the old token until the number is registered
 *              anew, and from then on they are dropped, but each still wakes a wait in vain. Only
 *              fiber_queue_destroy ends that.
 *  Fork        A child shares the kernel's side of its parent's queues, and would change what the
 *              parent is told: there every call returns -ECHILD, and only fiber_queue_destroy
 *              works; it leaves the parent's alone.
 *  Fairness    However few events a wait takes, and however many are ready, nobody starves:
 *              descriptors take turns, user events take turns, and each of the two kinds gets half
 *              of the events if it has so many (of single events every other one).
 *
 * What all of them may return, beside what each names:
 *
 *	-EINVAL      a pointer that must not be NULL is
 *	-ECHILD      in a forked child
 *	-ENOSYS      on Windows, where there is no queue so far */
#ifndef FIBER_QUEUE_H
#define FIBER_QUEUE_H
#include <fiber/io.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct fiber_queue fiber_queue_t;

enum {
	/* What to be told, and what is told. READABLE and WRITABLE: a read or write would not wait;
	 * also because it would find the end or an error. PRIORITY: urgent data, POLLPRI. */
	FIBER_QUEUE_READABLE = 1u << 0,
	FIBER_QUEUE_WRITABLE = 1u << 1,
	FIBER_QUEUE_PRIORITY = 1u << 2,
	/* Told whether asked for or not, beside READABLE or WRITABLE if these were asked for.
	 * ERROR: an error waits on the descriptor (SO_ERROR, or a pipe that nobody reads).
	 * READ_CLOSED: nothing more will come after what can be read now; a peer's half-close is
	 * told only where READABLE is asked for. WRITE_CLOSED: nothing can be written any more. A
	 * TCP socket that is neither connected nor connecting has both. (On the BSDs and macOS
	 * none of them is told where only PRIORITY is asked for.) */
	FIBER_QUEUE_ERROR = 1u << 3,
	FIBER_QUEUE_READ_CLOSED = 1u << 4,
	FIBER_QUEUE_WRITE_CLOSED = 1u << 5,
	/* Modes; without one: level. At most one of them. */
	FIBER_QUEUE_EDGE = 1u << 8,
	FIBER_QUEUE_ONESHOT = 1u << 9,
};

typedef struct fiber_queue_event {
	uint64_t token;     /* as registered */
	uint64_t source_;   /* which registration: for fiber_queue_current */
	unsigned ready;     /* FIBER_QUEUE_READABLE ... FIBER_QUEUE_WRITE_CLOSED; never 0 */
} fiber_queue_event_t;

/* ---- life -------------------------------------------------------------------------------------*/

/* A queue without sources. Takes two descriptors, close-on-exec. Never blocks. Returns 0, or
 *	-ENOMEM          no memory
 *	-EMFILE, -ENFILE no descriptors left */
FIBER_CHECKED int fiber_queue_create(fiber_queue_t **out);

/* Ends it; what is registered stays open. NULL: nothing happens. Never blocks. Returns 0, or
 * -EBUSY: a thread waits at it; wake it and let it go first. */
int fiber_queue_destroy(fiber_queue_t *queue);

/* ---- descriptors ------------------------------------------------------------------------------*/

/* From now on the queue tells what `fd` is ready for, of what `interests` hold: READABLE, WRITABLE,
 * PRIORITY, at least one of them, and a mode. What is ready already is told by the next wait.
 * Descriptors are not taken over, and their flags stay as they are. Never blocks.
 *
 * Returns 0, or
 *	-EEXIST          it is registered already: see fiber_queue_reregister
 *	-EBADF           it is not open
 *	-EPERM           it cannot be waited for: a regular file or directory, always ready
 *	-ENOTSUP         PRIORITY, where the system has no event for it (FreeBSD)
 *	-EINVAL          interests hold something else, none, or two modes; or it is the queue's own
 *	                 descriptor
 *	-ELOOP           it is that of another queue in which, at last, this one is registered
 *	-ENOMEM, -ENOSPC no memory; the user's limit of watches is reached */
FIBER_CHECKED int fiber_queue_register(fiber_queue_t *queue, fiber_fd fd, uint64_t token,
				       unsigned interests);

/* The same for one that is registered: other interests, token or mode, and armed anew. Events
 * fetched before, and not yet looked at, are not current any more: what still holds is told again.
 * Never blocks.
 *
 * Returns 0, or
 *	-ENOENT          it is not registered; or was, but its number is another file's by now
 *	-EBADF           it is not open
 *	-EINVAL, -ENOMEM as fiber_queue_register
 * After all but -EINVAL it is not registered any more. */
FIBER_CHECKED int fiber_queue_reregister(fiber_queue_t *queue, fiber_fd fd, uint64_t token,
					 unsigned interests);

/* Ends it. No wait that begins afterwards tells of it, and what one that goes on had fetched from
 * the system is dropped. Of events that were told already, or are just being told by a wait on
 * another thread, fiber_queue_current says that they are void. Whatever is returned, it is not
 * registered afterwards. Never blocks.
 *
 * Returns 0, -ENOENT or -EBADF, as fiber_queue_reregister. */
int fiber_queue_deregister(fiber_queue_t *queue, fiber_fd fd);

/* ---- waiting ----------------------------------------------------------------------------------*/

/* Waits until something is ready, and takes up to `max` events. Each source has one event a wait
 * at most.
 *
 * timeout_ns: 0 or less only looks; FIBER_NEVER waits for as long as it takes. It ends never
 * early, and as precisely as the system can (nanoseconds on Linux 5.11 and later).
 *
 * Blocks the thread, also in a fiber (see above). Signals do not end it: a handler that should
 * calls fiber_queue_wake.
 *
 * Returns the number of events; 0: the time is over, or fiber_queue_wake was called; or
 *	-EINVAL          max is 0 or beyond INT_MAX
 *	-EBUSY           another thread waits
 *	-EBADF, -EINVAL  the program closed the queue's own descriptor
 *	-ENOMEM          no memory for so many events (with a larger `max` than before) */
FIBER_CHECKED int fiber_queue_wait(fiber_queue_t *queue, fiber_queue_event_t *events, size_t max,
				   int64_t timeout_ns);

/* Does the registration still stand that the event speaks of? No, if since it was fetched its
 * source was deregistered, registered again or removed. For code that does such things while it
 * goes through a batch: there a later event may speak of what an earlier one has ended, and its
 * token of memory that is gone. Never blocks. */
bool fiber_queue_current(fiber_queue_t *queue, const fiber_queue_event_t *event);

/* One wait returns soon: the one that goes on, or else the next. Several calls before that are one.
 * No event stands for it: what the waiter should do it finds in the program's own words. From any
 * thread, and from signal handlers. Never blocks. Returns 0. */
int fiber_queue_wake(fiber_queue_t *queue);

/* A descriptor that poll(2), a fiber (fiber_wait_fd) or another queue find readable when a wait
 * would return at once. Like every event it may be a hint in vain. It is the queue's own: neither
 * read it nor close it; and if fibers waited for it, fiber_forget it before fiber_queue_destroy.
 * From the first call on a raise costs a system call also while nobody waits.
 * Returns the descriptor, or -ENOTSUP: the system has none. */
fiber_fd fiber_queue_fd(fiber_queue_t *queue);

/* ---- user events ------------------------------------------------------------------------------*/
/* Sources without a descriptor, whose readiness the program sets: results of other threads, timers,
 * channels of its own. They are told like descriptors, by the same modes: level as long as they are
 * raised; edge once after each raise; one-shot once, until changed. Raises that come before the
 * event is told are one event. */

/* One of them in one queue: a value, good for as long as the queue is there. Zero bytes are none.*/
typedef struct fiber_queue_user { uint64_t private_; } fiber_queue_user_t;

/* A user event that is not raised, in mode 0 (level), FIBER_QUEUE_EDGE or FIBER_QUEUE_ONESHOT.
 * Never blocks. Returns 0, -EINVAL (another mode) or -ENOMEM. */
FIBER_CHECKED int fiber_queue_user_add(fiber_queue_t *queue, fiber_queue_user_t *out,
				       uint64_t token, unsigned mode);

/* Raises: it becomes ready for the given of READABLE, WRITABLE, PRIORITY, ERROR, READ_CLOSED and
 * WRITE_CLOSED, beside what it is ready for already. What was written before is seen by whoever
 * gets the event. Never blocks. Returns 0, or
 *	-EINVAL          `ready` holds something else, or nothing
 *	-ENOENT          it was removed */
int fiber_queue_user_raise(fiber_queue_t *queue, fiber_queue_user_t user, unsigned ready);

/* Lowers: it is not ready for these any more. An event for them that was not told yet is not told.
 * Never blocks. Returns as fiber_queue_user_raise. */
int fiber_queue_user_lower(fiber_queue_t *queue, fiber_queue_user_t user, unsigned ready);

/* Another token or mode; and armed anew: if it is ready, that is told. Never blocks. Returns 0,
 * -EINVAL or -ENOENT. */
FIBER_CHECKED int fiber_queue_user_change(fiber_queue_t *queue, fiber_queue_user_t user,
					  uint64_t token, unsigned mode);

/* Ends it, as fiber_queue_deregister does: threads that raise it later get -ENOENT. Never blocks.
 * Returns 0, or -ENOENT. */
int fiber_queue_user_remove(fiber_queue_t *queue, fiber_queue_user_t user);
#ifdef __cplusplus
}
#endif
#endif
