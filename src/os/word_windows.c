/* word_windows.c - sleeping on a word: WaitOnAddress. What it returns for does not matter to the
 * caller, who looks at the word and the clock again. */
#include <windows.h>

#include "os/os.h"

/* Rounded up: who wakes too early only comes again. */
static DWORD milliseconds(int64_t until)
{
	int64_t left = until == OS_NEVER ? OS_NEVER : until - os_now();

	if (left <= 0)
		return 0;
	left = left / 1000000 + (left % 1000000 != 0);
	return left < INFINITE ? (DWORD)left : INFINITE;
}

void os_word_sleep(_Atomic uint32_t *word, uint32_t value, int64_t until)
{
	WaitOnAddress((volatile void *)word, &value, sizeof value, milliseconds(until));
}

void os_word_wake(_Atomic uint32_t *word, int n)
{
	if (n == 1)
		WakeByAddressSingle((void *)word);
	else
		WakeByAddressAll((void *)word);
}
