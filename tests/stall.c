/* The stall detector: a fiber that holds its worker for too long is reported, in time, by name,
 * with where it is; others are not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fiber/io.h>

#include "law.h"
#include "os/sanitize.h"
#include "worlds.h"

/* ---- what the library says on stderr ----------------------------------------------------------*/
static char said[1 << 16];
static FILE *file;

static int run_and_listen(const fiber_options_t *options, fiber_fn *main, void *arg)
{
	int kept = dup(STDERR_FILENO), r;
	size_t bytes;

	file = tmpfile();
	dup2(fileno(file), STDERR_FILENO);
	r = fiber_run(options, main, arg);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	bytes = fread(said, 1, sizeof said - 1, file);
	said[bytes] = 0;
	fclose(file);
	return r;
}

static off_t bytes_said(void)
{
	struct stat about;

	return fstat(fileno(file), &about) == 0 ? about.st_size : -1;
}

#define says(what) cr_expect(what, "\"%s\"", said)

static unsigned times(const char *what)
{
	unsigned n = 0;

	for (const char *at = said; (at = strstr(at, what)); at++)
		n++;
	return n;
}

static unsigned long long number_after(const char *what, int base)
{
	const char *at = strstr(said, what);

	return at ? strtoull(at + strlen(what), NULL, base) : 0;
}

/* ---- a stall ----------------------------------------------------------------------------------*/
/* Holds its worker until the library has said something. */
static __attribute__((__noinline__)) int stalls(void *arg)
{
	off_t before;

	fprintf(file, "id=%#llx\n", (unsigned long long)fiber_self().id);
	fflush(file);
	before = bytes_said();
	while (bytes_said() == before)
		usleep(1000);
	fiber_yield();
	return arg != NULL;
}

static int stall_in_one(void *arg)
{
	fiber_attr_t attr = { .name = "miller", .worker = (unsigned)(uintptr_t)arg };
	fiber_t f;

	cr_expect(fiber_spawn(&f, &attr, stalls, NULL) == 0);
	return result_of(f);
}

/* A busy machine may keep the thread that looks from its processor: once is enough. */
static bool reported_in_time(const fiber_options_t *options, void *worker)
{
	unsigned long long held;

	cr_expect(run_and_listen(options, stall_in_one, worker) == 0);
	held = number_after("has held worker ", 10);
	says(held == (uintptr_t)worker);
	held = number_after("worker 1 for ", 10) + number_after("worker 2 for ", 10);
	says(held >= 400);
	return held <= 800;
}

static void backtrace_names_it(void)
{
	bool found = false;

	says(strstr(said, "backtrace, innermost first:") != NULL);
	for (const char *at = said; (at = strstr(at, "[0x")); at++)
		found |= strtoull(at + 1, NULL, 16) - (uintptr_t)stalls < 1000; /* it is short */
	says(found);
}

static void finds_it(unsigned workers, uintptr_t worker)
{
	fiber_options_t options = { .workers = workers, .stall_ns = 400 * FIBER_MILLISECOND };
	bool in_time = false;

	for (int i = 0; i < 5 && !in_time; i++) {
		in_time = reported_in_time(&options, (void *)worker);
		says(strstr(said, "\"miller\"") != NULL);
		says(number_after("stall: fiber ", 16) == number_after("id=", 16));
		says(times("stall: ") == 1);
		backtrace_names_it();
		sleep(1); /* two reports are a second apart */
	}
	cr_expect(in_time);
}

Test(stall, a_fiber_that_holds_its_worker_is_reported_in_time, .timeout = 60)
{
	finds_it(1, 1);
	finds_it(2, 2);
}

/* ---- the signal -------------------------------------------------------------------------------*/
struct reading {
	int fds[2];
	_Atomic bool said;
};

static void *writes_when_it_was_said(void *arg)
{
	struct reading *r = arg;
	off_t before = bytes_said();

	while (bytes_said() == before)
		usleep(1000);
	usleep(20000);
	return write(r->fds[1], "x", 1) == 1 ? NULL : arg;
}

/* A system call without the library, in which it stalls. */
static int reads_blocking(void *arg)
{
	struct reading *r = arg;
	pthread_t thread;
	ssize_t n;
	char byte;

	cr_expect(pthread_create(&thread, NULL, writes_when_it_was_said, r) == 0);
	n = read(r->fds[0], &byte, 1);
	cr_expect(n == 1, "not interrupted: %zd", n);
	pthread_join(thread, NULL);
	return 0;
}

Test(stall, the_system_call_that_holds_it_goes_on, .timeout = 60)
{
	fiber_options_t options = { .workers = 1, .stall_ns = 20 * FIBER_MILLISECOND };
	struct reading r = { .said = false };

	cr_expect(pipe(r.fds) == 0);
	cr_expect(run_and_listen(&options, reads_blocking, &r) == 0);
	says(strstr(said, "has held worker 1") != NULL);
	says(strstr(said, "did not answer") == NULL);
	close(r.fds[0]);
	close(r.fds[1]);
}

/* ---- none -------------------------------------------------------------------------------------*/
static int helpful(void *arg)
{
	(void)arg;
	usleep(40000);
	return 0;
}

/* Each stretch of running is shorter than the limit, and there is nobody to run in between. */
static int polite(void *arg)
{
	(void)arg;
	for (int i = 0; i < 40; i++) {
		usleep(5000);
		fiber_yield();
	}
	cr_expect(fiber_sleep(200 * FIBER_MILLISECOND) == 0);
	cr_expect(fiber_offload(helpful, NULL) == 0);
	cr_expect(fiber_blocking_begin() == 0);
	usleep(200000);
	cr_expect(fiber_blocking_end() == 0);
	return 0;
}

Test(stall, who_yields_parks_or_blocks_elsewhere_is_not_reported, .timeout = 60)
{
	fiber_options_t options = { .workers = 2, .stall_ns = 100 * FIBER_MILLISECOND };

	for (int i = 0; i < 5; i++) { /* a busy machine may stall it in earnest */
		cr_expect(run_and_listen(&options, polite, NULL) == 0);
		if (!*said)
			break;
	}
	says(*said == 0);
}

static int stalls_for_a_while(void *arg)
{
	(void)arg;
	usleep(50000);
	return 0;
}

Test(stall, nothing_is_reported_by_default, .timeout = 60)
{
	cr_expect(run_and_listen(NULL, stalls_for_a_while, NULL) == 0);
	says(*said == 0);
	setenv("FIBER_STALL_MS", "nonsense", 1);
	cr_expect(run_and_listen(NULL, stalls_for_a_while, NULL) == 0);
	says(*said == 0);
}

Test(stall, the_environment_asks_for_it_too, .timeout = 60)
{
	setenv("FIBER_STALL_MS", "10", 1);
	cr_expect(run_and_listen(&(fiber_options_t){ .workers = 1 }, stall_in_one, (void *)1) == 0);
	says(times("stall: ") >= 1);
}

/* ---- many -------------------------------------------------------------------------------------*/
static int stall_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 6; i++) {
		usleep(20000);
		fiber_yield();
	}
	return 0;
}

/* Six stalls within a second make one report, and the first of the next second tells of them. */
static int stall_again(void *arg)
{
	stall_often(arg);
	cr_expect(fiber_sleep(FIBER_SECOND) == 0);
	return stalls(arg);
}

Test(stall, reports_are_a_second_apart, .timeout = 60)
{
	fiber_options_t options = { .workers = 1, .stall_ns = 5 * FIBER_MILLISECOND };
	unsigned long long left_out;

	cr_expect(run_and_listen(&options, stall_again, NULL) == 0);
	says(times("stall: ") >= 2);
	left_out = number_after("  (", 10);
	says(left_out >= 1 && left_out <= 10); /* on a busy machine some more, or less, than five */
}

/* In a child there is no thread that looks, until there is a runtime of its own. */
#if !defined(FB_TSAN)
static int forks(void *arg)
{
	fiber_options_t options = { .workers = 1, .stall_ns = 10 * FIBER_MILLISECOND };
	int status = -1;
	pid_t child;

	fflush(file);
	child = fork();
	if (child == 0)
		_exit(fiber_run(&options, stall_in_one, arg) == 0 ? 0 : 1);
	cr_expect(waitpid(child, &status, 0) == child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", status);
	return 0;
}

Test(stall, a_forked_child_looks_for_itself, .timeout = 60)
{
	fiber_options_t options = { .workers = 2, .stall_ns = 20 * FIBER_SECOND };

	cr_expect(run_and_listen(&options, forks, (void *)1) == 0);
	says(times("stall: ") >= 1);
}
#endif

Test(stall, misuse_is_told, .timeout = 30)
{
	cr_expect(fiber_run(&(fiber_options_t){ .stall_ns = -1 }, polite, NULL) == -EINVAL);
}
