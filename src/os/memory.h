/* memory.h - what the system can tell about a process's memory. */
#ifndef FB_OS_MEMORY_H
#define FB_OS_MEMORY_H

#include <stddef.h>

/* How far below address + bytes the lowest page lies that is in memory, counted from that page's
 * start: the high-water mark of a stack whose top is there. `address` is the start of a page. 0:
 * none is. Pages that were swapped out count as never touched. */
size_t os_pages_depth(const void *address, size_t bytes);

/* How many separate ranges of memory a process may have; 0: no limit that we could know of. */
size_t os_mappings_limit(void);

#endif
