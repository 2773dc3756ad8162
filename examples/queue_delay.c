/* queue_delay.c - what delay_client.c does, as state machines: asks the delay server five things at
 * once, the slowest first, and reads the answers as they come, in edge mode: until EAGAIN.
 *
 *	queue_delay ADDRESS [MILLISECONDS]	the shortest delay, and the step; default 100 */
#include <errno.h>
#include <fiber/net.h>
#include <fiber/queue.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUESTIONS = 5 };

struct question {
	fiber_fd fd;
	int ms;
	int64_t asked;
	char answer[512];
	size_t bytes;
};

/* A short request goes into the buffer of a new connection at once. */
static int ask(fiber_queue_t *queue, struct question *q, const char *address)
{
	char request[64];

	q->asked = fiber_now();
	q->fd = fiber_dial(address, NULL);
	if (q->fd < 0)
		return q->fd;
	snprintf(request, sizeof request, "GET /%d/waited-%d HTTP/1.0\r\n\r\n", q->ms, q->ms);
	if (send(q->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -errno;
	return fiber_queue_register(queue, q->fd, (uintptr_t)q,
				    FIBER_QUEUE_READABLE | FIBER_QUEUE_EDGE);
}

/* 1: the answer is complete; 0: more will come, and will be told; -errno. */
static int read_all(struct question *q)
{
	ssize_t n;

	do {
		n = recv(q->fd, q->answer + q->bytes, sizeof q->answer - 1 - q->bytes, 0);
		q->bytes += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return 1;
}

static void show(const struct question *q)
{
	const char *body = strstr(q->answer, "\r\n\r\n");

	printf("%4d ms: %s", (int)((fiber_now() - q->asked) / FIBER_MILLISECOND),
	       body ? body + 4 : "no answer\n");
}

static int ask_all(fiber_queue_t *queue, const char *address, int step)
{
	static struct question questions[QUESTIONS];
	fiber_queue_event_t events[QUESTIONS];
	int n, r, left = 0;

	for (; left < QUESTIONS; left++) {
		questions[left].ms = (QUESTIONS - left) * step;
		if ((r = ask(queue, &questions[left], address)) < 0)
			return r;
	}
	while (left > 0) {
		if ((n = fiber_queue_wait(queue, events, QUESTIONS, FIBER_NEVER)) < 0)
			return n;
		for (int i = 0; i < n; i++) {
			struct question *q = (struct question *)(uintptr_t)events[i].token;

			if ((r = read_all(q)) < 0)
				return r;
			if (r == 0)
				continue;
			show(q);
			fiber_queue_deregister(queue, q->fd);
			close(q->fd);
			left--;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	fiber_queue_t *queue;
	int r;

	if (argc < 2)
		return fprintf(stderr, "usage: queue_delay ADDRESS [MILLISECONDS]\n"), 2;
	r = fiber_queue_create(&queue);
	if (r == 0) {
		r = ask_all(queue, argv[1], argc > 2 ? atoi(argv[2]) : 100);
		fiber_queue_destroy(queue);
	}
	if (r < 0)
		fprintf(stderr, "queue_delay: %s\n", fiber_strerror(r));
	return r < 0;
}
