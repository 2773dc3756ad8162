/* processors_linux.c - how many processors this process may use, and how many threads it has.
 *
 * The affinity mask says where it may run, the cpu quota of its control group for how long. A
 * container with a quota of two on a machine of ninety-six sees all of them; ninety-six workers
 * would spend the quota early in each period and then stand still together. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"
#include "os/quota.h"

static unsigned affinity(void)
{
	cpu_set_t allowed[8]; /* 8192 processors, the most the kernel can be built for */

	if (sched_getaffinity(0, sizeof allowed, allowed) != 0)
		return 1;
	return (unsigned)CPU_COUNT_S(sizeof allowed, allowed);
}

unsigned os_processors(void)
{
	unsigned allowed = affinity(), paid = os_cpu_quota("");
	unsigned processors = allowed < paid ? allowed : paid;

	return processors ? processors : 1;
}

unsigned os_threads(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char text[1024];
	size_t bytes;
	char *name_end;
	unsigned threads;

	if (!file)
		return 0;
	bytes = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[bytes] = 0;
	/* "pid (name) state ...": the name may hold anything. The 18th word after it. */
	name_end = strrchr(text, ')');
	if (!name_end || sscanf(name_end + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
					      " %*s %*s %*s %*s %u", &threads) != 1)
		return 0;
	return threads;
}
