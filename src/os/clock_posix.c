/* clock_posix.c - the monotonic clock. */
#include <time.h>

#include "base/must.h"
#include "os/os.h"

int64_t os_now(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
