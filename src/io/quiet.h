/* quiet.h - the signals that a write sends to its own thread, kept from the program.
 *
 * sendfile(2) and writes to what is no socket have no MSG_NOSIGNAL. Around such a call the signal
 * is blocked, and taken out of the queue if the call's result says that it may have been sent; one
 * that was pending already stays pending. Disposition and mask are as before. Helper threads have
 * every signal blocked already, and need only the second half. */
#ifndef FB_IO_QUIET_H
#define FB_IO_QUIET_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct quiet {
	sigset_t before;               /* the thread's mask */
	sigset_t pending;              /* what was blocked and pending already */
};

void quiet_begin(struct quiet *);
/* `result` as it is. `asked`: how many bytes were to be written; 0: none, or to a regular file. */
ssize_t quiet_end(struct quiet *, ssize_t result, size_t asked);
/* On a helper thread, after the call. */
ssize_t quiet_helper(ssize_t result, size_t asked);

#endif
