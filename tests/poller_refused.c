/* Where io_uring is refused, as many containers refuse it: here by a system call filter. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "law.h"
#include "poller/poller.h"

/* Of this process, for good. False: not here (an emulator). */
static bool refuse(unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};

	unsetenv("FIBER_POLLER");
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int echo_once(void *unused)
{
	fiber_fd ends[2];
	char byte;

	(void)unused;
	cr_expect(fiber_pipe(ends) == 0);
	cr_expect(fiber_write(ends[1], "x", 1) == 1 && fiber_read(ends[0], &byte, 1) == 1);
	fiber_close(ends[0]);
	fiber_close(ends[1]);
	return 7;
}

static void expect_the_next_best(void)
{
	const struct poller_ops *ops = poller_choose(NULL);

	cr_expect(ops && strcmp(ops->name, "io_uring") != 0);
	cr_expect(fiber_run(NULL, echo_once, NULL) == 7);
	/* Who insists is told. */
	cr_expect(fiber_run(&(fiber_options_t){.poller = "io_uring"}, echo_once, NULL) == -ENOTSUP);
	setenv("FIBER_POLLER", "io_uring", 1);
	cr_expect(fiber_run(NULL, echo_once, NULL) == -ENOTSUP);
	setenv("FIBER_POLLER", "poll", 1);
	cr_expect(fiber_run(NULL, echo_once, NULL) == 7);
	law_no_leaks();
}

Test(poller_refused, a_sandbox_gets_the_next_best, .timeout = 20)
{
	if (!refuse(EPERM))
		cr_skip_test("no system call filters here");
	expect_the_next_best();
}

Test(poller_refused, so_does_a_kernel_that_has_none, .timeout = 20)
{
	if (!refuse(ENOSYS))
		cr_skip_test("no system call filters here");
	expect_the_next_best();
}

Test(poller_refused, so_does_an_older_kernel, .timeout = 20)
{
	if (!refuse(EINVAL))
		cr_skip_test("no system call filters here");
	expect_the_next_best();
}
