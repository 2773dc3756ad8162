/* runner.c - the list of tests, what a test says, and the loop that runs them all; see runner.h. */
#include "runner.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/parameterized.h>

enum { NAME = 256, JOBS_MOST = 16 };
#define SECONDS 60.0

/* How much longer than said a test may take, where everything is slower. */
#if !defined(RUNNER_PATIENCE)
#define RUNNER_PATIENCE 1
#endif

static struct runner_test *tests;
static struct runner_suite *suites;
static _Atomic unsigned failures;
static const char *running; /* its name, in a test's process */

void runner_add_test(struct runner_test *t)
{
	t->next = tests;
	tests = t;
}

void runner_add_suite(struct runner_suite *s)
{
	s->next = suites;
	suites = s;
}

/* ---- in a test's process ----------------------------------------------------------------------*/
static void say(const char *file, int line, const char *what, const char *format, va_list list)
{
	char text[1024];

	vsnprintf(text, sizeof text, format, list);
	fprintf(stderr, "%s:%d: expected: %s%s%s\n", file, line, what, text[1] ? ":" : "", text);
	fflush(stderr);
}

void runner_failed(const char *file, int line, const char *what, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say(file, line, what, format, list);
	va_end(list);
	atomic_fetch_add(&failures, 1);
}

void runner_failed_at_once(const char *file, int line, const char *what, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say(file, line, what, format, list);
	va_end(list);
	_Exit(RUNNER_FAILED);
}

void runner_skip(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	fprintf(stderr, "left out %s:", running); /* what tally.py looks for */
	vfprintf(stderr, format, list);
	fprintf(stderr, "\n");
	va_end(list);
	fflush(stderr);
	_Exit(RUNNER_SKIPPED);
}

void runner_log(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
}

static const struct runner_about *of_suite(const char *suite)
{
	static const struct runner_about none;

	for (struct runner_suite *s = suites; s; s = s->next)
		if (strcmp(s->suite, suite) == 0)
			return &s->about;
	return &none;
}

static struct criterion_test_params parameters(const struct runner_test *t)
{
	return ((struct criterion_test_params (*)(void))t->parameters)();
}

static void call(const struct runner_test *t, size_t nth)
{
	struct criterion_test_params all;

	if (!t->parameters) {
		t->body();
		return;
	}
	all = parameters(t);
	((void (*)(void *))t->body)((char *)all.params + nth * all.size);
}

static int run_here(const struct runner_test *t, size_t nth)
{
	const struct runner_about *suite = of_suite(t->suite);
	void (*init)(void) = t->about.init ? t->about.init : suite->init;
	void (*fini)(void) = t->about.fini ? t->about.fini : suite->fini;

	if (init)
		init();
	call(t, nth);
	if (fini)
		fini();
	return atomic_load(&failures) ? RUNNER_FAILED : RUNNER_PASSED;
}

/* ---- one test, of many ------------------------------------------------------------------------*/
struct job {
	const struct runner_test *test;
	char name[NAME];
	double seconds;
};

static void name_of(const struct runner_test *t, size_t nth, char out[NAME])
{
	if (t->parameters)
		snprintf(out, NAME, "%s::%s#%zu", t->suite, t->name, nth);
	else
		snprintf(out, NAME, "%s::%s", t->suite, t->name);
}

static size_t count_of(const struct runner_test *t)
{
	return t->parameters ? parameters(t).length : 1;
}

static int run_named(const char *name)
{
	char text[NAME];

	for (struct runner_test *t = tests; t; t = t->next)
		for (size_t nth = 0; nth < count_of(t); nth++) {
			name_of(t, nth, text);
			if (strcmp(text, name) != 0)
				continue;
			running = name;
			return run_here(t, nth);
		}
	fprintf(stderr, "no test %s\n", name);
	return 2;
}

static bool report(const struct job *job, int status, const char *how)
{
	switch (status) {
	case RUNNER_PASSED:
		printf("ok - %s\n", job->name);
		break;
	case RUNNER_SKIPPED:
		printf("ok - %s # SKIP see its message\n", job->name);
		break;
	case RUNNER_FAILED:
		printf("not ok - %s\n", job->name);
		break;
	case RUNNER_TIMED_OUT:
		printf("not ok - %s\n# %s: took more than %g s\n", job->name, job->name,
		       job->seconds);
		break;
	default:
		printf("not ok - %s\n# %s: ended with status %d%s\n", job->name, job->name, status,
		       how);
	}
	fflush(stdout);
	return status == RUNNER_PASSED || status == RUNNER_SKIPPED;
}

struct jobs {
	size_t most, n;
	struct job job[JOBS_MOST];
	struct runner_process *process[JOBS_MOST];
	bool good;
};

static void end_one(struct jobs *j)
{
	char how[128];
	int status;
	size_t i = runner_wait(j->process, j->n, &status, how, sizeof how);

	j->good &= report(&j->job[i], status, how);
	j->n--;
	j->job[i] = j->job[j->n];
	j->process[i] = j->process[j->n];
}

static void start_one(struct jobs *j, const struct runner_test *t, size_t nth)
{
	struct job *job = &j->job[j->n];
	const struct runner_about *suite = of_suite(t->suite);

	job->test = t;
	job->seconds = t->about.timeout > 0 ? t->about.timeout
		       : suite->timeout > 0 ? suite->timeout : SECONDS;
	job->seconds *= RUNNER_PATIENCE;
	name_of(t, nth, job->name);
	if (t->about.disabled) {
		printf("ok - %s # SKIP disabled\n", job->name);
		return;
	}
	j->process[j->n] = runner_start(job->name, job->seconds);
	if (!j->process[j->n]) {
		j->good = false;
		printf("not ok - %s\n# it could not be started\n", job->name);
		return;
	}
	if (++j->n == j->most)
		end_one(j);
}

/* They were put in front as they registered. */
static void turn_round(void)
{
	struct runner_test *t = tests, *next;

	for (tests = NULL; t; t = next) {
		next = t->next;
		t->next = tests;
		tests = t;
	}
}

static size_t plan(const char *filter)
{
	size_t n = 0;

	for (struct runner_test *t = tests; t; t = t->next)
		if (!filter || strstr(t->name, filter))
			n += count_of(t);
	return n;
}

static int run_all(struct jobs *j, const char *filter)
{
	printf("TAP version 13\n1..%zu\n", plan(filter));
	fflush(stdout);
	j->good = true;
	for (struct runner_test *t = tests; t; t = t->next)
		for (size_t nth = 0; nth < count_of(t); nth++)
			if (!filter || strstr(t->name, filter))
				start_one(j, t, nth);
	while (j->n)
		end_one(j);
	return j->good ? 0 : 1;
}

/* [--jobs=N] [--filter=PART OF A NAME] [--tap=...], which says what is done anyway. */
int main(int argc, char **argv)
{
	static struct jobs jobs;
	const char *filter = NULL;

	turn_round();
	if (argc == 3 && strcmp(argv[1], "--only") == 0)
		return run_named(argv[2]);
	jobs.most = runner_processors();
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--jobs=", 7) == 0)
			jobs.most = (size_t)strtoul(argv[i] + 7, NULL, 10);
		else if (strncmp(argv[i], "--filter=", 9) == 0)
			filter = argv[i] + 9;
	}
	if (jobs.most < 1 || jobs.most > JOBS_MOST)
		jobs.most = JOBS_MOST;
	return run_all(&jobs, filter);
}
