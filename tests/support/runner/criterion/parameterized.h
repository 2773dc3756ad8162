/* parameterized.h - tests that run once for each parameter; see criterion.h. */
#ifndef TESTS_RUNNER_PARAMETERIZED_H
#define TESTS_RUNNER_PARAMETERIZED_H

#include <criterion/criterion.h>

struct criterion_test_params {
	size_t size;
	void *params;
	size_t length;
};

#define cr_make_param_array(type, array, count, ...)                                               \
	((struct criterion_test_params){ sizeof(type), (void *)(array), (count) })

#define ParameterizedTestParameters(suite_name, test_name)                                         \
	static struct criterion_test_params suite_name##_##test_name##_parameters(void)

/* The parameters' function comes first. */
#define ParameterizedTest(parameter, suite_name, test_name, ...)                                   \
	RUNNER_TEST(parameter, suite_name, test_name,                                              \
		    (void (*)(void))suite_name##_##test_name##_parameters, __VA_ARGS__)

#endif
