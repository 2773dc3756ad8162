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
	bool calling;                  /* in a system call: a close waits for its end */
	bool closed;                   /* the descriptor was closed: use its number no more */
	bool writes;                   /* the direction of a call that may block */
	bool wakes;                    /* a thread: `wake` is written to, to end its poll(2) */
	fiber_fd wake;
	struct helpers_job *job;       /* on a helper, recalled by a close; or NULL */
};

void blocked_enter(struct blocked *);
/* The same, unless another entry with a job is there for the same descriptor and direction. So no
 * more than one helper for each is lost to a descriptor whose readiness others take away. */
bool blocked_enter_alone(struct blocked *);
/* True: closed meanwhile. */
bool blocked_leave(struct blocked *);
/* Around a system call on the number. False: it was closed, do not use it. */
bool blocked_begin(struct blocked *);
void blocked_end(struct blocked *);
bool blocked_closed(struct blocked *);
/* Tells all who use fd, and returns when none of them is in a system call on it. */
void blocked_close(fiber_fd);

#endif
