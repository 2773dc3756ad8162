/* chat.c - what one says, all others hear. Each client has two fibers: one listens to it, one talks
 * to it, out of a queue of its own. When a slow reader's queue is full, lines are left out for that
 * one, and it is told how many; nobody waits for it. On one worker nothing happens between two
 * parks, so what the clients share needs no lock.
 *
 *	chat [ADDRESS]		default tcp:127.0.0.1:7777 */
#include <errno.h>
#include <fiber/reader.h>
#include <string.h>

#include "serve.h"

enum { LINE = 256, QUEUE = 32 };

static struct client {
	struct client *next;
	fiber_fd fd;
	fiber_t talker;
	unsigned put, taken, left_out;
	char lines[QUEUE][LINE];
} *clients;

static int talk(void *arg)
{
	struct client *c = arg;
	char line[LINE];
	ssize_t n = 0;

	c->talker = fiber_self();
	while (n >= 0) {
		if (c->taken != c->put) {
			strcpy(line, c->lines[c->taken++ % QUEUE]);
		} else if (c->left_out) {
			snprintf(line, sizeof line, "(%u lines left out)\n", c->left_out);
			c->left_out = 0;
		} else {
			n = fiber_park();
			continue;
		}
		n = fiber_write_all(c->fd, line, strlen(line), NULL);
	}
	return (int)n;
}

static void tell_others(const struct client *speaker, const char *line)
{
	for (struct client *c = clients; c; c = c->next) {
		if (c == speaker)
			continue;
		if (c->put - c->taken == QUEUE)
			c->left_out++;
		else
			snprintf(c->lines[c->put++ % QUEUE], LINE, "%s\n", line);
		fiber_unpark(c->talker);
	}
}

static int listen_to(const struct client *c)
{
	char memory[LINE], *line;
	fiber_reader_t in;
	ssize_t n = fiber_reader_init(&in, c->fd, memory, sizeof memory);

	while (n >= 0 && (n = fiber_reader_line(&in, &line, LINE - 1)) >= 0)
		tell_others(c, line);
	return n == -ENODATA ? 0 : (int)n;
}

static int client(fiber_fd fd, void *unused)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	struct client self = {.next = clients, .fd = fd}, **link = &clients;

	(void)unused;
	fiber_group_spawn(&group, NULL, talk, &self);
	clients = &self;
	int r = listen_to(&self);

	while (*link != &self)
		link = &(*link)->next;
	*link = self.next;
	fiber_group_cancel(&group);
	int talked = fiber_group_wait(&group); /* which uses self, so it must have ended */

	return r < 0 ? r : talked;
}

int main(int argc, char **argv)
{
	return serve_main(&(fiber_options_t){.workers = 1},
			  argc > 1 ? argv[1] : "tcp:127.0.0.1:7777", client, NULL);
}
