/* overrun.h - runs a function off the end of a stack, and looks what became of its neighbours.
 *
 * In a child process, because it ends by a fault. The handler there says through the exit status
 * what it found; nothing of the scheduler is involved. */
#ifndef TESTS_OVERRUN_H
#define TESTS_OVERRUN_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch.h"
#include "stack/stack.h"

/* Frames on stacks that a sanitizer was not told of. */
#define UNWATCHED                                                                                  \
	__attribute__((__noinline__, __no_sanitize__("address"), __no_sanitize__("thread")))

enum overrun {
	OVERRUN_CAUGHT = 40,    /* a fault in the guard of its stack; the neighbours are whole */
	OVERRUN_ELSEWHERE,      /* a fault, but not there */
	OVERRUN_NEIGHBOUR,      /* a neighbour was written to */
	OVERRUN_NONE,           /* it returned */
	OVERRUN_NO_STACK,
};

enum { NEIGHBOURS = 4, PATTERN = 0x5a };

static struct stack *overrun_stacks[2 * NEIGHBOURS + 1]; /* the middle one is run on */
static void (*overrun_run)(void);

static UNWATCHED bool whole(const struct stack *s)
{
	for (size_t i = 0; i < s->bytes; i++)
		if (s->bottom[i] != PATTERN)
			return false;
	return true;
}

static void look_around(int signal, siginfo_t *info, void *context)
{
	struct stack *hit = NULL;
	enum stack_place place = stack_locate(info->si_addr, &hit);

	(void)signal, (void)context;
	for (int i = 0; i < 2 * NEIGHBOURS + 1; i++)
		if (i != NEIGHBOURS && !whole(overrun_stacks[i]))
			_exit(OVERRUN_NEIGHBOUR);
	_exit(place == STACK_GUARD && hit == overrun_stacks[NEIGHBOURS] ? OVERRUN_CAUGHT
									 : OVERRUN_ELSEWHERE);
}

static UNWATCHED void overrun_entry(uintptr_t message)
{
	(void)message;
	overrun_run();
	_exit(OVERRUN_NONE);
}

static _Noreturn void overrun_child(void)
{
	static char handler_stack[256 * 1024];
	stack_t alternate = { .ss_sp = handler_stack, .ss_size = sizeof handler_stack };
	struct sigaction look = {
		.sa_sigaction = look_around,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	struct stack_cache cache = { .count = 0 };
	void *here, *there;

	for (int i = 0; i < 2 * NEIGHBOURS + 1; i++) {
		if (stack_get(&cache, 0, &overrun_stacks[i]) < 0)
			_exit(OVERRUN_NO_STACK);
		if (i != NEIGHBOURS)
			memset(overrun_stacks[i]->bottom, PATTERN, overrun_stacks[i]->bytes);
	}
	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &look, NULL);
	there = arch_frame(stack_top(overrun_stacks[NEIGHBOURS]), overrun_entry,
			   arch_control_words());
	arch_switch(&here, there, 0);
	_exit(OVERRUN_NONE);
}

/* What came of running `run` on a stack of the default size; negative: killed by that signal. */
static enum overrun overrun(void (*run)(void))
{
	int status = 0;
	pid_t child;

	overrun_run = run;
	child = fork();
	if (child == 0)
		overrun_child();
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? (enum overrun)-WTERMSIG(status)
				   : (enum overrun)WEXITSTATUS(status);
}

/* Defines void name(void): endless recursion with frames of that many bytes, of which only the
 * lowest is written to, as `char buffer[n]; read(fd, buffer, n)` does. */
#define DEFINE_RECURSION(name, frame_bytes)                                                        \
	static UNWATCHED int name##_from(int depth)                                                \
	{                                                                                          \
		volatile char frame[frame_bytes];                                                  \
                                                                                                   \
		frame[0] = (char)depth;                                                            \
		if (depth > 1000000)                                                               \
			return 0;                                                                  \
		return name##_from(depth + 1) + frame[0];                                          \
	}                                                                                          \
	static UNWATCHED void name(void)                                                           \
	{                                                                                          \
		name##_from(0);                                                                    \
	}

#endif
