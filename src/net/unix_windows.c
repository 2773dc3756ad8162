/* unix_windows.c - socket files: Windows has had them since 2018, but nothing here could be tried
 * with them, so addresses of that kind are refused. */
#include <errno.h>

#include "net/unix.h"

int unix_bind(fiber_fd fd, const struct address *a, unsigned mode, int backlog)
{
	(void)fd, (void)a, (void)mode, (void)backlog;
	return -EAFNOSUPPORT;
}
