/* overflow.h - when a fiber's stack ends: the report, the signals that bring it about, and the
 * check that finds what no signal would.
 *
 * A fiber that runs into the guard below its stack gets SIGSEGV (SIGBUS on some systems). Our
 * handler says on stderr which fiber it was, where it was spawned and what to change, and lets
 * the process die by that signal. Any other SIGSEGV goes to the handler that was there before,
 * as if ours did not exist.
 *
 * Built with AddressSanitizer or ThreadSanitizer nothing is installed: they bring a handler of
 * their own, whose report says more (shadow memory, both stacks of a race), and which expects to
 * be the one that the kernel calls. The check stays, and ends in their report. */
#ifndef FB_SCHED_OVERFLOW_H
#define FB_SCHED_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/check.h"

enum {
#if defined(FB_ASAN) || defined(FB_TSAN)
	OVERFLOW_INSTALLS = 0,
#else
	OVERFLOW_INSTALLS = 1,
#endif
};

/* ---- asked of the scheduler (overflow_fiber.c); by a signal handler too ----------------------*/
struct overflow_holder {
	const char *generator;      /* its name, "": it has none; NULL: it is a fiber's stack */
	bool deep;                  /* it is no generator's but a deep call's */
	const void *created_at;     /* the generator's; where the deep call was made */
	uint64_t id;                /* of the fiber that holds it or runs the generator; 0: none */
	const char *name;
	const void *spawned_at;     /* return address of the spawn, or NULL */
};
/* Who holds a stack that has an owner. */
void overflow_describe(const struct stack *, struct overflow_holder *out);
/* The stack that the calling thread runs on, be it a generator's; NULL: a thread's own. */
const struct stack *overflow_stack(void);

/* ---- signals ---------------------------------------------------------------------------------*/
/* Puts our handler for SIGSEGV and SIGBUS on top, when called for the first time since the last
 * removal. Runtimes come and go, so calls are counted. */
void overflow_install(void);
/* The last of as many calls puts the former handlers back; one that the program has put on top of
 * ours meanwhile stays. */
void overflow_remove(void);

/* Around fork(): a runtime may come or go on another thread at that moment. */
void overflow_fork_prepare(void);
void overflow_fork_done(void);

/* Gives the calling thread a stack to run the handler on, unless it has a large enough one
 * already. On every thread that runs fibers. Nests. -ENOMEM: overflows of its fibers kill
 * without a report. */
int overflow_thread_enter(void);
/* Puts back what was there before, on the same thread, not from the handler. */
void overflow_thread_leave(void);

/* ---- the check -------------------------------------------------------------------------------*/
/* A call that does not fit `running`, the stack that it runs on, is reported like an overflow.
 * Dies by SIGSEGV. */
_Noreturn void overflow_report_buffer(const struct stack *running, const void *sp,
				      const void *buffer, size_t bytes);

/* What every call does that lets the kernel write or read memory: check.h tells why. A buffer of no
 * bytes is never refused. */
static inline void overflow_check(const void *buffer, size_t bytes)
{
	const struct stack *running = overflow_stack();
	const void *sp = __builtin_frame_address(0);

	if (unlikely(!stack_fits(running, sp, bytes ? buffer : NULL)))
		overflow_report_buffer(running, sp, buffer, bytes);
}

#endif
