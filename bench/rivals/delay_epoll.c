/* The five delayed requests with a hand-written loop: what a client is in the middle of is in its
 * struct. */
#include <sys/epoll.h>

#include "delay.h"

enum { QUESTIONS = 5 };

struct client {
	int fd;
	long asked;
	size_t bytes;
	char answer[512];
};

static int begin(struct client *c, int epoll, const char *address, int ms)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	c->asked = milliseconds();
	c->fd = dial(address);
	ask(c->fd, ms);
	return epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
}

/* Whether that was the end of its answer. */
static int go_on(struct client *c)
{
	ssize_t n = recv(c->fd, c->answer + c->bytes, sizeof c->answer - 1 - c->bytes, 0);

	if (n < 0)
		exit(1);
	c->bytes += (size_t)n;
	if (n > 0)
		return 0;
	c->answer[c->bytes] = '\0';
	print(c->answer, c->asked);
	close(c->fd);
	return 1;
}

int main(int argc, char **argv)
{
	static struct client clients[QUESTIONS];
	struct epoll_event events[QUESTIONS];
	int epoll = epoll_create1(EPOLL_CLOEXEC), left = QUESTIONS;

	if (argc != 3)
		return 2;
	for (int i = 0; i < QUESTIONS; i++)
		if (begin(&clients[i], epoll, argv[1], (QUESTIONS - i) * atoi(argv[2])))
			return 1;
	while (left > 0) {
		int n = epoll_wait(epoll, events, QUESTIONS, -1);

		for (int i = 0; i < n; i++)
			left -= go_on(events[i].data.ptr);
	}
	return 0;
}
