/* law_posix.c - what tests need of descriptors, threads and sockets; see law.h. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "law.h"

static int entries(const char *folder)
{
	DIR *directory = opendir(folder);
	int n = 0;

	if (!directory)
		return -errno;
	while (readdir(directory))
		n++;
	closedir(directory);
	return n - 2; /* . and .. */
}

int law_descriptors(void)
{
	int n = entries("/proc/self/fd");

	return n < 0 ? n : n - 1; /* the directory itself */
}

int law_threads(void)
{
	return entries("/proc/self/task");
}

static int listen_on_loopback(struct sockaddr_in *name)
{
	socklen_t size = sizeof *name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*name = (struct sockaddr_in){.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)name, sizeof *name) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)name, &size) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

bool law_ipv6(void)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

int law_listener(char *address, size_t size)
{
	struct sockaddr_in name;
	int fd = listen_on_loopback(&name);

	if (fd >= 0)
		snprintf(address, size, "tcp:127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
	return fd;
}

int law_tcp_pair(int out[2])
{
	struct sockaddr_in name;
	int listener = listen_on_loopback(&name), r = 0;

	if (listener < 0)
		return listener;
	out[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (out[0] < 0 || connect(out[0], (struct sockaddr *)&name, sizeof name) < 0)
		r = -errno;
	/* The handshake's last segment may still be on its way to the listener. */
	if (r == 0)
		poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, -1);
	if (r == 0 && (out[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		r = -errno;
	if (r < 0 && out[0] >= 0)
		close(out[0]);
	close(listener);
	return r;
}
