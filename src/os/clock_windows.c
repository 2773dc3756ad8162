/* clock_windows.c - the performance counter, which is monotonic and the same on all processors. */
#include <windows.h>

#include "os/os.h"

int64_t os_now(void)
{
	static _Atomic int64_t known; /* ticks a second, constant since the start of the system */
	int64_t frequency = atomic_load_explicit(&known, memory_order_relaxed);
	LARGE_INTEGER value;

	if (!frequency) {
		QueryPerformanceFrequency(&value);
		frequency = value.QuadPart;
		atomic_store_explicit(&known, frequency, memory_order_relaxed);
	}
	QueryPerformanceCounter(&value);
	/* In two parts: the product of all ticks would overflow after 15 minutes at 10 MHz. */
	return value.QuadPart / frequency * 1000000000 +
	       value.QuadPart % frequency * 1000000000 / frequency;
}
