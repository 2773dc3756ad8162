/* must.c - what a failed must() says before it aborts. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

COLD _Noreturn void must_fail(const char *what, const char *file, int line, const char *function)
{
	fprintf(stderr, "fiber: %s:%d: %s: must hold: %s\n", file, line, function, what);
	abort();
}
