/* What kinds of descriptors there are, and what each needs so that no attempt blocks the thread,
 * raises SIGPIPE, or changes a flag that others see. */
#include "stage.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "poller/plain.h"

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
	return (struct task){.op = {.kind = IO_CONNECT, .fd = fd, .peer = peer,
				    .peer_bytes = bytes}};
}

/* ---- files ------------------------------------------------------------------------------------*/
POLLER_LAW(poller_kinds, files_and_directories_are_for_helpers)
{
	char byte;
	struct iovec iov = {&byte, 1};
	int file = memfd_create("poller", MFD_CLOEXEC);
	int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds[] = {file, folder};

	for (int i = 0; i < 2; i++) {
		struct task in = stage_read(fds[i], &iov), out = stage_write(fds[i], &iov);
		struct task poll = stage_poll(fds[i], POLLIN | POLLOUT);

		cr_expect(stage_start(st, &in) == POLLER_WOULD_BLOCK);
		cr_expect(stage_start(st, &out) == POLLER_WOULD_BLOCK);
		cr_expect(poller_try(&in.op) == POLLER_WOULD_BLOCK);
		cr_expect(stage_start(st, &poll) == POLLER_DONE);
		cr_expect(poll.op.result == (POLLIN | POLLOUT));
		struct task no = stage_recv(fds[i], &byte, 1, 0);
		cr_expect(stage_start(st, &no) == POLLER_DONE && no.op.result == -ENOTSOCK);
		forget_and_close(st, fds[i]);
	}
}

POLLER_LAW(poller_kinds, null_and_zero_never_wait)
{
	char buffer[4] = "xyz";
	struct iovec iov = {buffer, sizeof buffer};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	struct task in = stage_read(zero, &iov), out = stage_write(null, &iov);
	struct task end = stage_read(null, &iov);

	cr_expect(stage_start(st, &in) == POLLER_DONE && in.op.result == 4 && buffer[0] == 0);
	cr_expect(stage_start(st, &out) == POLLER_DONE && out.op.result == 4);
	cr_expect(stage_start(st, &end) == POLLER_DONE && end.op.result == 0);
	forget_and_close(st, null);
	forget_and_close(st, zero);
}

/* ---- pipes, ttys, events ----------------------------------------------------------------------*/
POLLER_LAW(poller_kinds, a_blocking_pipe_blocks_nobody_and_stays_blocking)
{
	static char bulk[1 << 20];
	char byte;
	struct iovec one = {&byte, 1}, much = {bulk, sizeof bulk};
	int ends[2];

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	struct task in = stage_read(ends[0], &one), out = stage_write(ends[1], &much);
	cr_expect(stage_start(st, &in) == POLLER_IN_FLIGHT);
	cr_expect(stage_start(st, &out) == POLLER_DONE);
	cr_expect(out.op.result > 0 && out.op.result < (ssize_t)sizeof bulk);
	cr_expect(stage_finish(st, &in) == 1);
	struct task more = stage_write(ends[1], &much);
	stage_start(st, &more);
	while (!more.done) {
		cr_expect(read(ends[0], bulk, 1 << 16) > 0);
		stage_settle(st);
	}
	cr_expect(more.op.result > 0);
	cr_expect(!(fcntl(ends[0], F_GETFL) & O_NONBLOCK));
	cr_expect(!(fcntl(ends[1], F_GETFL) & O_NONBLOCK));
	forget_and_close(st, ends[0]);
	forget_and_close(st, ends[1]);
}

/* Waiting is the poller's, so that it can be cancelled; the read is a helper's, because another
 * process at the same tty may be faster. */
POLLER_LAW(poller_kinds, a_blocking_tty_is_waited_for_and_then_for_helpers)
{
	char buffer[64];
	struct iovec iov = {buffer, sizeof buffer};
	int master, slave;

	cr_assert(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	struct task t = stage_read(slave, &iov);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	cr_expect(stage_cancel(st, &t));
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	cr_expect(write(master, "line\n", 5) == 5);
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	cr_expect(list_pop(&st->back) == &t.op.link && t.op.result == POLLER_RETRY);
	cr_expect(stage_start(st, &t) == POLLER_WOULD_BLOCK);
	cr_expect(read(slave, buffer, sizeof buffer) == 5);
	cr_expect(!(fcntl(slave, F_GETFL) & O_NONBLOCK));
	forget_and_close(st, slave);
	close(master);
}

POLLER_LAW(poller_kinds, an_eventfd_is_waited_for)
{
	uint64_t one = 1, got = 0;
	struct iovec iov = {&got, sizeof got};
	int flags[] = {EFD_CLOEXEC, EFD_CLOEXEC | EFD_NONBLOCK};

	for (int i = 0; i < 2; i++) {
		int fd = eventfd(0, flags[i]);
		struct task t = stage_read(fd, &iov);

		cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
		cr_expect(write(fd, &one, sizeof one) == sizeof one);
		cr_expect(stage_finish(st, &t) == sizeof got && got == 1);
		forget_and_close(st, fd);
	}
}

/* ---- SIGPIPE ----------------------------------------------------------------------------------*/
static volatile sig_atomic_t pipe_signals;

static void on_sigpipe(int number)
{
	(void)number;
	pipe_signals++;
}

static void write_to_nobody(struct stage *st)
{
	struct iovec iov = {"x", 1};
	int ends[2], pair[2];

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[0]);
	struct task t = stage_write(ends[1], &iov);
	cr_expect(stage_start(st, &t) == POLLER_DONE && t.op.result == -EPIPE);
	cr_expect(poller_try(&t.op) == POLLER_DONE && t.op.result == -EPIPE);
	forget_and_close(st, ends[1]);

	stage_unix_pair(SOCK_STREAM, pair);
	close(pair[1]);
	struct task u = stage_write(pair[0], &iov), v = stage_send(pair[0], "x", 1, 0);
	cr_expect(stage_start(st, &u) == POLLER_DONE && u.op.result == -EPIPE);
	cr_expect(stage_start(st, &v) == POLLER_DONE && v.op.result == -EPIPE);
	forget_and_close(st, pair[0]);
}

static void expect_sigpipe_as_before(const struct sigaction *action, const sigset_t *mask)
{
	struct sigaction now;
	sigset_t set;

	sigaction(SIGPIPE, NULL, &now);
	cr_expect(now.sa_handler == action->sa_handler);
	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int i = 1; i < 32; i++)
		cr_expect(sigismember(&set, i) == sigismember(mask, i));
	cr_expect(pipe_signals == 0);
}

POLLER_LAW(poller_kinds, no_sigpipe_whatever_the_kernel_can)
{
	struct sigaction action = {.sa_handler = on_sigpipe};
	sigset_t mask, pending, sigpipe;

	sigaction(SIGPIPE, &action, NULL);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	write_to_nobody(st);
	expect_sigpipe_as_before(&action, &mask);
	atomic_store(&plain_nosignal, 2); /* Linux before 6.18 */
	write_to_nobody(st);
	expect_sigpipe_as_before(&action, &mask);

	/* One that is pending already is somebody else's, and stays. */
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &sigpipe, NULL);
	raise(SIGPIPE);
	write_to_nobody(st);
	sigpending(&pending);
	cr_expect(sigismember(&pending, SIGPIPE));
	sigprocmask(SIG_SETMASK, &mask, NULL);
	cr_expect(pipe_signals == 1);
}

/* ---- connections ------------------------------------------------------------------------------*/
POLLER_LAW(poller_kinds, accept_on_a_blocking_listener_is_for_helpers)
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

POLLER_LAW(poller_kinds, what_is_accepted_is_nonblocking_and_close_on_exec)
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

POLLER_LAW(poller_kinds, connect_on_a_blocking_socket_is_for_helpers)
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
	cr_expect(stage_start(st, &t) == POLLER_DONE && t.op.result == 0);
	forget_and_close(st, fd);
	forget_and_close(st, listener);
}

static ssize_t connect_to(struct stage *st, int fd, const struct sockaddr_in *name)
{
	struct task t = connect_task(fd, name, sizeof *name);

	stage_start(st, &t);
	return stage_finish(st, &t);
}

POLLER_LAW(poller_kinds, connect_connects_or_says_why_not)
{
	struct sockaddr_in name;
	int listener = blocking_listener(&name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* Polled before: the kernel calls a socket without a connection hung up. */
	struct task poll = stage_poll(fd, 0);
	stage_start(st, &poll);
	cr_expect(stage_finish(st, &poll) & POLLHUP);
	cr_expect(connect_to(st, fd, &name) == 0);
	ssize_t again = connect_to(st, fd, &name);
	cr_expect(again == -EISCONN || again == 0); /* Linux: 0 for the first that asks */
	struct task t = stage_send(fd, "x", 1, 0);
	cr_expect(stage_start(st, &t) == POLLER_DONE && t.op.result == 1);
	forget_and_close(st, fd);
	forget_and_close(st, listener);

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_expect(connect_to(st, fd, &name) == -ECONNREFUSED);
	forget_and_close(st, fd);
}

/* A listener whose queue is full. No edge tells a Unix socket that there is room again. */
POLLER_LAW(poller_kinds, connect_waits_for_room_in_a_unix_listener)
{
	enum { N = 4 };
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t bytes;
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), fd[N];
	struct task t[N];
	int waiting = 0;

	snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "poller-%d", (int)getpid());
	bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    strlen(name.sun_path + 1));
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
POLLER_LAW(poller_kinds, a_datagram_waits_for_room_at_its_receiver)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t bytes;
	int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct iovec iov = {"x", 1};
	char byte;

	snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "poller-%d", (int)getpid());
	bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    strlen(name.sun_path + 1));
	cr_assert(bind(to, (struct sockaddr *)&name, bytes) == 0);
	struct msghdr msg = {.msg_name = &name, .msg_namelen = bytes, .msg_iov = &iov,
			     .msg_iovlen = 1};
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
POLLER_LAW(poller_kinds, accept_without_descriptors_says_so_and_goes_on_later)
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
