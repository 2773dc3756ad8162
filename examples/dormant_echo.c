/* dormant_echo.c - sends back what it receives; a client that says nothing costs no stack.
 *
 *	dormant_echo [ADDRESS]	default tcp:127.0.0.1:7777; port 0: any that is free
 *
 * Compare echo.c: there each client is a parked fiber of 4.5 KB. Here it is a dormant one of a few
 * hundred bytes until its next message arrives. A client that is silent for a minute is hung up. */
#include <fiber/net.h>
#include <fiber/ready.h>

enum { SILENCE_NS = 60 * 1000 * 1000 * 1000ll };

static int client(void *fd_as_pointer)
{
	fiber_fd fd = (fiber_fd)(intptr_t)fd_as_pointer;
	char buffer[1024];
	ssize_t n = fiber_became_ready();

	if (n > 0)
		n = fiber_read(fd, buffer, sizeof buffer);
	if (n > 0)
		n = fiber_write_all(fd, buffer, (size_t)n, NULL);
	if (n > 0)
		fiber_become_ready_until(fd, POLLIN, client, fd_as_pointer,
					 fiber_after(SILENCE_NS));
	fiber_close(fd);
	return (int)n;
}

/* Until it is cancelled, or the descriptors are used up. */
static int serve(fiber_fd listener)
{
	for (;;) {
		fiber_fd fd = fiber_accept(listener, NULL, NULL);
		int r = (int)fd;

		if (r >= 0)
			r = fiber_spawn_ready_until(NULL, NULL, fd, POLLIN, client,
						    (void *)(intptr_t)fd,
						    fiber_after(SILENCE_NS));
		if (r < 0)
			return r;
	}
}

static int server(void *address)
{
	char name[FIBER_ADDRESS_BYTES];
	fiber_fd listener = fiber_listen(address, NULL);

	if (listener < 0)
		return listener;
	fiber_local_address(listener, name, sizeof name);
	printf("listening on %s\n", name);
	fflush(stdout);
	return serve(listener);
}

int main(int argc, char **argv)
{
	int r = fiber_run(NULL, server, argc > 1 ? argv[1] : "tcp:127.0.0.1:7777");

	if (r < 0)
		fprintf(stderr, "dormant_echo: %s\n", fiber_strerror(r));
	return r < 0;
}
