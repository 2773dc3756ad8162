/* echo_threads.c - a thread for each connection, blocking calls, small stacks. */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "../echo/listen.h"

static void *client(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char buffer[1024];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
		if (send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(fd);
	return NULL;
}

int main(void)
{
	int listener = listen_loopback(0);
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		no_delay(fd);
		if (pthread_create(&thread, &attributes, client, (void *)(intptr_t)fd))
			close(fd);
	}
}
