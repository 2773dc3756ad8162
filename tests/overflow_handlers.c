/* Our SIGSEGV handler among others: it passes on what is no overflow, and leaves things as it found
 * them. Each law in a child process; what it finds is its exit status. */
#include <errno.h>
#include <setjmp.h>

#include "faults.h"
#include "sched/overflow.h"

static _Atomic int times;

/* ---- passing on -------------------------------------------------------------------------------*/

static int crash_with_nobody_there(void)
{
	return runs(crash, 0);
}

static void look(int signal, siginfo_t *info, void *context)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGSEGV))
		_exit(WRONG_MASK);
	_exit(signal == SIGSEGV && info->si_addr == nowhere && context ? REACHED : WRONG_ADDRESS);
}

static int crash_under_a_handler(void)
{
	install(look, 0);
	return runs(crash, 0);
}

static int crash_of_a_plain_thread_under_a_handler(void)
{
	install(look, 0);
	overflow_install();
	return crash(NULL);
}

static void look_without_information(int signal)
{
	_exit(signal == SIGSEGV ? REACHED : WRONG_ADDRESS);
}

static int crash_under_a_plain_handler(void)
{
	signal(SIGSEGV, look_without_information);
	return runs(crash, 0);
}

Test(overflow_handlers, a_fault_that_is_no_overflow_kills_as_if_we_were_not_there, .timeout = 60)
{
	dies_silently_by_sigsegv(crash_with_nobody_there);
}

Test(overflow_handlers, a_fault_that_is_no_overflow_reaches_the_handler_there_was, .timeout = 60)
{
	exits_with(crash_under_a_handler, REACHED);
	exits_with(crash_under_a_plain_handler, REACHED);
	exits_with(crash_of_a_plain_thread_under_a_handler, REACHED);
}

static void count(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	times += info->si_code <= 0;
}

static int raise_it(void *argument)
{
	(void)argument;
	raise(SIGSEGV);
	raise(SIGSEGV);
	return 0;
}

static int raise_under_a_handler(void)
{
	install(count, 0);
	return runs(raise_it, 0) == 0 && times == 2 ? REACHED : 1;
}

static int raise_while_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	return runs(raise_it, 0) == 0 ? REACHED : 1;
}

static int raise_under_a_handler_for_once(void)
{
	install(count, SA_RESETHAND);
	return runs(raise_it, 0);
}

static int raise_with_nobody_there(void)
{
	return runs(raise_it, 0);
}

static int crash_while_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	return runs(crash, 0);
}

Test(overflow_handlers, a_signal_that_somebody_sent_does_what_it_did_before, .timeout = 60)
{
	exits_with(raise_under_a_handler, REACHED);
	exits_with(raise_while_ignored, REACHED);
	dies_silently_by_sigsegv(raise_with_nobody_there);
	dies_silently_by_sigsegv(raise_under_a_handler_for_once);
	dies_silently_by_sigsegv(crash_while_ignored);
}

/* ---- what is no overflow ----------------------------------------------------------------------*/

static void look_at_a_guard(int signal, siginfo_t *info, void *context)
{
	struct stack *s;

	(void)signal, (void)context;
	_exit(stack_locate(info->si_addr, &s) == STACK_GUARD ? REACHED : WRONG_ADDRESS);
}

/* An array overrun upwards leads from the top of one's own stack into the guard of the next. */
static int write_beyond_the_top(void *argument)
{
	char *p = __builtin_frame_address(0);
	struct stack *at = NULL;

	(void)argument;
	while (stack_locate(p, &at) == STACK_INSIDE)
		p += 1024;
	return crash(p);
}

static int park(void *argument)
{
	(void)argument;
	return fiber_park();
}

/* Stacks are handed out from low to high: the first fiber's neighbour is the second. */
static int write_beyond_the_top_among_neighbours(void *argument)
{
	for (int i = 0; i < 5; i++)
		if (fiber_go(park, NULL) < 0)
			return -ENOMEM;
	fiber_yield();
	return write_beyond_the_top(argument);
}

static int write_into_the_neighbours_guard(void)
{
	install(look_at_a_guard, 0);
	return runs(write_beyond_the_top_among_neighbours, 0);
}

Test(overflow_handlers, a_write_beyond_the_top_is_not_taken_for_the_neighbours_overflow,
     .timeout = 60)
{
	exits_with(write_into_the_neighbours_guard, REACHED);
}

/* ---- others on top ----------------------------------------------------------------------------*/

static bool is_on_top(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction now;

	sigaction(SIGSEGV, NULL, &now);
	return now.sa_sigaction == handler;
}

static int install_inside(void *argument)
{
	(void)argument;
	install(look, SA_ONSTACK);
	return 0;
}

static int crash_after_a_handler_came_inside(void)
{
	if (runs(install_inside, 0) != 0 || !is_on_top(look))
		return NOT_RESTORED;
	return crash(NULL);
}

Test(overflow_handlers, one_that_came_on_top_stays_when_we_leave, .timeout = 60)
{
	exits_with(crash_after_a_handler_came_inside, REACHED);
}

static void pass_on(int signal, siginfo_t *info, void *context)
{
	if (++times > 3)
		_exit(RECURSED);
	saved.sa_sigaction(signal, info, context);
}

/* From the top: ours again, pass_on, ours, look. */
static int install_chain(void)
{
	install(look, 0);
	overflow_install();
	install(pass_on, SA_ONSTACK);
	overflow_remove();
	if (!is_on_top(pass_on))
		_exit(NOT_RESTORED);
	overflow_install();
	if (is_on_top(pass_on))
		_exit(NOT_RESTORED);
	return 0;
}

static int crash_under_a_chain(void)
{
	return install_chain() + runs(crash, 0);
}

static int overflow_under_a_chain(void)
{
	return install_chain() + runs(overflow, 0);
}

static int overflow_below_one_that_passes_on(void)
{
	overflow_install();
	install(pass_on, SA_ONSTACK);
	return runs(overflow, 0);
}

Test(overflow_handlers, one_on_top_that_passes_on_to_us_makes_no_endless_round, .timeout = 60)
{
	exits_with(crash_under_a_chain, REACHED);
	dies_with_a_report(overflow_under_a_chain);
	dies_with_a_report(overflow_below_one_that_passes_on);
}

static sigjmp_buf back;

static void jump_back(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	siglongjmp(back, 1);
}

static int crash_and_come_back(void *argument)
{
	for (volatile int i = 0; i < 5; i++)
		if (sigsetjmp(back, 1) == 0)
			crash(argument);
	return overflow(argument);
}

static int overflow_after_crashes_that_were_survived(void)
{
	install(jump_back, SA_ONSTACK);
	return runs(crash_and_come_back, 0);
}

Test(overflow_handlers, one_beneath_may_leave_by_siglongjmp, .timeout = 60)
{
	dies_with_a_report(overflow_after_crashes_that_were_survived);
}
