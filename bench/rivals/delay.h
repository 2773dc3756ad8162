/* delay.h - what the clients of the five delayed requests in plain C and C++ share: the question,
 * the connection, the line they print (bench/delay.py). */
#ifndef BENCH_DELAY_H
#define BENCH_DELAY_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline long milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "tcp:127.0.0.1:PORT"; connecting over the loopback takes no time worth hiding. */
static inline int dial(const char *address)
{
	struct sockaddr_in to;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&to, 0, sizeof to);
	to.sin_family = AF_INET;
	to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
		exit(1);
	return fd;
}

static inline void ask(int fd, int ms)
{
	char request[64];
	int n = snprintf(request, sizeof request, "GET /%d/waited-%d HTTP/1.0\r\n\r\n", ms, ms);

	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		exit(1);
}

static inline void print(const char *answer, long asked)
{
	const char *body = strstr(answer, "\r\n\r\n");

	printf("%4ld ms: %s", milliseconds() - asked, body ? body + 4 : "no answer\n");
}

#endif
