/* child.h - a child process: whether it runs, its end, its signals. Private to src/process/.
 *
 * A process is named by a pidfd, which never means another one. Without (an old kernel, a sandbox,
 * no descriptor left) its number does: that is safe from when it was started to when it is reaped,
 * so `guard` holds reaping and signals apart. */
#ifndef FB_PROCESS_CHILD_H
#define FB_PROCESS_CHILD_H

#include <fiber/process.h>
#include <stdbool.h>

#include "os/spin.h"

struct child {
	struct spin guard;             /* guards all below but pidfd, grace_ns and parent */
	int pidfd;                     /* -1: none */
	uint8_t state;                 /* enum child_state */
	bool group;                    /* it leads one; signals go there */
	bool stopping;                 /* the group ends with its leader */
	int16_t code, signal;          /* its status, if ENDED */
	pid_t parent;                  /* who started it: a fork later, it is not ours */
	int64_t grace_ns;
};

enum child_state { CHILD_RUNS, CHILD_ENDED, CHILD_LOST };

static inline struct child *child_of(fiber_process_t *p)
{
	return (struct child *)(void *)p->private_;
}

/* Tests: without. */
extern bool child_without_pidfd;

/* Right after it was started, with everything zero: finds its pidfd. */
void child_born(struct child *, pid_t);
/* Takes its status if it has ended. 1: it has; 0: it runs; -ECHILD: somebody else took it. */
int child_reap(struct child *, pid_t);
/* Waits until it is reaped. 0, -ECHILD, -ECANCELED, or why it cannot wait. */
int child_await(struct child *, pid_t);
/* 0, -ESRCH, -EPERM, -EINVAL. */
int child_kill(struct child *, pid_t, int signal);
/* SIGTERM, SIGKILL, await: whatever deadline or cancellation say. 0, -ECHILD, or as above. */
int child_stop(struct child *, pid_t, int64_t grace_ns);

#endif
