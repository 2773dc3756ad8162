/* blocked.h - who uses a descriptor's number outside of the poller, so that fiber_close finds them.
 *
 * Fibers that wait in a poller are the poller's to give back (forget). The others enter themselves
 * here for the length of their call: plain threads, which sleep in poll(2); helper threads in a
 * system call that blocks; and calls that use the number again after a wait, when it might mean
 * another file. */
#ifndef FB_IO_BLOCKED_H
#define FB_IO_BLOCKED_H

#include "base/list.h"
#include "io/io.h"
#include "sched/helpers.h"

struct blocked {
	struct list link;
	fiber_fd fd;
	bool closed;                   /* the descriptor was closed: use its number no more */
	bool calling;                  /* in a system call: a close waits for its end */
	bool writes;                   /* the direction of a call that may block */
	bool wakes;                    /* a thread: `wake` is written to, to end its poll(2) */
	fiber_fd wake;
	struct helpers_job *job;       /* the call is on a helper: recalled by a close; or NULL */
};

/* From before the first use of the number that may meet a close to the last. */
void blocked_enter(struct blocked *);
void blocked_leave(struct blocked *);
bool blocked_closed(struct blocked *);

/* Around a system call on the number. 0, or -EBADF: it was closed, do not use it. */
int blocked_begin(struct blocked *);
/* The same for one that may block, on a helper. -EAGAIN: another is in such a call, on the same
 * descriptor and in the same direction; so no more than one helper for each is lost to a descriptor
 * whose readiness others take away. */
int blocked_begin_alone(struct blocked *, struct helpers_job *);
void blocked_end(struct blocked *);

/* Tells all who use fd, and returns when none of them is in a system call on it. True: it has
 * waited for one. */
bool blocked_close(fiber_fd);
/* Until somebody else has had time; whatever deadline or cancellation say. */
void blocked_pause(int64_t ns);

#endif
