/* Signals as messages: who gets them, how many, and what was there before and afterwards. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/signal.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "law.h"
#include "sched/kick.h"
#include "worlds.h"

static fiber_chan_t *opened(int number)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_signal_open(&c, &number, 1) == 0);
	return c;
}

/* The message, or .number is the error. */
static fiber_signal_t received(fiber_chan_t *c)
{
	fiber_signal_t s = { 0 };
	int r = fiber_chan_recv(c, &s);

	return r < 0 ? (fiber_signal_t){ .number = r } : s;
}

/* So many have come in all, in however many messages. */
static void receive_all(fiber_chan_t *c, int number, unsigned n)
{
	unsigned sum = 0;

	while (sum < n) {
		fiber_signal_t s = received(c);

		cr_expect(s.number == number && s.count > 0, "%d, %u times", s.number, s.count);
		if (s.number < 0)
			return;
		sum += s.count;
	}
	cr_expect(sum == n, "%u of %u", sum, n);
	cr_expect(fiber_chan_try_recv(c, NULL) == -EAGAIN);
}

/* ---- who gets them ----------------------------------------------------------------------------*/
static int one_message(void *chan)
{
	fiber_signal_t s = received(chan);

	cr_expect(s.number == SIGUSR1, "%d", s.number);
	cr_expect(s.count == 1 && s.sender == getpid() && s.value == 0);
	return s.number == SIGUSR1 ? 0 : -1;
}

/*	actor 0		actor 1		actor 2		main
 *	receives	receives	receives	until all wait
 *							raises it
 *	has it		has it		has it */
static int every_channel(void *world)
{
	enum { CHANNELS = 3 };
	fiber_chan_t *c[CHANNELS];
	struct actor a[CHANNELS];

	for (unsigned i = 0; i < CHANNELS; i++) {
		c[i] = opened(SIGUSR1);
		actor_start(&a[i], (enum world)(intptr_t)world, i, one_message, c[i]);
	}
	cr_expect(kill(getpid(), SIGUSR1) == 0);
	cr_expect(actors_end(a, CHANNELS) == 0);
	for (unsigned i = 0; i < CHANNELS; i++) {
		cr_expect(fiber_chan_count(c[i]) == 0);
		cr_expect(fiber_signal_close(c[i]) == 0);
	}
	return 0;
}

Test(signal, every_channel_gets_every_signal_it_asked_for, .timeout = 60)
{
	int before = law_descriptors();

	law_holds_in_all_worlds(every_channel);
	cr_expect(law_descriptors() == before, "signals cost no descriptors");
}

static int has_its_own(void *got)
{
	fiber_chan_t *c = opened(SIGUSR1);
	int r;

	atomic_fetch_add((atomic_uint *)got, 1);
	r = one_message(c);
	cr_expect(fiber_signal_close(c) == 0);
	return r;
}

Test(signal, runtimes_side_by_side_have_their_own_channels, .timeout = 60)
{
	enum { RUNTIMES = 3 };
	fiber_runtime_t *runtimes[RUNTIMES];
	fiber_t f[RUNTIMES];
	atomic_uint open = 0;

	for (int i = 0; i < RUNTIMES; i++) {
		fiber_attr_t attr = { 0 };

		cr_expect(fiber_runtime_create(&runtimes[i],
					       &(fiber_options_t){ .workers = 2 }) == 0);
		attr.runtime = runtimes[i];
		cr_expect(fiber_spawn(&f[i], &attr, has_its_own, &open) == 0);
	}
	UNTIL(atomic_load(&open) == RUNTIMES);
	cr_expect(kill(getpid(), SIGUSR1) == 0);
	for (int i = 0; i < RUNTIMES; i++)
		cr_expect(result_of(f[i]) == 0);
	for (int i = 0; i < RUNTIMES; i++)
		cr_expect(fiber_runtime_free(runtimes[i]) == 0);
	law_no_leaks();
}

static int only_its_own(void *arg)
{
	fiber_chan_t *one = opened(SIGUSR1), *other = opened(SIGUSR2);

	(void)arg;
	raise(SIGUSR2);
	cr_expect(received(other).number == SIGUSR2);
	cr_expect(fiber_chan_count(one) == 0);
	cr_expect(fiber_signal_close(other) == 0);
	raise(SIGUSR1);
	cr_expect(received(one).number == SIGUSR1);
	return fiber_signal_close(one);
}

Test(signal, a_channel_gets_only_what_it_asked_for, .timeout = 60)
{
	law_holds(only_its_own, NULL);
	cr_expect(only_its_own(NULL) == 0, "on a plain thread, without any runtime");
}

static int selects(void *arg)
{
	fiber_chan_t *c = opened(SIGTERM), *never;
	fiber_signal_t s;
	fiber_case_t cases[] = { FIBER_RECV(c, &s), { .op = FIBER_OP_NONE } };

	(void)arg;
	cr_expect(fiber_chan_create(&never, 0, 0) == 0);
	cases[1] = (fiber_case_t)FIBER_RECV(never, NULL);
	cr_expect(fiber_select_now(cases, 2) == -EAGAIN);
	cr_expect(fiber_select_until(cases, 2, fiber_after(1)) == -ETIMEDOUT);
	raise(SIGTERM);
	cr_expect(fiber_select(cases, 2) == 0 && cases[0].result == 0 && s.number == SIGTERM);
	fiber_chan_free(never);
	return fiber_signal_close(c);
}

Test(signal, select_waits_for_a_signal_beside_other_things, .timeout = 60)
{
	law_holds(selects, NULL);
	cr_expect(selects(NULL) == 0);
}

static int waits_in_vain(void *chan)
{
	return received(chan).number;
}

static int interrupted(void *arg)
{
	fiber_chan_t *c = opened(SIGUSR1);
	fiber_t f = spawned(waits_in_vain, c);

	(void)arg;
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(1, fiber_chan_recv(c, NULL)) == -ETIMEDOUT);
	raise(SIGUSR1);
	receive_all(c, SIGUSR1, 1);
	return fiber_signal_close(c);
}

Test(signal, a_wait_that_was_interrupted_takes_none, .timeout = 60)
{
	law_holds(interrupted, NULL);
}

/* ---- how many ---------------------------------------------------------------------------------*/
static int counted(void *arg)
{
	static const int numbers[] = { SIGUSR1, SIGUSR2, SIGUSR1 };
	fiber_chan_t *c = NULL;
	unsigned usr1 = 0, usr2 = 0;

	(void)arg;
	cr_expect(fiber_signal_open(&c, numbers, 3) == 0);
	for (int i = 0; i < 1000; i++)
		raise(i % 4 ? SIGUSR1 : SIGUSR2);
	UNTIL(fiber_chan_count(c) == 2);
	while (usr1 + usr2 < 1000) {
		fiber_signal_t s = received(c);

		cr_expect(s.number == SIGUSR1 || s.number == SIGUSR2);
		*(s.number == SIGUSR1 ? &usr1 : &usr2) += s.count;
		cr_expect(fiber_chan_count(c) <= 2);
	}
	cr_expect(usr1 == 750 && usr2 == 250, "%u and %u", usr1, usr2);
	return fiber_signal_close(c);
}

Test(signal, what_nobody_received_is_counted_in_one_message_of_each_number, .timeout = 60)
{
	law_holds(counted, NULL);
	/* Without a stack of its own a handler runs on that of the fiber. */
	law_holds_with(&(fiber_options_t){ .flags = FIBER_NO_FAULT_REPORT }, counted, NULL);
}

static int with_a_value(void *arg)
{
	fiber_chan_t *c = opened(SIGRTMIN + 3);
	fiber_signal_t s;

	(void)arg;
	for (int i = 1; i <= 3; i++) {
		cr_expect(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = -i }) == 0);
		kill(getpid(), 0); /* ThreadSanitizer calls handlers where it knows the call */
	}
	for (unsigned sum = 0; sum < 3; sum += s.count)
		s = received(c);
	cr_expect(s.value == -3 && s.sender == getpid(), "of the last one: %d", s.value);
	return fiber_signal_close(c);
}

Test(signal, a_message_says_who_sent_the_last_one_and_what, .timeout = 60)
{
	law_holds(with_a_value, NULL);
}

enum { RAISERS = 4 };

static void *raises(void *times)
{
	for (unsigned i = 0; i < *(unsigned *)times; i++)
		raise(SIGUSR1);
	return NULL;
}

struct churn {
	unsigned times, failed;
	atomic_bool stop;
};

/* Comes and goes, and with it what it asked for. */
static int comes_and_goes(void *arg)
{
	static const int numbers[] = { SIGUSR1, SIGUSR2, SIGWINCH };
	struct churn *churn = arg;
	uint64_t random = (uint64_t)(uintptr_t)&random;

	while (!atomic_load(&churn->stop)) {
		fiber_chan_t *c;

		cr_expect(fiber_signal_open(&c, numbers + law_random(&random) % 3, 1) == 0);
		if (law_random(&random) % 2)
			fiber_yield();
		cr_expect(fiber_signal_close(c) == 0);
	}
	return 0;
}

static int none_is_lost(void *arg)
{
	struct churn churn = { .times = law_rounds(5000) };
	fiber_chan_t *c = opened(SIGUSR1);
	pthread_t t[RAISERS];
	fiber_t f[4];

	(void)arg;
	for (int i = 0; i < 4; i++)
		f[i] = spawned(comes_and_goes, &churn);
	for (int i = 0; i < RAISERS; i++)
		cr_expect(pthread_create(&t[i], NULL, raises, &churn.times) == 0);
	receive_all(c, SIGUSR1, RAISERS * churn.times);
	for (int i = 0; i < RAISERS; i++)
		pthread_join(t[i], NULL);
	atomic_store(&churn.stop, true);
	for (int i = 0; i < 4; i++)
		cr_expect(result_of(f[i]) == 0);
	return fiber_signal_close(c);
}

Test(signal, none_is_lost_while_other_channels_come_and_go, .timeout = 300)
{
	law_holds(none_is_lost, NULL);
}

/* ---- the end ----------------------------------------------------------------------------------*/
static int closed_in_a_wait(void *arg)
{
	fiber_chan_t *c = opened(SIGUSR1);
	fiber_t f = spawned(waits_in_vain, fiber_chan_ref(c));

	(void)arg;
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_signal_close(c) == 0);
	cr_expect(result_of(f) == -EPIPE);
	fiber_chan_free(c);
	c = fiber_chan_ref(opened(SIGUSR1));
	raise(SIGUSR1);
	UNTIL(fiber_chan_count(c) == 1);
	cr_expect(fiber_signal_close(c) == 0);
	cr_expect(received(c).number == SIGUSR1, "what had come is still there");
	cr_expect(received(c).number == -EPIPE);
	fiber_chan_free(c);
	return 0;
}

Test(signal, closing_wakes_who_waits_and_leaves_what_has_come, .timeout = 60)
{
	law_holds(closed_in_a_wait, NULL);
}

static int misused(void *arg)
{
	static const int never[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
				     SIGABRT, SIGSYS, 0, -1, 32, 33, 65, 1000000 };
	int number = SIGUSR1, busy = kick_signal();
	fiber_chan_t *c = NULL, *other;
	struct sigaction before, after;

	(void)arg;
	sigaction(SIGUSR1, NULL, &before);
	cr_expect(fiber_signal_open(NULL, &number, 1) == -EINVAL);
	cr_expect(fiber_signal_open(&c, NULL, 1) == -EINVAL);
	cr_expect(fiber_signal_open(&c, &number, 0) == -EINVAL);
	for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
		int numbers[] = { SIGUSR1, never[i] };

		cr_expect(fiber_signal_open(&c, numbers, 2) == -EINVAL, "signal %d", never[i]);
	}
	cr_expect(fiber_signal_open(&c, &busy, 1) == -EBUSY);
	cr_expect(c == NULL);
	sigaction(SIGUSR1, NULL, &after);
	cr_expect(after.sa_handler == before.sa_handler, "a failure leaves nothing behind");
	cr_expect(fiber_signal_close(NULL) == -EINVAL);
	cr_expect(fiber_chan_create(&other, sizeof(fiber_signal_t), 1) == 0);
	cr_expect(fiber_signal_close(other) == -EINVAL);
	fiber_chan_free(other);
	c = fiber_chan_ref(opened(SIGUSR1));
	cr_expect(fiber_signal_close(c) == 0);
	cr_expect(fiber_signal_close(c) == -EINVAL, "closed twice");
	fiber_chan_free(c);
	return 0;
}

Test(signal, misuse_is_told, .timeout = 60)
{
	law_holds(misused, NULL);
	cr_expect(misused(NULL) == 0);
}

static int threads_and_all(void *arg)
{
	int before = law_threads();
	fiber_chan_t *one = opened(SIGUSR1), *two = opened(SIGUSR1);

	(void)arg;
	cr_expect(law_threads() == before + 1);
	cr_expect(fiber_signal_close(one) == 0);
	raise(SIGUSR1);
	receive_all(two, SIGUSR1, 1);
	cr_expect(fiber_signal_close(two) == 0);
	while (law_threads() != before) /* it ends with the last channel; /proc may be late */
		sched_yield();
	return 0;
}

Test(signal, there_is_one_thread_while_a_channel_is_open, .timeout = 60)
{
	cr_expect(threads_and_all(NULL) == 0);
	cr_expect(threads_and_all(NULL) == 0);
}
