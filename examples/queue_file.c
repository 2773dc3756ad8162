/* queue_file.c - files are always "ready", and reading them may take long all the same. So a helper
 * thread reads them, and each completion comes to the loop as a user event.
 *
 *	queue_file FILE... */
#include <errno.h>
#include <fcntl.h>
#include <fiber/queue.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct reading {
	const char *name;
	fiber_queue_user_t completed;
	/* The helper's until it raises the event, the loop's afterwards. */
	long bytes, lines;
	int error;
};

struct helper {
	fiber_queue_t *queue;
	struct reading *readings;
	int count;
};

static void read_whole(struct reading *r)
{
	char buffer[65536];
	int fd = open(r->name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd;

	while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0) {
		r->bytes += n;
		for (ssize_t i = 0; i < n; i++)
			r->lines += buffer[i] == '\n';
	}
	r->error = n < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
}

static void *help(void *arg)
{
	struct helper *h = arg;

	for (int i = 0; i < h->count; i++) {
		read_whole(&h->readings[i]);
		fiber_queue_user_raise(h->queue, h->readings[i].completed, FIBER_QUEUE_READABLE);
	}
	return NULL;
}

static void show(const struct reading *r)
{
	if (r->error)
		printf("%s: %s\n", r->name, fiber_strerror(-r->error));
	else
		printf("%s: %ld bytes, %ld lines\n", r->name, r->bytes, r->lines);
}

static int run(struct helper *h, char **names)
{
	fiber_queue_event_t events[16];
	pthread_t thread;
	int n, r = 0, left = h->count;

	for (int i = 0; r == 0 && i < h->count; i++) {
		struct reading *one = &h->readings[i];

		one->name = names[i];
		r = fiber_queue_user_add(h->queue, &one->completed, (uintptr_t)one,
					 FIBER_QUEUE_ONESHOT);
	}
	if (r == 0)
		r = -pthread_create(&thread, NULL, help, h);
	if (r < 0)
		return r;
	/* Connections would be served here, too. */
	for (; r == 0 && left > 0; left -= n) {
		n = fiber_queue_wait(h->queue, events, 16, FIBER_NEVER);
		if (n < 0)
			r = n;
		for (int i = 0; i < n; i++)
			show((struct reading *)(uintptr_t)events[i].token);
	}
	pthread_join(thread, NULL);
	return r;
}

int main(int argc, char **argv)
{
	struct helper h = {.count = argc - 1};
	int r = fiber_queue_create(&h.queue);

	h.readings = calloc((size_t)argc, sizeof *h.readings);
	if (r == 0)
		r = h.readings ? run(&h, argv + 1) : -ENOMEM;
	fiber_queue_destroy(h.queue);
	free(h.readings);
	if (r < 0)
		fprintf(stderr, "queue_file: %s\n", fiber_strerror(r));
	return r < 0;
}
