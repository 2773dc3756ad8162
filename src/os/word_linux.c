/* word_linux.c - sleeping on a word: futex(2).
 *
 * Every reason to return - woken, timed out, a signal, a word that has already changed - is the
 * same to the caller, who looks at the word and the clock again. So the results are not looked
 * at. */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

void os_word_sleep(_Atomic uint32_t *word, uint32_t value, int64_t until)
{
	struct timespec when = { 0 }; /* negative times are refused, and zero has passed too */

	if (until > 0) {
		when.tv_sec = until / 1000000000;
		when.tv_nsec = until % 1000000000;
	}
	/* The plain FUTEX_WAIT takes a duration; this one the time itself, by CLOCK_MONOTONIC. */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until == OS_NEVER ? NULL : &when,
		NULL, FUTEX_BITSET_MATCH_ANY);
}

void os_word_wake(_Atomic uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}
