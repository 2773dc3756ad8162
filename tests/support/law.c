/* law.c - laws on fibers; see law.h. Descriptors and sockets are in law_posix.c. */
#include "law.h"

#include <criterion/criterion.h>

int law_run(unsigned workers, fiber_fn *law, void *arg)
{
	return fiber_run(&(fiber_options_t){.workers = workers}, law, arg);
}

void law_holds_with(const fiber_options_t *given, fiber_fn *law, void *arg)
{
	static const unsigned workers[] = {1, 2, 8};
	fiber_options_t options = *given;

	for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
		options.workers = workers[i];
		int r = fiber_run(&options, law, arg);

		cr_expect(r == 0, "with %u workers: %d (%s)", workers[i], r,
			  r < 0 ? fiber_strerror(r) : "not 0");
	}
	law_no_leaks();
}

void law_holds(fiber_fn *law, void *arg)
{
	law_holds_with(&(fiber_options_t){0}, law, arg);
}
