/* A fork in the middle of I/O. The child shares open files with its parent, and through them what
 * the kernel watches; it must disturb nothing of that, and the parent goes on as if nothing had
 * been. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "os/sanitize.h"
#include "waits.h"

enum { PAIRS = 8 };

struct talk {
	fiber_fd fds[2];
	_Atomic unsigned echoes;
};

static int echoes(void *arg)
{
	struct talk *t = arg;
	char buffer[64];
	ssize_t n;

	while ((n = fiber_read(t->fds[1], buffer, sizeof buffer)) > 0) {
		cr_expect(fiber_write_all(t->fds[1], buffer, (size_t)n, NULL) == n);
		atomic_fetch_add(&t->echoes, 1);
	}
	return (int)n;
}

static void ask(struct talk *t)
{
	char answer[4] = "";

	cr_expect(fiber_write(t->fds[0], "ask", 3) == 3);
	cr_expect(fiber_read_full(t->fds[0], answer, 3, NULL) == 3);
	cr_expect(memcmp(answer, "ask", 3) == 0);
}

/* ---- the child --------------------------------------------------------------------------------*/
static int in_a_new_runtime(void *arg)
{
	struct talk t = { 0 };
	fiber_t f;
	int result = 1;

	(void)arg;
	if (fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, t.fds) < 0 ||
	    fiber_spawn(&f, NULL, echoes, &t) < 0)
		return 10;
	for (int i = 0; i < 10; i++)
		ask(&t);
	fiber_close(t.fds[0]);
	fiber_join(f, &result);
	fiber_close(t.fds[1]);
	return result == 0 && fiber_open("/dev/null", 0) >= 0 ? 0 : 11;
}

/* Which promise the child found broken; 0: none. */
static int child(struct talk *talks)
{
	struct pollfd set = { .fd = talks[0].fds[0], .events = POLLIN };
	char byte;

	if (fiber_read(talks[0].fds[1], &byte, 1) != -ECHILD)
		return 1;
	if (fiber_write(talks[0].fds[0], "x", 1) != -ECHILD)
		return 2;
	if (fiber_poll(&set, 1, 0) != -ECHILD || fiber_wait_fd(set.fd, POLLIN) != -ECHILD)
		return 3;
	if (fiber_pread(talks[0].fds[0], &byte, 1, 0) != -ECHILD)
		return 4;
	if (fiber_offload(in_a_new_runtime, NULL) != -ECHILD)
		return 5;
	for (int i = 0; i < PAIRS; i++) /* the parent's fibers wait on these */
		if (fiber_close(talks[i].fds[0]) != 0 || fiber_close(talks[i].fds[1]) != 0)
			return 6;
	if (fiber_close(talks[0].fds[0]) != -EBADF)
		return 7;
#if !defined(FB_TSAN) /* which allows no threads in a child */
	return fiber_run(&(fiber_options_t){ .workers = 2 }, in_a_new_runtime, NULL);
#else
	return 0;
#endif
}

/* ---- the parent -------------------------------------------------------------------------------*/
static int fork_once(struct talk *talks)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(child(talks));
	while (waitpid(pid, &status, WNOHANG) == 0)
		for (int i = 0; i < PAIRS; i++)
			ask(&talks[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static int forks(void *arg)
{
	struct talk talks[PAIRS] = { 0 };
	fiber_t f[PAIRS];

	(void)arg;
	for (int i = 0; i < PAIRS; i++) {
		cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, talks[i].fds) == 0);
		f[i] = spawned(echoes, &talks[i]);
		until_it_waits_for(f[i], "read");
	}
	for (int i = 0; i < 5; i++) {
		int broken = fork_once(talks);

		cr_expect(broken == 0, "the child says %d", broken);
	}
	for (int i = 0; i < PAIRS; i++) {
		ask(&talks[i]);
		cr_expect(fiber_close(talks[i].fds[0]) == 0);
		cr_expect(result_of(f[i]) == 0, "the end is seen: nobody else holds it open");
		cr_expect(fiber_close(talks[i].fds[1]) == 0);
	}
	return 0;
}

Test(io_fork, the_parent_goes_on_and_the_child_begins_anew, .timeout = 60)
{
	law_holds(forks, NULL);
}
