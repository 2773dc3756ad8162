/* slot.h - what the process knows about a descriptor number.
 *
 * A table of two levels: a directory of pointers, and chunks of slots that are mapped when the
 * first number in them is used, and never unmapped. So a slot may be looked up without a lock, and
 * a pointer to one stays good for ever; what may go out of date is told by its generation.
 *
 * All of a slot is guarded by its `guard`, except `young`, `since` and `fd`, which belong to the
 * thread of the poller in whose queue the slot is (SLOT_QUEUED). Bytes of zero are a slot of which
 * nothing is known. The first cache line is all that an operation touches. */
#ifndef FB_POLLER_SLOT_H
#define FB_POLLER_SLOT_H

#include <stdint.h>

#include "base/list.h"
#include "os/spin.h"

struct ready;
struct ahead;

enum slot_direction { SLOT_IN, SLOT_OUT };

enum slot_bits {
	SLOT_EMPTY_IN = 1 << SLOT_IN,   /* known empty: nothing comes without an edge */
	SLOT_EMPTY_OUT = 1 << SLOT_OUT, /* known full, that is */
	SLOT_CLOSED = 1 << 2,           /* an event told of RDHUP, HUP or ERR; sticky */
	SLOT_URGENT = 1 << 3,           /* ... of urgent data; sticky */
	SLOT_BESIDE = 1 << 4,           /* `beside` is not empty */
	SLOT_QUEUED = 1 << 5,           /* is in some poller's queue of young parks */
	SLOT_NO_EDGE = 1 << 6,          /* writers are told nothing by edges: tried by time */
	SLOT_WATCH_OUT = 1 << 7,        /* watched in both directions, not only for reading */
};

struct slot {
	struct spin guard;
	uint32_t generation;      /* of the number; what is older is about another file */
	/* The poller that watches it; NULL: none, and nobody waits. Written under the guard; atomic
	 * because a poller that closes reads it of every slot without. */
	_Atomic(struct ready *) home;
	struct list waiters[2];   /* operations, oldest first, by enum slot_direction */
	uint32_t edges;           /* events that came; tells an attempt that one came meanwhile */
	uint16_t uses;            /* system calls in progress, of this generation */
	uint16_t leaving;         /* ... of older ones */
	uint16_t parked;          /* when somebody last began to wait, by ready.epoch */
	uint16_t nature;          /* enum nature (nature.h); 0: not looked at yet */
	uint8_t bits;             /* enum slot_bits */
	uint8_t visits;           /* waits in a row from another poller than home */
	uint8_t forgets;          /* times that the number was given up, or out, by our calls */

	struct list beside __attribute__((__aligned__(64))); /* waiting, but taking no turns */
	struct list young;        /* in the queue of ready.young */
	struct list held;         /* operations that the kernel performs: held.h */
	int fd;                   /* its number, while it is queued in `young` */
	uint16_t since;           /* when it was queued, by ready.epoch */
	bool drained;             /* the last receive that the kernel performed left nothing */
	bool owned;               /* fiber_own: only our reads take bytes from it */
	struct ahead *ahead;      /* bytes received before anybody asked: ahead.h; mostly NULL */
} __attribute__((__aligned__(64)));

_Static_assert(offsetof(struct slot, beside) == 64, "an operation touches one cache line");
_Static_assert(sizeof(struct slot) == 128, "a slot is two cache lines");

enum {
	SLOT_CHUNK = 1024,                /* slots a chunk */
	SLOT_CHUNKS = 16384,              /* 16 million numbers; Linux' default limit is one */
	SLOT_NUMBERS = SLOT_CHUNK * SLOT_CHUNKS,
};

extern _Atomic(struct slot *) slot_chunks[SLOT_CHUNKS];

/* The slot of a number; NULL: its chunk was never used, or no such number can be. */
static inline struct slot *slot_find(int fd)
{
	struct slot *chunk;

	if (unlikely((unsigned)fd >= SLOT_NUMBERS))
		return NULL;
	/* Acquire: pairs with the release of slot_make; the mapping is complete. */
	chunk = atomic_load_explicit(&slot_chunks[(unsigned)fd / SLOT_CHUNK], memory_order_acquire);
	return likely(chunk != NULL) ? &chunk[(unsigned)fd % SLOT_CHUNK] : NULL;
}

/* NULL: no memory, or the number is negative or beyond the table. */
struct slot *slot_make(int fd);

static inline struct slot *slot_get(int fd)
{
	struct slot *s = slot_find(fd);

	return likely(s != NULL) ? s : slot_make(fd);
}

/* Calls visit(slot, context) for every slot of every chunk, without its guard. */
void slot_each(void (*visit)(struct slot *, void *context), void *context);
/* In a forked child: nothing is known of any number. Guards that others held at the fork are left
 * behind with the old chunks. */
void slot_forget_all(void);

/* A system call in progress, from slot_use to slot_unuse, both under the guard. */
struct slot_use {
	uint32_t generation;
	uint32_t edges;
	uint8_t forgets;
};

static inline struct slot_use slot_use(struct slot *s)
{
	must(s->uses < UINT16_MAX); /* one a thread */
	s->uses++;
	return (struct slot_use){s->generation, s->edges, s->forgets};
}

static inline void slot_unuse(struct slot *s, const struct slot_use *use)
{
	if (likely(s->generation == use->generation))
		s->uses--;
	else
		s->leaving--;
}

/* The number now means, or will mean, another file: nothing known about it holds any more. Waiters
 * and the registration are the caller's. */
static inline void slot_renew(struct slot *s)
{
	must(s->uses <= UINT16_MAX - s->leaving);
	s->leaving += s->uses;
	s->uses = 0;
	s->generation++;
	s->nature = 0;
	s->visits = 0;
	s->drained = s->owned = false;
	s->bits &= SLOT_BESIDE | SLOT_QUEUED;
}

#endif
