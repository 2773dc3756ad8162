/* worker.h - an OS thread that runs fibers, and the runtime it belongs to. Private to src/sched/.
 * worker.c opens with how it all works together. */
#ifndef FB_SCHED_WORKER_H
#define FB_SCHED_WORKER_H

#include <errno.h>
#include <pthread.h>

#include "arch.h"
#include "os/deque.h"
#include "os/exceptions.h"
#include "os/spin.h"
#include "poller/poller.h"
#include "sched/fiber.h"
#include "sched/wait.h"

enum {
	TICKS_PER_LOOK = 64,    /* picks, or operations that did not park, between looks at the
	                         * world */
	POLL_EVERY_NS = 250 * 1000, /* a look asks the poller, a system call, no more often */
	OLDEST_WAITS_NS = 5 * 1000 * 1000,
	STARTS_PER_LOOK = 16,
	NEXT_IN_A_ROW = 16,     /* fibers that may jump the queue one after the other */
};

struct queue {
	struct fiber *head, *tail;
};

struct worker {
	/* The owner's. */
	struct wait_place place;        /* first. Who runs; &loop between fibers; others may look */
	struct fiber *next;             /* woken by the running one: before the queue */
	struct queue ready;             /* runnable, first come first served; also new placed
	                                 * ones */
	unsigned next_left;             /* how often `next` may still jump the queue */
	_Atomic unsigned ticks;         /* picks, and operations that did not park */
	struct fiber_cache blocks;
	struct stack_cache stacks;
	struct exceptions *exceptions;  /* this thread's; NULL in a program without C++ */
	uint64_t control_words;         /* what fibers start with */
	uint32_t fiber_flags;           /* likewise */
	_Atomic bool careful;           /* spawn must look: cancelled, stacks_short, fibers_max */
	struct runtime *runtime;
	struct fiber loop;              /* the thread's own context */
	struct cold loop_cold;
	struct poller *poller;
	const struct poller_ops *ops;
	struct timers timers;
	int64_t now;                    /* coarse clock: when this worker last looked */
	int64_t polled;                 /* when a look last asked the poller */
	int64_t popped;                 /* unstarted ones so far, give or take a constant */
	int64_t oldest, oldest_since;   /* index of the oldest unstarted, and when first seen */
	int64_t trimmed;                /* when its stack cache was last trimmed */
	bool noted_cancelled;           /* that the runtime was; see runtime_note_cancelled */
	unsigned watches_left;          /* how often it still watches when all are idle (idle.c) */
	struct os_thread *thread;
	pthread_t self;                 /* these two: with a stall detector, under its guard */
	bool may_be_asked;
	unsigned number;                /* 1..n */
	unsigned victim;                /* where the next search begins */

	/* Statistics: written by the owner, read by anybody. `waiting` sums up over workers. */
	_Atomic uint64_t spawned, ended, switches, steals, remote_wakes, polls;
	_Atomic uint64_t timers_seen, stacks_seen; /* when it last looked */
	_Atomic uint64_t flight_begun, flight_over;

	/* Shared. */
	_Alignas(64) struct inbox inbox;
	_Alignas(64) struct deque unstarted;  /* owner: newest; thieves: oldest */
	_Alignas(64) struct spin roam_guard;  /* guards roam */
	struct queue roam;                    /* runnable fibers that anyone may take */
	_Atomic uint32_t roam_count;
	struct list idle;                     /* in runtime->idle; guarded by runtime->idle_guard */
	_Atomic uint64_t wakes_paid;          /* wake-ups of its poller that others have finished */
	uint64_t wakes_owed;                  /* the owner's: how many it knows of */
};

struct runtime {
	struct list link;               /* in the process's list of runtimes (runtime.c) */
	fiber_options_t options;
	const struct poller_ops *ops;
	unsigned workers;
	uint32_t fiber_flags;           /* what every fiber starts with, as options say */
	struct worker *worker;          /* array; worker[0] has number 1 */
	uint64_t control_words;         /* of the thread that made it */
	struct stall *stall;            /* looks for stalled workers; NULL: nobody does */
	bool test_move;                 /* $FIBER_TEST_MOVE: roaming fibers change worker at every
	                                 * park */

	_Atomic bool cancelled;         /* fibers are born cancelled */
	_Atomic uint32_t noted_cancelled; /* workers that have taken note */
	_Atomic bool ending;            /* stop when the last fiber has ended */
	_Atomic bool stopping;          /* loops return */
	_Atomic bool stacks_short;      /* spawn takes the stack itself, so that it can say so */
	bool own_thread;                /* fiber_run: the caller's thread is worker 1 */
	bool deadlocked, told;          /* guarded by idle_guard; reported, then all cancelled */
	_Atomic int main_result;
	unsigned held;                  /* by how many from outside; these two: roster.c */
	bool closed;                    /* nobody more may hold it */

	struct spin idle_guard;         /* guards idle, deadlocked */
	struct list idle;
	_Atomic uint32_t idle_count;
	_Atomic uint32_t searching;     /* workers that look for work elsewhere; at most one */
	_Atomic bool watching;          /* one idle worker sleeps briefly, while others are busy */
	_Atomic uint32_t turn;          /* for spreading what outsiders spawn */
	_Atomic uint64_t outside;       /* fibers spawned from outside */
	struct spin offered_guard;      /* guards offered */
	struct queue offered;           /* of those, the ones that no idle worker was there for */
	_Atomic uint32_t offered_count;
	_Atomic uint64_t alive;         /* kept only if options.fibers_max is set */
};

/* The calling thread's worker; NULL on a plain thread. Not inline, and asked again after every
 * park: a compiler may keep a thread-local's address across a call that changed the thread. */
struct worker *worker_self(void);
extern __thread struct worker *worker_mine __attribute__((__visibility__("hidden")));
/* The same, inline: only where nothing before it in the function, or in whoever it is inlined into,
 * can have parked. */
static inline struct worker *worker_here(void)
{
	return worker_mine;
}
void worker_set_self(struct worker *);

static inline struct fiber *worker_current(const struct worker *w)
{
	return atomic_load_explicit(&w->place.running, memory_order_relaxed);
}

static inline void worker_show(struct worker *w, struct fiber *f)
{
	atomic_store_explicit(&w->place.running, f, memory_order_relaxed);
}

/* Will the next tick be time to look at the world? */
INLINE bool worker_tick_looks(const struct worker *w)
{
	return (atomic_load_explicit(&w->ticks, memory_order_relaxed) + 1) % TICKS_PER_LOOK == 0;
}

/* Written by its owner only, so no locked instruction: `ticks++` of an atomic would be one. True:
 * time to look at the world. */
INLINE bool worker_tick(struct worker *w)
{
	unsigned ticks = atomic_load_explicit(&w->ticks, memory_order_relaxed) + 1;

	atomic_store_explicit(&w->ticks, ticks, memory_order_relaxed);
	return ticks % TICKS_PER_LOOK == 0;
}

/* ---- worker.c: queues -------------------------------------------------------------------------*/
static inline void queue_push(struct queue *q, struct fiber *f)
{
	f->next = NULL;
	if (q->head)
		q->tail->next = f;
	else
		q->head = f;
	q->tail = f;
}

static inline struct fiber *queue_pop(struct queue *q)
{
	struct fiber *f = q->head;

	if (f)
		q->head = f->next;
	return f;
}

/* Makes a fiber runnable whose home is w; on w's thread. */
void worker_ready(struct worker *w, struct fiber *f);
/* The same for one woken by the running fiber: it runs next, so that what was handed over is
 * warm. */
void worker_ready_next(struct worker *w, struct fiber *f);
/* Tells the home worker of f why it should look at it; any thread. */
void worker_post(struct fiber *f, uint32_t reason);
void worker_rouse(struct worker *w);
/* Looks at the world: inbox, due timers, the poller, the oldest unstarted fiber. */
void worker_look(struct worker *w);
void worker_run_timers(struct worker *w);
void worker_take_inbox(struct worker *w);
/* The test mode: where a fiber that parked on w goes on. */
struct worker *worker_elsewhere(struct worker *w);
/* A runnable roaming fiber of `from`; w becomes its home. NULL: none. */
struct fiber *worker_take_roaming(struct worker *from, struct worker *w);
/* Wakes the worker's thread, whose sleep the caller has ended in the inbox. */
void worker_wake(struct worker *w);
void worker_loop(struct worker *w);

/* Behind worker_pick (switch.h): what is not in `next`. */
struct fiber *worker_pick_queued(struct worker *w);

/* ---- idle.c -----------------------------------------------------------------------------------*/
/* Something for others to take was queued: wake one, if nobody searches already. */
void idle_offer(struct runtime *);
/* An unstarted fiber from outside, for whichever worker comes first. Any thread. */
void worker_offer(struct runtime *rt, struct fiber *f);
/* Something that others may take, but need not yet: sees to it that one will look. */
void idle_watch(struct runtime *);
/* An idle worker, which the caller must wake by posting something to it. NULL: none. */
struct worker *idle_take(struct runtime *);
struct fiber *idle_search(struct worker *w);
/* Sleeps until there may be something to do. False: the runtime is stopping. */
bool idle_sleep(struct worker *w);

/* ---- spawn.c ----------------------------------------------------------------------------------*/
/* In two steps, so that a group can enter the fiber in its books before it can end: a block with
 * everything set, known to nobody; then let go. */
int spawn_prepare(struct fiber **out, const fiber_attr_t *, fiber_fn *, void *arg,
		  struct group_member *, const void *spawned_at);
void spawn_launch(struct fiber *);

/* A fiber that was prepared, and not let go yet: nobody will join it (join.c). */
void join_detach_unborn(struct fiber *);

/* ---- life.c -----------------------------------------------------------------------------------*/
/* Gives an unstarted fiber its stack and first frame. -ENOMEM: nothing happened. */
int life_begin(struct worker *w, struct fiber *f);
/* Unrun, because there was no stack for it: its joiner and its group see `why`. */
void life_end_unrun(struct worker *w, struct fiber *f, int why);
/* What runs on a new stack: the fiber's function, its end, and where to go on. */
struct arch_next life_run(uintptr_t message);
/* A frame for a fresh fiber (switch.h), for whoever cannot start one. */
void life_frame(struct worker *w, struct fiber *f);
/* Goes on with another fiber, and gives up the stack that the caller runs on. */
_Noreturn void life_leave(struct worker *w, struct stack *stack);
/* A dead fiber's stack. */
void life_bury(struct worker *w, struct stack *s);

/* ---- group.c ----------------------------------------------------------------------------------*/
/* A member has ended, run or not; frees the member. */
void group_left(struct group_member *, int result);
void group_member_is(struct group_member *, fiber_t);

/* ---- wait.c -----------------------------------------------------------------------------------*/
int wait_outcome(struct fiber *self, int64_t until, int64_t deadline);
/* Sets the timer of the running fiber for `limit`. -ENOMEM: it is not set. */
int wait_arm(struct worker *w, struct fiber *self, int64_t limit);
/* After a bit of state was set: its home worker looks at it, here or there. */
void wait_tell(struct fiber *f);
/* Home worker: the fiber's deadline has passed, or it was asked to end. */
void wait_time_out(struct worker *w, struct fiber *f);
void wait_request(struct worker *w, struct fiber *f);
/* CAS of a wait's status; the claim of wait.h for any final status. */
bool wait_end(struct fiber *f, uint64_t ticket, unsigned index, enum claim_status how);

/* ---- flight.c ---------------------------------------------------------------------------------*/
/* Home worker: asks the poller to give back the operation that f has in flight. */
void flight_interrupt(struct worker *w, struct fiber *f, enum claim_status how);
/* Its own thread: hands the operation to the poller; the poller's answer. */
int flight_submit(struct worker *w, struct poller_op *op);

/* ---- enter.c: a worker's thread ---------------------------------------------------------------*/
/* What makes the calling thread a worker, its loop until the runtime stops, and what unmakes it. */
void worker_run(struct worker *w);
/* Sanitizer builds: where the calling thread's own stack is. */
void worker_own_stack(struct cold *);

/* ---- info.c -----------------------------------------------------------------------------------*/
/* SIGQUIT asked for a dump: one worker writes it. */
void info_dump_if_asked(void);
bool info_dump_is_asked(void);
void info_dump_on_quit(struct runtime *);
void info_dump_off(struct runtime *);
void info_dump(struct runtime *, FILE *);

/* ---- runtime.c --------------------------------------------------------------------------------*/
/* Cancels all fibers; those spawned later are born cancelled. A fiber that is born beside this on
 * another worker may be missed: so each worker takes note when it next looks around, after which
 * it spawns none that is not; and the last to take note cancels those that were missed. */
void runtime_cancel_all(struct runtime *);
void runtime_note_cancelled(struct worker *w);
static inline bool runtime_must_note(const struct worker *w)
{
	return atomic_load_explicit(&w->runtime->cancelled, memory_order_acquire) &&
	       !w->noted_cancelled;
}
/* From now on every spawn looks closer. */
void runtime_be_careful(struct runtime *, bool stacks_short);
/* The fiber that fiber_run started has ended. */
void runtime_main_ended(struct runtime *, int result);
/* Fibers that have not ended; exact only while all workers are idle. */
uint64_t runtime_alive(const struct runtime *);
static inline bool runtime_owns(const struct runtime *rt, const struct worker *w)
{
	return w >= rt->worker && w < rt->worker + rt->workers;
}

/* ---- roster.c: those that run now -------------------------------------------------------------*/
void runtime_enlist(struct runtime *);
/* Waits until nobody holds it. True: it was the last one. */
bool runtime_delist(struct runtime *);
bool runtime_known(const struct runtime *);
unsigned runtime_count(void);
/* One after the other, from NULL to NULL: each is held until the next is asked for. */
struct runtime *runtime_after(struct runtime *);
/* For callers from outside: it neither ends nor goes until it is let go, by the same thread. False:
 * there is no such runtime, or it is ending. */
bool runtime_hold(struct runtime *);
void runtime_let_go(struct runtime *);
/* Nobody more may hold it. False: somebody still does, and will wake a worker. */
bool runtime_close(struct runtime *);

/* ---- quiet.c: all workers are idle ------------------------------------------------------------*/
/* Called by a worker that is about to sleep and found all others idle: the end, or a deadlock? */
void runtime_quiet(struct runtime *);
/* In a forked child, until a new fiber_run. */
bool runtime_forked(void);
/* Why there is no fiber of a handle. */
static inline int runtime_no_fiber(void)
{
	return runtime_forked() ? -ECHILD : -ESRCH;
}

#endif
