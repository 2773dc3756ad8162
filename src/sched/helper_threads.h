/* helper_threads.h - the pool as its two files know it: helpers.c has the jobs, helper_threads.c
 * the threads. Private to them.
 *
 * One lock guards the pool and the state of every job in it. A job is either in the queue, or some
 * helper's, or ended; after JOB_ENDED the pool touches it no more, because its caller may be gone.
 * The queue holds jobs only while no helper is idle: whoever becomes idle looks at the queue under
 * the same lock that a submitter holds, so no job is left lying. */
#ifndef FB_SCHED_HELPER_THREADS_H
#define FB_SCHED_HELPER_THREADS_H

#include <pthread.h>

#include "os/os.h"
#include "os/spin.h"
#include "sched/helpers.h"

struct helper {
	struct list link;              /* in idle or ended */
	struct helpers_job *job;       /* the next one, when word is set; NULL: end */
	_Atomic uint32_t word;         /* asleep: 0 */
	struct os_thread *thread;      /* guarded by births (helper_threads.c) */
	pthread_t self;                /* before it is any job's `helper` */
	bool kickable;                 /* its own: it has unblocked the signal */
	struct os_mask mask;           /* its own: what it runs with */
};

struct helper_pool {
	struct spin guard;
	struct list queue;             /* jobs without a helper, oldest first */
	struct list idle;              /* helpers without a job, newest last */
	struct list ended;             /* helpers to be joined */
	unsigned most;                 /* helpers, asked for by living runtimes; 0: the default */
	unsigned threads;              /* helpers, without those in ended */
	unsigned running;              /* of them, in a job */
	unsigned queued;
	unsigned stopping;             /* calls of helpers_stop in progress: nobody becomes idle */
	uint64_t calls;
	uint64_t delayed;              /* calls that had to queue */
	int64_t idle_ns;               /* after which a helper ends; 0: ten seconds. For tests */
	_Atomic uint32_t busy;         /* jobs whose caller has not been woken */
};
extern struct helper_pool helper_pool;

/* Starts a thread, already counted, whose first job this is. -EAGAIN. Without the lock. */
int helper_start(struct helpers_job *);
/* Under the lock: the job goes to the helper that became idle last - its stack is warm, and the
 * others can grow old - who is then to be woken, without the lock. NULL: nobody is idle. */
struct helper *helper_hand_over(struct helpers_job *);
/* Under the lock: an idle helper ends. */
void helper_dismiss(struct helper *);
void helper_join_ended(void);
/* In a forked child. */
void helper_births_forked(void);

#endif
