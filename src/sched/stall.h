/* stall.h - finds fibers that hold their worker for too long. Private to src/sched/; stall.c tells
 * how. All of it does nothing in a runtime that did not ask for it. */
#ifndef FB_SCHED_STALL_H
#define FB_SCHED_STALL_H

#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct runtime;
struct worker;

/* After how many nanoseconds, as options and environment say; 0: never. */
int64_t stall_wanted(int64_t option);

/* Starts the thread that looks. -ENOMEM, -EAGAIN. */
int stall_watch(struct runtime *);
/* Ends it. */
void stall_end(struct runtime *);
/* On a worker's thread, around its loop: only in between may it get a signal. */
void stall_enter(struct worker *);
void stall_leave(struct worker *);
void stall_forked(void);

/* ---- stall_probe_*.c: where is it? -----------------------------------------------------------*/
struct stall_place {
	int frames;                    /* 0: the thread did not answer, or had moved on */
	void *frame[64];
};

/* Loads what a backtrace needs, and takes a signal. */
void stall_probe_prepare(void);
/* Asks `w`, which runs f since its tick counter said `ticks`, for its frames; waits until `until`
 * at the longest. False: f runs there no more. The worker's thread must be sure to stay. */
bool stall_probe(struct worker *w, const struct fiber *f, unsigned ticks, int64_t until,
		 struct stall_place *out);
void stall_probe_forked(void);

#endif
