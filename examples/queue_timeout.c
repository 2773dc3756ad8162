/* queue_timeout.c - waits for a pipe on which nothing comes, and is back on time.
 *
 *	queue_timeout [MILLISECONDS]	default 100 */
#include <fiber/queue.h>
#include <stdlib.h>
#include <unistd.h>

static int wait_in_vain(fiber_queue_t *queue, int ms)
{
	fiber_queue_event_t event;
	int64_t began = fiber_now();
	int silent[2];
	int n = pipe(silent) < 0 ? -1 :
				   fiber_queue_register(queue, silent[0], 0, FIBER_QUEUE_READABLE);

	if (n == 0)
		n = fiber_queue_wait(queue, &event, 1, ms * FIBER_MILLISECOND);
	printf("%d events after %d us\n", n, (int)((fiber_now() - began) / FIBER_MICROSECOND));
	return n;
}

int main(int argc, char **argv)
{
	fiber_queue_t *queue;
	int r = fiber_queue_create(&queue);

	if (r < 0)
		return fprintf(stderr, "queue_timeout: %s\n", fiber_strerror(r)), 1;
	r = wait_in_vain(queue, argc > 1 ? atoi(argv[1]) : 100);
	fiber_queue_destroy(queue);
	return r != 0;
}
