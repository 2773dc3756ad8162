/* overflow_report.h - what an overflow says. Between the overflow_*.c. */
#ifndef FB_SCHED_OVERFLOW_REPORT_H
#define FB_SCHED_OVERFLOW_REPORT_H

#include <stddef.h>

#include "stack/stack.h"

/* A call that overflow_check found not to fit. */
struct overflow_call {
	const struct stack *stack;
	const void *sp, *buffer;
	size_t bytes;
};

/* Writes it to stderr. In a signal handler: `address` is where the fault was, `where` as
 * overflow_trace wants it. call: of which this fault is the messenger, or NULL. */
void overflow_report(const struct stack *, const void *address, const void *where,
		     const struct overflow_call *call);

#endif
