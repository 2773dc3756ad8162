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

#define FORK "qemu-user dies of a fork in a process with threads"
#define LIMIT "qemu-user ignores limits of memory and threads"
#define PROC "under qemu-user /proc tells of the host's system calls and of no threads"
#define ADVICE "qemu-user says yes to any advice about any memory"
#define VFORK "under qemu-user vfork is a fork, which does not tell its parent why exec failed"
#define PREADV2 "qemu-user has no preadv2"
#define RING "qemu-user has no io_uring"
#define SIGNALS "qemu-user never delivers the highest real-time signals"
#define REAPING "under qemu-user children are not reaped where SIGCHLD is ignored"

static const struct {
	const char *suite, *name; /* name NULL: all of them */
	const char *why;
} skips[] = {
	{ "deque", "a_push_without_memory_fails_and_changes_nothing", LIMIT },
	{ "dormant_misused", "who_cannot_give_up_its_stack_is_told", FORK },
	{ "dump", "sigquit_prints_one_each_time", FORK },
	{ "helpers", "a_forked_child_makes_its_own", FORK },
	{ "helpers_recall", "a_plain_thread_waits_too", PROC },
	{ "helpers_recall", "a_stoppable_job_comes_back_from_its_system_call", PROC },
	{ "io_files", "a_fifo_is_waited_for_until_its_other_end_opens", PROC },
	{ "io_fork", "the_parent_goes_on_and_the_child_begins_anew", FORK },
	{ "io_inherited", "connect_on_a_blocking_socket", PROC },
	{ "io_kernel_files", "a_cancelled_open_that_succeeded_leaves_no_descriptor", RING },
	{ "io_threads", "a_close_is_noticed_without_descriptors_too", PROC },
	{ "io_threads", "a_close_wakes_every_thread_that_waits", PROC },
	{ "io_threads", "a_fiber_closes_what_a_thread_waits_for", PROC },
	{ "io_threads", "a_thread_connects_and_accepts", PROC },
	{ "io_threads", "a_thread_waits_for_bytes", PROC },
	{ "io_threads", "eintr_never_shows", PROC },
	{ "io_threads", "polls_as_poll_does", PROC },
	{ "lock", "without_memory_to_wait_with_it_is_held_all_the_same", LIMIT },
	{ "offload", "without_threads_says_so", LIMIT },
	{ "os", "a_thread_has_its_name_and_its_creators_signal_mask", PROC },
	{ "os", "a_wrong_range_in_a_batch_is_an_error", ADVICE },
	{ "overflow", "on_a_helper_thread_is_reported_too", FORK },
	{ "overflow", "on_a_thread_of_the_runtimes_own_is_reported_too", FORK },
	{ "overflow_gen",
	  "beside_a_runtime_it_is_reported_if_the_thread_has_a_stack_for_the_handler", FORK },
	{ "overflow_leaves", "the_end_of_one_runtime_leaves_the_handler_to_the_other", FORK },
	{ "poller_kinds", "an_eventfd_is_waited_for", PREADV2 },
	{ "process", "mistakes_are_told_and_leave_nothing_behind", VFORK },
	{ "process_end", "a_status_that_others_took_is_lost_and_said_to_be", REAPING },
	{ "process_run", "mistakes_are_told", VFORK },
	{ "queue_errors", "a_forked_child_leaves_its_parents_queue_alone", FORK },
	{ "runtime", "exit_in_a_fiber_ends_the_process", FORK },
	{ "runtime", "without_memory_for_its_threads_it_does_not_start_and_later_does", LIMIT },
	{ "signal_handlers", NULL, FORK },
	{ "spawn_many", "a_shortage_of_stacks_is_told_and_passes", LIMIT },
	{ "spawn_many", "a_shortage_of_stacks_is_told_and_passes_on_eight_workers", LIMIT },
	{ "spawn_many", "a_shortage_of_stacks_is_told_and_passes_on_two_workers", LIMIT },
	{ "stack_memory", "without_address_space_a_stack_is_refused_and_the_others_go_on", LIMIT },
	{ "stall", "a_fiber_that_holds_its_worker_is_reported_in_time", SIGNALS },
	{ "stall", "a_forked_child_looks_for_itself", FORK },
	{ "stall", "the_system_call_that_holds_it_goes_on", SIGNALS },
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
