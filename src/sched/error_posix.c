/* error_posix.c - what a result means, in words; and which library this is. */
#include <fiber.h>
#include <string.h>

#include "base/must.h"

PUBLIC const char *fiber_strerror(int result)
{
	const char *text;

	if (result >= 0)
		return "no error";
	text = result == -2147483647 - 1 ? NULL : strerrordesc_np(-result);
	return text ? text : "unknown error";
}

PUBLIC const char *fiber_version(void)
{
	return FIBER_VERSION;
}
