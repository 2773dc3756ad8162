/* symbol_windows.c - return addresses as the image they are in, and how far in. Names are in the
 * image's debug information, which a debugger reads. */
#include "sched/symbol.h"

#include <stdint.h>
#include <windows.h>

void symbol_print(FILE *to, const void *address)
{
	char file[MAX_PATH];
	void *image = NULL;

	if (!address) {
		fputs("?", to);
		return;
	}
	RtlPcToFileHeader((void *)(uintptr_t)address, &image);
	if (image && GetModuleFileNameA(image, file, sizeof file))
		fprintf(to, "%s+%#llx", file,
			(unsigned long long)((uintptr_t)address - (uintptr_t)image));
	else
		fprintf(to, "%p", address);
}
