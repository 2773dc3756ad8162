/* check.h - does a call fit the stack it runs on? What every I/O call asks first.
 *
 * A frame of 64 KiB that nobody probed (-fstack-clash-protection does) may step over the guard
 * and lie in a neighbour's slot; `char buf[65536]; read(fd, buf, sizeof buf)` then lets the
 * kernel write network bytes there, without any fault. So two questions, a subtraction and a
 * compare each:
 *
 *	is the stack pointer within the stack?            if not, the frame stepped over the guard
 *	does the buffer begin outside of the guard?       if not, the frame reaches into it
 *
 * A buffer that begins anywhere else - heap, static, another fiber's frame - is nobody's
 * overflow. A call that does not fit is reported by overflow_report_buffer (sched/overflow.h). */
#ifndef FB_STACK_CHECK_H
#define FB_STACK_CHECK_H

#include "stack/stack.h"

static inline bool stack_contains(const struct stack *s, const void *sp)
{
	return (uintptr_t)sp - (uintptr_t)s->bottom < s->bytes;
}

static inline bool stack_guards(const struct stack *s, const void *buffer)
{
	return (uintptr_t)s->bottom - 1 - (uintptr_t)buffer < STACK_GUARD_BYTES;
}

/* `running` is the stack that the caller runs on, NULL on a plain thread; sp is
 * __builtin_frame_address(0). */
static inline bool stack_fits(const struct stack *running, const void *sp, const void *buffer)
{
	return !running || (stack_contains(running, sp) && !stack_guards(running, buffer));
}

#endif
