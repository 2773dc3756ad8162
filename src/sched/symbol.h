/* symbol.h - a code address as people read it. */
#ifndef FB_SCHED_SYMBOL_H
#define FB_SCHED_SYMBOL_H

#include <stdio.h>

/* "name+0x12 (file)" where the dynamic linker knows it, else the address. */
void symbol_print(FILE *to, const void *address);

#endif
