/* criterion.h - the part of Criterion's interface that these tests use, where Criterion itself is
 * not to be had. The same test files compile against either; runner.h tells what runs them. */
#ifndef TESTS_RUNNER_CRITERION_H
#define TESTS_RUNNER_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner.h"

#define Test(suite_name, test_name, ...)                                                           \
	RUNNER_TEST(void, suite_name, test_name, NULL, __VA_ARGS__)

#define TestSuite(suite_name, ...)                                                                 \
	static struct runner_suite suite_name##_suite = {                                          \
		.suite = #suite_name, .about = { .again = 0, __VA_ARGS__ } };                      \
	__attribute__((__constructor__)) static void suite_name##_suite_register(void)             \
	{                                                                                          \
		runner_add_suite(&suite_name##_suite);                                             \
	}                                                                                          \
	struct runner_suite

/* A condition; after it there may be a format and its arguments. */
#define cr_expect(condition, ...)                                                                  \
	((condition) ? (void)0 : runner_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__))
#define cr_assert(condition, ...)                                                                  \
	((condition) ? (void)0                                                                     \
		     : runner_failed_at_once(__FILE__, __LINE__, #condition, " " __VA_ARGS__))
#define cr_expect_eq(a, b, ...) cr_expect((a) == (b), __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) cr_expect(strcmp(a, b) == 0, __VA_ARGS__)
#define cr_skip_test(...) runner_skip(" " __VA_ARGS__)
#define cr_skip(...) runner_skip(" " __VA_ARGS__)
#define cr_log_info(...) runner_log(__VA_ARGS__)

#endif
