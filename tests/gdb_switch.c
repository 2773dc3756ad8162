/* What gdb_stack.py steps through: two contexts, each switching away from inside a function of its
 * own, fully and bare; in the end one gives up. Then two functions are started on empty stacks, one
 * after the other, and return. */
#include <stdint.h>

#include "arch.h"

char stack[64 * 1024];
static void *here, *there;
static uint64_t control_words;

/* Not a tail call: the caller's frame is to be seen. */
#define FRAME __asm__ volatile("")

static __attribute__((__noinline__)) void leave_main(void)
{
	arch_switch(&here, there, 0);
	FRAME;
}

static __attribute__((__noinline__)) void leave_main_bare(void)
{
	arch_switch_bare(&here, there, 0, control_words);
	FRAME;
}

static __attribute__((__noinline__)) void leave_context(void)
{
	arch_switch(&there, here, 0);
	FRAME;
}

static __attribute__((__noinline__)) void leave_context_bare(void)
{
	arch_switch_bare(&there, here, 0, control_words);
	FRAME;
}

static __attribute__((__noinline__)) void give_up(void)
{
	arch_leave(here, 0);
}

static void body(uintptr_t message)
{
	(void)message;
	leave_context();
	leave_context_bare();
	leave_context();
	give_up();
}

static char *const other_top = stack + sizeof stack / 2;

struct arch_next start_body(uintptr_t message)
{
	if (message)
		return (struct arch_next){ here, 0 };
	return (struct arch_next){ other_top + 1, 1 };
}

static __attribute__((__noinline__)) void start_main(void)
{
	arch_start(&here, stack + sizeof stack, start_body, 0, control_words);
	FRAME;
}

int main(void)
{
	control_words = arch_control_words();
	there = arch_frame(stack + sizeof stack, body, control_words);
	leave_main();
	leave_main();
	leave_main_bare();
	leave_main_bare();
	start_main();
	return 0;
}
