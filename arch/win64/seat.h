/* seat.h - what the switch of Windows wants to find at the top of an empty stack: its bounds.
 *
 * The kernel grows a stack, and dispatches exceptions, by what the thread information block says of
 * it; so whoever begins a stack must know how far it has grown. The seat is the 16 bytes below the
 * top: the address of the bounds, { bottom, limit }, and its complement (x86_64_win64.S). */
#ifndef FB_SEAT_H
#define FB_SEAT_H

#include "os/memory.h"
#include "stack/guard.h"

_Static_assert(offsetof(struct stack, limit) == offsetof(struct stack, bottom) + 8,
	       "bottom and limit are the bounds that the switch reads and writes");

/* What a first frame and a seat need. */
enum { SEAT_ROOM = 1024 };

/* Makes the stack, on which nobody runs, writable from `low` up. -ENOMEM. */
static inline int seat_reach(struct stack *s, const void *low)
{
	return likely((const char *)low >= s->limit) ? 0 : stack_commit(s, low);
}

/* Prepares it to be begun below `top`; returns the top to begin with. SEAT_ROOM below it
 * has been reached, or `top` is near the stack's own. */
static inline void *seat_take(struct stack *s, void *top)
{
	uintptr_t *seat = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15) - 2;

	seat[0] = (uintptr_t)&s->bottom;
	seat[1] = ~seat[0];
	return top;
}

/* Nobody runs on it any more, and it was not given up by the switch itself. */
static inline void seat_leave(struct stack *s)
{
	s->limit = s->bottom + s->bytes - os_pages_depth(s->bottom, s->bytes);
}

#endif
