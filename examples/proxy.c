/* proxy.c - passes every connection on to another server. When one side has sent all it wants, the
 * other hears so, and may go on answering: the half-close passes through in both directions.
 *
 *	proxy LISTEN TARGET	such as proxy tcp:127.0.0.1:8081 tcp:127.0.0.1:8080 */
#include "serve.h"

struct pipe {
	fiber_fd from, to;
};

static int pump(void *arg)
{
	struct pipe *p = arg;
	char buffer[16384];
	ssize_t n;

	while ((n = fiber_read(p->from, buffer, sizeof buffer)) > 0)
		if ((n = fiber_write_all(p->to, buffer, (size_t)n, NULL)) < 0)
			return (int)n;
	return n < 0 ? (int)n : fiber_shutdown(p->to, SHUT_WR);
}

static int client(fiber_fd fd, void *target)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	fiber_fd server = FIBER_TIMEOUT(5 * FIBER_SECOND, fiber_dial(target, NULL));

	if (server < 0)
		return server;
	fiber_group_spawn(&group, NULL, pump, &(struct pipe){fd, server});
	fiber_group_spawn(&group, NULL, pump, &(struct pipe){server, fd});
	int r = fiber_group_wait(&group); /* an error in one direction cancels the other */

	fiber_close(server);
	return r;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return fprintf(stderr, "usage: proxy LISTEN TARGET\n"), 2;
	return serve_main(NULL, argv[1], client, argv[2]);
}
