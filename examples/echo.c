/* echo.c - sends back what it receives, to as many clients as there are descriptors.
 *
 *	echo [ADDRESS]		default tcp:127.0.0.1:7777; port 0: any that is free */
#include <fiber/net.h>

static int client(fiber_fd fd, void *unused)
{
	char buffer[1024];
	ssize_t n;

	(void)unused;
	while ((n = fiber_read(fd, buffer, sizeof buffer)) > 0)
		if ((n = fiber_write_all(fd, buffer, (size_t)n, NULL)) < 0)
			break;
	return (int)n; /* fiber_serve closes fd */
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
	return fiber_serve(listener, client, NULL);
}

int main(int argc, char **argv)
{
	int r = fiber_run(NULL, server, argc > 1 ? argv[1] : "tcp:127.0.0.1:7777");

	if (r < 0)
		fprintf(stderr, "echo: %s\n", fiber_strerror(r));
	return r < 0;
}
