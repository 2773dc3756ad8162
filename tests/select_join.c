/* Select and the ends of fibers. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <stdatomic.h>

#include "law.h"
#include "on_a_thread.h"
#include "waits.h"

static fiber_chan_t *chan_of(size_t item_bytes, size_t capacity)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_chan_create(&c, item_bytes, capacity) == 0);
	return c;
}

static int park_for(void *arg)
{
	int r = fiber_park();

	return r < 0 ? r : (int)(intptr_t)arg;
}

/* ---- a fiber that ended meanwhile -------------------------------------------------------------*/
static struct {
	fiber_chan_t *chan, *other;
	fiber_t child;
	int joined;
} late;

static int choose_late(void *arg)
{
	fiber_case_t cases[] = {FIBER_RECV(late.chan, NULL), FIBER_JOINED(late.child)};

	(void)arg;
	return fiber_select(cases, 2);
}

static int join_late(void *arg)
{
	int r = fiber_park();

	(void)arg;
	late.joined = r < 0 ? r : fiber_join(late.child, NULL);
	return 0;
}

static int receive_other(void *arg)
{
	(void)arg;
	return fiber_chan_recv(late.other, NULL);
}

/*	chooser             child       joiner      main
 *	select: waits
 *	                                            try_send: the receive has won
 *	                    ends: the join is too late, and is the chooser's to give back
 *	                                join        <- somebody has it: not "no such fiber"
 *	leaves the join
 *	                                            join: 3
 *
 * One worker: they run in the order in which they are woken, save the last one, which is first. */
static int ended_meanwhile(void *arg)
{
	fiber_t chooser, joiner = spawned(join_late, NULL), last = spawned(receive_other, NULL);

	(void)arg;
	late.chan = chan_of(0, 0);
	late.other = chan_of(0, 0);
	late.child = spawned(park_for, (void *)3);
	chooser = spawned(choose_late, NULL);
	until_it_waits_for(chooser, "select");
	until_it_waits_for(joiner, "park");
	until_it_waits_for(late.child, "park");
	until_it_waits_for(last, "chan recv");
	cr_expect(fiber_unpark(late.child) == 0 && fiber_unpark(joiner) == 0);
	cr_expect(fiber_chan_try_send(late.chan, NULL) == 0);
	cr_expect(fiber_chan_try_send(late.other, NULL) == 0);
	cr_expect(result_of(last) == 0 && result_of(chooser) == 0 && result_of(joiner) == 0);
	cr_expect(late.joined == -EBUSY, "%d", late.joined);
	cr_expect(result_of(late.child) == 3);
	fiber_chan_free(late.chan);
	fiber_chan_free(late.other);
	return 0;
}

Test(select_join, a_join_that_lost_is_given_back, .timeout = 20)
{
	cr_expect(law_run(1, ended_meanwhile, NULL) == 0);
	law_no_leaks();
}

/* ---- threads ----------------------------------------------------------------------------------*/
static int unpark_it(void *arg)
{
	fiber_t f = *(fiber_t *)arg;

	until_it_waits_for(f, "park");
	return fiber_unpark(f);
}

/* A plain thread waits for a fiber's end or an item, whichever comes. */
static int thread_joins(void *runtime)
{
	fiber_attr_t there = {.runtime = runtime};
	fiber_chan_t *c = chan_of(0, 0);
	int r = 0;

	for (int i = 0; i < 100 && r == 0; i++) {
		fiber_t child;
		fiber_case_t cases[] = {FIBER_RECV(c, NULL), FIBER_JOINED((fiber_t){0})};

		r = fiber_spawn(&child, &there, park_for, (void *)(intptr_t)i);
		cases[1].fiber = child;
		cr_expect(r == 0 && fiber_select_now(cases, 2) == -EAGAIN);
		cr_expect(fiber_select_until(cases, 2, 0) == -ETIMEDOUT, "and leaves it joinable");
		cr_expect(fiber_block_on(runtime, unpark_it, &child) == 0);
		cr_expect(fiber_select(cases, 2) == 1 && cases[1].result == i);
		cr_expect(fiber_join(child, NULL) == -ESRCH);
	}
	fiber_chan_free(c);
	return r;
}

Test(select_join, threads_select_among_fibers, .timeout = 20)
{
	fiber_runtime_t *runtime = NULL;

	cr_expect(fiber_runtime_create(&runtime, &(fiber_options_t){.workers = 2}) == 0);
	cr_expect(on_a_thread(thread_joins, runtime) == 0);
	cr_expect(fiber_runtime_free(runtime) == 0);
	law_no_leaks();
}

/* ---- ends, joins and losses at the same moment ------------------------------------------------*/
enum { CHILDREN = 8 };

static struct {
	fiber_chan_t *chan;
	fiber_t child[CHILDREN];
	_Atomic unsigned joined[CHILDREN], wrong;
} crowd;

static int sleep_a_little(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1;

	for (uint64_t i = law_random(&random) % 20; i > 0; i--)
		fiber_yield();
	return (int)(intptr_t)arg;
}

/* Until every child was joined by somebody: here or elsewhere, in any order. */
static int select_all(void *arg)
{
	fiber_case_t cases[CHILDREN + 1] = {FIBER_RECV(crowd.chan, NULL)};
	unsigned gone = 0;

	(void)arg;
	for (int i = 0; i < CHILDREN; i++)
		cases[i + 1] = (fiber_case_t)FIBER_JOINED(crowd.child[i]);
	while (gone < CHILDREN) {
		int at = fiber_select(cases, CHILDREN + 1), result;

		if (at < 0)
			return at;
		if (at == 0)
			continue;
		result = cases[at].result;
		if (result == -EBUSY) { /* the other one has it, and may give it back */
			fiber_yield();
			continue;
		}
		if (result >= 0)
			crowd.joined[at - 1]++;
		crowd.wrong += result != -ESRCH && result % CHILDREN != at - 1;
		cases[at].op = FIBER_OP_NONE;
		gone++;
	}
	return 0;
}

static int disturb(void *arg)
{
	(void)arg;
	for (;;) {
		int r = fiber_chan_send(crowd.chan, NULL);

		if (r < 0)
			return r == -EPIPE ? 0 : r;
	}
}

static int together(void *arg)
{
	(void)arg;
	for (uintptr_t round = 0; round < law_rounds(1000); round++) {
		fiber_t one, two, three;

		crowd.chan = chan_of(0, 0);
		for (uintptr_t i = 0; i < CHILDREN; i++) {
			crowd.joined[i] = 0;
			crowd.child[i] =
				spawned(sleep_a_little, (void *)(round * CHILDREN + i));
		}
		one = spawned(select_all, NULL);
		two = spawned(select_all, NULL);
		three = spawned(disturb, NULL);
		cr_expect(result_of(one) == 0 && result_of(two) == 0);
		cr_expect(fiber_chan_close(crowd.chan) == 0 && result_of(three) == 0);
		for (int i = 0; i < CHILDREN; i++)
			crowd.wrong += crowd.joined[i] != 1;
		fiber_chan_free(crowd.chan);
	}
	cr_expect(crowd.wrong == 0, "%u were wrong", crowd.wrong);
	return 0;
}

Test(select_join, each_end_is_joined_once, .timeout = 50)
{
	law_holds(together, NULL);
}
