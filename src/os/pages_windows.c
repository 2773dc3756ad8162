/* pages_windows.c - memory from the system: reserved, committed, given back.
 *
 * Stacks are only reserved here. Which pages of one are committed, and which is the guard that
 * makes it grow, is settled where stacks are (stack/guard_windows.c). They are reserved as readable
 * and writable, because the system commits what it grows with the protection of the reservation
 * (Wine does; a stack reserved as inaccessible would not grow there). */
#include <errno.h>
#include <windows.h>

#include "base/must.h"
#include "os/os.h"

size_t os_page_bytes(void)
{
	return 4096; /* of every processor that this ABI is for */
}

void *os_pages_map(size_t bytes)
{
	return VirtualAlloc(NULL, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void *os_stacks_map(size_t bytes)
{
	return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_READWRITE);
}

void os_pages_unmap(void *address, size_t bytes)
{
	(void)bytes; /* all that was mapped there at once */
	must(VirtualFree(address, 0, MEM_RELEASE));
}

int os_stack_commit(void *address, size_t bytes, bool guard)
{
	DWORD protection = PAGE_READWRITE | (guard ? PAGE_GUARD : 0);

	return VirtualAlloc(address, bytes, MEM_COMMIT, protection) ? 0 : -ENOMEM;
}

void os_pages_discard(void *address, size_t bytes)
{
	VirtualFree(address, bytes, MEM_DECOMMIT);
}

int os_pages_discard_batch(const struct os_range *ranges, size_t n)
{
	int result = 0;

	for (size_t i = 0; i < n; i++)
		if (!VirtualFree(ranges[i].address, ranges[i].bytes, MEM_DECOMMIT))
			result = -ENOMEM;
	return result;
}

int os_pages_protect(void *address, size_t bytes)
{
	DWORD before;

	return VirtualProtect(address, bytes, PAGE_NOACCESS, &before) ? 0 : -ENOMEM;
}
