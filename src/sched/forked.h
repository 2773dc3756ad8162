/* forked.h - what a fork does to the child. Private to src/sched/. */
#ifndef FB_SCHED_FORKED_H
#define FB_SCHED_FORKED_H

/* Registers with pthread_atfork, once. */
void forked_watch(void);
/* In a child: from here on it is a process of its own, and may start a runtime. */
void forked_revive(void);

/* runtime.c: the lock of the list, and an empty list for the child. */
#include <stdbool.h>
void runtime_guard(bool take);
void runtime_forget_all(void);

#endif
