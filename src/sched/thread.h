/* thread.h - plain threads behind the one door: each borrows a control block. Private to
 * src/sched/. */
#ifndef FB_SCHED_THREAD_H
#define FB_SCHED_THREAD_H

#include "sched/fiber.h"

/* The calling plain thread's block, made at first use and given back when the thread ends. NULL: no
 * memory, or a forked child. */
struct fiber *thread_block(void);
struct fiber *thread_block_if_any(void);
/* Sleeps until claimed, `until` or `deadline`. What wait_park returns. */
int thread_park(struct fiber *self, int64_t until, int64_t deadline);
void thread_wake(struct fiber *);
/* In a forked child: its only thread has no block any more. */
void thread_forget(void);

/* The key by which a thread's end is noticed; made by the first call, or earlier where the order of
 * keys matters. */
void thread_make_key(void);

#endif
