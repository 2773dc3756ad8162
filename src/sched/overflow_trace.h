/* overflow_trace.h - what the report of an overflow asks of the system. Callable in a handler. */
#ifndef FB_SCHED_OVERFLOW_TRACE_H
#define FB_SCHED_OVERFLOW_TRACE_H

#include "base/line.h"

/* Loads what a handler may not: once, before any is installed. */
void overflow_trace_prepare(void);
/* The frames, a line each. `where` is what the handler knows of the fault: the address of the
 * instruction; on Windows its CONTEXT, which is used up. */
void overflow_trace(struct line *, const void *where);
/* A code address as people read it, and the end of the line. */
void overflow_trace_place(struct line *, const void *address);
/* What else to do about overflows here, or "". */
extern const char overflow_trace_advice[];

#endif
