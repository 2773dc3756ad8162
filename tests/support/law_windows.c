/* law_windows.c - what tests need of descriptors, threads and sockets; see law.h. */
#include <errno.h>
#include <stdio.h>

#include "law.h"
#include "os/os.h"

int law_descriptors(void)
{
	DWORD handles = 0;

	return GetProcessHandleCount(GetCurrentProcess(), &handles) ? (int)handles : -ENOSYS;
}

int law_threads(void)
{
	return (int)os_threads();
}

bool law_ipv6(void)
{
	struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	fiber_fd fd = fiber_socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && bind((SOCKET)fd, (struct sockaddr *)&name, sizeof name) == 0;

	if (fd >= 0)
		closesocket((SOCKET)fd);
	return has;
}

int law_listener(char *address, size_t size)
{
	struct sockaddr_in name = { .sin_family = AF_INET };
	fiber_fd fd = fiber_socket(AF_INET, SOCK_STREAM, 0);
	int bytes = sizeof name;

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind((SOCKET)fd, (struct sockaddr *)&name, sizeof name) != 0 ||
	    listen((SOCKET)fd, SOMAXCONN) != 0 ||
	    getsockname((SOCKET)fd, (struct sockaddr *)&name, &bytes) != 0)
		return -EIO;
	snprintf(address, size, "tcp:127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
	return (int)fd;
}

int law_tcp_pair(int out[2])
{
	fiber_fd pair[2];
	int r = fiber_socketpair(AF_INET, SOCK_STREAM, 0, pair);

	out[0] = (int)pair[0];
	out[1] = (int)pair[1];
	return r;
}
