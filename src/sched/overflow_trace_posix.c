/* overflow_trace_posix.c - backtraces in a signal handler.
 *
 * backtrace() is not on POSIX' list of what is safe there; glibc's walks the unwind tables without
 * a lock and without memory once its library is loaded, which overflow_trace_prepare sees to, and
 * backtrace_symbols_fd is made for this. */
#include "sched/overflow_trace.h"

#include <execinfo.h>
#include <unistd.h>

enum {
	FRAMES_MOST = 8192, /* a recursion with small frames on a stack of the default size */
	INNERMOST = 24,     /* the cycle of a recursion, mostly */
	OUTERMOST = 8,      /* who started it */
};

/* Too large for the stack that handlers run on. Only one report is ever written. */
static void *frames[FRAMES_MOST];

void overflow_trace_prepare(void)
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

void overflow_trace(struct line *l, const void *pc)
{
	int n = backtrace(frames, FRAMES_MOST);
	int first = frame_of(pc, n);
	int skipped = n - first - INNERMOST - OUTERMOST;

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

void overflow_trace_place(struct line *l, const void *address)
{
	void *at = (void *)(uintptr_t)address;

	line_flush(l, STDERR_FILENO);
	backtrace_symbols_fd(&at, 1, STDERR_FILENO);
}

const char overflow_trace_advice[] =
	"  (code that runs on fibers should be built with -fstack-clash-protection: a large frame "
	"may step over the guard otherwise)\n";
