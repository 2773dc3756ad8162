/* net_serve.c - a fiber for every connection: that all are served, that none can end the others,
 * and that nothing is left. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "law.h"

/* ---- a server to try --------------------------------------------------------------------------*/
struct server {
	fiber_fd listener;
	char address[FIBER_ADDRESS_BYTES];
	int (*client)(fiber_fd, void *);
	void *arg;
	fiber_t fiber;
};

static int serve(void *arg)
{
	struct server *s = arg;

	return fiber_serve(s->listener, s->client, s->arg);
}

static void server_listen(struct server *s, int (*client)(fiber_fd, void *), void *arg)
{
	*s = (struct server){ .client = client, .arg = arg };
	s->listener = fiber_listen("tcp:127.0.0.1:0", NULL);
	cr_expect(fiber_local_address(s->listener, s->address, sizeof s->address) > 0);
}

static void server_start(struct server *s, int (*client)(fiber_fd, void *), void *arg)
{
	server_listen(s, client, arg);
	cr_expect(fiber_spawn(&s->fiber, NULL, serve, s) == 0);
}

/* Cancels it; what fiber_serve returned. */
static int server_stop(struct server *s)
{
	int result = 0;

	cr_expect(fiber_cancel(s->fiber) == 0);
	cr_expect(fiber_join(s->fiber, &result) == 0);
	cr_expect(fiber_close(s->listener) == 0, "serve closed the listener");
	return result;
}

static int echo(fiber_fd fd, void *arg)
{
	char bytes[512];
	ssize_t n;

	(void)arg;
	while ((n = fiber_read(fd, bytes, sizeof bytes)) > 0)
		if ((n = fiber_write_all(fd, bytes, (size_t)n, NULL)) < 0)
			break;
	return (int)n;
}

/* Sends so many messages, each unlike any other, and wants each back. */
static int converse(const char *address, unsigned messages)
{
	fiber_fd fd = fiber_dial(address, NULL);

	if (fd < 0)
		return fd;
	for (unsigned i = 0; i < messages; i++) {
		uint64_t out[8], in[8] = { 0 };
		uint64_t seed = (uint64_t)fd << 32 | i;

		for (size_t j = 0; j < 8; j++)
			out[j] = law_random(&seed);
		if (fiber_write_all(fd, out, sizeof out, NULL) != sizeof out ||
		    fiber_read_full(fd, in, sizeof in, NULL) != sizeof in ||
		    memcmp(in, out, sizeof in) != 0) {
			fiber_close(fd);
			return -EBADMSG;
		}
	}
	fiber_close(fd);
	return 0;
}

static int converse_fiber(void *arg)
{
	return converse(arg, 5);
}

/* ---- many -------------------------------------------------------------------------------------*/
static int serve_a_thousand(void *arg)
{
	struct server server;
	fiber_group_t group = FIBER_GROUP_INIT;
	int before = law_descriptors();

	(void)arg;
	server_start(&server, echo, NULL);
	for (unsigned i = 0; i < law_rounds(1000); i++)
		fiber_group_spawn(&group, NULL, converse_fiber, server.address);
	int r = fiber_group_wait(&group);

	cr_expect(r == 0, "%d", r);
	cr_expect(server_stop(&server) == -ECANCELED);
	cr_expect(law_descriptors() == before, "%d descriptors left", law_descriptors() - before);
	return 0;
}

Test(serve, a_thousand_clients_get_their_own_bytes_back, .timeout = 60)
{
	law_holds(serve_a_thousand, NULL);
}

/* Clients that hold their threads until two are there: whom one acceptor took in one go, two
 * workers run. */
static int meet(fiber_fd fd, void *arg)
{
	_Atomic unsigned *there = arg;

	(void)fd;
	atomic_fetch_add(there, 1);
	while (atomic_load(there) < 2)
		sched_yield();
	return 0;
}

static int feed_workers(void *arg)
{
	_Atomic unsigned there = 0;
	struct server server;
	fiber_fd fd[4];

	(void)arg;
	server_listen(&server, meet, &there);
	for (int i = 0; i < 4; i++)
		cr_expect((fd[i] = fiber_dial(server.address, NULL)) >= 0);
	cr_expect(fiber_spawn(&server.fiber, NULL, serve, &server) == 0);
	for (int i = 0; i < 4; i++) {
		char byte;

		cr_expect(fiber_read(fd[i], &byte, 1) == 0);
		fiber_close(fd[i]);
	}
	cr_expect(server_stop(&server) == -ECANCELED);
	return 0;
}

Test(serve, one_acceptor_feeds_idle_workers, .timeout = 30)
{
	cr_expect(law_run(4, feed_workers, NULL) == 0);
	cr_expect(law_run(8, feed_workers, NULL) == 0);
}

/* Hundreds wait in the queue when the server starts. One of the first clients looks how many
 * descriptors there are: more than a batch's would be of clients that the acceptor keeps
 * waiting. */
struct flood {
	_Atomic int then, begun;
};

enum { EARLY = 8 };

static int note_descriptors(fiber_fd fd, void *arg)
{
	struct flood *flood = arg;
	int now = law_descriptors();

	(void)fd;
	if (atomic_fetch_add(&flood->begun, 1) == EARLY)
		atomic_store(&flood->then, now);
	return 0;
}

enum { FLOOD = 300 };

static int flood_server(void *arg)
{
	struct flood flood = { 0, 0 };
	struct server server;
	fiber_fd clients[FLOOD];
	int before;

	(void)arg;
	server_listen(&server, note_descriptors, &flood);
	for (int i = 0; i < FLOOD; i++)
		cr_expect((clients[i] = fiber_dial(server.address, NULL)) >= 0);
	before = law_descriptors();
	cr_expect(fiber_spawn(&server.fiber, NULL, serve, &server) == 0);
	while (atomic_load(&flood.begun) < FLOOD)
		fiber_sleep(FIBER_MILLISECOND);
	cr_expect(atomic_load(&flood.then) <= before + 40, "%d more",
		  atomic_load(&flood.then) - before);
	for (int i = 0; i < FLOOD; i++)
		fiber_close(clients[i]);
	cr_expect(server_stop(&server) == -ECANCELED);
	return 0;
}

Test(serve, a_flood_of_connections_does_not_starve_the_accepted, .timeout = 60)
{
	law_holds(flood_server, NULL);
}

/* ---- one cannot end the others ----------------------------------------------------------------*/
/* The first byte tells how to end. */
static int as_told(fiber_fd fd, void *arg)
{
	char byte = 0;

	if (fiber_read(fd, &byte, 1) != 1)
		return -EPIPE;
	if (byte == 'x')
		fiber_exit(-EIO);
	if (byte == 'e')
		return -EIO;
	return echo(fd, arg);
}

static void expect_ended(const char *address, const char *how)
{
	fiber_fd fd = fiber_dial(address, NULL);
	char byte;

	cr_expect(fiber_write(fd, how, 1) == 1);
	cr_expect(fiber_read(fd, &byte, 1) == 0, "not closed after %s", how);
	fiber_close(fd);
}

static int fail_one_by_one(void *arg)
{
	struct server server;
	int before = law_descriptors();
	char byte = 'g';

	(void)arg;
	server_start(&server, as_told, NULL);
	fiber_fd going = fiber_dial(server.address, NULL);

	cr_expect(fiber_write(going, &byte, 1) == 1);
	for (int i = 0; i < 5; i++) {
		expect_ended(server.address, "e");
		expect_ended(server.address, "x");
	}
	cr_expect(fiber_write(going, "abc", 3) == 3);
	cr_expect(fiber_read(going, &byte, 1) == 1 && byte == 'a');
	cr_expect(server_stop(&server) == -ECANCELED);
	fiber_close(going);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve, a_clients_error_or_exit_ends_nobody_else, .timeout = 30)
{
	law_holds(fail_one_by_one, NULL);
}

/* Fills what the kernel takes, and never reads: its fiber stays in write. */
static int pour(fiber_fd fd, void *arg)
{
	static const char zeros[1 << 16];
	ssize_t n;

	while ((n = fiber_write(fd, zeros, sizeof zeros)) > 0)
		;
	*(_Atomic int *)arg = (int)n;
	return 0;
}

static int pour_or_echo(fiber_fd fd, void *arg)
{
	char byte;

	if (fiber_recv(fd, &byte, 1, MSG_PEEK) == 1 && byte == 'p')
		return pour(fd, arg);
	return echo(fd, arg);
}

static int never_read(void *arg)
{
	_Atomic int poured = 0;
	struct server server;
	int before = law_descriptors();

	(void)arg;
	server_start(&server, pour_or_echo, &poured);
	fiber_fd deaf = fiber_dial(server.address, NULL);

	cr_expect(fiber_write(deaf, "p", 1) == 1);
	for (int i = 0; i < 20; i++)
		cr_expect(converse(server.address, 3) == 0);
	cr_expect(atomic_load(&poured) == 0, "it should still be writing");
	cr_expect(server_stop(&server) == -ECANCELED);
	cr_expect(atomic_load(&poured) == -ECANCELED, "%d", atomic_load(&poured));
	fiber_close(deaf);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve, a_client_that_never_reads_holds_up_nobody, .timeout = 30)
{
	law_holds(never_read, NULL);
}
