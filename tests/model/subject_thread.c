/* subject_thread.c - the library's own sched/thread.c, and a way to its thread-local. */
#include "sched/thread.c"

#include "subjects.h"

struct fiber **subject_thread_block(void)
{
	return &mine;
}
