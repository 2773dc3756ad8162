/* arrival.h - where signals arrive: our handlers, and what they note. Private to src/process/.
 *
 * A handler may interrupt anything, so it only counts, and posts a semaphore: sem_post is what
 * POSIX lets a handler do, and unlike a pipe or an eventfd it costs no descriptor and is not shared
 * with forked children. signalfd was rejected: it needs the signals blocked in every thread, which
 * a library cannot ask for, and children would inherit that.
 *
 * All but the handler runs under the lock of signal.c ("changes"). */
#ifndef FB_PROCESS_ARRIVAL_H
#define FB_PROCESS_ARRIVAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { ARRIVAL_NUMBERS = 65 };  /* signals are 1..64 */

/* Can it be a message at all? 0, -EINVAL or -EBUSY. */
int arrival_check(int number);

/* Our handler for it. -ENOMEM. */
int arrival_install(int number);
/* What was there before, unless somebody has put a handler on top of ours. */
void arrival_remove(int number);

struct arrival {
	unsigned count;
	pid_t sender;
	int value;
};
/* What has come since the last call; false: nothing. */
bool arrival_take(int number, struct arrival *out);

/* Waits until something has come, or arrival_ring. */
void arrival_wait(void);
void arrival_ring(void);

/* In a forked child: as if nothing had ever come. */
void arrival_forked(void);

#endif
