/* Child processes: how they start, what they inherit, how they end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "children.h"
#include "until.h"

/* ---- how they end -----------------------------------------------------------------------------*/
static int statuses(void *arg)
{
	fiber_process_t p;
	fiber_process_status_t status = { -2, -2 };

	(void)arg;
	p = child_started(&(fiber_process_options_t){ .argv = SHELL("exit 0") });
	cr_expect(child_ends_with(&p, 0, 0));
	p = child_started(&(fiber_process_options_t){ .argv = SHELL("exit 255") });
	cr_expect(fiber_process_wait(&p, NULL) == 0);
	cr_expect(fiber_process_wait(&p, &status) == 0 && status.code == 255, "asked again");
	cr_expect(fiber_process_kill(&p, SIGTERM) == -ESRCH);
	cr_expect(fiber_process_close(&p) == 0);
	cr_expect(p.pid == 0 && fiber_process_close(&p) == 0, "nothing is closed twice");
	p = child_started(&(fiber_process_options_t){ .argv = SHELL("kill -USR1 $$") });
	cr_expect(child_ends_with(&p, -1, SIGUSR1));
	return 0;
}

Test(process, its_status_says_how_it_ended, .timeout = 60)
{
	children_law(statuses);
}

/* It runs until it is killed: nothing is ever written to it. */
static const fiber_process_options_t endless = { .argv = (char *[]){ (char *)"cat", NULL },
						 .in = { FIBER_STDIO_PIPE, 0 } };

static int kills(void *arg)
{
	fiber_process_t p = child_started(&endless);

	(void)arg;
	cr_expect(fiber_process_kill(&p, 0) == 0, "it is there");
	cr_expect(fiber_process_kill(&p, -1) == -EINVAL);
	cr_expect(fiber_process_kill(&p, 10000) == -EINVAL);
	cr_expect(fiber_process_kill(&p, SIGKILL) == 0);
	return child_ends_with(&p, -1, SIGKILL) ? 0 : -1;
}

Test(process, a_signal_reaches_it, .timeout = 60)
{
	children_law(kills);
}

/* ---- waiting ----------------------------------------------------------------------------------*/
static int interrupted(void *arg)
{
	fiber_process_t p = child_started(&endless);
	int64_t long_ago = 1;

	(void)arg;
	cr_expect(fiber_process_wait_until(&p, NULL, fiber_after(1)) == -ETIMEDOUT);
	cr_expect(fiber_process_wait_until(&p, NULL, fiber_after(3000000)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(1, fiber_process_wait(&p, NULL)) == -ETIMEDOUT);
	cr_expect(fiber_process_kill(&p, SIGTERM) == 0, "it goes on");
	cr_expect(fiber_process_wait_until(&p, NULL, FIBER_NEVER) == 0);
	cr_expect(fiber_process_wait_until(&p, NULL, long_ago) == 0, "what is there is taken");
	return child_ends_with(&p, -1, SIGTERM) ? 0 : -1;
}

Test(process, a_wait_ends_at_its_deadline_and_the_process_goes_on, .timeout = 60)
{
	children_law(interrupted);
}

static int waits_alone(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("sleep 0.05") };
	fiber_process_t p = child_started(&options);

	(void)arg;
	return child_ends_with(&p, 0, 0) ? 0 : -1;
}

Test(process, to_wait_for_a_child_is_no_deadlock, .timeout = 60)
{
	for (int without = 0; without < 2; without++) {
		child_without_pidfd = without;
		law_holds_with(&(fiber_options_t){ .flags = FIBER_ONLY_FIBERS }, waits_alone, NULL);
	}
}

static int waits(void *process)
{
	return fiber_process_wait(process, NULL);
}

static int cancelled(void *arg)
{
	fiber_process_t p = child_started(&endless);
	fiber_t f[3];
	int result = -1;

	(void)arg;
	if (!fiber_runtime())
		return fiber_process_close(&p);
	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_spawn(&f[i], NULL, waits, &p) == 0);
		until_it_waits_for(f[i], child_without_pidfd ? "chan recv" : "child");
	}
	cr_expect(fiber_cancel(f[1]) == 0 && fiber_join(f[1], &result) == 0);
	cr_expect(result == -ECANCELED);
	cr_expect(fiber_process_close_input(&p) == 0);
	for (int i = 0; i < 3; i += 2)
		cr_expect(fiber_join(f[i], &result) == 0 && result == 0, "each sees the end");
	return child_ends_with(&p, 0, 0) ? 0 : -1;
}

Test(process, several_wait_for_one_and_each_can_be_cancelled, .timeout = 60)
{
	children_law(cancelled);
}

static int born_cancelled(void *arg)
{
	fiber_process_t p = FIBER_PROCESS_INIT;

	(void)arg;
	cr_expect(fiber_cancel(fiber_self()) == 0);
	cr_expect(fiber_process_start(&p, &endless) == -ECANCELED && p.pid == 0);
	return 0;
}

static int cancelled_before(void *arg)
{
	fiber_t f;
	int result = -1;

	(void)arg;
	cr_expect(fiber_spawn(&f, NULL, born_cancelled, NULL) == 0);
	return fiber_join(f, &result) == 0 ? result : -1;
}

Test(process, who_is_cancelled_starts_none, .timeout = 60)
{
	law_holds(cancelled_before, NULL);
	cr_expect(children_none());
}

/* ---- mistakes ---------------------------------------------------------------------------------*/
static int start(fiber_process_options_t options)
{
	fiber_process_t p = FIBER_PROCESS_INIT;
	int r = fiber_process_start(&p, &options);

	cr_expect(r < 0 && p.pid == 0);
	if (r == 0)
		fiber_process_close(&p);
	return r;
}

static int mistakes(void *arg)
{
	char *none[] = { NULL }, *missing[] = { (char *)"fiber-no-such-program", NULL };
	char *absent[] = { (char *)"/dev/null/sh", NULL }, *folder[] = { (char *)"/", NULL };
	fiber_process_t p = FIBER_PROCESS_INIT;

	(void)arg;
	cr_expect(fiber_process_start(NULL, &endless) == -EINVAL);
	cr_expect(fiber_process_start(&p, NULL) == -EINVAL);
	cr_expect(FIBER_TIMEOUT(0, fiber_process_start(&p, &endless)) == -ETIMEDOUT && p.pid == 0);
	cr_expect(start((fiber_process_options_t){ 0 }) == -EINVAL);
	cr_expect(start((fiber_process_options_t){ .argv = none }) == -EINVAL);
	cr_expect(start((fiber_process_options_t){ .argv = missing }) == -ENOENT);
	cr_expect(start((fiber_process_options_t){ .argv = missing, .program = "" }) == -ENOENT);
	cr_expect(start((fiber_process_options_t){ .argv = absent }) == -ENOTDIR);
	cr_expect(start((fiber_process_options_t){ .argv = folder }) == -EACCES);
	cr_expect(start((fiber_process_options_t){ .argv = SHELL(""), .cwd = "/none" }) == -ENOENT);
	cr_expect(start((fiber_process_options_t){ .argv = SHELL(""), .flags = 8 }) == -EINVAL);
	cr_expect(start((fiber_process_options_t){ .argv = SHELL(""), .reserved = { 1 } }) ==
		  -EINVAL);
	cr_expect(start((fiber_process_options_t){ .argv = SHELL(""), .in = { 9, 0 } }) == -EINVAL);
	cr_expect(start((fiber_process_options_t){
			  .argv = SHELL(""), .out = { FIBER_STDIO_SAME_AS_OUT, 0 } }) == -EINVAL);
	cr_expect(start((fiber_process_options_t){ .argv = SHELL(""),
						   .in = { FIBER_STDIO_FD, 9999 } }) == -EBADF);
	cr_expect(start((fiber_process_options_t){ .argv = SHELL(""),
						   .in = { FIBER_STDIO_PIPE, 0 },
						   .err = { FIBER_STDIO_FD, -1 } }) == -EBADF);
	cr_expect(fiber_process_wait(NULL, NULL) == -EINVAL);
	cr_expect(fiber_process_wait(&p, NULL) == -EINVAL);
	cr_expect(fiber_process_kill(&p, SIGTERM) == -EINVAL);
	cr_expect(fiber_process_stop(&p, 0, NULL) == -EINVAL);
	cr_expect(fiber_process_close_input(&p) == -EBADF);
	cr_expect(fiber_process_close(NULL) == -EINVAL && fiber_process_close(&p) == 0);
	return 0;
}

Test(process, mistakes_are_told_and_leave_nothing_behind, .timeout = 60)
{
	children_law(mistakes);
}

/* With few enough it says so; with a few more it does without a pidfd; then it has all it needs. */
static int few_descriptors(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("echo x; echo y >&2; exit 5"),
					    .in = { FIBER_STDIO_PIPE, 0 },
					    .out = { FIBER_STDIO_PIPE, 0 },
					    .err = { FIBER_STDIO_PIPE, 0 } };
	struct rlimit before, few;
	unsigned started = 0, refused = 0;

	(void)arg;
	getrlimit(RLIMIT_NOFILE, &before);
	for (rlim_t n = 3; n < 64 && started < 5; n++) {
		fiber_process_t p = FIBER_PROCESS_INIT;
		int r;

		few = (struct rlimit){ n, before.rlim_max };
		setrlimit(RLIMIT_NOFILE, &few);
		r = fiber_process_start(&p, &options);
		setrlimit(RLIMIT_NOFILE, &before);
		cr_expect(r == 0 || r == -EMFILE, "%d", r);
		refused += r < 0;
		started += r == 0 && child_ends_with(&p, 5, 0);
	}
	cr_expect(refused > 0 && started == 5, "%u, %u", refused, started);
	return 0;
}

Test(process, without_descriptors_it_says_so_and_leaves_none, .timeout = 60)
{
	children_law(few_descriptors);
}

/* ---- what they inherit ------------------------------------------------------------------------*/
static void says(const fiber_process_options_t *options, const char *expected)
{
	fiber_process_t p = child_started(options);
	char text[4096] = "";

	cr_expect(fiber_read_full(p.out, text, sizeof text - 1, NULL) >= 0);
	cr_expect(strcmp(text, expected) == 0, "%s, not %s", expected, text);
	cr_expect(child_ends_with(&p, 0, 0));
}

static int places(void *arg)
{
	char *env[] = { (char *)"FIBER_LAW=holds", (char *)"PATH=/usr/bin:/bin", NULL };
	char *argv[] = { (char *)"another name", (char *)"-c", (char *)"echo \"$0\"", NULL };

	(void)arg;
	says(&(fiber_process_options_t){ .argv = SHELL("pwd; echo $FIBER_LAW $HOME"), .env = env,
					 .cwd = "/usr", .out = { FIBER_STDIO_PIPE, 0 } },
	     "/usr\nholds\n");
	says(&(fiber_process_options_t){ .argv = argv, .program = "sh",
					 .out = { FIBER_STDIO_PIPE, 0 } }, "another name\n");
	says(&(fiber_process_options_t){ .argv = SHELL("exec ./true; echo no"), .cwd = "/usr/bin",
					 .out = { FIBER_STDIO_PIPE, 0 } }, "");
	return 0;
}

Test(process, it_runs_where_and_with_what_it_was_told, .timeout = 60)
{
	children_law(places);
}

static int standard(void *arg)
{
	fiber_fd file[2];
	char byte = 0;

	(void)arg;
	says(&(fiber_process_options_t){ .argv = SHELL("cat; echo x >&2; echo out"),
					 .in = { FIBER_STDIO_NULL, 0 },
					 .err = { FIBER_STDIO_NULL, 0 },
					 .out = { FIBER_STDIO_PIPE, 0 } }, "out\n");
	says(&(fiber_process_options_t){ .argv = SHELL("echo err >&2"),
					 .err = { FIBER_STDIO_SAME_AS_OUT, 0 },
					 .out = { FIBER_STDIO_PIPE, 0 } }, "err\n");
	cr_expect(pipe2(file, O_CLOEXEC) == 0);
	cr_expect(write(file[1], "k", 1) == 1);
	says(&(fiber_process_options_t){ .argv = SHELL("head -c 1; echo e >&2"),
					 .in = { FIBER_STDIO_FD, file[0] },
					 .err = { FIBER_STDIO_FD, file[1] },
					 .out = { FIBER_STDIO_PIPE, 0 } }, "k");
	cr_expect(read(file[0], &byte, 1) == 1 && byte == 'e', "and it is still ours");
	close(file[0]);
	close(file[1]);
	return 0;
}

Test(process, its_standard_descriptors_are_what_was_asked_for, .timeout = 60)
{
	children_law(standard);
}

/* 0, 1 and 2 are all free, and each asks for another's number: nothing is overwritten. */
static int low_numbers(void *arg)
{
	int kept[3], ends[2];
	fiber_process_t p;
	char text[16] = "";

	(void)arg;
	for (int i = 0; i < 3; i++) {
		kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		close(i);
	}
	p = child_started(&(fiber_process_options_t){ .argv = SHELL("cat; cat >&2 </dev/null"),
						      .in = { FIBER_STDIO_PIPE, 0 },
						      .out = { FIBER_STDIO_PIPE, 0 },
						      .err = { FIBER_STDIO_PIPE, 0 } });
	cr_expect(fiber_write_all(p.in, "through", 7, NULL) == 7);
	cr_expect(fiber_process_close_input(&p) == 0);
	cr_expect(fiber_read_full(p.out, text, sizeof text, NULL) == 7);
	cr_expect(strcmp(text, "through") == 0);
	cr_expect(child_ends_with(&p, 0, 0));
	cr_expect(pipe(ends) == 0 && ends[0] == 0 && ends[1] == 1);
	p = child_started(&(fiber_process_options_t){ .argv = SHELL("echo swapped"),
						      .in = { FIBER_STDIO_FD, 1 },
						      .out = { FIBER_STDIO_FD, 1 },
						      .err = { FIBER_STDIO_FD, 0 } });
	cr_expect(child_ends_with(&p, 0, 0));
	cr_expect(read(0, text, sizeof text) == 8 && memcmp(text, "swapped\n", 8) == 0);
	for (int i = 0; i < 3; i++) {
		cr_expect(dup2(kept[i], i) == i);
		close(kept[i]);
	}
	return 0;
}

Test(process, low_numbers_do_not_overwrite_each_other, .timeout = 60)
{
	children_law(low_numbers);
}

static int inherits(void *arg)
{
	fiber_fd ends[2];
	sigset_t all, before;

	(void)arg;
	cr_expect(fiber_pipe(ends) == 0);
	sigfillset(&all);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	/* Signals 1 to 31: the C library itself ignores 32 and 33 there. The list of descriptors is
	 * 0, 1, 2 and that of the list. */
	says(&(fiber_process_options_t){
		     .argv = SHELL("while read name set; do case $name in SigBlk:|SigIgn:)"
				   "  echo $name $((0x$set & 0x7fffffff));;"
				   "esac; done </proc/self/status;"
				   "ls /proc/self/fd | tr '\n' ' '"),
		     .out = { FIBER_STDIO_PIPE, 0 } },
	     "SigBlk: 0\nSigIgn: 0\n0 1 2 3 ");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	cr_expect(fiber_close(ends[0]) == 0 && fiber_close(ends[1]) == 0);
	return 0;
}

/* Criterion's own descriptors are not close-on-exec; they are made so. */
Test(process, no_signal_and_no_other_descriptor_comes_with_it, .timeout = 60)
{
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	children_law(inherits);
}

/* Ours do not block, and theirs do: `head` would fail with EAGAIN. */
static int flags(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("head -n 1 && exec head -n 1"),
					    .in = { FIBER_STDIO_PIPE, 0 },
					    .out = { FIBER_STDIO_PIPE, 0 } };
	fiber_process_t p = child_started(&options);
	char line[2];

	(void)arg;
	cr_expect(fcntl(p.in, F_GETFL) & O_NONBLOCK && fcntl(p.out, F_GETFL) & O_NONBLOCK);
	cr_expect(fcntl(p.in, F_GETFD) == FD_CLOEXEC && fcntl(p.out, F_GETFD) == FD_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		cr_expect(fiber_write_all(p.in, "a\n", 2, NULL) == 2);
		cr_expect(fiber_read_full(p.out, line, 2, NULL) == 2 && line[0] == 'a');
	}
	return child_ends_with(&p, 0, 0) ? 0 : -1;
}

Test(process, our_ends_of_pipes_do_not_block_and_theirs_do, .timeout = 60)
{
	children_law(flags);
}
