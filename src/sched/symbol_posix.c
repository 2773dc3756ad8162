/* symbol_posix.c - names for return addresses, as the dynamic linker knows them. */
#include "sched/symbol.h"

#include <dlfcn.h>
#include <stdint.h>

void symbol_print(FILE *to, const void *address)
{
	Dl_info info;

	if (!address) {
		fputs("?", to);
	} else if (!dladdr(address, &info)) {
		fprintf(to, "%p", address);
	} else if (info.dli_sname) {
		fprintf(to, "%s+%#lx (%s)", info.dli_sname,
			(unsigned long)((uintptr_t)address - (uintptr_t)info.dli_saddr),
			info.dli_fname);
	} else {
		fprintf(to, "%s+%#lx", info.dli_fname,
			(unsigned long)((uintptr_t)address - (uintptr_t)info.dli_fbase));
	}
}
