/* overflow_report.c - writes the report of an overflow, in a signal handler.
 *
 * Only async-signal-safe code: lines are put together by hand and go out by write(2).
 * backtrace() is not on POSIX' list; glibc's walks the unwind tables without a lock and without
 * memory once its library is loaded, which overflow_report_prepare sees to, and
 * backtrace_symbols_fd is made for this. It comes last: whatever a broken stack does to it, the
 * rest has been said. */
#include "sched/overflow_report.h"

#include <execinfo.h>
#include <unistd.h>

#include "base/line.h"
#include "sched/overflow.h"

enum {
	FRAMES_MOST = 8192, /* a recursion with small frames on a stack of the default size */
	INNERMOST = 24,     /* the cycle of a recursion, mostly */
	OUTERMOST = 8,      /* who started it */
};

/* Too large for the stack that handlers run on. Only one report is ever written. */
static void *frames[FRAMES_MOST];

void overflow_report_prepare(void)
{
	void *frame[2];

	(void)backtrace(frame, 2);
}

static void write_frames(struct line *l, int first, int end)
{
	for (int i = first; i < end; i++) {
		line_text(l, "    ");
		line_flush(l, STDERR_FILENO);
		backtrace_symbols_fd(&frames[i], 1, STDERR_FILENO);
	}
}

/* The handler's own frames come first, and are of no interest. */
static int frame_of(const void *pc, int n)
{
	for (int i = 0; i < n; i++)
		if (frames[i] == pc)
			return i;
	return 0;
}

static void write_backtrace(struct line *l, const void *pc)
{
	int n = backtrace(frames, FRAMES_MOST);
	int first = frame_of(pc, n);
	int skipped = n - first - INNERMOST - OUTERMOST;

	line_text(l, "  backtrace, innermost first:\n");
	if (skipped <= 0) {
		write_frames(l, first, n);
		return;
	}
	write_frames(l, first, first + INNERMOST);
	line_text(l, "    ... ");
	line_number(l, (uint64_t)skipped, 10);
	line_text(l, n == FRAMES_MOST ? " frames, and more further out\n" : " frames\n");
	write_frames(l, n - OUTERMOST, n);
}

static void write_quoted(struct line *l, const char *name)
{
	line_text(l, " \"");
	line_text(l, name);
	line_text(l, "\"");
}

static void write_holder(struct line *l, const struct stack *s)
{
	struct overflow_holder holder;

	overflow_describe(s, &holder);
	if (holder.generator) {
		line_text(l, "generator");
		write_quoted(l, holder.generator);
		line_text(l, holder.id ? " in " : " on a plain thread");
	}
	if (!holder.id)
		return;
	line_text(l, "fiber ");
	line_number(l, holder.id, 10);
	write_quoted(l, holder.name);
}

static void write_cause(struct line *l, const struct stack *s, const void *address,
			const struct overflow_call *call)
{
	if (!call) {
		line_text(l, " touched ");
		line_address(l, address);
		line_text(l, ", ");
		line_number(l, (uintptr_t)s->bottom - (uintptr_t)address, 10);
		line_text(l, " bytes below the end of its stack\n");
	} else if (!stack_contains(s, call->sp)) {
		line_text(l, " made a call on a frame that lies ");
		line_number(l, (uintptr_t)s->bottom - (uintptr_t)call->sp, 10);
		line_text(l, " bytes below the end of its stack\n");
	} else {
		line_text(l, " made a call with a buffer of ");
		line_number(l, call->bytes, 10);
		line_text(l, " bytes that begins ");
		line_number(l, (uintptr_t)s->bottom - (uintptr_t)call->buffer, 10);
		line_text(l, " bytes below the end of its stack\n");
	}
}

/* The stack pointer was in the slot of s. Either the thread is in the middle of a switch, or the
 * frame that it got there by began in somebody else's. */
static void write_suspect(struct line *l, const struct stack *s)
{
	const struct stack *running = overflow_stack();

	if (!running || running == s || !running->owner)
		return;
	line_text(l, "  or it was ");
	write_holder(l, running);
	line_text(l, ", which ran here: a large frame of it may have stepped over its own guard\n");
}

static void write_place(struct line *l, const char *what, const void *place)
{
	void *at = (void *)(uintptr_t)place;

	if (!at)
		return;
	line_text(l, what);
	line_flush(l, STDERR_FILENO);
	backtrace_symbols_fd(&at, 1, STDERR_FILENO);
}

static void write_remedy(struct line *l, const struct stack *s, bool generator)
{
	line_text(l, "  its stack has ");
	line_number(l, s->bytes, 10);
	line_text(l, generator ? " bytes; fiber_gen_attr_t" : " bytes; fiber_attr_t");
	line_text(l, ".stack_bytes = ");
	line_number(l, (s->bytes + s->bytes - 1) & ~(uint64_t)4095, 10);
	line_text(l, " gives this one twice as much");
	line_text(l, generator ? "" : ", fiber_options_t.stack_bytes all of them");
	line_text(l, "\n  (code that runs on fibers should be built with -fstack-clash-protection: "
		     "a large frame may step over the guard otherwise)\n");
	line_flush(l, STDERR_FILENO);
}

void overflow_report(const struct stack *s, const void *address, const void *pc,
		     const struct overflow_call *call)
{
	struct line l = { .length = 0 };
	struct overflow_holder holder;

	overflow_describe(s, &holder);
	line_text(&l, "fiber: stack overflow: ");
	write_holder(&l, s);
	write_cause(&l, s, address, call);
	write_suspect(&l, s);
	write_place(&l, "  created at ", holder.created_at);
	write_place(&l, "  spawned at ", holder.spawned_at);
	write_remedy(&l, s, holder.generator != NULL);
	write_backtrace(&l, pc);
}
