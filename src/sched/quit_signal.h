/* quit_signal.h - what asks for a dump from outside of the process. Private to quit*.c. */
#ifndef FB_SCHED_QUIT_SIGNAL_H
#define FB_SCHED_QUIT_SIGNAL_H

#include <stdbool.h>

/* Under the guard of quit.c: from now on it leads to quit_arrived; and back to what it did. */
void quit_signal_take(void);
void quit_signal_give(void);

/* quit.c: does anybody want a dump? */
bool quit_wanted(void);
/* quit.c: somebody asks. In a signal handler, or on whatever thread. */
void quit_arrived(void);

#endif
