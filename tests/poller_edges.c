/* One edge may stand for more than one read, one connection, one datagram. Each of these hangs in a
 * poller that takes a short read, or one success, for the end of what was there. */
#include "stage.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <string.h>

/* Known to be empty and watched, with no edge on its way: what comes next makes the only one. */
static void make_empty(struct stage *st, int fd)
{
	char byte;
	struct task t = stage_recv(fd, &byte, 1, 0);

	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	stage_settle(st);
	cr_expect(stage_cancel(st, &t));
}

static ssize_t receive(struct stage *st, int fd, void *buffer, size_t bytes)
{
	struct task t = stage_recv(fd, buffer, bytes, 0);

	stage_start(st, &t);
	return stage_finish(st, &t);
}

static void forget_and_close(struct stage *st, int fd)
{
	stage_forget(st, fd);
	close(fd);
}

POLLER_LAW(poller_edges, data_and_fin_in_one_edge)
{
	int pair[2];
	char buffer[64];

	law_tcp_pair(pair);
	make_empty(st, pair[0]);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(write(pair[1], "hello", 5) == 5);
	close(pair[1]);
	cr_expect(stage_finish(st, &t) == 5);
	cr_expect(receive(st, pair[0], buffer, sizeof buffer) == 0);
	forget_and_close(st, pair[0]);
}

POLLER_LAW(poller_edges, data_and_reset_in_one_edge)
{
	struct linger now = {1, 0};
	int pair[2];
	char buffer[64];

	law_tcp_pair(pair);
	make_empty(st, pair[0]);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(write(pair[1], "hello", 5) == 5);
	setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(pair[1]);
	while (stage_finish(st, &t) > 0) {
		t = stage_recv(pair[0], buffer, sizeof buffer, 0);
		stage_start(st, &t);
	}
	cr_expect(t.op.result == -ECONNRESET || t.op.result == 0);
	forget_and_close(st, pair[0]);
}

static void send_descriptor(int to, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {{0}};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof control.bytes};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(head), &fd, sizeof fd);
	cr_expect(sendmsg(to, &msg, 0) == 1);
}

POLLER_LAW(poller_edges, the_boundary_around_a_passed_descriptor)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control;
	char buffer[64];
	struct iovec iov = {buffer, sizeof buffer};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof control.bytes};
	int pair[2], passed;

	stage_unix_pair(SOCK_STREAM, pair);
	make_empty(st, pair[0]);
	struct task t = {
		.op = {.kind = IO_RECVMSG, .fd = pair[0], .msg = &msg, .flags = MSG_CMSG_CLOEXEC}};
	stage_start(st, &t);
	send_descriptor(pair[1], 0);
	cr_expect(write(pair[1], "yyyyy", 5) == 5);
	cr_expect(stage_finish(st, &t) == 1);
	memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof passed);
	close(passed);
	cr_expect(receive(st, pair[0], buffer, sizeof buffer) == 5);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

POLLER_LAW(poller_edges, datagrams_after_a_short_one)
{
	int pair[2];
	char buffer[64];

	stage_unix_pair(SOCK_DGRAM, pair);
	make_empty(st, pair[0]);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	for (int i = 1; i <= 3; i++)
		cr_expect(write(pair[1], "abc", i) == i);
	cr_expect(stage_finish(st, &t) == 1);
	cr_expect(receive(st, pair[0], buffer, sizeof buffer) == 2);
	cr_expect(receive(st, pair[0], buffer, sizeof buffer) == 3);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* A tty of ours, so non-blocking: one read gives one line. */
POLLER_LAW(poller_edges, two_lines_of_a_tty)
{
	char buffer[64], path[64];
	struct iovec iov = {buffer, sizeof buffer};
	int master, slave, tty;

	cr_assert(openpty(&master, &slave, path, NULL, NULL) == 0);
	tty = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct task t = stage_read(tty, &iov);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	stage_settle(st);
	cr_expect(write(master, "one\nthree\n", 10) == 10);
	cr_expect(stage_finish(st, &t) == 4);
	struct task u = stage_read(tty, &iov);
	stage_start(st, &u);
	cr_expect(stage_finish(st, &u) == 6);
	forget_and_close(st, tty);
	close(master);
	close(slave);
}

POLLER_LAW(poller_edges, data_beyond_the_urgent_mark)
{
	int pair[2];
	char buffer[64];

	law_tcp_pair(pair);
	make_empty(st, pair[0]);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(send(pair[1], "abc", 3, 0) == 3);
	cr_expect(send(pair[1], "!", 1, MSG_OOB) == 1);
	cr_expect(send(pair[1], "def", 3, 0) == 3);
	cr_expect(stage_finish(st, &t) == 3);
	cr_expect(receive(st, pair[0], buffer, sizeof buffer) == 3);
	struct task urgent = stage_recv(pair[0], buffer, 1, MSG_OOB);
	stage_start(st, &urgent);
	stage_finish(st, &urgent); /* the byte, or EINVAL: it was passed by */
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

POLLER_LAW(poller_edges, a_look_at_the_data_leaves_them)
{
	int pair[2];
	char buffer[64];

	law_tcp_pair(pair);
	make_empty(st, pair[0]);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, MSG_PEEK);
	stage_start(st, &t);
	cr_expect(write(pair[1], "hello", 5) == 5);
	cr_expect(stage_finish(st, &t) == 5);
	cr_expect(receive(st, pair[0], buffer, sizeof buffer) == 5);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* After the short read that emptied it, the next byte is a new edge. */
POLLER_LAW(poller_edges, a_short_read_saves_the_attempt_and_loses_nothing)
{
	int pair[2];
	char buffer[64];

	law_tcp_pair(pair);
	make_empty(st, pair[0]);
	for (int i = 0; i < 100; i++) {
		struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);

		cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
		cr_expect(write(pair[1], "hello", 5) == 5);
		cr_expect(stage_finish(st, &t) == 5);
		cr_expect(t.submits == (st->ops->performs ? 1 : 2));
	}
	forget_and_close(st, pair[0]);
	close(pair[1]);
}
