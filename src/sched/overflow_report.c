/* overflow_report.c - writes the report of an overflow, in a signal handler.
 *
 * Only async-signal-safe code: lines are put together by hand and go out by write(2). The backtrace
 * comes last: whatever a broken stack does to it, the rest has been said. */
#include "sched/overflow_report.h"

#include <unistd.h>

#include "base/line.h"
#include "sched/overflow.h"
#include "sched/overflow_trace.h"

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
		line_text(l, holder.deep ? "deep call" : "generator");
		if (!holder.deep)
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
	if (!place)
		return;
	line_text(l, what);
	overflow_trace_place(l, place);
}

static void write_remedy(struct line *l, const struct stack *s,
			 const struct overflow_holder *holder)
{
	bool generator = holder->generator != NULL;

	line_text(l, "  its stack has ");
	line_number(l, s->bytes, 10);
	if (holder->deep) {
		line_text(l, " bytes, as every deep call's\n");
		line_flush(l, STDERR_FILENO);
		return;
	}
	line_text(l, generator ? " bytes; fiber_gen_attr_t" : " bytes; fiber_attr_t");
	line_text(l, ".stack_bytes = ");
	line_number(l, (s->bytes + s->bytes - 1) & ~(uint64_t)4095, 10);
	line_text(l, " gives this one twice as much");
	line_text(l, generator ? "\n" : ", fiber_options_t.stack_bytes all of them\n");
	line_text(l, overflow_trace_advice);
	line_flush(l, STDERR_FILENO);
}

void overflow_report(const struct stack *s, const void *address, const void *where,
		     const struct overflow_call *call)
{
	struct line l = { .length = 0 };
	struct overflow_holder holder;

	overflow_describe(s, &holder);
	line_text(&l, "fiber: stack overflow: ");
	write_holder(&l, s);
	write_cause(&l, s, address, call);
	write_suspect(&l, s);
	write_place(&l, holder.deep ? "  called at " : "  created at ", holder.created_at);
	write_place(&l, "  spawned at ", holder.spawned_at);
	write_remedy(&l, s, &holder);
	line_text(&l, "  backtrace, innermost first:\n");
	overflow_trace(&l, where);
}
