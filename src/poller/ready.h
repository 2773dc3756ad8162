/* ready.h - "try, arm, try again": what every kernel that only tells of readiness has in common.
 * epoll, kqueue and poll use it; see ready.c for how it works. The backend's own part is struct
 * ready_kernel. */
#ifndef FB_POLLER_READY_H
#define FB_POLLER_READY_H

#include "poller/poller.h"
#include "poller/slot.h"

struct ready;

/* Called under the slot's guard, by any thread: the poller is kept alive by being the slot's home,
 * or by an operation in flight. Who calls counts the system calls, if it has a poller. */
struct ready_kernel {
	/* Watches the number, edge-triggered, for reading or `both`; what is ready already is
	 * reported. -EPERM: not a thing that can be waited for. -EBADF, -ENOMEM, -ENOSPC. */
	int (*add)(struct ready *, int fd, uint32_t generation, bool both);
	/* The same for a number that is watched. -ENOENT, -EPERM: it means another file by now,
	 * in the second case one that cannot be waited for; -EBADF. */
	int (*check)(struct ready *, int fd, uint32_t generation, bool both);
	void (*remove)(struct ready *, int fd);
	void (*wake)(struct ready *);
	/* Another poller's operation begins to wait on what this one watches, or the number is to
	 * be watched for writing too. NULL: edges come by themselves. */
	void (*visit)(struct ready *);
};

/* The first member of such a poller. Of its thread, except `watched`. */
struct ready {
	const struct ready_kernel *kernel;
	_Atomic uint64_t calls;   /* system calls */
	_Atomic int watched;      /* slots whose home it is; some may be closed already */
	struct list young;        /* slots somebody has begun to wait on, oldest first: young.c */
	uint16_t epoch;           /* the time at the last young_tick, in units of YOUNG_EPOCH_NS */
	uint16_t allowance;       /* checks that may still be made in this epoch */
	uint32_t credit;          /* events that have not yet paid for a check */
};

void ready_open(struct ready *, const struct ready_kernel *, int64_t now);
void ready_close(struct ready *);
/* As in struct poller_ops. */
int ready_submit(struct ready *, struct poller_op *, struct list *back);
bool ready_cancel(struct poller_op *);
/* An event, in bits of poll(2) with POLLRDHUP. How many operations it gave back. */
unsigned ready_event(struct ready *, int fd, uint32_t generation, unsigned events,
		     struct list *back);

#endif
