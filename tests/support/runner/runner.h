/* runner.h - runs tests written for Criterion, each in a process of its own: the program starts
 * itself again with the name of one test. So globals are fresh, and a crash or a test that hangs
 * takes no other with it.
 *
 * runner.c has the list of tests, the checks and the loop; runner_posix.c and runner_windows.c
 * start a process and tell how it ended. A test's process says by its exit status what came of
 * it. */
#ifndef TESTS_RUNNER_H
#define TESTS_RUNNER_H

#include <stdbool.h>
#include <stddef.h>

struct criterion_test_params;

struct runner_about {
	int again;              /* so that a list of none can be written */
	double timeout;         /* seconds; 0: the suite's, or a minute */
	void (*init)(void);     /* before and after, in the test's process */
	void (*fini)(void);
	bool disabled;
	const char *description;
};

struct runner_test {
	const char *suite, *name;
	void (*body)(void);
	void (*parameters)(void); /* returns struct criterion_test_params; NULL: none */
	struct runner_about about;
	struct runner_test *next;
};

struct runner_suite {
	const char *suite;
	struct runner_about about;
	struct runner_suite *next;
};

void runner_add_test(struct runner_test *);
void runner_add_suite(struct runner_suite *);

/* Any thread. */
__attribute__((__format__(RUNNER_PRINTF, 4, 5)))
void runner_failed(const char *file, int line, const char *what, const char *format, ...);
__attribute__((__format__(RUNNER_PRINTF, 4, 5), __noreturn__))
void runner_failed_at_once(const char *file, int line, const char *what, const char *format, ...);
__attribute__((__format__(RUNNER_PRINTF, 1, 2), __noreturn__))
void runner_skip(const char *format, ...);
__attribute__((__format__(RUNNER_PRINTF, 1, 2)))
void runner_log(const char *format, ...);

#define RUNNER_TEST(parameter, suite_name, test_name, parameters_of, ...)                          \
	static void suite_name##_##test_name##_body(parameter);                                    \
	static struct runner_test suite_name##_##test_name##_test = {                              \
		.suite = #suite_name,                                                              \
		.name = #test_name,                                                                \
		.body = (void (*)(void))suite_name##_##test_name##_body,                           \
		.parameters = parameters_of,                                                       \
		.about = { .again = 0, __VA_ARGS__ },                                              \
	};                                                                                         \
	__attribute__((__constructor__)) static void suite_name##_##test_name##_register(void)     \
	{                                                                                          \
		runner_add_test(&suite_name##_##test_name##_test);                                 \
	}                                                                                          \
	static void suite_name##_##test_name##_body(parameter)

/* ---- the system ------------------------------------------------------------------------------*/
enum {
	RUNNER_PASSED = 0,
	RUNNER_FAILED = 41,
	RUNNER_SKIPPED = 42,
	RUNNER_TIMED_OUT = -1,
};

struct runner_process;
/* This program once more, with one argument; NULL: it could not be started. What it writes to
 * stdout goes to stderr, because ours belongs to the results. */
struct runner_process *runner_start(const char *argument, double seconds);
/* Which of them has ended: its place. *status is RUNNER_..., or what it exited with; *how is text
 * about an end that was none of its own, or "". The entry is freed. */
size_t runner_wait(struct runner_process **, size_t n, int *status, char *how, size_t how_bytes);
unsigned runner_processors(void);

#endif
