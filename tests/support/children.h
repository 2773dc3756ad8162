/* children.h - laws of child processes: with pidfd and without, on fibers and on a plain thread,
 * and that nothing is left. cr_expect only. */
#ifndef TESTS_CHILDREN_H
#define TESTS_CHILDREN_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/process.h>
#include <sys/wait.h>

#include "law.h"
#include "on_a_thread.h"
#include "process/child.h"

/* argv of a shell that runs `script`; good until the end of the block. */
#define SHELL(script) ((char *[]){ (char *)"sh", (char *)"-c", (char *)(script), NULL })

/* No child of this process: neither one that runs nor a zombie. */
static inline bool children_none(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static inline void children_law(fiber_fn *law)
{
	int before = law_descriptors();

	for (int without = 0; without < 2; without++) {
		child_without_pidfd = without;
		law_holds(law, NULL);
		cr_expect(on_a_thread(law, NULL) == 0, "on a plain thread");
	}
	cr_expect(children_none(), "a child is left");
	cr_expect(law_descriptors() == before, "a descriptor is left");
}

/* Starts it; the test goes on whatever comes. */
static inline fiber_process_t child_started(const fiber_process_options_t *options)
{
	fiber_process_t p = FIBER_PROCESS_INIT;
	int r = fiber_process_start(&p, options);

	cr_expect(r == 0, "started: %s", fiber_strerror(r));
	return p;
}

/* Waits and closes. */
static inline bool child_ends_with(fiber_process_t *p, int code, int signal)
{
	fiber_process_status_t status = { -2, -2 };
	int r = fiber_process_wait(p, &status);

	cr_expect(r == 0 && status.code == code && status.signal == signal,
		  "%d: code %d, signal %d", r, status.code, status.signal);
	return fiber_process_close(p) == 0 && r == 0;
}

#endif
