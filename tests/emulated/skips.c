/* skips.c - the laws that cannot be tested under qemu-user, and why not; and patience.
 *
 * Each is tested on a real kernel of the same architecture (tests/platforms). A test is told by
 * suite and name, or by the suite alone; the reason is printed when it is left out. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <criterion/internal/ordered-set.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulated.h"

static const char NO_LIMIT[] = "qemu-user ignores limits of memory and threads";

static const struct {
	const char *suite, *name; /* name NULL: all of them */
	const char *why;
} skips[] = {
	{ "deque", "a_push_without_memory_fails_and_changes_nothing", NO_LIMIT },
};

static const char *reason(const char *suite, const char *name)
{
	for (size_t i = 0; i < sizeof skips / sizeof *skips; i++)
		if (!strcmp(skips[i].suite, suite) &&
		    (!skips[i].name || !strcmp(skips[i].name, name)))
			return skips[i].why;
	return NULL;
}

/* Emulated time passes faster: $FIBER_TEST_PATIENCE times what a test allows itself. */
static double patience(void)
{
	const char *given = getenv("FIBER_TEST_PATIENCE");

	return given ? atof(given) : 1;
}

static void prepare(struct criterion_test *test, bool lies)
{
	const char *why = lies ? reason(test->category, test->name) : NULL;

	test->data->timeout *= patience();
	if (!why)
		return;
	test->data->disabled = true;
	fprintf(stderr, "left out %s::%s: %s\n", test->category, test->name, why);
}

ReportHook(PRE_ALL)(struct criterion_test_set *all)
{
	bool lies = emulated_kernel();

	FOREACH_SET(struct criterion_suite_set *suite, all->suites)
		FOREACH_SET(struct criterion_test *test, suite->tests)
			prepare(test, lies);
}
