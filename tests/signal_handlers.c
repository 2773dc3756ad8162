/* Signals as messages, and everybody else who cares for them: the program's handlers, its masks,
 * its children, and the library's own handlers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/signal.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "death.h"
#include "law.h"
#include "os/sanitize.h"
#include "until.h"

enum { REACHED = 40 };

/* ThreadSanitizer allows no threads in a child. */
#if defined(FB_TSAN)
enum { CHILDREN_HAVE_THREADS = 0 };
#else
enum { CHILDREN_HAVE_THREADS = 1 };
#endif


static struct death death;

static void exits_with(int (*run)(void), int status)
{
	die_of(run, &death);
	cr_expect(death.status == status, "signal %d, status %d: %s", death.signal, death.status,
		  death.text);
}

static void dies_by(int (*run)(void), int signal)
{
	die_of(run, &death);
	cr_expect(death.signal == signal, "signal %d, status %d: %s", death.signal, death.status,
		  death.text);
}

static fiber_chan_t *opened(int number)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_signal_open(&c, &number, 1) == 0);
	return c;
}

static int received(fiber_chan_t *c)
{
	fiber_signal_t s = { 0 };
	int r = fiber_chan_recv(c, &s);

	return r < 0 ? r : s.number;
}

/* ---- handlers of the program ------------------------------------------------------------------*/
static _Atomic int calls, others;
static _Atomic bool was_blocked;

static void handler(int number)
{
	sigset_t mask;

	(void)number;
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	atomic_store(&was_blocked, sigismember(&mask, SIGUSR2));
	atomic_fetch_add(&calls, 1);
}

static void informed_handler(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	atomic_fetch_add(&others, info->si_pid == getpid());
}

static struct sigaction set(struct sigaction action)
{
	struct sigaction before;

	cr_expect(sigaction(SIGUSR1, &action, &before) == 0);
	return before;
}

static struct sigaction now(void)
{
	struct sigaction action;

	sigaction(SIGUSR1, NULL, &action);
	return action;
}

Test(signal_handlers, what_was_there_before_comes_back_with_the_last_close, .timeout = 60)
{
	struct sigaction kinds[] = { { .sa_handler = SIG_DFL },
				     { .sa_handler = SIG_IGN },
				     { .sa_handler = handler, .sa_flags = SA_NODEFER },
				     { .sa_sigaction = informed_handler,
				       .sa_flags = SA_SIGINFO | SA_RESTART } };

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		fiber_chan_t *one, *two;

		sigaddset(&kinds[i].sa_mask, SIGUSR2);
		set(kinds[i]);
		one = opened(SIGUSR1);
		two = opened(SIGUSR1);
		cr_expect(fiber_signal_close(one) == 0);
		cr_expect(now().sa_handler != kinds[i].sa_handler, "one is still open");
		cr_expect(fiber_signal_close(two) == 0);
		cr_expect(now().sa_handler == kinds[i].sa_handler);
		cr_expect((now().sa_flags & 0xff) == (kinds[i].sa_flags & 0xff));
		struct sigaction back = now();
		cr_expect(sigismember(&back.sa_mask, SIGUSR2));
	}
}

/* Called before the message is there, with its own mask and information. */
Test(signal_handlers, a_handler_of_the_program_is_called_too, .timeout = 60)
{
	struct sigaction plain = { .sa_handler = handler };
	fiber_chan_t *c;

	sigaddset(&plain.sa_mask, SIGUSR2);
	set(plain);
	c = opened(SIGUSR1);
	raise(SIGUSR1);
	cr_expect(received(c) == SIGUSR1 && atomic_load(&calls) == 1);
	cr_expect(atomic_load(&was_blocked));
	cr_expect(fiber_signal_close(c) == 0);
	raise(SIGUSR1);
	cr_expect(atomic_load(&calls) == 2);
	set((struct sigaction){ .sa_sigaction = informed_handler, .sa_flags = SA_SIGINFO });
	c = opened(SIGUSR1);
	raise(SIGUSR1);
	cr_expect(received(c) == SIGUSR1 && atomic_load(&others) == 1);
	cr_expect(fiber_signal_close(c) == 0);
}

Test(signal_handlers, a_handler_for_once_is_called_once, .timeout = 60)
{
	fiber_chan_t *c;

	set((struct sigaction){ .sa_handler = handler, .sa_flags = (int)SA_RESETHAND });
	c = opened(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	cr_expect(received(c) == SIGUSR1 && atomic_load(&calls) == 1);
	cr_expect(fiber_signal_close(c) == 0);
	cr_expect(now().sa_handler == SIG_DFL);
}

static struct sigaction covered;

static void passes_on(int number, siginfo_t *info, void *context)
{
	atomic_fetch_add(&others, 1);
	covered.sa_sigaction(number, info, context);
}

/* From the top, at last: ours, passes_on, ours, handler. */
Test(signal_handlers, one_that_came_on_top_stays_and_makes_no_endless_round, .timeout = 60)
{
	fiber_chan_t *c;

	set((struct sigaction){ .sa_handler = handler });
	c = opened(SIGUSR1);
	covered = set((struct sigaction){ .sa_sigaction = passes_on, .sa_flags = SA_SIGINFO });
	raise(SIGUSR1);
	cr_expect(received(c) == SIGUSR1);
	cr_expect(atomic_load(&others) == 1 && atomic_load(&calls) == 1);
	cr_expect(fiber_signal_close(c) == 0);
	cr_expect(now().sa_sigaction == passes_on);
	raise(SIGUSR1);
	cr_expect(atomic_load(&others) == 2 && atomic_load(&calls) == 2);
	c = opened(SIGUSR1);
	for (int i = 3; i < 10; i++) {
		raise(SIGUSR1);
		cr_expect(received(c) == SIGUSR1);
		cr_expect(atomic_load(&others) == i && atomic_load(&calls) == i);
	}
	cr_expect(fiber_signal_close(c) == 0);
	cr_expect(now().sa_sigaction == passes_on);
}

/* ---- masks ------------------------------------------------------------------------------------*/
static void block(int number)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, number);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

/* The only thread of the program blocks it, before and after. */
static int blocked_everywhere(void)
{
	fiber_chan_t *c;
	sigset_t pending;

	block(SIGTERM);
	for (int i = 0; i < 50; i++) {
		c = opened(SIGTERM);
		kill(getpid(), SIGTERM);
		if (received(c) != SIGTERM || fiber_signal_close(c) < 0)
			return 1;
	}
	kill(getpid(), SIGTERM); /* would kill, if any thread did not block it */
	sigpending(&pending);
	return sigismember(&pending, SIGTERM) ? REACHED : 2;
}

static int sent_to_a_thread(void)
{
	fiber_chan_t *c = opened(SIGTERM);
	sigset_t mask;

	block(SIGTERM);
	raise(SIGTERM);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	if (fiber_chan_count(c) != 0)
		return 1;
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	return received(c) == SIGTERM && fiber_signal_close(c) == 0 ? REACHED : 2;
}

static int raised_after_the_close(void)
{
	fiber_chan_t *c = opened(SIGTERM);

	raise(SIGTERM);
	raise(SIGTERM);
	if (received(c) != SIGTERM || fiber_signal_close(c) < 0)
		return 1;
	raise(SIGTERM);
	return 2;
}

Test(signal_handlers, a_blocked_signal_arrives_if_it_was_sent_to_the_process, .timeout = 60)
{
	if (!CHILDREN_HAVE_THREADS)
		cr_skip_test("no threads in children");
	exits_with(blocked_everywhere, REACHED);
	exits_with(sent_to_a_thread, REACHED);
	dies_by(raised_after_the_close, SIGTERM);
}

/* ---- children ---------------------------------------------------------------------------------*/
static fiber_chan_t *parents;

static int raised_in_a_child(void)
{
	raise(SIGTERM);
	return 1;
}

static int opened_in_a_child(void)
{
	fiber_chan_t *c = opened(SIGTERM);

	if (fiber_chan_count(parents) != 0)
		return 1;
	raise(SIGTERM);
	while (fiber_chan_try_recv(c, NULL) == -EAGAIN) /* calls that wait need a new fiber_run */
		sched_yield();
	if (fiber_signal_close(c) != 0)
		return 2;
	if (fiber_chan_count(parents) != 0 || fiber_signal_close(parents) != 0)
		return 3;
	return REACHED;
}

static int forks(void *arg)
{
	(void)arg;
	parents = opened(SIGTERM);
	dies_by(raised_in_a_child, SIGTERM);
	if (CHILDREN_HAVE_THREADS)
		exits_with(opened_in_a_child, REACHED);
	cr_expect(fiber_chan_count(parents) == 0, "what a child gets is not its parent's");
	raise(SIGTERM);
	cr_expect(received(parents) == SIGTERM);
	return fiber_signal_close(parents);
}

Test(signal_handlers, in_a_forked_child_signals_do_what_they_did_before, .timeout = 60)
{
	law_holds(forks, NULL);
}

/* ---- the library's own ------------------------------------------------------------------------*/
static _Atomic uint64_t waiter;

static int waits(void *chan)
{
	atomic_store(&waiter, fiber_self().id);
	return received(chan) == SIGUSR1 ? REACHED : 1;
}

static void *sends_when_it_waits(void *unused)
{
	(void)unused;
	UNTIL(atomic_load(&waiter) != 0);
	until_it_waits_for((fiber_t){ atomic_load(&waiter) }, "chan recv");
	kill(getpid(), SIGUSR1);
	return NULL;
}

static int waits_for_nothing_else(void)
{
	fiber_options_t options = { .workers = 1, .flags = FIBER_ONLY_FIBERS };
	fiber_chan_t *c = opened(SIGUSR1);
	pthread_t sender;
	int r;

	pthread_create(&sender, NULL, sends_when_it_waits, NULL);
	r = fiber_run(&options, waits, c);
	if (r != REACHED)
		return 1;
	pthread_join(sender, NULL);
	return fiber_signal_close(c) == 0 ? r : 2;
}

Test(signal_handlers, to_wait_for_a_signal_is_no_deadlock, .timeout = 60)
{
	if (!CHILDREN_HAVE_THREADS)
		cr_skip_test("no threads in children");
	exits_with(waits_for_nothing_else, REACHED);
}

static int quits(void *arg)
{
	fiber_chan_t *c = opened(SIGQUIT);

	(void)arg;
	for (int i = 0; i < 3; i++) {
		raise(SIGQUIT);
		if (received(c) != SIGQUIT)
			return 1;
		fiber_sleep(0);
	}
	return fiber_signal_close(c) == 0 ? REACHED : 2;
}

static int dumps_and_tells(void)
{
	return fiber_run(&(fiber_options_t){ .workers = 2, .flags = FIBER_DUMP_ON_QUIT }, quits,
			 NULL);
}

static fiber_chan_t *left_open;

static int leaves_one_open(void *arg)
{
	(void)arg;
	left_open = opened(SIGQUIT);
	return 0;
}

/* The runtime's handler is beneath the channel's, so it cannot be removed: it must do as if. */
static int ends_before_the_channel(void)
{
	fiber_options_t options = { .workers = 2, .flags = FIBER_DUMP_ON_QUIT };

	for (int i = 0; i < 3; i++) {
		if (fiber_run(&options, leaves_one_open, NULL) != 0)
			return 1;
		raise(SIGQUIT);
		if (received(left_open) != SIGQUIT || fiber_signal_close(left_open) != 0)
			return 2;
	}
	raise(SIGQUIT);
	return 3;
}

static int quits_when_all_is_over(void)
{
	dumps_and_tells();
	raise(SIGQUIT);
	return 1;
}

Test(signal_handlers, sigquit_dumps_and_is_a_message, .timeout = 60)
{
	signal(SIGQUIT, SIG_DFL); /* shells ignore it in what they run in the background */
	if (!CHILDREN_HAVE_THREADS)
		cr_skip_test("no threads in children");
	exits_with(dumps_and_tells, REACHED);
	cr_expect(strstr(death.text, "runtime") != NULL, "a dump, not %s", death.text);
	dies_by(quits_when_all_is_over, SIGQUIT);
	dies_by(ends_before_the_channel, SIGQUIT);
}
