/* uring.h - the poller that lets the kernel perform operations (io_uring). Private to its files:
 *
 *	uring.c         its life, waiting, and waits that last
 *	uring_submit.c  how an operation becomes a submission, or an attempt of our own
 *	uring_file.c    what is done with files
 *	uring_stream.c  streams of the library's own, which are received ahead
 *	uring_lend.c    the buffers for that
 *	uring_door.c    listeners of the library's own, from which is accepted ahead
 *	uring_ahead.c   what these two have in common
 *	uring_back.c    how a completion becomes a result
 *	uring_cancel.c  taking operations back: interruptions, and numbers that were given up
 *
 * An operation in flight is in two lists: its slot's `held`, by `link`, under the slot's guard; and
 * one of its poller's, by `age`. All else here is the poller's thread's own, except what `asked`
 * and `rung` guard. Its state says who has it: */
#ifndef FB_POLLER_URING_H
#define FB_POLLER_URING_H

#include "poller/attempt.h"
#include "poller/held.h"
#include "poller/ring.h"
#include "poller/waiters.h"

enum uring_state {
	URING_BACK = OP_BACK,
	URING_KERNEL,   /* the kernel, or the queue to it */
	URING_CHECKED,  /* the same, but cancelled to be submitted anew: uring_check */
	URING_LEAVING,  /* the same, cancelled */
	URING_TIMED,    /* nobody: it is tried again by time */
	URING_AHEAD,    /* nobody: it is in the list of an owned stream */
};

/* What the kernel was asked for (poller_op.way). */
enum uring_way {
	URING_PERFORMS, /* the operation itself */
	URING_POLLS,    /* to tell when it is ready */
	URING_FILES,    /* IO_FILE */
	URING_STREAMS,  /* to receive again and again: ours (uring_stream.c) */
	URING_DOORS,    /* to accept again and again: ours (uring_door.c) */
};

/* The lowest bits of what a completion carries; operations are aligned. */
enum uring_tag { URING_OP, URING_BELL, URING_NOBODY };

enum {
	URING_EPOCH_NS = 4 * 1000 * 1000,
	URING_EPOCHS = 3, /* after which a wait lasts */
	URING_NAP_NS = URING_EPOCHS * URING_EPOCH_NS,
	URING_ASKED = 64,
};

struct uring {
	struct held held;
	struct ring ring;
	int bell;
	_Atomic uint32_t rung;       /* protocol "bell": epoll.c */
	_Atomic uint64_t calls;
	bool lonely;                 /* the last sleep ended for one operation, or none */
	bool rang;                   /* its completion was taken, and no `wait` has ended yet */
	unsigned flying;             /* operations that are not back */
	struct list young, old;      /* those in the kernel's hands; `old` are checked already */
	struct list timed;
	struct list idle_doors;      /* on which nobody waited when last looked at */
	struct uring_buffers *buffers; /* for streams; NULL: none yet */
	struct slot nowhere;         /* of those without a descriptor */
	struct list early;           /* back, before a `wait` could say so */
	uint16_t epoch;              /* the time, in units of URING_EPOCH_NS */
	uint16_t allowance;          /* waits that may still be checked in this epoch */

	struct spin guard;           /* guards asked, asked_count */
	struct slot *asked[URING_ASKED];
	unsigned asked_count;        /* more than there is room for: look at all */
	_Atomic bool any_asked;
};

static inline struct uring *uring_of(struct poller *p)
{
	return (struct uring *)p;
}

void uring_first(struct uring *);
void uring_flush(struct uring *);
/* Hands over what is queued, and takes what is complete, without waiting. */
void uring_turn(struct uring *, struct list *back);
/* What was back before a `wait` could say so. How many. */
unsigned uring_take_early(struct uring *, struct list *back);
/* The bell: any thread rings; the owner has the kernel tell of it. */
void uring_ring(struct uring *);
void uring_hear(struct uring *);

/* The calling thread is the poller's from now on, if it is not yet. */
static inline void uring_begin(struct uring *u)
{
	if (unlikely(!atomic_load_explicit(&u->held.thread, memory_order_relaxed)))
		uring_first(u);
}

/* For one submission. Not under a guard: what comes back meanwhile needs those of other slots. */
static inline void uring_make_room(struct uring *u)
{
	if (unlikely(ring_pending(&u->ring) > u->ring.sq_mask))
		uring_flush(u);
}

/* ---- uring_submit.c ---------------------------------------------------------------------------*/
int uring_submit(struct poller *, struct poller_op *, struct list *back);
/* Once more, as it was. */
void uring_resubmit(struct uring *, struct poller_op *);

/* ---- uring_file.c -----------------------------------------------------------------------------*/
void uring_prepare_file(struct io_uring_sqe *, const struct poller_op *);
/* What is left to do when it is complete. */
void uring_finish_file(const struct poller_op *, int result);
/* May it still be cancelled when the kernel has it? */
bool uring_file_may_last(const struct poller_op *);

/* Guard held: the kernel has it from the next turn on, and it is in these lists. */
int uring_fly(struct uring *, struct slot *, struct poller_op *, enum uring_way, struct list *age);

/* ---- uring_stream.c ---------------------------------------------------------------------------*/
/* Guard held, of an owned slot: as submit. URING_NOT_AHEAD: nothing special about it. */
enum { URING_NOT_AHEAD = -2 };
int uring_receive(struct uring *, struct slot *, struct poller_op *);
void uring_prepare_stream(struct io_uring_sqe *, const struct slot *);
/* A completion of URING_STREAMS. How many operations are back. */
unsigned uring_land_stream(struct uring *, struct poller_op *, int r, unsigned flags,
			   struct list *back);

/* ---- uring_ahead.c ----------------------------------------------------------------------------*/
/* For good, of either kind. */
unsigned uring_land_ahead(struct uring *, struct poller_op *, int r, struct list *back);
/* An operation in the state URING_AHEAD leaves. False: it is back already. */
bool uring_leave_stream(struct poller_op *);
/* Ends what is taken ahead, and frees the buffers. */
void uring_close_streams(struct uring *);

/* ---- uring_door.c -----------------------------------------------------------------------------*/
/* The same, of an accept on an owned slot; `tried`: in vain, just now. */
int uring_accept(struct uring *, struct slot *, struct poller_op *, bool tried);
void uring_prepare_door(struct io_uring_sqe *);
unsigned uring_land_door(struct uring *, struct poller_op *, int r, unsigned flags,
			 struct list *back);
/* Guard held: an operation that waited there has left. */
void uring_door_left(struct slot *);
/* The turn is over: doors where nobody waits are not left open. */
void uring_rest_doors(struct uring *);

/* ---- uring_lend.c -----------------------------------------------------------------------------*/
enum { URING_LENT = 0 }; /* the number of the group, for submissions */
/* False: no memory for them. */
bool uring_make_buffers(struct uring *);
void uring_free_buffers(struct uring *);
/* The kernel gives a buffer by its number; and gets it back. */
const char *uring_lent(const struct uring *, unsigned number);
void uring_lend(struct uring *, unsigned number);

/* ---- uring_back.c -----------------------------------------------------------------------------*/
/* Takes all completions. How many operations are back. */
unsigned uring_take(struct uring *, struct list *back);
/* Guard held: out of the lists that it is in while it flies. */
void uring_unlink(struct uring *, struct poller_op *);
/* An operation that the kernel does not have (any more): out of its lists, with that result, or
 * -EBADF if it was given up. */
void uring_give(struct uring *, struct poller_op *, ssize_t result, struct list *back);

/* ---- uring_cancel.c ---------------------------------------------------------------------------*/
bool uring_cancel(struct poller *, struct poller_op *);
/* Those of struct held. */
void uring_ask(struct held *, struct slot *);
void uring_settle(struct held *, struct list *back);
/* Takes back what others have asked for, as far as the kernel does not have it; cancels the
 * rest. */
unsigned uring_answer(struct uring *, struct list *back);
/* Cancels it in the kernel, from where it comes back as a completion. */
void uring_cancel_later(struct uring *, struct poller_op *, enum uring_state);

#endif
