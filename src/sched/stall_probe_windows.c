/* stall_probe_windows.c - the frames of a thread of ours that is busy with something else.
 *
 * The thread is stopped, what is on its stack is copied, and it goes on; only then is the copy
 * walked. To walk while it stands still would hang if it holds a lock that the walk needs. One
 * probe at a time (`guard`). */
#include <pthread.h>
#include <string.h>
#include <windows.h>

#include "os/os.h"
#include "sched/stall.h"
#include "sched/worker.h"

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static struct {
	CONTEXT context;
	uintptr_t from, end; /* what was copied, of the stack */
	_Alignas(16) char stack[64 * 1024];
} copy;

void stall_probe_prepare(void)
{
}

/* There is no fork. */
void stall_probe_forked(void)
{
}

static bool still_there(const struct worker *w, const struct fiber *f, unsigned ticks)
{
	return worker_current(w) == f &&
	       atomic_load_explicit(&w->ticks, memory_order_relaxed) == ticks;
}

/* The thread stands still. */
static bool take(HANDLE thread)
{
	struct stack *s;
	size_t bytes;

	copy.context.ContextFlags = CONTEXT_FULL;
	if (!GetThreadContext(thread, &copy.context))
		return false;
	copy.from = copy.context.Rsp;
	if (stack_locate((const void *)copy.from, &s) != STACK_INSIDE)
		return false;
	bytes = (uintptr_t)stack_top(s) - copy.from;
	if (bytes > sizeof copy.stack)
		bytes = sizeof copy.stack;
	copy.end = copy.from + bytes;
	memcpy(copy.stack, (const void *)copy.from, bytes);
	return true;
}

static uintptr_t in_copy(uintptr_t address)
{
	if (address < copy.from || address >= copy.end)
		return address;
	return address - copy.from + (uintptr_t)copy.stack;
}

/* False: it ends here, or leads out of what was copied. */
static bool unwind(CONTEXT *c)
{
	DWORD64 image, frame;
	void *handler;
	PRUNTIME_FUNCTION f = RtlLookupFunctionEntry(c->Rip, &image, NULL);
	uintptr_t end = (uintptr_t)copy.stack + (copy.end - copy.from);

	if (!f)
		return false;
	c->Rbp = in_copy(c->Rbp); /* the only register that frames are found by */
	RtlVirtualUnwind(UNW_FLAG_NHANDLER, image, c->Rip, f, c, &handler, &frame, NULL);
	return c->Rip != 0 && c->Rsp >= (uintptr_t)copy.stack && c->Rsp + 512 < end;
}

static void walk(struct stall_place *out)
{
	CONTEXT context = copy.context;

	context.Rsp = in_copy(context.Rsp);
	do
		out->frame[out->frames++] = (void *)context.Rip;
	while (out->frames < (int)(sizeof out->frame / sizeof *out->frame) && unwind(&context));
}

bool stall_probe(struct worker *w, const struct fiber *f, unsigned ticks, int64_t until,
		 struct stall_place *out)
{
	HANDLE thread = pthread_gethandle(w->self);
	bool still, taken = false;

	(void)until; /* nobody is waited for */
	out->frames = 0;
	pthread_mutex_lock(&guard);
	if (SuspendThread(thread) == (DWORD)-1) {
		pthread_mutex_unlock(&guard);
		return true;
	}
	still = still_there(w, f, ticks);
	if (still)
		taken = take(thread);
	ResumeThread(thread);
	if (taken)
		walk(out);
	pthread_mutex_unlock(&guard);
	return still;
}
