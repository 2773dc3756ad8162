/* fan_out.c - asks several HTTP servers at once, under one deadline. All must answer: the first
 * error cancels the requests that are still under way, and none outlives the question.
 *
 *	fan_out MILLISECONDS ADDRESS...		such as fan_out 500 tcp:127.0.0.1:8080 */
#include <fiber/net.h>
#include <stdlib.h>
#include <string.h>

struct question {
	const char *address;
	char answer[2048];
	size_t bytes;
	int result;
};

static int ask(void *arg)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct question *q = arg;
	fiber_fd fd = fiber_dial(q->address, NULL);
	ssize_t n = fd;

	if (n >= 0)
		n = fiber_write_all(fd, request, strlen(request), NULL);
	if (n >= 0)
		n = fiber_read_full(fd, q->answer, sizeof q->answer, &q->bytes);
	if (fd >= 0)
		fiber_close(fd);
	return q->result = n < 0 ? (int)n : 0;
}

static int ask_all(void *arg)
{
	char **argument = arg;
	fiber_group_t group = FIBER_GROUP_INIT;
	struct question questions[8] = {{0}};
	fiber_scope_t scope;
	int n = 0;

	fiber_within(&scope, fiber_after(atoll(argument[0]) * FIBER_MILLISECOND));
	for (; n < 8 && argument[n + 1]; n++) {
		questions[n].address = argument[n + 1];
		fiber_group_spawn(&group, NULL, ask, &questions[n]);
	}
	int r = (int)fiber_scope_end(&scope, fiber_group_wait(&group));

	for (struct question *q = questions; q < questions + n; q++)
		printf("%s: %zu bytes, %s\n", q->address, q->bytes,
		       q->result < 0 ? fiber_strerror(q->result) : "complete");
	printf("all together: %s\n", r < 0 ? fiber_strerror(r) : "complete");
	return r;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return fprintf(stderr, "usage: fan_out MILLISECONDS ADDRESS...\n"), 2;
	return fiber_run(NULL, ask_all, argv + 1) < 0;
}
