/* load.c - the load of the echo rows: so many connections, each with one 64-byte message under
 * way.
 *
 *	bench-echo-load PORT CONNECTIONS SERVER_PID WARM_MS MS     for a time; prints JSON
 *	bench-echo-load PORT CONNECTIONS SERVER_PID --echoes N     N echoes on each connection
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

static void complete(struct connection *c)
{
	int64_t now = bench_now();

	BENCH_CHECK(memcmp(c->in, c->out, MESSAGE_BYTES) == 0);
	histogram_add(&latencies, now - c->since);
	echoes++;
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

static void run_until(int64_t when)
{
	while (bench_now() < when)
		turn();
}

static void open_all(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int yes = 1;

	for (struct connection *c = connections; c < connections + count; c++) {
		c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		BENCH_CHECK(c->fd >= 0);
		BENCH_CHECK(connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0);
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
	}
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

static void measure(pid_t server, int64_t warm_ns, int64_t ns)
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
	printf("{\"connections\": %ld, \"echoes\": %llu, \"cpu_ns\": %.1f, \"per_second\": %.0f, "
	       "\"busy\": %.3f, \"p50_ns\": %lld, \"p99_ns\": %lld, \"p999_ns\": %lld}\n",
	       count, (unsigned long long)before, (double)cpu / before, before * 1e9 / ns,
	       (double)cpu / ns, (long long)histogram_at(&latencies, 0.5),
	       (long long)histogram_at(&latencies, 0.99),
	       (long long)histogram_at(&latencies, 0.999));
}

static void raise_descriptors(void)
{
	struct rlimit limit;

	BENCH_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	bool counted = argc == 6 && !strcmp(argv[4], "--echoes");

	if (argc != 6)
		return fprintf(stderr, "usage: %s PORT CONNECTIONS SERVER_PID (WARM_MS MS | "
				       "--echoes N)\n", argv[0]), 2;
	raise_descriptors();
	count = atol(argv[2]);
	connections = calloc((size_t)count, sizeof *connections);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	BENCH_CHECK(count > 0 && connections && epoll >= 0);
	open_all(atoi(argv[1]));
	echoes_each = counted ? strtoull(argv[5], NULL, 10) : 0;
	for (long i = 0; i < count; i++)
		send_message(&connections[i], bench_now());
	if (counted)
		while (finished < count)
			turn();
	else
		measure(atoi(argv[3]), atol(argv[4]) * 1000000, atol(argv[5]) * 1000000);
	drain();
	return 0;
}
