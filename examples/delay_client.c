/* delay_client.c - asks the delay server five things at once, the slowest first. The answers come
 * in order of their delays, and all of them in the time of the longest.
 *
 *	delay_client ADDRESS [MILLISECONDS]	the shortest delay, and the step; default 100 */
#include <fiber/net.h>
#include <stdlib.h>
#include <string.h>

struct question {
	const char *address;
	int ms;
	int64_t asked;
};

static int ask(void *arg)
{
	struct question *q = arg;
	char request[64], answer[512];
	size_t bytes = 0;
	fiber_fd fd = fiber_dial(q->address, NULL);
	ssize_t n = fd;

	if (fd < 0)
		return fd;
	snprintf(request, sizeof request, "GET /%d/waited-%d HTTP/1.0\r\n\r\n", q->ms, q->ms);
	n = fiber_write_all(fd, request, strlen(request), NULL);
	if (n >= 0)
		n = fiber_read_full(fd, answer, sizeof answer - 1, &bytes);
	fiber_close(fd);
	if (n < 0)
		return (int)n;
	answer[bytes] = '\0';
	const char *body = strstr(answer, "\r\n\r\n");

	printf("%4d ms: %s", (int)((fiber_now() - q->asked) / FIBER_MILLISECOND),
	       body ? body + 4 : "no answer\n");
	return 0;
}

static int ask_five(void *arg)
{
	char **argument = arg;
	int step = argument[1] ? atoi(argument[1]) : 100;
	fiber_group_t group = FIBER_GROUP_INIT;
	struct question questions[5];

	for (int i = 0; i < 5; i++) {
		questions[i] = (struct question){argument[0], (5 - i) * step, fiber_now()};
		fiber_group_spawn(&group, NULL, ask, &questions[i]);
	}
	return fiber_group_wait(&group);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return fprintf(stderr, "usage: delay_client ADDRESS [MILLISECONDS]\n"), 2;
	int r = fiber_run(NULL, ask_five, argv + 1);

	if (r < 0)
		fprintf(stderr, "delay_client: %s\n", fiber_strerror(r));
	return r < 0;
}
