/* listen.h - how the echo servers in C that have no listener of their own begin: as many
 * descriptors as allowed, a loopback port of the kernel's choice, told on standard output. */
#ifndef BENCH_LISTEN_H
#define BENCH_LISTEN_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

static inline void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static inline void announce(int listener)
{
	struct sockaddr_in address;
	socklen_t size = sizeof address;

	if (getsockname(listener, (struct sockaddr *)&address, &size))
		exit(1);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
}

static inline int listen_loopback(int flags)
{
	struct sockaddr_in address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	raise_descriptors();
	memset(&address, 0, sizeof address);
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) ||
	    listen(listener, 4096))
		exit(1);
	announce(listener);
	return listener;
}

static inline void no_delay(int fd)
{
	int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

#endif
