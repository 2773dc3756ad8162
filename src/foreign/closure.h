/* closure.h - a closure: libffi's, and what a call of it runs.
 *
 * Protocol "quarantine". A closure that was freed stays callable memory for a while, and a call of
 * it is reported instead of run:
 *
 *	free     sets `freed` (once: the second time is reported), turns libffi's closure into one
 *	         that only reports, and puts it at the end of the queue
 *	a call   counts itself in `calls` as long as it uses anything in here
 *	release  of the oldest in a queue that is full, unless calls are under way: then it goes to
 *	         the end again
 *
 * A call that is just being entered while the closure is freed is the program's mistake; it is
 * reported, or still runs, and finds all memory in place, unless 256 more are freed meanwhile. */
#ifndef FB_FOREIGN_CLOSURE_H
#define FB_FOREIGN_CLOSURE_H

#include <stdatomic.h>

#include "foreign/signature.h"

struct fiber_closure {
	struct fiber_closure *next;      /* in quarantine; guarded by its lock */
	ffi_closure *ffi;
	void *code;
	const struct fiber_signature *sig;
	fiber_closure_fn *handler;
	void *context;
	fiber_runtime_t *runtime;        /* may be gone by now: spawning finds out */
	_Atomic uint64_t calls;          /* under way */
	_Atomic bool freed;
	const void *created_at, *freed_at; /* return addresses */
	ffi_cif dead;                    /* what it is called by once it is freed */
	bool has_otherwise;
	_Alignas(SIGNATURE_ALIGNMENT) char otherwise[];
};

/* It was freed, and nobody calls it any more, as far as the program knows. */
void quarantine(struct fiber_closure *);

#endif
