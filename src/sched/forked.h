/* forked.h - what a fork does to the child. Private to src/sched/. */
#ifndef FB_SCHED_FORKED_H
#define FB_SCHED_FORKED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Registers with pthread_atfork, once. */
void forked_watch(void);
/* In a child: from here on it is a process of its own, and may start a runtime. */
void forked_revive(void);

/* Forks from a fiber or beside a runtime that led to this process: what was begun before the last
 * is not ended here. */
extern _Atomic uint32_t forked_times;
static inline uint32_t forked_count(void)
{
	return atomic_load_explicit(&forked_times, memory_order_relaxed);
}

/* The calling thread was a fiber before the fork, and still runs on its stack. */
bool forked_was_fiber(void);
/* There its end is that of the process. */
_Noreturn void forked_exit(int result);

/* roster.c: the lock of the list, and an empty list for the child; how many it held. */
void runtime_guard(bool take);
unsigned runtime_forget_all(void);
/* quit.c: its lock; in the child the parent's runtimes are not dumped. */
void quit_guard(bool take);
void quit_forked(void);

#endif
