/* memory_windows.c - what the system can tell about a process's memory. */
#include <windows.h>

#include "os/memory.h"

/* Pages of a stack are committed from the top downwards, as they are touched; below them lies one
 * that is committed and guarded, and then what is only reserved. */
size_t os_pages_depth(const void *address, size_t bytes)
{
	const char *at = address, *end = at + bytes;
	MEMORY_BASIC_INFORMATION about;

	while (at < end && VirtualQuery(at, &about, sizeof about) == sizeof about) {
		if (about.State == MEM_COMMIT && !(about.Protect & (PAGE_GUARD | PAGE_NOACCESS)))
			return (size_t)(end - at);
		at = (const char *)about.BaseAddress + about.RegionSize;
	}
	return 0;
}

size_t os_mappings_limit(void)
{
	return 0;
}
