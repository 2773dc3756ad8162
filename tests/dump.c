/* fiber_dump: while fibers come and go, from inside and outside, and when SIGQUIT asks for it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "os/sanitize.h"
#include "until.h"

static int park(void *arg)
{
	return fiber_park() == -ECANCELED ? (int)(intptr_t)arg : -1;
}

static char *dumped(void)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	cr_expect(fiber_dump(to) == 0);
	fclose(to);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

/* ---- what it says -----------------------------------------------------------------------------*/
static int some_fibers(void *arg)
{
	fiber_attr_t attr = { .name = "sheep", .worker = 1 };
	fiber_group_t g = FIBER_GROUP_INIT;
	char *text;

	(void)arg;
	for (int i = 0; i < 20; i++)
		fiber_group_spawn(&g, &attr, park, NULL);
	for (int i = 0; i < 20; i++)
		fiber_yield();
	text = dumped();
	cr_expect(count(text, "\n  fiber ") == 21, "%s", text);
	cr_expect(count(text, "sheep") == 20 && count(text, "parked in park") == 20, "%s", text);
	cr_expect(count(text, "main") >= 1 && count(text, "running") == 1);
	free(text);
	fiber_group_cancel(&g);
	return fiber_group_wait(&g);
}

Test(dump, it_has_a_line_for_each_fiber, .timeout = 20)
{
	law_holds(some_fibers, NULL);
}

static void *dump_from_a_thread(void *arg)
{
	(void)arg;
	return dumped();
}

static int two_runtimes(void *arg)
{
	fiber_attr_t attr = { .name = "elsewhere" };
	fiber_runtime_t *other;
	pthread_t thread;
	char *text;
	fiber_t f;

	(void)arg;
	cr_expect(fiber_runtime_create(&other, &(fiber_options_t){ .workers = 1 }) == 0);
	attr.runtime = other;
	cr_expect(fiber_spawn(&f, &attr, park, NULL) == 0);
	until_it_waits_for(f, "park");
	text = dumped();
	cr_expect(count(text, "elsewhere") == 0 && count(text, "\n  fiber ") == 1, "only its own");
	free(text);
	cr_expect(!pthread_create(&thread, NULL, dump_from_a_thread, NULL));
	pthread_join(thread, (void **)&text);
	cr_expect(count(text, "elsewhere") == 1 && count(text, "\n  fiber ") == 2, "all");
	free(text);
	cr_expect(fiber_runtime_free(other) == 0);
	return fiber_join(f, NULL);
}

Test(dump, a_plain_thread_sees_all_runtimes, .timeout = 20)
{
	law_holds(two_runtimes, NULL);
	free(dumped());
}

Test(dump, what_cannot_be_written_is_an_error, .timeout = 20)
{
	FILE *full = fopen("/dev/full", "w");

	cr_assert(full != NULL);
	setvbuf(full, NULL, _IONBF, 0);
	cr_expect(fiber_dump(NULL) == -EINVAL);
	if (law_run(1, some_fibers, NULL) == 0)
		fprintf(full, "x");
	cr_expect(fiber_dump(full) == -EIO);
	fclose(full);
}

/* ---- while they churn -------------------------------------------------------------------------*/
static _Atomic bool over;

static int short_life(void *arg)
{
	fiber_scope_t s;

	fiber_set_name("mayfly");
	fiber_within(&s, fiber_after(FIBER_SECOND));
	if ((intptr_t)arg % 2)
		fiber_sleep(10 * FIBER_MICROSECOND);
	else
		fiber_yield();
	return (int)fiber_scope_end(&s, 0);
}

static int breed(void *arg)
{
	while (!atomic_load(&over)) {
		fiber_group_t g = FIBER_GROUP_INIT;

		for (intptr_t i = 0; i < 20; i++)
			fiber_group_spawn(&g, NULL, short_life, (void *)i);
		if (fiber_group_wait(&g) != 0)
			return -1;
	}
	return (int)(intptr_t)arg;
}

static void *look_from_a_thread(void *arg)
{
	fiber_info_t info;

	(void)arg;
	while (!atomic_load(&over)) {
		free(dumped());
		for (uint64_t i = 16; i < 400; i++)
			for (uint64_t generation = 1; generation < 200; generation += 18)
				fiber_info((fiber_t){ generation << 24 | i }, &info);
	}
	return NULL;
}

static int look_while_they_churn(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	pthread_t thread;

	(void)arg;
	atomic_store(&over, false);
	cr_expect(!pthread_create(&thread, NULL, look_from_a_thread, NULL));
	for (int i = 0; i < 8; i++)
		fiber_group_spawn(&g, NULL, breed, NULL);
	for (unsigned i = law_rounds(100); i > 0; i--) {
		free(dumped());
		fiber_sleep(FIBER_MILLISECOND);
	}
	atomic_store(&over, true);
	cr_expect(fiber_group_wait(&g) == 0);
	pthread_join(thread, NULL);
	return 0;
}

Test(dump, it_may_be_taken_at_any_time, .timeout = 60)
{
	law_holds(look_while_they_churn, NULL);
}

static void *look_at_what_ends(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		free(dumped());
		usleep(100);
	}
	return NULL;
}

Test(dump, it_may_be_taken_while_runtimes_come_and_go, .timeout = 60)
{
	pthread_t thread;

	cr_assert(!pthread_create(&thread, NULL, look_at_what_ends, NULL));
	for (unsigned i = law_rounds(300); i > 0; i--)
		cr_expect(law_run(i % 3 + 1, some_fibers, NULL) == 0);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
}

/* ---- SIGQUIT ----------------------------------------------------------------------------------*/
enum { DUMPS = 20 };

static int answers[2];

/* The parent reads each dump before the next is asked for. */
static int ask_for_dumps(void *arg)
{
	fiber_attr_t attr = { .name = "sheep" };
	fiber_t f;
	char go;

	(void)arg;
	if (fiber_spawn(&f, &attr, park, NULL) != 0)
		return 1;
	for (int i = 0; i < DUMPS; i++) {
		kill(getpid(), SIGQUIT);
		while (read(answers[0], &go, 1) != 1)
			fiber_sleep(FIBER_MILLISECOND);
	}
	return fiber_cancel(f);
}

static int child_of_quit(unsigned workers)
{
	fiber_options_t options = { .workers = workers, .flags = FIBER_DUMP_ON_QUIT };
	struct sigaction before, now;

	sigaction(SIGQUIT, NULL, &before); /* ignored, where a shell runs us in the background */
	alarm(20);
	if (fiber_run(&options, ask_for_dumps, NULL) != 0)
		return 1;
	sigaction(SIGQUIT, NULL, &now);
	return now.sa_handler == before.sa_handler ? 0 : 2; /* it was put back */
}

static unsigned read_dumps(int from)
{
	unsigned dumps = 0;
	char line[512];
	FILE *lines = fdopen(from, "r");

	while (fgets(line, sizeof line, lines))
		if (strstr(line, "sheep")) {
			dumps++;
			cr_expect(write(answers[1], "", 1) == 1);
		}
	fclose(lines);
	return dumps;
}

static void quit(unsigned workers)
{
	int errors[2], status = 0;
	pid_t child;

	cr_assert(pipe(errors) == 0 && pipe2(answers, O_NONBLOCK) == 0);
	child = fork();
	if (child == 0) {
		dup2(errors[1], STDERR_FILENO);
		close(errors[1]);
		_exit(child_of_quit(workers));
	}
	close(errors[1]);
	cr_expect(read_dumps(errors[0]) == DUMPS);
	waitpid(child, &status, 0);
	cr_expect(status == 0, "%#x", status);
}

Test(dump, sigquit_prints_one_each_time, .timeout = 60)
{
	quit(1);
#if !defined(FB_TSAN) /* starts no threads in a forked child */
	quit(2);
	quit(8);
#endif
}
