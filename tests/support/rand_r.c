/* rand_r.c - for ThreadSanitizer builds only. Criterion's sandbox maps an arena that the test's
 * process must inherit, and picks its address with rand_r; most of what libc's gives lies where
 * ThreadSanitizer allows no mapping. This one stays inside the range that both accept. */
#include <stdlib.h>

int rand_r(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return 0x350000 | (int)(*seed >> 8 & 0xffff);
}
