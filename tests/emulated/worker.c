/* worker.c - lets tests start themselves again where an emulator runs them.
 *
 * Criterion executes the test program anew for each test, as "boxfort-worker". The kernel would
 * refuse: the program is for another processor. So that one execve goes to the emulator. EMULATOR
 * is the beginning of its command line, as the words of an initializer. */
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emulated.h"

enum { WORDS_MOST = 64 };

int execve(const char *path, char *const arguments[], char *const environment[])
{
	static const char *const emulator[] = { EMULATOR };
	enum { WORDS = sizeof emulator / sizeof *emulator };
	const char *words[WORDS_MOST];
	size_t n = WORDS;

	if (!emulated_kernel() || !arguments[0] || strcmp(arguments[0], "boxfort-worker") != 0)
		return (int)syscall(SYS_execve, path, arguments, environment);
	memcpy(words, emulator, sizeof emulator);
	words[n++] = path;
	for (size_t i = 1; arguments[i] && n < WORDS_MOST - 1; i++)
		words[n++] = arguments[i];
	words[n] = NULL;
	return (int)syscall(SYS_execve, emulator[0], words, environment);
}
