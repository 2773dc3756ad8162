/* threads.c - the scenario's threads: coroutines on the library's own context switch. Each runs on
 * until it wants to do an operation, says which, and stops; the explorer does the operation and
 * lets it go on. So at any time it is known what each thread will do next. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch.h"
#include "inside.h"

enum { STACK_BYTES = 256 * 1024, LOCALS = 8, HEAP_BYTES = 1 << 20 };

struct thread thread[THREADS];
int running = -1;
const struct scenario *scenario;
char failure[2048];

static _Alignas(64) unsigned char stack[THREADS][STACK_BYTES];
static void *explorer;
static struct {
	void *address;
	size_t bytes;
} local[LOCALS];
static unsigned locals;
static _Alignas(64) unsigned char heap[HEAP_BYTES];
static size_t heap_used;

/* ---- variables of threads ---------------------------------------------------------------------*/
void model_local(void *address, size_t bytes)
{
	if (locals == LOCALS)
		model_fail("more than %d variables of threads", LOCALS);
	local[locals].address = address;
	local[locals++].bytes = bytes;
	plain_ignore(address, bytes);
}

static void swap_locals(struct thread *t, bool in)
{
	unsigned char *kept = t->local;

	for (unsigned i = 0; i < locals; i++) {
		memcpy(in ? local[i].address : kept, in ? kept : local[i].address, local[i].bytes);
		kept += local[i].bytes;
	}
}

/* ---- switching --------------------------------------------------------------------------------*/
static void stop(void)
{
	arch_switch(&thread[running].context, explorer, 0);
}

void thread_wants(void)
{
	stop();
}

static void begin(uintptr_t number)
{
	thread[number].run();
	thread[number].op.kind = OP_NONE;
	stop();
	abort();
}

/* Runs until it stops. */
static bool go(int number)
{
	running = number;
	swap_locals(&thread[number], true);
	arch_switch(&explorer, thread[number].context, (uintptr_t)number);
	swap_locals(&thread[number], false);
	running = -1;
	return !failure[0];
}

static bool start(int number, void (*run)(void))
{
	struct thread *t = &thread[number];
	unsigned char begin_with[sizeof t->local]; /* what setup left */

	memcpy(begin_with, thread[0].local, sizeof begin_with);
	memset(t, 0, sizeof *t);
	memcpy(t->local, begin_with, sizeof begin_with);
	t->last_read = t->stale_at = -1;
	t->run = run;
	t->now.clock[number] = 1;
	t->context = arch_frame(stack[number] + STACK_BYTES, begin, arch_control_words());
	return go(number);
}

static void nothing(void)
{
}

bool threads_setup(void)
{
	failure[0] = '\0';
	heap_used = locals = 0;
	return start(0, scenario->setup ? scenario->setup : nothing);
}

bool threads_start(int number)
{
	return start(number, scenario->thread[number - 1]);
}

bool threads_resume(int number)
{
	return go(number);
}

bool threads_check(void)
{
	memory_settle();
	return start(0, scenario->check ? scenario->check : nothing);
}

int model_thread(void)
{
	return running - 1;
}

bool model_ended(int number)
{
	return thread[number + 1].op.kind == OP_NONE;
}

unsigned model_choose(unsigned n)
{
	return explore_choice(n);
}

/* ---- the end of a run -------------------------------------------------------------------------*/
void model_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(failure, sizeof failure, format, arguments);
	va_end(arguments);
	if (running < 0)
		explore_abort();
	for (;;)
		stop();
}

_Noreturn void must_fail(const char *what, const char *file, int line, const char *function);
void must_fail(const char *what, const char *file, int line, const char *function)
{
	model_fail("%s:%d: %s: must(%s)", file, line, function, what);
}

void __assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
	model_fail("%s:%u: %s: assert(%s)", file, line, function, what);
}

/* ---- memory -----------------------------------------------------------------------------------*/
void *model_get(size_t bytes)
{
	size_t *p = (size_t *)(void *)(heap + heap_used);

	heap_used += (bytes + 16 + 63) & ~(size_t)63;
	if (heap_used > HEAP_BYTES)
		model_fail("out of memory");
	*p = bytes;
	return (char *)p + 16;
}

void *model_get_zeroed(size_t n, size_t bytes)
{
	return memset(model_get(n * bytes), 0, n * bytes);
}

void model_put(void *p)
{
	if (p)
		plain_freed(p, *(size_t *)(void *)((char *)p - 16));
}
