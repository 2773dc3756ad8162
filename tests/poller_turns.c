/* Many wait on one descriptor, and one edge comes for what is there for all of them. */
#include "stage.h"

#include <fcntl.h>
#include <netinet/in.h>

#include "base/must.h"

static void forget_and_close(struct stage *st, int fd)
{
	stage_forget(st, fd);
	close(fd);
}

POLLER_LAW(poller_turns, three_connections_for_three_in_accept)
{
	enum { N = 3 };
	struct sockaddr_in name;
	socklen_t bytes = sizeof name;
	struct task t[N];
	int client[N], listener;
	char text[64];

	listener = law_listener(text, sizeof text);
	getsockname(listener, (struct sockaddr *)&name, &bytes);
	for (int i = 0; i < N; i++) {
		t[i] = stage_accept(listener);
		cr_expect(stage_start(st, &t[i]) == POLLER_IN_FLIGHT);
	}
	stage_settle(st);
	for (int i = 0; i < N; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_expect(connect(client[i], (struct sockaddr *)&name, sizeof name) == 0);
	}
	for (int i = 0; i < N; i++) {
		cr_expect(stage_finish(st, &t[i]) >= 0);
		forget_and_close(st, (int)t[i].op.result);
		close(client[i]);
	}
	forget_and_close(st, listener);
}

/*	reader 0	reader 1	reader 2	reader 3	sender
 *	waits		waits		waits		waits
 *									4 datagrams, 1 edge
 *	woken, reads
 *	hands on	woken, reads
 *			hands on	woken, reads
 *					hands on	woken, reads
 * Each hand-over is in the list that the reader's own submit fills, before it has ended. */
static void expect_turns(struct stage *st, struct task *t, const char *byte, int n)
{
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	for (int i = 0; i < n; i++) {
		struct list *node = list_pop(&st->back);

		cr_expect(node == &t[i].op.link, "reader %d is the next", i);
		cr_expect(t[i].op.result == POLLER_RETRY);
		cr_expect(stage_start(st, &t[i]) == POLLER_DONE);
		cr_expect(byte[i] == '0' + i);
	}
}

/* Where the kernel performs the reads each gets one, whoever is first. */
static void expect_one_each(struct stage *st, struct task *t, const char *byte, int n)
{
	unsigned got = 0;

	for (int i = 0; i < n; i++) {
		cr_expect(stage_finish(st, &t[i]) == 1);
		got |= 1u << (byte[i] - '0');
	}
	cr_expect(got == (1u << n) - 1);
}

POLLER_LAW(poller_turns, four_readers_for_a_burst_of_four_datagrams)
{
	enum { N = 4 };
	struct task t[N];
	char byte[N] = {0};
	int pair[2];

	stage_unix_pair(SOCK_DGRAM, pair);
	for (int i = 0; i < N; i++) {
		t[i] = stage_recv(pair[0], &byte[i], 1, 0);
		cr_expect(stage_start(st, &t[i]) == POLLER_IN_FLIGHT);
	}
	stage_settle(st);
	cr_expect(write(pair[1], "0", 1) + write(pair[1], "1", 1) + write(pair[1], "2", 1) +
			  write(pair[1], "3", 1) ==
		  N);
	(st->ops->performs ? expect_one_each : expect_turns)(st, t, byte, N);
	cr_expect(list_empty(&st->back));
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* Who was woken, and then prefers to be interrupted, submits once more: the others go on. */
POLLER_LAW(poller_turns, an_interrupted_reader_hands_on)
{
	struct task t[2], *first;
	char byte[2];
	int pair[2];

	stage_unix_pair(SOCK_DGRAM, pair);
	for (int i = 0; i < 2; i++) {
		t[i] = stage_recv(pair[0], &byte[i], 1, 0);
		stage_start(st, &t[i]);
	}
	stage_settle(st);
	cr_expect(write(pair[1], "a", 1) == 1 && write(pair[1], "b", 1) == 1);
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	first = container_of(st->back.next, struct task, op.link);
	cr_expect(first == &t[0] || st->ops->performs);
	cr_expect(!stage_cancel(st, first)); /* too late: it is back */
	for (int i = 0; i < 2; i++)
		cr_expect(stage_finish(st, &t[i]) == 1);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* Who waits beside the stream, for urgent data, is not in the way of who reads it. */
POLLER_LAW(poller_turns, who_waits_for_urgent_data_takes_no_turn)
{
	int pair[2];
	char byte = 0, buffer[16];

	law_tcp_pair(pair);
	struct task urgent = stage_recv(pair[0], &byte, 1, MSG_OOB);
	stage_start(st, &urgent);
	if (urgent.done) { /* EINVAL: none is known of; it is asked for when there is */
		cr_expect(urgent.op.result == -EINVAL);
		urgent = stage_poll(pair[0], POLLPRI);
		cr_expect(stage_start(st, &urgent) == POLLER_IN_FLIGHT);
	}
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(write(pair[1], "hello", 5) == 5);
	cr_expect(stage_finish(st, &t) == 5 && !urgent.done);
	cr_expect(send(pair[1], "!", 1, MSG_OOB) == 1);
	stage_finish(st, &urgent);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* The error queue likewise: here it is a datagram's, to a port that nobody has. */
POLLER_LAW(poller_turns, who_waits_for_an_error_takes_no_turn)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t bytes = sizeof name;
	int on = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), nobody;
	char control[512], buffer[16];
	struct iovec iov = {buffer, sizeof buffer};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof control};

	cr_assert(bind(fd, (struct sockaddr *)&name, bytes) == 0);
	getsockname(fd, (struct sockaddr *)&name, &bytes);
	setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
	struct task error = {
		.op = {.kind = IO_RECVMSG, .fd = fd, .msg = &msg, .flags = MSG_ERRQUEUE}};
	cr_expect(stage_start(st, &error) == POLLER_IN_FLIGHT);
	struct task t = stage_recv(fd, buffer, sizeof buffer, 0);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	cr_expect(sendto(fd, "hello", 5, 0, (struct sockaddr *)&name, bytes) == 5);
	cr_expect(stage_finish(st, &t) == 5 && !error.done);
	nobody = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	name.sin_port = 0;
	cr_expect(bind(nobody, (struct sockaddr *)&name, bytes) == 0);
	getsockname(nobody, (struct sockaddr *)&name, &bytes);
	close(nobody);
	cr_expect(sendto(fd, "lost", 4, 0, (struct sockaddr *)&name, bytes) == 4);
	cr_expect(stage_finish(st, &error) == 4);
	forget_and_close(st, fd);
}

/* Woken, but before it ran the number was given up, and means another file. */
POLLER_LAW(poller_turns, who_was_woken_does_not_try_the_next_file)
{
	int pair[2], other[2];
	char byte;

	stage_unix_pair(SOCK_STREAM, pair);
	stage_unix_pair(SOCK_STREAM, other);
	struct task t = stage_recv(pair[0], &byte, 1, 0);
	stage_start(st, &t);
	cr_expect(write(pair[1], "x", 1) == 1);
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	cr_expect(list_pop(&st->back) == &t.op.link && t.op.result == POLLER_RETRY);
	forget_and_close(st, pair[0]);
	cr_expect(dup2(other[0], pair[0]) == pair[0]);
	cr_expect(write(other[1], "y", 1) == 1);
	cr_expect(stage_at_once(st, &t) == -EBADF);
	forget_and_close(st, pair[0]);
	close(pair[1]);
	close(other[0]);
	close(other[1]);
}

/* Woken in vain, because another was faster: it still is the first in the queue. */
POLLER_LAW(poller_turns, who_was_woken_in_vain_stays_first)
{
	struct task t[2];
	char byte[2], stolen;
	int pair[2], first;

	stage_unix_pair(SOCK_DGRAM, pair);
	for (int i = 0; i < 2; i++) {
		t[i] = stage_recv(pair[0], &byte[i], 1, 0);
		stage_start(st, &t[i]);
	}
	stage_settle(st);
	cr_expect(write(pair[1], "a", 1) == 1);
	/* A kernel that performs them wakes nobody in vain. */
	while (list_empty(&st->back) && !st->ops->performs)
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	cr_expect(read(pair[0], &stolen, 1) == 1);
	if (!st->ops->performs) {
		cr_expect(list_pop(&st->back) == &t[0].op.link);
		cr_expect(stage_start(st, &t[0]) == POLLER_IN_FLIGHT);
	}
	stage_settle(st);
	cr_expect(!t[0].done && !t[1].done);
	cr_expect(write(pair[1], "b", 1) == 1);
	while (!t[0].done && !t[1].done)
		stage_turn(st, OS_NEVER);
	first = t[0].done ? 0 : 1;
	cr_expect(t[first].op.result == 1 && byte[first] == 'b');
	cr_expect(first == 0 || st->ops->performs);
	stage_settle(st);
	cr_expect(!t[!first].done && stage_cancel(st, &t[!first]));
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* Four writers of a full pipe. One reader empties it; each writer that succeeds wakes the next. */
POLLER_LAW(poller_turns, four_writers_of_a_full_pipe)
{
	enum { N = 4 };
	static char sink[1 << 20];
	struct iovec iov = {"x", 1};
	struct task t[N];
	int ends[2];

	cr_assert(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	while (write(ends[1], sink, sizeof sink) > 0)
		;
	for (int i = 0; i < N; i++) {
		t[i] = stage_write(ends[1], &iov);
		cr_expect(stage_start(st, &t[i]) == POLLER_IN_FLIGHT);
	}
	stage_settle(st);
	cr_expect(read(ends[0], sink, sizeof sink) > 0);
	for (int i = 0; i < N; i++)
		cr_expect(stage_finish(st, &t[i]) == 1);
	cr_expect(read(ends[0], sink, sizeof sink) == N);
	forget_and_close(st, ends[0]);
	forget_and_close(st, ends[1]);
}

/* Three readers and three writers of one full connection; each gets its own, nobody is forgotten.
 * */
POLLER_LAW(poller_turns, several_wait_in_both_directions)
{
	enum { N = 3 };
	static char bulk[1 << 16], sink[1 << 20];
	struct task in[N], out[N];
	int pair[2], done = 0;
	char byte[N];

	stage_unix_pair(SOCK_STREAM, pair);
	while (send(pair[0], bulk, sizeof bulk, MSG_DONTWAIT) > 0)
		;
	for (int i = 0; i < N; i++) {
		in[i] = stage_recv(pair[0], &byte[i], 1, 0);
		out[i] = stage_send(pair[0], bulk, sizeof bulk, 0);
		cr_expect(stage_start(st, &in[i]) == POLLER_IN_FLIGHT);
		cr_expect(stage_start(st, &out[i]) == POLLER_IN_FLIGHT);
	}
	cr_expect(write(pair[1], "abc", N) == N);
	for (int i = 0; i < N; i++)
		cr_expect(stage_finish(st, &in[i]) == 1);
	cr_expect(byte[0] + byte[1] + byte[2] == 'a' + 'b' + 'c');
	while (done < N) {
		cr_expect(read(pair[1], sink, sizeof sink) > 0);
		stage_settle(st);
		for (done = 0; done < N && out[done].done; done++)
			;
	}
	forget_and_close(st, pair[0]);
	close(pair[1]);
}
