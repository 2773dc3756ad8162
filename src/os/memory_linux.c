/* memory_linux.c - asks the kernel what is in memory, and how finely it may be divided. */
#include "os/memory.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/os.h"

enum { PAGES_A_CALL = 128 }; /* on the caller's stack, which may be a fiber's */

size_t os_pages_depth(const void *address, size_t bytes)
{
	unsigned char present[PAGES_A_CALL];
	size_t page = os_page_bytes();

	for (size_t from = 0; from < bytes; from += PAGES_A_CALL * page) {
		size_t left = (bytes - from + page - 1) / page;
		size_t pages = left < PAGES_A_CALL ? left : PAGES_A_CALL;

		if (mincore((void *)((uintptr_t)address + from), pages * page, present) != 0)
			return 0;
		for (size_t i = 0; i < pages; i++)
			if (present[i] & 1)
				return bytes - from - i * page;
	}
	return 0;
}

size_t os_mappings_limit(void)
{
	char text[24];
	size_t limit = 0;
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	if (fd >= 0)
		close(fd);
	for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		limit = limit * 10 + (size_t)(text[i] - '0');
	return limit;
}
