/* queue_pingpong.c - a server and its client on one event queue: state machines on one thread, and
 * not a fiber anywhere.
 *
 *	queue_pingpong [ROUNDS]		default 1000 */
#include <errno.h>
#include <fcntl.h>
#include <fiber/queue.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORD = 5 };

struct end {
	int fd;
	bool listens;
	const char *says, *hears; /* WORD bytes each */
	bool sending;
	size_t done;              /* of the word that is on its way */
	char word[WORD];
	int said, heard;
};

static fiber_queue_t *queue;
static struct end listener = {.listens = true}, client = {.says = "ping\n", .hears = "pong\n"},
		  server = {.says = "pong\n", .hears = "ping\n"};

static unsigned wants(const struct end *e)
{
	return e->sending ? FIBER_QUEUE_WRITABLE : FIBER_QUEUE_READABLE;
}

/* Goes on with its word as far as it can: 1 if that is complete, 0 if not, or -errno. */
static int move(struct end *e)
{
	ssize_t n = e->sending ?
			    send(e->fd, e->says + e->done, WORD - e->done, MSG_NOSIGNAL) :
			    recv(e->fd, e->word + e->done, WORD - e->done, 0);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -EPIPE; /* the other end has gone */
	e->done += (size_t)n;
	return e->done == WORD;
}

static int step(struct end *e)
{
	int r = move(e);

	if (r <= 0)
		return r;
	if (!e->sending && memcmp(e->word, e->hears, WORD) != 0)
		return -EPROTO;
	e->said += e->sending;
	e->heard += !e->sending;
	e->done = 0;
	e->sending = !e->sending;
	return fiber_queue_reregister(queue, e->fd, (uintptr_t)e, wants(e));
}

static int welcome(void)
{
	server.fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (server.fd < 0)
		return errno == EAGAIN ? 0 : -errno;
	return fiber_queue_register(queue, server.fd, (uintptr_t)&server, wants(&server));
}

/* The connection is being made while it is registered: once it is there it can be written to. */
static int begin(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *name = (struct sockaddr *)&at;
	socklen_t size = sizeof at;
	int r;

	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	client.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	client.sending = true;
	if (bind(listener.fd, name, size) < 0 || listen(listener.fd, 1) < 0 ||
	    getsockname(listener.fd, name, &size) < 0 ||
	    (connect(client.fd, name, size) < 0 && errno != EINPROGRESS))
		return -errno;
	r = fiber_queue_register(queue, listener.fd, (uintptr_t)&listener, FIBER_QUEUE_READABLE);
	if (r == 0)
		r = fiber_queue_register(queue, client.fd, (uintptr_t)&client, wants(&client));
	return r;
}

static int play(int rounds)
{
	fiber_queue_event_t events[8];
	int n, r = begin();

	while (r == 0 && client.heard < rounds) {
		n = r = fiber_queue_wait(queue, events, 8, FIBER_NEVER);
		if (n > 0)
			r = 0;
		for (int i = 0; r == 0 && i < n; i++) {
			struct end *e = (struct end *)(uintptr_t)events[i].token;

			r = e->listens ? welcome() : step(e);
		}
	}
	return r;
}

int main(int argc, char **argv)
{
	int r = fiber_queue_create(&queue);

	if (r == 0)
		r = play(argc > 1 ? atoi(argv[1]) : 1000);
	fiber_queue_destroy(queue);
	if (r < 0)
		return fprintf(stderr, "queue_pingpong: %s\n", fiber_strerror(r)), 1;
	printf("%d pings heard, %d pongs\n", server.heard, client.heard);
	return 0;
}
