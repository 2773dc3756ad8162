/* select.h - between select.c, which asks the cases in turn, and case.c, which knows what each kind
 * of case is. */
#ifndef FB_SYNC_SELECT_H
#define FB_SYNC_SELECT_H

#include "poller/poller.h"
#include "sync/chan.h"
#include "sync/future.h"
#include "sync/ticker.h"

/* A case while its fiber waits. */
struct entry {
	union {
		struct chan_waiter chan;
		struct future_waiter future;
		struct poller_op op;
	};
	bool entered;
};

struct selection {
	fiber_case_t *cases;
	size_t n;
	uint16_t *order;        /* of the first round: which case is next */
	struct fiber *self;
	uint64_t ticket;
	struct entry *entry;
	int64_t tick;           /* when the next tick is due that one of the cases waits for */
};

/* What a round found: a case's index, or */
enum { SELECT_NONE = -1, SELECT_AGAIN = -2, SELECT_LOST = -3 };

/* The case alone, without waiting. True: it went, and its result is set. */
bool case_try(fiber_case_t *);
/* Enters a wait that has begun where the case will be let go. The case's index if it could go by
 * now, and nobody was faster in ending the wait; else one of the above. */
int case_enter(struct selection *, size_t i);
/* After the wait, which `won` has ended: a case's index if another claimed it, or negative. False:
 * the case did not win. */
bool case_leave(struct selection *, size_t i, int won);

#endif
