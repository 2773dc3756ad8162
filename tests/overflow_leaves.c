/* Our SIGSEGV handler comes and goes with runtimes, and leaves things as it found them. Each law
 * in a child process; what it finds is its exit status. */
#include <stdlib.h>

#include "faults.h"

static int runs_well(void *argument)
{
	(void)argument;
	fiber_yield();
	return 0;
}

static bool nobody_handles_it(void)
{
	struct sigaction now;

	sigaction(SIGSEGV, NULL, &now);
	return now.sa_handler == SIG_DFL;
}

static int handler_and_stack_are_gone_afterwards(void)
{
	stack_t now;

	for (int i = 0; i < 3; i++) {
		if (runs(runs_well, 0) != 0)
			return 1;
		sigaltstack(NULL, &now);
		if (!nobody_handles_it() || !(now.ss_flags & SS_DISABLE))
			return NOT_RESTORED;
	}
	return REACHED;
}

static stack_t alternate_inside;

static int see_the_alternate_stack(void *argument)
{
	(void)argument;
	return sigaltstack(NULL, &alternate_inside);
}

static bool alternate_stack_stays(size_t bytes, bool kept)
{
	stack_t theirs = { .ss_sp = malloc(bytes), .ss_size = bytes }, now;

	if (!theirs.ss_sp || sigaltstack(&theirs, NULL) != 0)
		return false;
	if (runs(see_the_alternate_stack, 0) != 0 || sigaltstack(NULL, &now) != 0)
		return false;
	return (alternate_inside.ss_sp == theirs.ss_sp) == kept &&
	       alternate_inside.ss_size >= 20000 && now.ss_sp == theirs.ss_sp &&
	       now.ss_size == bytes && !(now.ss_flags & SS_DISABLE);
}

static int alternate_stacks_are_as_before(void)
{
	return alternate_stack_stays(100000, true) && alternate_stack_stays(8192, false)
		       ? REACHED
		       : NOT_RESTORED;
}

Test(overflow_leaves, a_run_leaves_handler_and_alternate_stack_as_they_were, .timeout = 60)
{
	exits_with(handler_and_stack_are_gone_afterwards, REACHED);
	exits_with(alternate_stacks_are_as_before, REACHED);
}

static int nothing_is_ours(void *argument)
{
	stack_t alternate;

	sigaltstack(NULL, &alternate);
	if (!nobody_handles_it() || !(alternate.ss_flags & SS_DISABLE))
		_exit(NOT_RESTORED);
	return overflow(argument);
}

static int overflow_without_report(void)
{
	return runs(nothing_is_ours, FIBER_NO_FAULT_REPORT);
}

Test(overflow_leaves, a_runtime_that_is_told_so_leaves_sigsegv_alone, .timeout = 60)
{
	dies_silently_by_sigsegv(overflow_without_report);
}

static int overflow_in_the_second_of_two_runtimes(void)
{
	fiber_runtime_t *first, *second;

	if (fiber_runtime_create(&first, NULL) < 0 || fiber_runtime_create(&second, NULL) < 0)
		return 1;
	fiber_runtime_free(first);
	return fiber_block_on(second, overflow, NULL);
}

Test(overflow_leaves, the_end_of_one_runtime_leaves_the_handler_to_the_other, .timeout = 60)
{
	dies_with_a_report(overflow_in_the_second_of_two_runtimes);
}

static int overflow_with_the_signal_blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	return runs(overflow, 0);
}

Test(overflow_leaves, a_blocked_signal_still_kills, .timeout = 60)
{
	dies_silently_by_sigsegv(overflow_with_the_signal_blocked);
}
