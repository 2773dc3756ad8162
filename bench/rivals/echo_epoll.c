/* echo_epoll.c - the yardstick of the echo rows: a hand-written loop over level-triggered epoll.
 * One read and one write for each message, one epoll_wait for as many connections as are ready.
 *
 *	echo_epoll [spin]     with `spin` it asks epoll without ever sleeping */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../echo/listen.h"

enum { EVENTS = 512 };

static int epoll;

static void watch(int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		exit(1);
}

static void admit(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	no_delay(fd);
	watch(fd);
}

/* 64 bytes always fit into the buffer of a socket whose peer waits for them. */
static void echo(int fd)
{
	char buffer[1024];
	ssize_t n = recv(fd, buffer, sizeof buffer, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
		close(fd);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listener = listen_loopback(SOCK_NONBLOCK);
	int timeout = argc > 1 && !strcmp(argv[1], "spin") ? 0 : -1;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(listener);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, timeout);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				admit(listener);
			else
				echo(events[i].data.fd);
		}
	}
}
