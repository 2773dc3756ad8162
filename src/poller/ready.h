/* ready.h - "try, arm, try again": what every kernel that only tells of readiness has in common.
 * epoll uses it; see ready.c for how it works. The backend's own part is struct ready_kernel. */
#ifndef FB_POLLER_READY_H
#define FB_POLLER_READY_H

#include "poller/poller.h"
#include "poller/slot.h"

struct ready;

/* Called under the slot's guard, by any thread: the poller is kept alive by being the slot's home, or
 * by an operation in flight. Each adds its system calls to `calls` only if it is the poller of the
 * calling thread; nobody counts the others. */
struct ready_kernel {
	/* Watches the number, edge-triggered, in both directions; what is ready already is reported.
	 * -EPERM: not a thing that can be waited for. -EBADF, -ENOMEM, -ENOSPC. */
	int (*add)(struct ready *, int fd, uint32_t generation);
	/* The same for a number that is watched. -ENOENT: it means another file by now; -EBADF. */
	int (*check)(struct ready *, int fd, uint32_t generation);
	void (*remove)(struct ready *, int fd);
	void (*wake)(struct ready *);
};

/* The first member of such a poller. Of its thread, except `watched`. */
struct ready {
	const struct ready_kernel *kernel;
	_Atomic uint64_t calls;   /* system calls */
	_Atomic int watched;      /* slots whose home it is; some may be closed already */
	struct list young;        /* slots somebody has begun to wait on, oldest first: young.c */
	uint16_t epoch;           /* the time, in units of READY_EPOCH_NS, at the last ready_tick */
	uint16_t allowance;       /* checks that may still be made in this epoch */
	uint32_t credit;          /* events that have not yet paid for a check */
};

enum {
	READY_EPOCH_NS = 4 * 1000 * 1000,
	READY_AGE = 3,            /* epochs after which a wait is no longer young */
	READY_AGE_MS = 12,
};

void ready_open(struct ready *, const struct ready_kernel *);
void ready_close(struct ready *);
/* As in struct poller_ops. */
int ready_submit(struct ready *, struct poller_op *, struct list *back);
bool ready_cancel(struct ready *, struct poller_op *);
void ready_forget(int fd, struct list *back);
/* An event, in bits of poll(2) with POLLRDHUP. Each returns how many operations it gave back. */
unsigned ready_event(struct ready *, int fd, uint32_t generation, unsigned events,
		     struct list *back);
/* A new generation, of that nature (enum nature; 0: unknown). */
void ready_born(int fd, unsigned nature);
/* What ready_born found parked on a number that had been closed behind our back: any `wait`'s. */
unsigned ready_orphans(struct list *back);
/* The forked child's. */
void ready_forked(void);

/* ---- between ready.c and young.c ---------------------------------------------------------------*/
/* Gives back every operation that waits on it. */
unsigned ready_give_all(struct slot *, int result, struct list *back);
/* ... or the writers only, to try again. */
unsigned ready_retry_writers(struct slot *, struct list *back);
/* The slot is watched by r, which is not its home. */
int ready_adopt(struct ready *r, struct slot *, int fd);
void ready_abandon(struct slot *);

/* ---- young.c -----------------------------------------------------------------------------------*/
/* Somebody waits: the number will be checked. Under the guard. */
static inline void ready_note_young(struct ready *r, struct slot *s, int fd)
{
	s->parked = r->epoch;
	if (likely(s->bits & SLOT_QUEUED))
		return;
	s->bits |= SLOT_QUEUED;
	s->fd = fd;
	s->since = r->epoch;
	list_append(&r->young, &s->young);
}

/* The time, coarse; after each wait of the kernel's. */
void ready_tick(struct ready *, int64_t now);
/* Checks those that are no longer young, as far as `events` (the number just handled) allow. `idle`:
 * nothing happened for READY_AGE_MS. How many operations it gave back. */
unsigned ready_age(struct ready *, unsigned events, bool idle, struct list *back);
/* Milliseconds that a sleep may last at most; -1: no limit. */
static inline int ready_nap_ms(const struct ready *r)
{
	return list_empty(&r->young) ? -1 : READY_AGE_MS;
}
/* Empties the queue. */
void ready_age_end(struct ready *);
/* False: no number is ever checked. For tests: a check reports what is ready, and so would hide an edge
 * that was lost. */
extern bool ready_checks;

#endif
