/* seed.c - what tests need that know no fibers; see law.h. Separate, so that the tests of the lower
 * floors link without the scheduler. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "law.h"
#include "os/sanitize.h"

#if (defined(FB_ASAN) || defined(FB_TSAN)) && !defined(LAW_SLOW)
#define LAW_SLOW 1
#endif

#if defined(FB_ASAN)
int __lsan_do_recoverable_leak_check(void);
#endif

void law_no_leaks(void)
{
#if defined(FB_ASAN)
	cr_expect(__lsan_do_recoverable_leak_check() == 0, "memory was leaked");
#endif
}

uint64_t law_seed(void)
{
	const char *given = getenv("FIBER_SEED");
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t seed = given ? strtoull(given, NULL, 0)
			      : (uint64_t)now.tv_nsec * 2654435761u ^ (uint64_t)getpid();

	fprintf(stderr, "FIBER_SEED=%" PRIu64 "\n", seed);
	return seed;
}

/* splitmix64 */
uint64_t law_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

unsigned law_rounds(unsigned n)
{
#if defined(LAW_SLOW)
	return n < 10 ? 1 : n / 10;
#else
	return n;
#endif
}
