/* The event queue: ends, errors, connections that come and fail. */
#include <netinet/in.h>
#include <sys/un.h>

#include "queues.h"

enum { TOKEN = 5 };

static void expect_told(fiber_queue_t *q, unsigned bits, const char *what)
{
	unsigned got = SOON(q, TOKEN);

	cr_expect(got == bits, "%s: %x, not %x", what, got, bits);
}

/* ---- half-close, hang-up ----------------------------------------------------------------------*/
static void half_close(enum pair_kind kind)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(kind, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R) == 0);
	put(fds[1], "last");
	expect_told(q, R, "bytes");
	cr_expect(shutdown(fds[1], SHUT_WR) == 0);
	while (NOW(q, TOKEN) == R)
		;
	expect_told(q, R | RC, "bytes, and no more after them");
	cr_expect(drain(fds[0]) == 4);
	expect_told(q, R | RC, "the end can be read");
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, W) == 0);
	expect_told(q, W, "writing goes on, and the half-close is not told to writers");
	cr_expect(write(fds[0], "x", 1) == 1);
	pair_close(fds);
	queue_gone(q);
}

Test(queue_closed, a_half_close_closes_reading_only, .timeout = 60)
{
	half_close(TCP);
	half_close(UNIX);
}

static void hang_up(enum pair_kind kind)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(kind, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | W) == 0);
	cr_expect(NOW(q, TOKEN) == W);
	close(fds[1]);
	while (NOW(q, TOKEN) == W)
		;
	/* TCP can't tell a close from a half-close until it is written to. */
	expect_told(q, kind == TCP ? R | W | RC : R | W | RC | WC, pair_names[kind]);
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, R | W | EDGE) == 0);
	expect_told(q, kind == TCP ? R | W | RC : R | W | RC | WC, "armed anew");
	cr_expect(NOW(q, TOKEN) == 0, "edge mode tells an end once, too");
	close(fds[0]);
	queue_gone(q);
}

Test(queue_closed, a_peer_that_is_gone_is_told, .timeout = 60)
{
	hang_up(TCP);
	hang_up(UNIX);
}

Test(queue_closed, a_socket_that_was_shut_down_both_ways_is_closed_both_ways, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(TCP, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R) == 0);
	shutdown(fds[1], SHUT_WR);
	expect_told(q, R | RC, "the peer's side");
	shutdown(fds[0], SHUT_WR);
	expect_told(q, R | RC | WC, "and ours");
	pair_close(fds);
	queue_gone(q);
}

/* ---- pipes ------------------------------------------------------------------------------------*/
Test(queue_closed, a_pipe_without_writers_is_closed_for_reading, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(PIPE, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R) == 0);
	put(fds[1], "last");
	close(fds[1]);
	expect_told(q, R | RC, "bytes, and no more after them");
	drain(fds[0]);
	expect_told(q, R | RC, "the end can be read");
	close(fds[0]);
	queue_gone(q);
}

Test(queue_closed, a_pipe_without_readers_is_closed_for_writing, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(PIPE, fds));
	cr_expect(fiber_queue_register(q, fds[1], TOKEN, W) == 0);
	expect_told(q, W, "room");
	fill(fds[1]);
	cr_expect(NOW(q, TOKEN) == 0);
	close(fds[0]);
	expect_told(q, W | ERR | WC, "a write would fail at once");
	close(fds[1]);
	queue_gone(q);
}

/* ---- reset ------------------------------------------------------------------------------------*/
Test(queue_closed, a_reset_is_an_error_and_closes_both_ways, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	struct linger at_once = {1, 0};
	int fds[2], error = 0;
	socklen_t size = sizeof error;

	cr_assert(pair_open(TCP, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R) == 0);
	cr_expect(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
	close(fds[1]);
	expect_told(q, R | ERR | RC | WC, "reset");
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, W | ONCE) == 0);
	expect_told(q, W | ERR | RC | WC, "whatever was asked for");
	cr_expect(getsockopt(fds[0], SOL_SOCKET, SO_ERROR, &error, &size) == 0);
	cr_expect(error == ECONNRESET);
	close(fds[0]);
	queue_gone(q);
}

/* ---- connections ------------------------------------------------------------------------------*/
static int listener(struct sockaddr_in *at)
{
	socklen_t size = sizeof *at;
	char text[64];
	int fd = law_listener(text, sizeof text);

	cr_expect(fd >= 0 && getsockname(fd, (struct sockaddr *)at, &size) == 0);
	return fd;
}

static int dial(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	cr_expect(connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 ||
		  errno == EINPROGRESS);
	return fd;
}

Test(queue_closed, a_listening_socket_is_readable_while_somebody_can_be_accepted, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	struct sockaddr_in at;
	int fd = listener(&at), clients[3], got;

	cr_expect(fiber_queue_register(q, fd, TOKEN, R | W) == 0);
	cr_expect(NOW(q, TOKEN) == 0);
	for (int i = 0; i < 3; i++)
		clients[i] = dial(&at);
	for (int i = 0; i < 3; i++) {
		expect_told(q, R, "somebody");
		got = accept(fd, NULL, NULL);
		cr_expect(got >= 0);
		close(got);
	}
	cr_expect(NOW(q, TOKEN) == 0, "all were accepted");
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	close(fd);
	queue_gone(q);
}

Test(queue_closed, a_connection_that_is_made_is_writable, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	struct sockaddr_in at;
	int fd = listener(&at), client = dial(&at);

	cr_expect(fiber_queue_register(q, client, TOKEN, W | R | ONCE) == 0);
	expect_told(q, W, "connected");
	close(client);
	close(fd);
	queue_gone(q);
}

Test(queue_closed, a_connection_that_is_refused_is_an_error, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	struct sockaddr_in at;
	int fd = listener(&at), client, error = 0;
	socklen_t size = sizeof error;

	close(fd);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connect(client, (const struct sockaddr *)&at, sizeof at) < 0 && errno == EINPROGRESS) {
		cr_expect(fiber_queue_register(q, client, TOKEN, W) == 0);
		expect_told(q, W | ERR | RC | WC, "refused");
		cr_expect(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size) == 0);
		cr_expect(error == ECONNREFUSED);
	}
	close(client);
	queue_gone(q);
}

Test(queue_closed, a_socket_that_was_never_connected_reads_as_closed, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	cr_expect(fiber_queue_register(q, fd, TOKEN, W) == 0);
	expect_told(q, W | RC | WC, "neither connected nor connecting");
	close(fd);
	queue_gone(q);
}

/* An ICMP answer is an error, and closes nothing. */
Test(queue_closed, a_datagram_that_nobody_wants_is_an_error_and_no_end, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t size = sizeof at;
	int gone = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);

	cr_expect(bind(gone, (struct sockaddr *)&at, size) == 0);
	cr_expect(getsockname(gone, (struct sockaddr *)&at, &size) == 0);
	close(gone);
	cr_expect(connect(fd, (struct sockaddr *)&at, size) == 0);
	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_expect(send(fd, "?", 1, 0) == 1);
	expect_told(q, R | ERR, "refused");
	cr_expect(recv(fd, &at, 1, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED);
	cr_expect(NOW(q, TOKEN) == 0, "over");
	close(fd);
	queue_gone(q);
}
