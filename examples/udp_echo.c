/* udp_echo.c - sends every datagram back to where it came from. Four fibers wait at one socket; a
 * burst of datagrams is answered by all of them.
 *
 *	udp_echo [ADDRESS]	default udp:127.0.0.1:7777 */
#include <fiber/net.h>

static int answer(void *arg)
{
	fiber_fd fd = *(fiber_fd *)arg;
	struct sockaddr_storage peer;
	char datagram[2048];

	for (;;) {
		socklen_t size = sizeof peer;
		ssize_t n = fiber_recvfrom(fd, datagram, sizeof datagram, 0,
					   (struct sockaddr *)&peer, &size);

		if (n >= 0)
			n = fiber_sendto(fd, datagram, (size_t)n, 0,
					 (struct sockaddr *)&peer, size);
		if (n < 0)
			return (int)n;
	}
}

static int server(void *address)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	char name[FIBER_ADDRESS_BYTES];
	fiber_fd fd = fiber_listen(address, NULL);

	if (fd < 0)
		return fd;
	fiber_local_address(fd, name, sizeof name);
	printf("listening on %s\n", name);
	fflush(stdout);
	for (int i = 0; i < 4; i++)
		fiber_group_spawn(&group, NULL, answer, &fd);
	int r = fiber_group_wait(&group);

	fiber_close(fd);
	return r;
}

int main(int argc, char **argv)
{
	int r = fiber_run(NULL, server, argc > 1 ? argv[1] : "udp:127.0.0.1:7777");

	if (r < 0)
		fprintf(stderr, "udp_echo: %s\n", fiber_strerror(r));
	return r < 0;
}
