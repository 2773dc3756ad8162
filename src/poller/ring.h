/* ring.h - a submission and a completion queue shared with the kernel (io_uring), and nothing of
 * what is done with them.
 *
 * The system calls themselves, not liburing: what is needed of it are these few functions, and the
 * library would depend on one more at run time, which many containers that allow the calls do not
 * have.
 *
 * One thread submits and waits (SINGLE_ISSUER), and completions are made only when it asks for them
 * (DEFER_TASKRUN), so nothing here is shared with other threads. Such a ring needs Linux 6.1, which
 * has all else that is used: what opens can do all of it. */
#ifndef FB_POLLER_RING_H
#define FB_POLLER_RING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"

struct ring {
	int fd;
	unsigned tail;                  /* submissions ever made; told the kernel in enter */
	_Atomic unsigned *sq_head, *sq_tail, *sq_flags;
	_Atomic unsigned *cq_head, *cq_tail;
	unsigned sq_mask, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	void *queues, *entries;         /* the mappings of the two */
	size_t queues_bytes, entries_bytes;
};

/* Room for so many of each (powers of two). -errno: -EMFILE, -ENFILE, -ENOMEM; -ENOTSUP: this
 * kernel has no such thing, or does not let us. */
int ring_open(struct ring *, unsigned submissions, unsigned completions);
void ring_close(struct ring *);
/* The calling thread is the one that submits and waits, from now on. -errno. */
int ring_start(struct ring *);
/* io_uring_register(2). -errno. */
int ring_register(struct ring *, unsigned what, void *argument, unsigned n);

/* Hands the submissions over, and returns when `want` completions are there, or `ns` nanoseconds
 * have passed (negative: no limit). >= 0; -EINTR, -ETIME; -EBUSY, -EAGAIN: the completions that are
 * there are to be taken first. */
int ring_enter(struct ring *, unsigned want, int64_t ns);

/* Submissions that the kernel has not taken yet. */
static inline unsigned ring_pending(const struct ring *r)
{
	return r->tail - atomic_load_explicit(r->sq_head, memory_order_acquire);
}

/* The submission that was the `place`th, if the kernel has not taken it yet; else NULL. */
static inline struct io_uring_sqe *ring_untaken(const struct ring *r, unsigned place)
{
	unsigned head = atomic_load_explicit(r->sq_head, memory_order_acquire);

	return (int)(place - head) >= 0 && (int)(r->tail - place) > 0 ? &r->sqes[place & r->sq_mask]
								      : NULL;
}

/* The next submission, all of it 0. NULL: the queue is full. */
static inline struct io_uring_sqe *ring_next(struct ring *r)
{
	struct io_uring_sqe *sqe;

	if (unlikely(ring_pending(r) > r->sq_mask))
		return NULL;
	sqe = &r->sqes[r->tail++ & r->sq_mask];
	*sqe = (struct io_uring_sqe){0};
	return sqe;
}

/* The oldest completion, until ring_seen; NULL: none. */
static inline struct io_uring_cqe *ring_peek(const struct ring *r)
{
	unsigned head = atomic_load_explicit(r->cq_head, memory_order_relaxed);

	/* Acquire: the entry; pairs with the kernel's release. */
	if (head == atomic_load_explicit(r->cq_tail, memory_order_acquire))
		return NULL;
	return &r->cqes[head & r->cq_mask];
}

static inline void ring_seen(struct ring *r)
{
	unsigned head = atomic_load_explicit(r->cq_head, memory_order_relaxed);

	/* Release: we are done with the entry; pairs with the kernel's acquire. */
	atomic_store_explicit(r->cq_head, head + 1, memory_order_release);
}

/* Is there something to take, or to be made by a ring_enter? */
static inline bool ring_has_news(const struct ring *r)
{
	return ring_peek(r) || atomic_load_explicit(r->sq_flags, memory_order_relaxed) &
				       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

#endif
