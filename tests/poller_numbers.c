/* Descriptor numbers: other code closes them and gets them again behind our back, forks, dups; and
 * some never were any. */
#include "stage.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void push(int fd, const char *text)
{
	cr_expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void forget_and_close(struct stage *st, int fd)
{
	stage_forget(st, fd);
	close(fd);
}

/* The number means the file of `fd` from now on, as after close(2) and another open; fd is gone. */
static void reuse(int number, int fd)
{
	cr_expect(dup2(fd, number) == number);
	close(fd);
}

static struct task of_every_kind(enum poller_kind kind, int fd)
{
	static char byte;
	static struct iovec iov = {&byte, 1};
	static struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	static struct sockaddr peer;
	struct task t = {.op = {.kind = kind, .fd = fd}};

	switch (kind) {
	case IO_READ:
	case IO_WRITE:
		t.op.iov = &iov;
		t.op.iov_count = 1;
		break;
	case IO_RECVMSG:
	case IO_SENDMSG:
		t.op.msg = &msg;
		break;
	case IO_RECV:
	case IO_SEND:
		t.op.buffer = &byte;
		t.op.bytes = 1;
		break;
	case IO_CONNECT:
		t.op.peer = &peer;
		t.op.peer_bytes = sizeof peer;
		break;
	case IO_ACCEPT:
	case IO_POLL:
	case IO_FILE:
		break;
	}
	return t;
}

POLLER_LAW(poller_numbers, a_number_without_a_file_is_refused)
{
	int closed = dup(2);
	int bad[] = {-1, INT_MIN, INT_MAX, 1 << 28, 1 << 24, 1000000, closed};

	close(closed);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		for (enum poller_kind kind = IO_READ; kind <= IO_POLL; kind++) {
			struct task t = of_every_kind(kind, bad[i]);

			cr_expect(stage_start(st, &t) == POLLER_DONE);
			cr_expect(t.op.result == -EBADF, "%d: %zd", bad[i], t.op.result);
			cr_expect(poller_try(&t.op) == POLLER_DONE && t.op.result == -EBADF);
		}
		stage_forget(st, bad[i]);
		poller_born(bad[i], BORN_UNKNOWN);
		stage_forget(st, bad[i]);
	}
}

POLLER_LAW(poller_numbers, the_largest_number_serves)
{
	struct rlimit limit;
	int pair[2], large;
	char byte;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	stage_unix_pair(SOCK_STREAM, pair);
	large = (int)limit.rlim_max - 1;
	reuse(large, pair[0]);
	struct task t = stage_recv(large, &byte, 1, 0);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	push(pair[1], "x");
	cr_expect(stage_finish(st, &t) == 1);
	forget_and_close(st, large);
	close(pair[1]);
}

/* ---- closed behind our back -------------------------------------------------------------------*/
POLLER_LAW(poller_numbers, who_is_parked_on_a_closed_number_is_told)
{
	struct task in, poll;
	int pair[2];
	char byte;

	stage_check_numbers();
	law_tcp_pair(pair);
	in = stage_recv(pair[0], &byte, 1, 0);
	poll = stage_poll(pair[0], POLLIN);
	stage_start(st, &in);
	stage_start(st, &poll);
	close(pair[0]);
	cr_expect(stage_finish(st, &in) == -EBADF);
	cr_expect(stage_finish(st, &poll) == -EBADF);
	close(pair[1]);
}

POLLER_LAW(poller_numbers, who_is_parked_on_a_number_reused_serves_the_new_file)
{
	struct task in, poll;
	int pair[2], other[2];
	char buffer[16];

	stage_check_numbers();
	law_tcp_pair(pair);
	law_tcp_pair(other);
	in = stage_recv(pair[0], buffer, sizeof buffer, 0);
	poll = stage_poll(pair[0], POLLIN);
	stage_start(st, &in);
	stage_start(st, &poll);
	stage_settle(st);
	reuse(pair[0], other[0]);
	push(other[1], "hello");
	cr_expect(stage_finish(st, &in) == 5);
	cr_expect(stage_finish(st, &poll) == POLLIN);
	forget_and_close(st, pair[0]);
	close(pair[1]);
	close(other[1]);
}

/* The slot says "watched, and empty" of a file that is gone. */
POLLER_LAW(poller_numbers, who_comes_after_the_reuse_is_found_too)
{
	int pair[2], other[2];
	char buffer[16];

	stage_check_numbers();
	law_tcp_pair(pair);
	law_tcp_pair(other);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	stage_settle(st);
	cr_expect(stage_cancel(st, &t));
	reuse(pair[0], other[0]);
	push(other[1], "hello");
	struct task u = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &u);
	cr_expect(stage_finish(st, &u) == 5);
	forget_and_close(st, pair[0]);
	close(pair[1]);
	close(other[1]);
}

/* A socket's number becomes a pipe's and then a file's. */
POLLER_LAW(poller_numbers, a_number_may_change_its_nature)
{
	int pair[2], ends[2];
	char buffer[16];
	struct iovec iov = {buffer, sizeof buffer};

	STAGE_NEEDS_PIPES_THAT_CAN_BE_TRIED();
	stage_check_numbers();
	law_tcp_pair(pair);
	push(pair[1], "socket");
	struct task t = stage_read(pair[0], &iov);
	cr_expect(stage_at_once(st, &t) == 6);
	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	reuse(pair[0], ends[0]);
	push(ends[1], "pipe");
	struct task u = stage_read(pair[0], &iov);
	cr_expect(stage_at_once(st, &u) == 4);
	struct task parked = stage_read(pair[0], &iov), poll = stage_poll(pair[0], POLLIN);
	cr_expect(stage_start(st, &parked) == POLLER_IN_FLIGHT);
	cr_expect(stage_start(st, &poll) == POLLER_IN_FLIGHT);
	reuse(pair[0], open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	cr_expect(stage_finish(st, &poll) == POLLIN);
	while (!parked.done)
		stage_turn(st, OS_NEVER);
	cr_expect(stage_start(st, &parked) == POLLER_WOULD_BLOCK);
	forget_and_close(st, pair[0]);
	close(pair[1]);
	close(ends[1]);
}

/* A number given out by one of our calls: who waits for the file before must not take from the new.
 * */
POLLER_LAW(poller_numbers, who_is_parked_on_a_number_born_anew_is_told)
{
	struct task in, poll;
	int pair[2], other[2];
	char byte;

	law_tcp_pair(pair);
	law_tcp_pair(other);
	in = stage_recv(pair[0], &byte, 1, 0);
	poll = stage_poll(pair[0], POLLIN);
	stage_start(st, &in);
	stage_start(st, &poll);
	stage_settle(st);
	reuse(pair[0], other[0]);
	poller_born(pair[0], BORN_STREAM_INET);
	push(other[1], "x");
	cr_expect(stage_finish(st, &in) == -EBADF);
	cr_expect(stage_finish(st, &poll) == -EBADF);
	struct task t = stage_recv(pair[0], &byte, 1, 0);
	cr_expect(stage_at_once(st, &t) == 1);
	forget_and_close(st, pair[0]);
	close(pair[1]);
	close(other[1]);
}

/* ---- forgotten --------------------------------------------------------------------------------*/
POLLER_LAW(poller_numbers, forget_gives_back_everybody)
{
	static char bulk[1 << 20];
	struct task in, out, poll;
	int pair[2];
	char byte;

	stage_unix_pair(SOCK_STREAM, pair);
	while (send(pair[0], bulk, sizeof bulk, MSG_DONTWAIT) > 0)
		;
	in = stage_recv(pair[0], &byte, 1, 0);
	out = stage_send(pair[0], bulk, 1 << 16, 0);
	poll = stage_poll(pair[0], POLLIN);
	stage_start(st, &in);
	stage_start(st, &out);
	stage_start(st, &poll);
	cr_expect(!in.done && !out.done && !poll.done);
	stage_forget(st, pair[0]);
	cr_expect(in.done && in.op.result == -EBADF);
	cr_expect(out.done && out.op.result == -EBADF);
	cr_expect(poll.done && poll.op.result == -EBADF);
	/* The number serves on, for whoever comes. */
	push(pair[1], "x");
	cr_expect(stage_at_once(st, &in) == 1);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* A dup keeps the open file alive, and would keep its registration too. */
POLLER_LAW(poller_numbers, a_dup_kept_alive_brings_no_events)
{
	int pair[2], other[2], copy;
	char byte;

	law_tcp_pair(pair);
	law_tcp_pair(other);
	struct task t = stage_recv(pair[0], &byte, 1, 0);
	stage_start(st, &t);
	copy = dup(pair[0]);
	stage_forget(st, pair[0]);
	cr_expect(t.done && t.op.result == -EBADF);
	reuse(pair[0], other[0]);
	struct task u = stage_recv(pair[0], &byte, 1, 0);
	stage_start(st, &u);
	stage_settle(st);
	uint64_t before = stage_syscalls(st);
	push(pair[1], "x");
	cr_expect(!stage_turn(st, os_now() + 1000000));
	cr_expect(!u.done && u.submits == 1);
	cr_expect(stage_syscalls(st) - before == 1); /* one wait, which nothing ended */
	push(other[1], "y");
	cr_expect(stage_finish(st, &u) == 1 && byte == 'y');
	cr_expect(read(copy, &byte, 1) == 1 && byte == 'x');
	close(copy);
	forget_and_close(st, pair[0]);
	close(pair[1]);
	close(other[1]);
}

/* ---- others -----------------------------------------------------------------------------------*/
/* The child forgets all without touching the epoll that it shares with its parent, and can start
 * anew; the parent goes on. */
POLLER_LAW(poller_numbers, a_forked_child_takes_nothing_from_its_parent)
{
	int pair[2], status = -1;
	char byte;
	pid_t child;

	law_tcp_pair(pair);
	struct task t = stage_recv(pair[0], &byte, 1, 0);
	stage_start(st, &t);
	child = fork();
	if (child == 0) {
		struct stage own = {.ops = st->ops};
		struct task u = stage_send(pair[0], "from the child", 14, 0);
		struct task v = stage_recv(pair[0], &byte, 1, MSG_PEEK);

		poller_forked();
		own.ops->forget(pair[0], &own.back);
		if (own.ops->open(&own.poller) < 0 || stage_start(&own, &u) != POLLER_DONE ||
		    u.op.result != 14 || stage_start(&own, &v) != POLLER_IN_FLIGHT)
			_exit(1);
		own.ops->forget(pair[0], &own.back);
		_exit(v.op.result == -EBADF ? 0 : 2);
	}
	cr_expect(waitpid(child, &status, 0) == child && status == 0, "%x", status);
	push(pair[1], "x");
	cr_expect(stage_finish(st, &t) == 1);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

POLLER_LAW(poller_numbers, its_own_descriptors_are_close_on_exec)
{
	int open = 0;

	for (int fd = 3; fd < 256; fd++) {
		char path[64], target[64] = "";

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof target - 1) < 0 ||
		    (!strstr(target, "eventpoll") && !strstr(target, "eventfd")))
			continue;
		cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC, "%d is %s", fd, target);
		open++;
	}
	cr_expect(open >= 1);
	(void)st;
}

/* Who waits on a number that a closing poller watches is not forgotten. */
POLLER_LAW(poller_numbers, a_closing_poller_hands_over_what_it_watches)
{
	struct stage second = {.ops = st->ops};
	int pair[2];
	char buffer[16];

	cr_assert(second.ops->open(&second.poller) == 0);
	law_tcp_pair(pair);
	struct task first = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(&second, &first); /* watched by `second` */
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	cr_expect(stage_cancel(&second, &first));
	second.ops->close(second.poller);
	push(pair[1], "hello");
	cr_expect(stage_finish(st, &t) == 5);
	forget_and_close(st, pair[0]);
	close(pair[1]);
}

/* After some waits from another poller a number moves there, and its events no longer wake the
 * first. */
POLLER_LAW(poller_numbers, a_number_lives_with_the_poller_of_its_waiter)
{
	struct stage second = {.ops = st->ops};
	int pair[2];
	char buffer[16];

	cr_assert(second.ops->open(&second.poller) == 0);
	law_tcp_pair(pair);
	for (int i = 0; i < 8; i++) {
		struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);

		if (i == 0) {
			cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
			stage_settle(st);
			cr_expect(stage_cancel(st, &t));
			continue;
		}
		cr_expect(stage_start(&second, &t) == POLLER_IN_FLIGHT);
		push(pair[1], "hello");
		while (!t.done) {
			stage_turn(&second, os_now() + 1000000);
			if (st->ops->wait(st->poller, 0, &second.back) > 0)
				stage_turn(&second, 0); /* not moved yet */
		}
		cr_expect(t.op.result == 5);
	}
	uint64_t before = stage_syscalls(st);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(&second, &t);
	push(pair[1], "hello");
	cr_expect(stage_finish(&second, &t) == 5);
	cr_expect(!stage_turn(st, os_now() + 1000000));
	cr_expect(stage_syscalls(st) - before == 1);
	stage_forget(st, pair[0]);
	close(pair[0]);
	close(pair[1]);
	stage_close(&second);
}
