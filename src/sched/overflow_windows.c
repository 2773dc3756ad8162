/* overflow_windows.c - overflows on Windows: a vectored handler, asked before any other.
 *
 * A stack that has grown to its bottom raises EXCEPTION_STACK_OVERFLOW on its last pages, and a
 * frame that steps over them an access violation below. If that stack is a fiber's and in use, the
 * handler reports it and ends the process with that exception's code; everything else it leaves to
 * the handlers that come after. What is left of the stack is little, so the report is written on
 * one of its own, from which nothing comes back. */
#include <windows.h>

#include "arch.h"
#include "os/os.h"
#include "os/spin.h"
#include "sched/overflow.h"
#include "sched/overflow_report.h"
#include "sched/overflow_trace.h"

static struct spin guard;
static unsigned installs;       /* guarded by guard */
static void *installed;         /* guarded by guard */

/* Of the one report that is ever written. */
static _Atomic bool reporting;
static struct {
	const struct stack *stack;
	const void *address;
	CONTEXT context;
	struct overflow_call call;
	bool by_call;
} found;
static _Alignas(64) char report_stack[64 * 1024];

static void write_report(uintptr_t message)
{
	(void)message;
	overflow_report(found.stack, found.address, &found.context,
			found.by_call ? &found.call : NULL);
	TerminateProcess(GetCurrentProcess(), (UINT)EXCEPTION_STACK_OVERFLOW);
}

/* The first thread reports, and takes the others with it. */
static void report_first(void)
{
	while (atomic_exchange_explicit(&reporting, true, memory_order_relaxed))
		Sleep(INFINITE);
}

static _Noreturn void report(void)
{
	arch_leave(arch_frame(report_stack + sizeof report_stack, write_report,
			      arch_control_words()),
		   0);
}

/* The stack that this exception is the overflow of, or NULL. */
static const struct stack *overflown(const EXCEPTION_RECORD *r)
{
	const struct stack *running = overflow_stack();
	struct stack *touched;

	if (!running)
		return NULL;
	if (r->ExceptionCode == (DWORD)EXCEPTION_STACK_OVERFLOW)
		return running;
	if (r->ExceptionCode != (DWORD)EXCEPTION_ACCESS_VIOLATION || r->NumberParameters < 2)
		return NULL;
	if (stack_locate((const void *)r->ExceptionInformation[1], &touched) != STACK_GUARD)
		return NULL;
	return touched == running ? running : NULL;
}

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *e)
{
	const struct stack *s = overflown(e->ExceptionRecord);

	if (!s)
		return EXCEPTION_CONTINUE_SEARCH;
	report_first();
	found.stack = s;
	found.context = *e->ContextRecord;
	found.address = e->ExceptionRecord->NumberParameters >= 2
				? (const void *)e->ExceptionRecord->ExceptionInformation[1]
				: (const void *)e->ContextRecord->Rsp;
	report();
}

_Noreturn COLD void overflow_report_buffer(const struct stack *running, const void *sp,
					   const void *buffer, size_t bytes)
{
	report_first();
	found.stack = running;
	found.address = sp;
	found.call = (struct overflow_call){ running, sp, buffer, bytes };
	found.by_call = true;
	RtlCaptureContext(&found.context);
	report();
}

/* ---- installing ------------------------------------------------------------------------------*/
void overflow_install(void)
{
	spin_lock(&guard);
	if (installs++ == 0)
		installed = AddVectoredExceptionHandler(1, on_exception);
	spin_unlock(&guard);
}

void overflow_remove(void)
{
	spin_lock(&guard);
	must(installs > 0);
	if (--installs == 0 && installed) {
		RemoveVectoredExceptionHandler(installed);
		installed = NULL;
	}
	spin_unlock(&guard);
}

/* The handler leaves the stack that overflowed by itself. */
int overflow_thread_enter(void)
{
	return 0;
}

void overflow_thread_leave(void)
{
}

/* There is no fork. */
void overflow_fork_prepare(void)
{
}

void overflow_fork_done(void)
{
}
