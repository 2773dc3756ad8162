/* gen.h - a generator, as the rooms that look at stacks see it: the report of an overflow, the
 * check of I/O calls.
 *
 * It lives at the top of its own stack, on the page that the first frame touches anyway.
 *
 * Protocol "turns". `state` says whose it is:
 *
 *	SUSPENDED -> RUNNING    whoever makes this change (CAS) is the resumer; until the next
 *	                        change everything else in here is his and the body's alone
 *	RUNNING -> SUSPENDED    a yield, and
 *	RUNNING -> DONE         the body's end: stored (release) when nobody is on the stack any
 *	                        more, or the next resumer would run it while its registers are
 *	                        still being saved
 *	SUSPENDED, DONE -> GONE a destroyer (CAS): nobody else may have it any more
 *
 * The body runs on the thread and in the fiber of its resumer, and neither is noted here. What is
 * noted is the chain of stacks: outwards by `under`, inwards by `inner` of struct stack (and, for a
 * thread's own stack, of the thread). So a fiber that parks in a generator takes the chain along,
 * and no switch between fibers needs to know. */
#ifndef FB_GEN_GEN_H
#define FB_GEN_GEN_H

#include <fiber/gen.h>
#include <stdatomic.h>

#include "os/exceptions.h"
#include "stack/stack.h"

enum gen_state {
	GEN_SUSPENDED,
	GEN_RUNNING,
	GEN_DONE,
	GEN_GONE,
};

enum { /* of flags, beside those of the attributes */
	GEN_DEEP = 1 << 29,        /* a call on a deep stack (gen_call_deep) */
	GEN_EXCEPTIONS = 1 << 30,  /* a program with C++: their state goes along */
};

struct fiber_gen {
	_Atomic uint32_t state;
	uint32_t flags;         /* of the attributes, and those above */
	void *sp;               /* while SUSPENDED: its saved context */
	void *resumer;          /* while RUNNING: the resumer's saved context */
	uintptr_t message;      /* what a resume hands to the body's context: at first this
	                         * address, then 0, and -ECANCELED once it is to end */
	void *in;               /* what the latest resume gave */
	void **in_to;           /* where the yield wants it */
	void **out_to;          /* where the resumer wants what comes out */
	size_t bytes;           /* of stack below this struct */

	void *nowhere;          /* where nobody wants it */
	struct stack *under;    /* while RUNNING: the resumer's stack; NULL: a thread's own */
	const char *from;       /* where the latest resumer was, and the next one is, mostly: its */
	size_t from_bytes;      /* stack, or a page of a thread's own. For so long as no more */
	uint32_t mappings;      /* stacks are mapped than there were */
	void *result;           /* when DONE */

	fiber_gen_fn *fn;
	void *arg;
	struct stack *stack;
	uint64_t control_words; /* that it began with */
	const void *created_at; /* return address of fiber_gen_create */
	char name[16];          /* 15 bytes and a zero */
	struct exceptions exceptions; /* SUSPENDED: the body's; RUNNING: the resumer's */

	/* Sanitizer builds only: ThreadSanitizer's contexts of the body and of its resumer, */
	void *sanitizer, *resumer_sanitizer;
	const void *resumer_bottom; /* and where that one's stack is, for AddressSanitizer. */
	size_t resumer_bytes;
};
_Static_assert(offsetof(struct fiber_gen, nowhere) == 64, "a turn touches one cache line of it");

/* A stack's owner is a fiber, or, with this bit, a generator. */
enum { GEN_OWNS = 1 };

/* The generator that holds a stack; NULL: nobody does, or a fiber. */
static inline struct fiber_gen *gen_of(const struct stack *s)
{
	uintptr_t owner = (uintptr_t)s->owner;

	return owner & GEN_OWNS ? (struct fiber_gen *)(owner - GEN_OWNS) : NULL;
}

static inline bool gen_is_running(const struct fiber_gen *g)
{
	return atomic_load_explicit(&g->state, memory_order_relaxed) == GEN_RUNNING;
}

/* Is that address in the part of its stack where frames are? */
static inline bool gen_contains(const struct fiber_gen *g, const void *address)
{
	return (uintptr_t)g - (uintptr_t)address < g->bytes;
}

/* Of one that runs: the stack under it and all that it is nested in; NULL: a thread's own. */
static inline const struct stack *gen_base(const struct fiber_gen *g)
{
	const struct stack *s = NULL;

	while (g && gen_is_running(g)) {
		s = g->under;
		g = s ? gen_of(s) : NULL;
	}
	return s;
}

/* Which stack is a caller on whose fiber has `base` (NULL: a plain thread)? That, or the innermost
 * generator's. Callable in a signal handler. */
const struct stack *gen_innermost(const struct stack *base);

/* Runs fn(arg) on a stack of so many bytes, for code that needs more than a fiber's. It is a
 * generator that never yields: so it may park, its overflow is reported, and the check of I/O calls
 * and the sanitizers know the stack. The stack comes from and goes back to the process-wide pile of
 * its size, whose idle members are trimmed. Deep pages are given back at each return.
 * `called_at` is for the report. 0, or -ENOMEM. */
enum { GEN_DEEP_BYTES = 8 << 20 };
int gen_call_deep(void (*fn)(void *), void *arg, const void *called_at);

#endif
