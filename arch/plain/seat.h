/* seat.h - what an ABI wants to find at the top of an empty stack: nothing, where nobody but the
 * page tables knows how far a stack has grown. */
#ifndef FB_SEAT_H
#define FB_SEAT_H

#include "stack/stack.h"

/* What a first frame and a seat need. */
enum { SEAT_ROOM = 1024 };

/* Makes the stack, on which nobody runs, writable from `low` up. -ENOMEM. */
static inline int seat_reach(struct stack *s, const void *low)
{
	(void)s, (void)low;
	return 0;
}

/* Prepares it to be begun below `top`; returns the top to begin with. SEAT_ROOM below it
 * has been reached, or `top` is near the stack's own. */
static inline void *seat_take(struct stack *s, void *top)
{
	(void)s;
	return top;
}

/* Nobody runs on it any more, and it was not given up by the switch itself. */
static inline void seat_leave(struct stack *s)
{
	(void)s;
}

#endif
