/* fiber.c - the echo server on fibers: one worker, a fiber for each connection. Prints its port.
 *
 *	bench-echo-fiber [--spin NANOSECONDS] [--poller NAME] [--own yes] */
#include <fiber/net.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listen.h"

static bool own; /* the connections are the library's own */

static int client(fiber_fd fd, void *unused)
{
	char buffer[1024];
	ssize_t n;

	(void)unused;
	if (own)
		fiber_own(fd);
	while ((n = fiber_read(fd, buffer, sizeof buffer)) > 0 &&
	       (n = fiber_write_all(fd, buffer, (size_t)n, NULL)) > 0)
		;
	return (int)n;
}

static int server(void *unused)
{
	fiber_fd listener = fiber_listen("tcp:127.0.0.1:0", NULL);

	(void)unused;
	if (listener < 0)
		return listener;
	announce(listener);
	return fiber_serve(listener, client, NULL);
}

int main(int argc, char **argv)
{
	fiber_options_t options = {.workers = 1};

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--spin"))
			options.idle_spin_ns = atoll(argv[i + 1]);
		else if (!strcmp(argv[i], "--poller"))
			options.poller = argv[i + 1];
		else if (!strcmp(argv[i], "--own"))
			own = true;
	}
	raise_descriptors();
	return fiber_run(&options, server, NULL) < 0;
}
