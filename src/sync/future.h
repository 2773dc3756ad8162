/* future.h - the inside of a future: for future.c, for several of them (futures.c), for whoever has
 * promised one (promise.c) and for select.
 *
 * Everything is guarded by the queue's word; once that says FUTURE_SET, value and error change no
 * more, and nobody begins to wait. Entries of the queue are struct future_waiter. Most claim their
 * fiber's wait. Those of one who waits for several belong to a struct future_count, and only the
 * last of them that is needed claims it; such a fiber comes by at every future, so each entry that
 * was taken out counts as `leaving` until then (waitqueue.h). */
#ifndef FB_SYNC_FUTURE_H
#define FB_SYNC_FUTURE_H

#include <errno.h>
#include <fiber/future.h>

#include "sync/waitqueue.h"

enum { FUTURE_SET = 1 << WORD_SHIFT };

struct future {
	struct waitqueue queue;         /* own: the error, negative; 0: a value */
	void *value;
	uintptr_t promiser;             /* wait_identity of whoever has promised it; 0: nobody */
	struct future *next_promised;   /* the promiser's, who alone touches it */
};
_Static_assert(sizeof(struct future) <= sizeof(fiber_future_t), "private_ must hold it");

/* How many more must be set, and how, before one who waits for several goes on. */
struct future_count {
	_Atomic size_t values, errors;  /* whichever comes to 0 */
	_Atomic int first_error;        /* 0: none yet */
};

struct future_waiter {
	struct waiter base;             /* data: the value's place, a void **, or NULL */
	int *result;                    /* set by the granter */
	struct future_count *count;     /* NULL: it waits for this one alone */
};

static inline struct future *future_inside(fiber_future_t *f)
{
	return (struct future *)(void *)f;
}

/* Acquire: pairs with the release that set it. */
static inline bool future_is_set(const struct future *f)
{
	return atomic_load_explicit(&f->queue.word, memory_order_acquire) == FUTURE_SET;
}

/* Of one that is set: its result, and its value, if it has one. */
int future_read(const struct future *f, void **value);
/* The same, if it is set. */
bool future_now(struct future *f, void **value, int *result);
/* One more is set: is this the one after which the waiter goes on? */
bool future_counts(struct future_count *, int error);
/* Queues w, whose fiber's wait has begun. False: it is set. */
bool future_enter(struct future *f, struct future_waiter *w);
/* After the wait, for each that was entered and did not claim it. */
void future_leave(struct future *f, struct future_waiter *w);
/* As fiber_future_set and _fail. */
int future_settle(struct future *f, int error, void *value);
/* The caller has promised it, and it will not have to be failed when the caller ends. */
void promise_kept(struct future *f);

#endif
