/* overflow_trace_windows.c - backtraces by the unwind tables of the images. */
#include "sched/overflow_trace.h"

#include <stdbool.h>
#include <string.h>
#include <windows.h>

enum { FRAMES_MOST = 8192, INNERMOST = 24, OUTERMOST = 8 };

/* Only one report is ever written. */
static const void *frames[FRAMES_MOST];

void overflow_trace_prepare(void)
{
}

/* Out of the function that was interrupted, or that called. False: there is no further out. */
static bool unwind(CONTEXT *c)
{
	DWORD64 image, frame;
	void *handler;
	PRUNTIME_FUNCTION f = RtlLookupFunctionEntry(c->Rip, &image, NULL);

	if (f) {
		RtlVirtualUnwind(UNW_FLAG_NHANDLER, image, c->Rip, f, c, &handler, &frame, NULL);
	} else { /* a leaf: its return address is all there is */
		c->Rip = *(const DWORD64 *)c->Rsp;
		c->Rsp += sizeof(DWORD64);
	}
	return c->Rip != 0;
}

static void write_frames(struct line *l, int first, int end)
{
	for (int i = first; i < end; i++) {
		line_text(l, "    ");
		overflow_trace_place(l, frames[i]);
	}
}

void overflow_trace(struct line *l, const void *where)
{
	CONTEXT context;
	int n = 0;

	memcpy(&context, where, sizeof context);
	do
		frames[n++] = (const void *)context.Rip;
	while (n < FRAMES_MOST && unwind(&context));
	if (n <= INNERMOST + OUTERMOST) {
		write_frames(l, 0, n);
		return;
	}
	write_frames(l, 0, INNERMOST);
	line_text(l, "    ... ");
	line_number(l, (uint64_t)(n - INNERMOST - OUTERMOST), 10);
	line_text(l, n == FRAMES_MOST ? " frames, and more further out\n" : " frames\n");
	write_frames(l, n - OUTERMOST, n);
}

void overflow_trace_place(struct line *l, const void *address)
{
	char file[MAX_PATH];
	void *image = NULL;

	RtlPcToFileHeader((void *)(uintptr_t)address, &image);
	if (image && GetModuleFileNameA(image, file, sizeof file)) {
		line_text(l, file);
		line_text(l, "+");
		line_address(l, (const void *)((uintptr_t)address - (uintptr_t)image));
	} else {
		line_address(l, address);
	}
	line_text(l, "\n");
	line_flush(l, STDERR_FILENO);
}

const char overflow_trace_advice[] = "";
