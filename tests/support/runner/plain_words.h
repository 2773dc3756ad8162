/* plain_words.h - included first of all on Windows: undoes what windows.h makes of words that tests
 * use, and declares what POSIX has and tests call. */
#ifndef __ASSEMBLER__
#include <winsock2.h>

#undef near
#undef far
#undef small

/* Of POSIX; runner_windows.c. */
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
#endif
