/* Signals: none is raised by a write, and none that comes is seen by a call. What the program has
 * set, for itself and for its children, stays as it is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

/* ---- SIGPIPE ----------------------------------------------------------------------------------*/
static _Atomic int raised;

static void count(int number)
{
	(void)number;
	atomic_fetch_add(&raised, 1);
}

static bool pending(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGPIPE);
}

/* Every call that writes, to every kind that can break. */
static int broken(void *arg)
{
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	fiber_fd file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	for (int how = 0; how < 4; how++) {
		int64_t offset = 0;
		fiber_fd fds[2];

		switch (how) {
		case 0:
			cr_expect(fiber_pipe(fds) == 0);
			break;
		case 1:
			cr_expect(pipe2(fds, O_CLOEXEC) == 0);
			break;
		case 2:
			cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
			break;
		default:
			cr_expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
			break;
		}
		cr_expect(fiber_close(fds[0]) == 0);
		for (int i = 0; i < 3; i++) {
			cr_expect(fiber_write(fds[1], "x", 1) == -EPIPE);
			cr_expect(fiber_writev(fds[1], &iov, 1) == -EPIPE);
			cr_expect(fiber_write_all(fds[1], "xyz", 3, NULL) == -EPIPE);
			cr_expect(fiber_sendfile(fds[1], file, &offset, 100) == -EPIPE);
			if (how < 2)
				continue;
			cr_expect(fiber_send(fds[1], "x", 1, 0) == -EPIPE);
			cr_expect(fiber_sendto(fds[1], "x", 1, 0, NULL, 0) == -EPIPE);
			cr_expect(fiber_sendmsg(fds[1], &message, 0) == -EPIPE);
		}
		cr_expect(fiber_close(fds[1]) == 0);
	}
	cr_expect(!pending());
	return fiber_close(file);
}

/* The default, which kills; a handler, which counts; ignored; and blocked. */
Test(io_signals, sigpipe_is_never_raised, .timeout = 60)
{
	sigset_t set, before;

	law_holds(broken, NULL);
	cr_expect(broken(NULL) == 0, "nor on a plain thread");
	cr_expect(signal(SIGPIPE, count) == SIG_DFL, "the disposition was not touched");
	law_holds(broken, NULL);
	cr_expect(atomic_load(&raised) == 0);
	cr_expect(signal(SIGPIPE, SIG_IGN) == count);
	law_holds(broken, NULL);
	cr_expect(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	law_holds(broken, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	cr_expect(sigismember(&before, SIGPIPE));
}

/* One that the program itself has pending stays: it is not ours to take. */
Test(io_signals, a_sigpipe_of_the_program_stays_pending, .timeout = 60)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	raise(SIGPIPE);
	for (int i = 0; i < 2; i++) {
		fiber_fd file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fds[2];
		int64_t offset = 0;

		cr_expect(fiber_pipe(fds) == 0);
		cr_expect(fiber_close(fds[0]) == 0);
		cr_expect(fiber_write(fds[1], "x", 1) == -EPIPE);
		cr_expect(fiber_sendfile(fds[1], file, &offset, 10) == -EPIPE);
		cr_expect(pending());
		cr_expect(fiber_close(fds[1]) == 0 && fiber_close(file) == 0);
	}
}

/* ---- mask and children ------------------------------------------------------------------------*/
/* What a child that was started here sees as its mask and its ignored signals, from /proc. */
static int child_sees(char *text, size_t size)
{
	char *const arguments[] = { "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL };
	posix_spawn_file_actions_t actions;
	int fds[2], status;
	pid_t pid;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	status = posix_spawnp(&pid, "grep", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	memset(text, 0, size);
	for (size_t done = 0; (n = read(fds[0], text + done, size - 1 - done)) > 0;)
		done += (size_t)n;
	close(fds[0]);
	return status == 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static char before[256];

static int starts_a_child(void *arg)
{
	char after[256];

	(void)arg;
	cr_expect(child_sees(after, sizeof after) == 0);
	cr_expect(strcmp(after, before) == 0, "%s instead of %s", after, before);
	return 0;
}

static int uses_everything(void *arg)
{
	broken(arg);
	starts_a_child(NULL);
	cr_expect(fiber_offload(starts_a_child, NULL) == 0, "nor on a helper");
	return 0;
}

Test(io_signals, children_see_neither_mask_nor_disposition_changed, .timeout = 60)
{
	cr_expect(child_sees(before, sizeof before) == 0);
	law_holds(uses_everything, NULL);
	starts_a_child(NULL);
}

static int same_mask(void *arg)
{
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	for (int number = 1; number < NSIG; number++)
		cr_expect(sigismember(&now, number) == sigismember(arg, number), "%d", number);
	return 0;
}

static int masks(void *arg)
{
	sigset_t mine;

	(void)arg;
	broken(NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &mine);
	cr_expect(!sigismember(&mine, SIGPIPE) && !sigismember(&mine, SIGTERM));
	return fiber_offload(same_mask, &mine);
}

Test(io_signals, the_mask_is_the_callers_everywhere, .timeout = 60)
{
	law_holds(masks, NULL);
}

/* ---- EINTR ------------------------------------------------------------------------------------*/
struct storm {
	pthread_t target;
	_Atomic bool over;
};

static void *sends_signals(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->over)) {
		pthread_kill(s->target, SIGUSR1);
		kill(getpid(), SIGUSR2); /* any thread */
		sched_yield();
	}
	return NULL;
}

struct echo {
	fiber_fd fds[2];
	unsigned rounds;
};

static int answers(void *arg)
{
	struct echo *e = arg;
	char byte;
	ssize_t n;

	while ((n = fiber_read(e->fds[1], &byte, 1)) == 1)
		cr_expect(fiber_write(e->fds[1], &byte, 1) == 1);
	return (int)n;
}

static int asks(void *arg)
{
	struct echo *e = arg;
	char byte;

	for (unsigned i = 0; i < e->rounds; i++) {
		cr_expect(fiber_write(e->fds[0], "x", 1) == 1);
		cr_expect(fiber_read(e->fds[0], &byte, 1) == 1);
		cr_expect(fiber_wait_fd(e->fds[0], POLLOUT) == POLLOUT);
	}
	return 0;
}

static int under_fire(void *arg)
{
	struct storm *storm = arg;
	struct echo e = { .rounds = law_rounds(5000) };
	fiber_fd file = fiber_open("/proc/self/exe", O_RDONLY);
	pthread_t thread;
	char byte;
	fiber_t f;

	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, e.fds) == 0);
	storm->target = pthread_self();
	atomic_store(&storm->over, false);
	cr_expect(pthread_create(&thread, NULL, sends_signals, storm) == 0);
	f = spawned(answers, &e);
	cr_expect(asks(&e) == 0);
	for (int i = 0; i < 100; i++) {
		cr_expect(fiber_read(file, &byte, 1) == 1);
		cr_expect(fiber_sleep(1000) == 0);
	}
	cr_expect(fiber_close(e.fds[0]) == 0);
	cr_expect(result_of(f) == 0);
	atomic_store(&storm->over, true);
	pthread_join(thread, NULL);
	cr_expect(fiber_close(e.fds[1]) == 0);
	return fiber_close(file);
}

Test(io_signals, eintr_never_shows, .timeout = 120)
{
	struct sigaction action = { .sa_handler = count }; /* no SA_RESTART */
	struct storm storm = { 0 };

	cr_expect(sigaction(SIGUSR1, &action, NULL) == 0);
	cr_expect(sigaction(SIGUSR2, &action, NULL) == 0);
	law_holds(under_fire, &storm);
	cr_expect(atomic_load(&raised) > 0);
}

/* ---- close-on-exec ----------------------------------------------------------------------------*/
static unsigned left_open(void)
{
	unsigned open = 0;

	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		open += flags >= 0 && !(flags & FD_CLOEXEC);
	}
	return open;
}

static int makes_all_kinds(void *arg)
{
	unsigned *open_before = arg;
	fiber_fd pair[2], ends[2], socket = fiber_socket(AF_INET, SOCK_DGRAM, 0);
	fiber_fd file = fiber_open("/dev/null", O_RDWR);

	cr_expect(fiber_pipe(ends) == 0);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	cr_expect(FIBER_TIMEOUT(1000, fiber_read(ends[0], &(char){ 0 }, 1)) == -ETIMEDOUT);
	cr_expect(left_open() == *open_before, "%u, not %u", left_open(), *open_before);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(pair[i]) == 0 && fiber_close(ends[i]) == 0);
	cr_expect(fiber_close(socket) == 0);
	return fiber_close(file);
}

Test(io_signals, every_descriptor_is_close_on_exec, .timeout = 30)
{
	unsigned open_before = left_open();

	law_holds(makes_all_kinds, &open_before);
}
