/* close_windows.c - the end of a handle: closed, or given away. */
#include "io/io.h"
#include "os/errno_windows.h"
#include "poller/home.h"

static void forget(fiber_fd fd)
{
	struct list back;

	list_init(&back);
	poller_backends[0]->forget(fd, &back);
	wait_ops_back(&back);
}

static int close_handle(fiber_fd fd)
{
	int nature = home_look(fd);

	if (nature < 0)
		return nature;
	if (nature == HOME_STREAM || nature == HOME_DATAGRAM)
		return closesocket((SOCKET)fd) == 0 ? 0 : os_error((uint32_t)WSAGetLastError());
	return CloseHandle((HANDLE)fd) ? 0 : os_error(GetLastError());
}

PUBLIC int fiber_close(fiber_fd fd)
{
	if (fd < 0)
		return -EBADF;
	forget(fd);
	return close_handle(fd);
}

PUBLIC int fiber_forget(fiber_fd fd)
{
	if (fd < 0)
		return -EBADF;
	forget(fd);
	return 0;
}

PUBLIC int fiber_shutdown(fiber_fd fd, int how)
{
	if (fd < 0)
		return -EBADF;
	os_sockets_begin();
	return shutdown((SOCKET)fd, how) == 0 ? 0 : os_error((uint32_t)WSAGetLastError());
}
