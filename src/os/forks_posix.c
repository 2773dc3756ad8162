/* forks_posix.c - counts by pthread_atfork: asking getpid each time would be a system call. */
#include <errno.h>
#include <pthread.h>

#include "os/forks.h"

_Atomic uint32_t os_forks_count;
static int watched;

static void child(void)
{
	atomic_fetch_add_explicit(&os_forks_count, 1, memory_order_relaxed);
}

static void watch(void)
{
	watched = -pthread_atfork(NULL, NULL, child);
}

int os_forks_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch);
	return watched;
}
