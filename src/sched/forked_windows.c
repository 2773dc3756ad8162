/* forked_windows.c - there is no fork; see forked.h. And what must be done before anything else.
 *
 * MinGW's compiler keeps thread-locals in memory that is given back under a key of its own, made
 * when the first one is used, and keys are served in the order in which they were made. What a
 * thread's end still has to do (a broken promise fails) asks thread-locals who ends, so our key
 * must be the first. It is made here because the linker takes a file out of an archive only for
 * what others ask of it, and all ask for what is below. */
#include "sched/forked.h"

#include <stdlib.h>

#include "sched/thread.h"

_Atomic uint32_t forked_times;

__attribute__((__constructor__(101))) static void make_key_first(void)
{
	thread_make_key();
}

bool runtime_forked(void)
{
	return false;
}

bool forked_was_fiber(void)
{
	return false;
}

_Noreturn void forked_exit(int result)
{
	_Exit(result < 0 ? 1 : result & 0xff);
}

void forked_watch(void)
{
}

void forked_revive(void)
{
}
