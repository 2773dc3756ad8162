/* accept and connect, which have no form that does not wait; and what no edge tells of. */
#include "stage.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>

static void forget_and_close(struct stage *st, int fd)
{
	stage_forget(st, fd);
	close(fd);
}

static int blocking_listener(struct sockaddr_in *name)
{
	socklen_t bytes = sizeof *name;
	char text[64];
	int fd = law_listener(text, sizeof text);

	getsockname(fd, (struct sockaddr *)name, &bytes);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

static struct task connect_task(int fd, const void *peer, socklen_t bytes)
{
	return (struct task){
		.op = {.kind = IO_CONNECT, .fd = fd, .peer = peer, .peer_bytes = bytes}};
}

POLLER_LAW(poller_connections, accept_on_a_blocking_listener_is_for_helpers)
{
	struct sockaddr_in name;
	int listener = blocking_listener(&name);
	struct task t = stage_accept(listener);

	cr_expect(stage_start(st, &t) == POLLER_WOULD_BLOCK);
	cr_expect(poller_try(&t.op) == POLLER_WOULD_BLOCK);
	/* The program may change its mind. */
	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	cr_expect(stage_cancel(st, &t));
	forget_and_close(st, listener);
}

POLLER_LAW(poller_connections, what_is_accepted_is_nonblocking_and_close_on_exec)
{
	struct sockaddr_in name, peer = {0}, own;
	socklen_t bytes = sizeof peer, own_bytes = sizeof own;
	int listener = blocking_listener(&name), client;

	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_expect(connect(client, (struct sockaddr *)&name, sizeof name) == 0);
	struct task t = stage_accept(listener);
	t.op.address = (struct sockaddr *)&peer;
	t.op.address_bytes = &bytes;
	cr_expect(stage_start(st, &t) == POLLER_DONE && t.op.result >= 0);
	int fd = (int)t.op.result;
	getsockname(client, (struct sockaddr *)&own, &own_bytes);
	cr_expect(bytes == sizeof peer && peer.sin_port == own.sin_port);
	cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	forget_and_close(st, fd);
	forget_and_close(st, listener);
	close(client);
}

POLLER_LAW(poller_connections, connect_on_a_blocking_socket_is_for_helpers)
{
	struct sockaddr_in name;
	int listener = blocking_listener(&name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct task t = connect_task(fd, &name, sizeof name);

	cr_expect(stage_start(st, &t) == POLLER_WOULD_BLOCK);
	forget_and_close(st, fd);
	/* A datagram socket only notes the address. */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	t = connect_task(fd, &name, sizeof name);
	cr_expect(stage_at_once(st, &t) == 0);
	forget_and_close(st, fd);
	forget_and_close(st, listener);
}

static ssize_t connect_to(struct stage *st, int fd, const struct sockaddr_in *name)
{
	struct task t = connect_task(fd, name, sizeof *name);

	stage_start(st, &t);
	return stage_finish(st, &t);
}

/* The hang-up of before is not held against the connection: a short read saves the next attempt. */
static void expect_short_read_rule(struct stage *st, int fd, int peer)
{
	char buffer[16];

	for (int i = 0; i < 2; i++) {
		struct task t = stage_recv(fd, buffer, sizeof buffer, 0);
		uint64_t before = stage_syscalls(st);

		stage_start(st, &t);
		cr_expect(i == 0 || stage_syscalls(st) == before);
		stage_settle(st);
		cr_expect(write(peer, "hello", 5) == 5);
		cr_expect(stage_finish(st, &t) == 5);
	}
	close(peer);
}

POLLER_LAW(poller_connections, connect_connects_or_says_why_not)
{
	struct sockaddr_in name, nobody;
	int listener = blocking_listener(&name), closed = blocking_listener(&nobody), tries = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ssize_t r;

	close(closed);
	cr_expect(connect_to(st, fd, &nobody) == -ECONNREFUSED);
	/* Linux says once more that there is no connection, and then tries again. */
	while ((r = connect_to(st, fd, &name)) == -ECONNABORTED && ++tries < 3)
		;
	cr_expect(r == 0);
	r = connect_to(st, fd, &name);
	cr_expect(r == -EISCONN || r == 0); /* Linux: 0 for the first that asks */
	struct task t = stage_send(fd, "x", 1, 0);
	cr_expect(stage_at_once(st, &t) == 1);
	expect_short_read_rule(st, fd, accept(listener, NULL, NULL));
	forget_and_close(st, fd);
	forget_and_close(st, listener);
}

/* A listener whose queue is full. No edge tells a Unix socket that there is room again. */
POLLER_LAW(poller_connections, connect_waits_for_room_in_a_unix_listener)
{
	enum { N = 4 };
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t bytes;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), fd[N];
	struct task t[N];
	int waiting = 0;

	snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "poller-%d", (int)getpid());
	bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1));
	cr_assert(bind(listener, (struct sockaddr *)&name, bytes) == 0 && listen(listener, 0) == 0);
	for (int i = 0; i < N; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		t[i] = connect_task(fd[i], &name, bytes);
		waiting += stage_start(st, &t[i]) == POLLER_IN_FLIGHT;
	}
	cr_expect(waiting > 0);
	for (int i = 0; i < N; i++) {
		struct task a = stage_accept(listener);

		stage_start(st, &a);
		cr_expect(stage_finish(st, &a) >= 0);
		forget_and_close(st, (int)a.op.result);
	}
	for (int i = 0; i < N; i++) {
		cr_expect(stage_finish(st, &t[i]) == 0);
		forget_and_close(st, fd[i]);
	}
	forget_and_close(st, listener);
}

/* The same for a datagram to a receiver that is slow, over a socket that is not connected to it. */
POLLER_LAW(poller_connections, a_datagram_waits_for_room_at_its_receiver)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t bytes;
	int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct iovec iov = {"x", 1};
	char byte;

	snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "poller-%d", (int)getpid());
	bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1));
	cr_assert(bind(to, (struct sockaddr *)&name, bytes) == 0);
	struct msghdr msg = {
		.msg_name = &name, .msg_namelen = bytes, .msg_iov = &iov, .msg_iovlen = 1};
	struct task t = {.op = {.kind = IO_SENDMSG, .fd = from, .msg = &msg}};
	while (stage_start(st, &t) == POLLER_DONE)
		cr_expect(t.op.result == 1);
	stage_settle(st);
	cr_expect(!t.done);
	while (read(to, &byte, 1) == 1)
		;
	cr_expect(stage_finish(st, &t) == 1);
	forget_and_close(st, from);
	forget_and_close(st, to);
}

/* Descriptors run out: accept says so, the connection stays in the queue, and is had later. */
POLLER_LAW(poller_connections, accept_without_descriptors_says_so_and_goes_on_later)
{
	struct sockaddr_in name;
	int listener = blocking_listener(&name), client;
	struct rlimit before, none;

	fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);
	struct task t = stage_accept(listener), u = stage_accept(listener);
	stage_start(st, &t);
	stage_start(st, &u);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_expect(connect(client, (struct sockaddr *)&name, sizeof name) == 0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	cr_expect(stage_finish(st, &t) == -EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	/* Who comes after the one that failed is not left waiting beside a connection. */
	ssize_t r = stage_finish(st, &u);
	if (r == -EMFILE) {
		u = stage_accept(listener);
		stage_start(st, &u);
		r = stage_finish(st, &u);
	}
	cr_expect(r >= 0);
	forget_and_close(st, (int)r);
	forget_and_close(st, listener);
	close(client);
}
