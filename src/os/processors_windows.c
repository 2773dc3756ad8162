/* processors_windows.c - how many processors this process may use, and how many threads it has. Its
 * own group of at most 64: threads are not spread over groups here. */
#include <windows.h>
#include <tlhelp32.h>

#include "os/os.h"

unsigned os_processors(void)
{
	DWORD_PTR allowed, all;

	if (!GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all) || !allowed)
		return 1;
	return (unsigned)__builtin_popcountll(allowed);
}

unsigned os_threads(void)
{
	HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
	THREADENTRY32 thread = { .dwSize = sizeof thread };
	DWORD self = GetCurrentProcessId();
	unsigned threads = 0;

	if (snapshot == INVALID_HANDLE_VALUE)
		return 0;
	for (BOOL more = Thread32First(snapshot, &thread); more;
	     more = Thread32Next(snapshot, &thread))
		threads += thread.th32OwnerProcessID == self;
	CloseHandle(snapshot);
	return threads;
}
