/* load.c - many clients at once for the HTTP server beside it, in a process of their own.
 *
 *	load SERVER [CONNECTIONS [SECONDS]]	SERVER: the program to start; default 10000 and 6
 *
 * A fiber per connection, all on one worker, so what they share needs no guard. First each connects
 * and asks once. Then all ask flat out, the next question as soon as the answer is there. Then they
 * keep to half the rate that was reached, each at times fixed beforehand, and an answer's latency
 * counts from the time its question was due: a server that stalls is not spared the questions it
 * held up. Every answer is compared, byte by byte, with the one expected. */
#include <errno.h>
#include <fiber/net.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "latency.h"

enum phase { CONNECTING, FLAT_OUT, PACED, CLOSING };

struct client {
	fiber_t fiber;
	unsigned id, asked;
};

static struct {
	struct child server;
	enum phase phase;
	unsigned connections, connected;
	uint64_t answers, wrong, failed;
	int error;             /* of the first that failed */
	int64_t seconds, paced_from, paced_every;
	struct latency flat_out, paced;
} load;

static int give_up(int error)
{
	if (load.failed++ == 0)
		load.error = error;
	return error;
}

/* Reads one answer: its head, and as much of the body as the head announces. Its length. */
static ssize_t read_answer(fiber_fd fd, char *answer, size_t size)
{
	size_t have = 0;

	for (;;) {
		ssize_t n = fiber_read(fd, answer + have, size - 1 - have);

		if (n <= 0)
			return n < 0 ? n : -ECONNRESET;
		answer[have += (size_t)n] = '\0';
		char *body = strstr(answer, "\r\n\r\n");
		char *length = strstr(answer, "Content-Length: ");

		if (body && length && length < body &&
		    have >= (size_t)(body + 4 - answer) + strtoul(length + 16, NULL, 10))
			return (ssize_t)have;
		if (have == size - 1)
			return -EMSGSIZE;
	}
}

static int ask(struct client *c, fiber_fd fd)
{
	char question[64], answer[512], expected[64];
	int n = snprintf(question, sizeof question,
			 "GET /%u/%u HTTP/1.1\r\nHost: demo\r\n\r\n", c->id, c->asked);
	int body = snprintf(expected, sizeof expected, "You asked for /%u/%u\n", c->id, c->asked);
	ssize_t got = fiber_write_all(fd, question, (size_t)n, NULL);

	if (got >= 0)
		got = FIBER_TIMEOUT(10 * FIBER_SECOND, read_answer(fd, answer, sizeof answer));
	if (got < 0)
		return give_up((int)got);
	c->asked++;
	load.answers++;
	if (got < body || strncmp(answer, "HTTP/1.1 200 ", 13) != 0 ||
	    memcmp(answer + got - body, expected, (size_t)body) != 0)
		load.wrong++;
	return 0;
}

static int ask_flat_out(struct client *c, fiber_fd fd)
{
	while (load.phase == FLAT_OUT) {
		int64_t asked = fiber_now();
		int r = ask(c, fd);

		if (r < 0)
			return r;
		latency_add(&load.flat_out, fiber_now() - asked);
	}
	return 0;
}

static int ask_paced(struct client *c, fiber_fd fd)
{
	int64_t due = load.paced_from + load.paced_every * c->id / load.connections;

	for (; load.phase == PACED; due += load.paced_every) {
		int r = fiber_sleep_until(due);

		if (r == 0 && load.phase == PACED && (r = ask(c, fd)) == 0)
			latency_add(&load.paced, fiber_now() - due);
		if (r < 0)
			return r;
	}
	return 0;
}

static int client(void *arg)
{
	struct client *c = arg;
	fiber_fd fd = FIBER_TIMEOUT(10 * FIBER_SECOND, fiber_dial(load.server.address, NULL));
	int r;

	c->fiber = fiber_self();
	if (fd < 0)
		return give_up(fd);
	r = ask(c, fd);
	load.connected++;
	while (r == 0 && load.phase == CONNECTING)
		r = fiber_park();
	if (r == 0)
		r = ask_flat_out(c, fd);
	if (r == 0)
		r = ask_paced(c, fd);
	fiber_close(fd);
	return r;
}

/* At most 512 are on the way at a time: a listener's queue is finite. */
static int connect_all(struct client *clients, fiber_group_t *group)
{
	int64_t begun = fiber_now();
	int r = 0;

	for (unsigned i = 0; i < load.connections && r == 0; i++) {
		clients[i].id = i;
		r = fiber_group_spawn(group, NULL, client, &clients[i]);
		while (r == 0 && i - load.connected >= 512 && !load.failed)
			r = fiber_sleep(FIBER_MILLISECOND);
	}
	while (r == 0 && load.connected < load.connections && !load.failed)
		r = fiber_sleep(FIBER_MILLISECOND);
	if (r == 0 && !load.failed)
		printf("%u connections, each answered once, in %.1f s\n", load.connected,
		       (double)(fiber_now() - begun) / FIBER_SECOND);
	return r < 0 ? r : load.error;
}

/* One phase, with a line a second. Answers per second. */
static double watch(const char *name)
{
	uint64_t at_first = load.answers, before = at_first;
	int64_t begun = fiber_now();

	for (int64_t i = 1; i <= load.seconds && !load.failed; i++) {
		fiber_sleep_until(begun + i * FIBER_SECOND);
		printf("%s: %2d s, %u connections, %llu answers/s\n", name, (int)i, load.connected,
		       (unsigned long long)(load.answers - before));
		fflush(stdout);
		before = load.answers;
	}
	return (double)(load.answers - at_first) * FIBER_SECOND / (double)(fiber_now() - begun);
}

static void report(const char *name, double rate, const struct latency *l)
{
	printf("%-18s %9.0f requests/s   p50 %8.2f ms   p99 %8.2f ms   p99.9 %8.2f ms\n",
	       name, rate, (double)latency_quantile(l, 0.5) / 1e6,
	       (double)latency_quantile(l, 0.99) / 1e6, (double)latency_quantile(l, 0.999) / 1e6);
}

/* Both phases, between a server at rest and its end. */
static int measure(struct client *clients, fiber_group_t *group)
{
	long idle = child_status(&load.server, "VmRSS:");
	int r = connect_all(clients, group);

	if (r < 0)
		return r;
	load.phase = FLAT_OUT;
	for (unsigned i = 0; i < load.connections; i++)
		fiber_unpark(clients[i].fiber);
	double rate = watch("flat out");

	load.paced_from = fiber_now();
	load.paced_every = (int64_t)(load.connections / (rate / 2 + 1) * FIBER_SECOND);
	load.phase = PACED;
	double half = watch("at half that rate");

	load.phase = CLOSING;
	report("flat out:", rate, &load.flat_out);
	report("at half that rate:", half, &load.paced);
	printf("server: %ld OS threads, %.1f KiB of memory per connection\n",
	       child_status(&load.server, "Threads:"),
	       (double)(child_status(&load.server, "VmRSS:") - idle) / load.connections);
	return load.error;
}

static int run_load(void *arg)
{
	struct client *clients = arg;
	fiber_group_t group = FIBER_GROUP_INIT;
	fiber_scope_t scope;

	fiber_within(&scope, fiber_after((2 * load.seconds + 14) * FIBER_SECOND));
	int r = measure(clients, &group);

	if (r < 0)
		fiber_group_cancel(&group);
	int joined = fiber_group_wait(&group);

	return (int)fiber_scope_end(&scope, r < 0 ? r : joined);
}

/* Each side needs a descriptor per connection, and a few for the rest. */
static unsigned affordable(unsigned wanted)
{
	const size_t others = 64;
	size_t limit = descriptors_for(wanted + others);

	if (limit >= wanted + others)
		return wanted;
	printf("Only %zu descriptors are allowed (RLIMIT_NOFILE): %zu connections instead of %u.\n",
	       limit, limit > others ? limit - others : 0, wanted);
	return limit > others ? (unsigned)(limit - others) : 0;
}

int main(int argc, char **argv)
{
	int r, status;

	if (argc < 2)
		return fprintf(stderr, "usage: load SERVER [CONNECTIONS [SECONDS]]\n"), 2;
	load.connections = affordable(argc > 2 ? (unsigned)atoi(argv[2]) : 10000);
	load.seconds = argc > 3 ? atoi(argv[3]) : 6;
	if (load.connections == 0)
		return 1;
	if ((r = child_start(&load.server, argv[1], "tcp:127.0.0.1:0")) < 0)
		return fprintf(stderr, "%s did not start: %s\n", argv[1], fiber_strerror(r)), 1;
	printf("%s listens on %s\n", argv[1], load.server.address);

	struct client *clients = calloc(load.connections + 1, sizeof *clients);

	r = clients ? fiber_run(&(fiber_options_t){.workers = 1}, run_load, clients) : -ENOMEM;
	free(clients);
	status = child_stop(&load.server);
	printf("%llu answers checked, %llu wrong, %llu connections failed%s%s\n",
	       (unsigned long long)load.answers, (unsigned long long)load.wrong,
	       (unsigned long long)load.failed, r < 0 ? ": " : "", r < 0 ? fiber_strerror(r) : "");
	printf("the server was interrupted and ended with status %d\n", status);
	return r < 0 || load.wrong > 0 || status != 0;
}
