/* What kinds of descriptors there are, and what each needs so that no attempt blocks the thread,
 * raises SIGPIPE, or changes a flag that others see. */
#include "stage.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "poller/plain.h"

static void forget_and_close(struct stage *st, int fd)
{
	stage_forget(st, fd);
	close(fd);
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
		cr_expect(stage_at_once(st, &no) == -ENOTSOCK);
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

	cr_expect(stage_at_once(st, &in) == 4 && buffer[0] == 0);
	cr_expect(stage_at_once(st, &out) == 4);
	cr_expect(stage_at_once(st, &end) == 0);
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

	STAGE_NEEDS_PIPES_THAT_CAN_BE_TRIED();
	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	struct task in = stage_read(ends[0], &one), out = stage_write(ends[1], &much);
	cr_expect(stage_start(st, &in) == POLLER_IN_FLIGHT);
	stage_at_once(st, &out);
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

/* A Unix socket makes an edge whenever its peer reads. Who waits for data only must not be woken.
 * */
POLLER_LAW(poller_kinds, a_peer_that_reads_wakes_no_reader)
{
	int pair[2];
	char byte;

	stage_unix_pair(SOCK_STREAM, pair);
	struct task t = stage_recv(pair[0], &byte, 1, 0), u = stage_send(pair[0], "x", 1, 0);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	stage_settle(st);
	cr_expect(stage_at_once(st, &u) == 1);
	uint64_t before = stage_syscalls(st);
	cr_expect(read(pair[1], &byte, 1) == 1);
	cr_expect(!stage_turn(st, os_now() + 1000000));
	cr_expect(stage_syscalls(st) - before == 1); /* one wait, which nothing ended */
	cr_expect(stage_cancel(st, &t));
	forget_and_close(st, pair[0]);
	close(pair[1]);
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
	cr_expect(stage_at_once(st, &t) == -EPIPE);
	cr_expect(poller_try(&t.op) == POLLER_DONE && t.op.result == -EPIPE);
	forget_and_close(st, ends[1]);

	stage_unix_pair(SOCK_STREAM, pair);
	close(pair[1]);
	struct task u = stage_write(pair[0], &iov), v = stage_send(pair[0], "x", 1, 0);
	cr_expect(stage_at_once(st, &u) == -EPIPE);
	cr_expect(stage_at_once(st, &v) == -EPIPE);
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

	STAGE_NEEDS_PIPES_THAT_CAN_BE_TRIED();
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
