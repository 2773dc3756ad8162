/* load.c - the load of the echo rows: so many connections, each with one 64-byte message under
 * way.
 *
 *	bench-echo-load PORT CONNECTIONS SERVER_PID WARM_MS MS [OPTION]     for a time; prints JSON
 *	bench-echo-load PORT CONNECTIONS SERVER_PID --echoes N              N echoes on each
 *
 *	--rate N    open loop: N messages a second in all, at fixed moments, on whichever connection
 *	            is free. A latency counts from the moment that was intended, so whoever keeps
 the *	            load waiting has that in his figures: no omission is coordinated with him.
 *	--idle N    so many further connections that never say anything
 *
 * A server's memory is what its process has more, resident and page tables, with all connections
 * open than before the first.
 *
 * One thread, one level-triggered epoll loop, in a process of its own, so that the server's
 * processor time is only the server's: it is read from the server's CPU clock, which counts all
 * of its threads, when the measured time begins and when it ends.
 *
 * Every message differs (connection, number), and every byte that comes back is compared. */
#include "../bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

enum { MESSAGE_BYTES = 64, EVENTS = 512 };

struct connection {
	int fd;
	unsigned sent, received;     /* bytes of the current message */
	uint64_t messages;           /* completed */
	int64_t since;               /* when the current one was begun */
	uint64_t out[MESSAGE_BYTES / 8];
	uint64_t in[MESSAGE_BYTES / 8];
};

static struct connection *connections;
static long count, finished;
static uint64_t echoes, echoes_each; /* echoes_each: stop a connection there; 0: never */
static int epoll;
static bool closing;
static struct histogram latencies;

/* The open loop: message number i is meant for begin + i * gap. Free connections take turns. */
static struct {
	double gap;                /* nanoseconds; 0: each connection has always one under way */
	int64_t begin, heard;      /* heard: when the server answered last */
	uint64_t begun;
	struct connection **free;  /* a ring of `count` */
	long first, free_count;
} schedule;

static void compose(struct connection *c)
{
	uint64_t seed = ((uint64_t)(c - connections + 1) << 32) + c->messages + 1;

	for (int i = 0; i < MESSAGE_BYTES / 8; i++)
		c->out[i] = bench_random(&seed);
	c->sent = c->received = 0;
}

static void watch(struct connection *c, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = c};

	BENCH_CHECK(epoll_ctl(epoll, how, c->fd, &event) == 0);
}

/* A socket whose buffer cannot take 64 bytes has a server that does not read. */
static void send_message(struct connection *c, int64_t now)
{
	compose(c);
	c->since = now;
	while (c->sent < MESSAGE_BYTES) {
		ssize_t n = send(c->fd, (char *)c->out + c->sent, MESSAGE_BYTES - c->sent,
				 MSG_NOSIGNAL);

		BENCH_CHECK(n > 0);
		c->sent += (unsigned)n;
	}
}

static int64_t intended(uint64_t number)
{
	return schedule.begin + (int64_t)((double)number * schedule.gap);
}

static void put_free(struct connection *c)
{
	schedule.free[(schedule.first + schedule.free_count++) % count] = c;
}

static void send_what_is_due(int64_t now)
{
	while (schedule.free_count && intended(schedule.begun) <= now) {
		struct connection *c = schedule.free[schedule.first];

		schedule.first = (schedule.first + 1) % count;
		schedule.free_count--;
		send_message(c, intended(schedule.begun++));
	}
}

static void complete(struct connection *c)
{
	int64_t now = bench_now();

	BENCH_CHECK(memcmp(c->in, c->out, MESSAGE_BYTES) == 0);
	histogram_add(&latencies, now - c->since);
	echoes++;
	if (schedule.gap > 0) {
		schedule.heard = now;
		put_free(c);
		return;
	}
	if (++c->messages == echoes_each)
		finished++;
	else if (!closing)
		send_message(c, now);
}

static void receive(struct connection *c)
{
	ssize_t n = recv(c->fd, (char *)c->in + c->received, MESSAGE_BYTES - c->received,
			 MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	BENCH_CHECK(n > 0);
	c->received += (unsigned)n;
	if (c->received == MESSAGE_BYTES)
		complete(c);
}

static void turn(void)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll, events, EVENTS, 5000);

	/* Five seconds of silence: a dead server. */
	BENCH_CHECK(n > 0 || (n < 0 && errno == EINTR));
	for (int i = 0; i < n; i++)
		receive(events[i].data.ptr);
}

/* It asks without sleeping: a schedule kept by waking up would be late by that. */
static void turn_of_schedule(void)
{
	struct epoll_event events[EVENTS];
	int64_t now = bench_now();
	int n;

	send_what_is_due(now);
	n = epoll_wait(epoll, events, EVENTS, 0);
	BENCH_CHECK(n >= 0 || errno == EINTR);
	for (int i = 0; i < n; i++)
		receive(events[i].data.ptr);
	BENCH_CHECK(schedule.free_count == count || now - schedule.heard < 5000000000);
}

static void run_until(int64_t when)
{
	while (bench_now() < when) {
		if (schedule.gap > 0)
			turn_of_schedule();
		else
			turn();
	}
}

static void start(uint64_t per_second)
{
	if (!per_second) {
		for (long i = 0; i < count; i++)
			send_message(&connections[i], bench_now());
		return;
	}
	schedule.free = calloc((size_t)count, sizeof *schedule.free);
	BENCH_CHECK(schedule.free);
	schedule.gap = 1e9 / (double)per_second;
	schedule.begin = schedule.heard = bench_now();
	for (long i = 0; i < count; i++) {
		connections[i].received = MESSAGE_BYTES; /* nothing is under way */
		put_free(&connections[i]);
	}
}

static void open_all(int port, long idle)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval patience = {10, 0}; /* also of connect: of a server that accepts no more */
	int yes = 1;

	for (struct connection *c = connections; c < connections + count + idle; c++) {
		c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		BENCH_CHECK(c->fd >= 0);
		setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		BENCH_CHECK(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0);
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
		/* A full queue of the listener costs a second each time; so it may catch up. */
		if ((c - connections) % 1000 == 999)
			usleep(20000);
	}
}

/* Of the server: resident, and its page tables. */
static int64_t memory_of(pid_t pid)
{
	char name[64], line[256];
	int64_t kilobytes = 0;
	FILE *file;

	snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
	file = fopen(name, "r");
	BENCH_CHECK(file);
	while (fgets(line, sizeof line, file))
		if (!strncmp(line, "VmRSS:", 6) || !strncmp(line, "VmPTE:", 6))
			kilobytes += atol(line + 6);
	fclose(file);
	return kilobytes * 1024;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	BENCH_CHECK(clock_gettime(clock, &t) == 0);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Every connection ends with nothing under way, so what was sent has come back. */
static void drain(void)
{
	uint64_t all;

	closing = true;
	for (;;) {
		all = 0;
		for (long i = 0; i < count; i++)
			all += connections[i].received < MESSAGE_BYTES;
		if (!all)
			return;
		turn();
	}
}

static void measure(pid_t server, int64_t warm_ns, int64_t ns, long idle, int64_t memory)
{
	clockid_t clock;
	int64_t begin, cpu;
	uint64_t before;

	BENCH_CHECK(clock_getcpuclockid(server, &clock) == 0);
	run_until(bench_now() + warm_ns);
	histogram_clear(&latencies);
	before = echoes;
	cpu = clock_ns(clock);
	begin = bench_now();
	run_until(begin + ns);
	cpu = clock_ns(clock) - cpu;
	ns = bench_now() - begin;
	before = echoes - before;
	BENCH_CHECK(before > 0);
	memory = memory_of(server) - memory;
	printf("{\"connections\": %ld, \"echoes\": %llu, \"cpu_ns\": %.1f, \"per_second\": %.0f, "
	       "\"busy\": %.3f, \"p50_ns\": %lld, \"p99_ns\": %lld, \"p999_ns\": %lld, "
	       "\"bytes\": %.0f}\n",
	       count, (unsigned long long)before, (double)cpu / before, before * 1e9 / ns,
	       (double)cpu / ns, (long long)histogram_at(&latencies, 0.5),
	       (long long)histogram_at(&latencies, 0.99),
	       (long long)histogram_at(&latencies, 0.999), (double)memory / (double)(count + idle));
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	BENCH_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t option(int argc, char **argv, const char *name)
{
	for (int i = 4; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return strtoull(argv[i + 1], NULL, 10);
	return 0;
}

int main(int argc, char **argv)
{
	int64_t memory;
	long idle;

	if (argc < 6)
		return fprintf(stderr, "usage: %s PORT CONNECTIONS SERVER_PID (WARM_MS MS "
				       "[--rate N] [--idle N] | --echoes N)\n", argv[0]), 2;
	raise_descriptors();
	count = atol(argv[2]);
	idle = (long)option(argc, argv, "--idle");
	echoes_each = option(argc, argv, "--echoes");
	connections = calloc((size_t)(count + idle), sizeof *connections);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	BENCH_CHECK(count > 0 && connections && epoll >= 0);
	memory = memory_of(atoi(argv[3]));
	open_all(atoi(argv[1]), idle);
	start(option(argc, argv, "--rate"));
	if (echoes_each)
		while (finished < count)
			turn();
	else
		measure(atoi(argv[3]), atol(argv[4]) * 1000000, atol(argv[5]) * 1000000, idle,
			memory);
	drain();
	return 0;
}
