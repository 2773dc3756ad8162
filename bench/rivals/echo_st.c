/* echo_st.c - State Threads, a thread of its for each connection, its poll backend. */
#include <st.h>

#include "../echo/listen.h"

static void *client(void *argument)
{
	st_netfd_t fd = argument;
	char buffer[1024];
	ssize_t n;

	while ((n = st_read(fd, buffer, sizeof buffer, ST_UTIME_NO_TIMEOUT)) > 0)
		if (st_write(fd, buffer, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
			break;
	st_netfd_close(fd);
	return NULL;
}

int main(void)
{
	int plain = listen_loopback(0);
	st_netfd_t listener;

	/* Debian builds it without epoll, and select ends at 1,024 descriptors. */
	st_set_eventsys(ST_EVENTSYS_POLL);
	if (st_init())
		return 1;
	listener = st_netfd_open_socket(plain);
	for (;;) {
		st_netfd_t fd = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT);

		if (!fd)
			continue;
		no_delay(st_netfd_fileno(fd));
		if (!st_thread_create(client, fd, 0, 0))
			st_netfd_close(fd);
	}
}
