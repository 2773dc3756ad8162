/* A program from start to end: all that it reads and writes, whole, and no pipe that fills up. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "children.h"
#include "until.h"

enum { MUCH = 512 * 1024 };

static const fiber_stdio_t a_pipe = { FIBER_STDIO_PIPE, 0 };

static bool is(const char *bytes, size_t n, const char *expected)
{
	return bytes && n == strlen(expected) && strcmp(bytes, expected) == 0;
}

static int collects(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("cat; echo e >&2; exit 3"), .in = a_pipe,
					    .out = a_pipe, .err = a_pipe };
	fiber_process_result_t r = { .out_bytes = 99 };

	(void)arg;
	cr_expect(fiber_process_run(&r, &options, "hello", 5, 0) == 0);
	cr_expect(is(r.out, r.out_bytes, "hello") && is(r.err, r.err_bytes, "e\n"));
	cr_expect(r.status.code == 3 && r.status.signal == 0);
	fiber_process_result_free(&r);
	cr_expect(r.out == NULL && r.err == NULL);
	options = (fiber_process_options_t){ .argv = SHELL("exit 0"), .out = a_pipe };
	cr_expect(fiber_process_run(&r, &options, NULL, 0, 0) == 0);
	cr_expect(is(r.out, r.out_bytes, "") && r.err == NULL && r.err_bytes == 0);
	fiber_process_result_free(&r);
	options = (fiber_process_options_t){ .argv = SHELL("kill -KILL $$") };
	cr_expect(fiber_process_run(&r, &options, NULL, 0, 0) == 0);
	cr_expect(r.status.code == -1 && r.status.signal == SIGKILL && r.out == NULL);
	fiber_process_result_free(NULL);
	return 0;
}

Test(process_run, it_collects_all_that_was_written_and_the_status, .timeout = 60)
{
	children_law(collects);
}

/* More than pipes hold, each way: the child writes both outputs in turns while it is fed. */
static int no_pipe_fills_up(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("cat; cat /dev/zero | head -c 300000 >&2;"
							  "head -c 300000 /dev/zero"),
					    .in = a_pipe, .out = a_pipe, .err = a_pipe };
	char *input = malloc(MUCH);
	fiber_process_result_t r = { 0 };

	(void)arg;
	memset(input, 'x', MUCH);
	cr_expect(fiber_process_run(&r, &options, input, MUCH, 0) == 0);
	cr_expect(r.out_bytes == MUCH + 300000 && r.err_bytes == 300000);
	cr_expect(r.out && memcmp(r.out, input, MUCH) == 0 && r.out[r.out_bytes] == 0);
	fiber_process_result_free(&r);
	options.argv = SHELL("head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; exec cat");
	cr_expect(fiber_process_run(&r, &options, input, MUCH, 0) == 0);
	cr_expect(r.out_bytes == MUCH + 300000 && r.err_bytes == 300000);
	fiber_process_result_free(&r);
	options.argv = SHELL("head -c 1");
	cr_expect(fiber_process_run(&r, &options, input, MUCH, 0) == 0, "it reads one byte");
	cr_expect(is(r.out, r.out_bytes, "x") && r.status.code == 0);
	fiber_process_result_free(&r);
	free(input);
	return 0;
}

Test(process_run, no_pipe_that_fills_up_stops_it, .timeout = 60)
{
	children_law(no_pipe_fills_up);
}

static int limits(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("head -c 1000 /dev/zero"),
					    .out = a_pipe };
	fiber_process_result_t r = { 0 };

	(void)arg;
	cr_expect(fiber_process_run(&r, &options, NULL, 0, 1000) == 0 && r.out_bytes == 1000);
	fiber_process_result_free(&r);
	cr_expect(fiber_process_run(&r, &options, NULL, 0, 999) == -EMSGSIZE && r.out == NULL);
	options.argv = SHELL("cat /dev/zero");
	cr_expect(fiber_process_run(&r, &options, NULL, 0, 0) == -EMSGSIZE, "1 MiB, not for ever");
	options.argv = SHELL("cat /dev/zero >&2");
	options.err = a_pipe;
	cr_expect(fiber_process_run(&r, &options, NULL, 0, 100000) == -EMSGSIZE);
	return 0;
}

Test(process_run, beyond_its_limit_it_is_stopped_and_nothing_is_kept, .timeout = 60)
{
	children_law(limits);
}

static int mistakes(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("exit 0") };
	fiber_process_options_t missing = { .argv = (char *[]){ (char *)"fiber-no-such", NULL } };
	fiber_process_result_t r = { 0 };

	(void)arg;
	cr_expect(fiber_process_run(NULL, &options, NULL, 0, 0) == -EINVAL);
	cr_expect(fiber_process_run(&r, NULL, NULL, 0, 0) == -EINVAL);
	cr_expect(fiber_process_run(&r, &options, NULL, 1, 0) == -EINVAL);
	cr_expect(fiber_process_run(&r, &options, "x", 1, 0) == -EINVAL, "no pipe for it");
	cr_expect(fiber_process_run(&r, &missing, NULL, 0, 0) == -ENOENT);
	cr_expect(r.out == NULL && r.err == NULL);
	return 0;
}

Test(process_run, mistakes_are_told, .timeout = 60)
{
	children_law(mistakes);
}

/* ---- interrupted ------------------------------------------------------------------------------*/
static int deadline(void *arg)
{
	/* One keeps its pipes and one closes what we wait for; neither ends. */
	static const char *const scripts[] = { "exec sleep 1000",
					       "exec >&- 2>&-; exec sleep 1000" };
	fiber_process_result_t r = { 0 };

	(void)arg;
	for (int i = 0; i < 2; i++) {
		fiber_process_options_t options = { .argv = SHELL(scripts[i]), .out = a_pipe,
						    .err = a_pipe };

		cr_expect(FIBER_TIMEOUT(20 * FIBER_MILLISECOND,
					fiber_process_run(&r, &options, NULL, 0, 0)) == -ETIMEDOUT);
		cr_expect(r.out == NULL);
	}
	return 0;
}

Test(process_run, a_deadline_stops_it, .timeout = 60)
{
	children_law(deadline);
}

static int runs_for_ever(void *arg)
{
	fiber_process_options_t options = { .argv = SHELL("trap '' TERM;"
							  "while :; do sleep 1000; done"),
					    .out = a_pipe, .grace_ns = FIBER_MILLISECOND,
					    .flags = FIBER_PROCESS_GROUP };
	fiber_process_result_t r = { 0 };

	(void)arg;
	return fiber_process_run(&r, &options, NULL, 0, 0);
}

/* The shell's child has the pipe too, and sees no SIGTERM of the shell's: the group does. */
static int cancelled(void *arg)
{
	fiber_t f;
	int result = 0;

	(void)arg;
	cr_expect(fiber_spawn(&f, NULL, runs_for_ever, NULL) == 0);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_cancel(f) == 0 && fiber_join(f, &result) == 0);
	cr_expect(result == -ECANCELED);
	return 0;
}

Test(process_run, a_cancellation_stops_the_whole_group_whatever_it_ignores, .timeout = 60)
{
	for (int without = 0; without < 2; without++) {
		child_without_pidfd = without;
		law_holds(cancelled, NULL);
	}
	cr_expect(children_none());
}
