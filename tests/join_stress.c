/* Joins under pressure: an end that races its join, joiners that are interrupted at random, and
 * handles that nobody gave out. Each fiber is joined exactly once, with its own result. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "law.h"
#include "until.h"

/* ---- an end races its join --------------------------------------------------------------------*/
static int yield_some(void *arg)
{
	for (uintptr_t i = (uintptr_t)arg % 4; i > 0; i--)
		fiber_yield();
	return (int)(intptr_t)arg;
}

/*	worker 1            worker 2
 *	spawn f, g
 *	                    steal f, run it
 *	join f              end f               <- one word decides who wakes whom
 *	join g: run it */
static int ends_race(void *arg)
{
	unsigned wrong = 0;
	int result = 0;
	fiber_t f[8];

	(void)arg;
	for (unsigned round = law_rounds(20000); round > 0; round--) {
		for (uintptr_t i = 0; i < 8; i++)
			wrong += fiber_spawn(&f[i], NULL, yield_some, (void *)(round + i)) != 0;
		for (uintptr_t i = 0; i < 8; i++) {
			wrong += fiber_join(f[i], &result) != 0;
			wrong += result != (int)(round + i);
		}
	}
	cr_expect(wrong == 0, "%u were wrong", wrong);
	return 0;
}

Test(join_stress, an_end_that_races_its_join_loses_nothing, .timeout = 60)
{
	law_holds(ends_race, NULL);
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, ends_race, NULL);
}

/* ---- joiners interrupted at random ------------------------------------------------------------*/
enum { TARGETS = 48, JOINERS = 16 };

static struct {
	fiber_t target[TARGETS], joiner[JOINERS];
	_Atomic unsigned joined[TARGETS];
	_Atomic unsigned wrong;
	uint64_t seed;
} arena;

static int be_a_target(void *arg)
{
	uint64_t random = arena.seed * 31 + (uintptr_t)arg;

	switch (law_random(&random) % 4) {
	case 0:
		break;
	case 1:
		fiber_yield();
		break;
	case 2:
		fiber_sleep((int64_t)(law_random(&random) % 100) * FIBER_MICROSECOND);
		break;
	default:
		for (int i = 0; i < 40; i++)
			fiber_yield();
	}
	return (int)(intptr_t)arg;
}

/* True: it is settled, by us or by somebody else. */
static bool try_to_join(unsigned i, int64_t patience)
{
	int result = -1;
	ssize_t r = FIBER_TIMEOUT(patience, fiber_join(arena.target[i], &result));

	if (r == 0) {
		atomic_fetch_add(&arena.joined[i], 1);
		if (result != (int)i)
			atomic_fetch_add(&arena.wrong, 1);
		return true;
	}
	if (r != -ETIMEDOUT && r != -ECANCELED && r != -EBUSY && r != -ESRCH)
		atomic_fetch_add(&arena.wrong, 1);
	return r == -ESRCH;
}

static int be_a_joiner(void *arg)
{
	uint64_t random = arena.seed * 17 + (uintptr_t)arg;

	for (int n = 0; n < TARGETS && fiber_check() == 0; n++) {
		unsigned i = (unsigned)(law_random(&random) % TARGETS);

		try_to_join(i, (int64_t)(law_random(&random) % 60) * FIBER_MICROSECOND);
	}
	return 0;
}

static void start_all(void)
{
	for (uintptr_t i = 0; i < TARGETS; i++) {
		atomic_store(&arena.joined[i], 0);
		if (fiber_spawn(&arena.target[i], NULL, be_a_target, (void *)i) != 0)
			atomic_fetch_add(&arena.wrong, 1);
	}
	for (uintptr_t i = 0; i < JOINERS; i++)
		if (fiber_spawn(&arena.joiner[i], NULL, be_a_joiner, (void *)i) != 0)
			atomic_fetch_add(&arena.wrong, 1);
}

static void settle_all(void)
{
	for (unsigned i = 0; i < JOINERS; i++)
		if (fiber_join(arena.joiner[i], NULL) != 0)
			atomic_fetch_add(&arena.wrong, 1);
	for (unsigned i = 0; i < TARGETS; i++)
		if (!try_to_join(i, FIBER_SECOND * 1000))
			atomic_fetch_add(&arena.wrong, 1);
	for (unsigned i = 0; i < TARGETS; i++)
		if (atomic_load(&arena.joined[i]) != 1)
			atomic_fetch_add(&arena.wrong, 1);
}

static int joiners_are_interrupted(void *arg)
{
	uint64_t random = law_seed();

	(void)arg;
	for (unsigned round = law_rounds(1500); round > 0; round--) {
		arena.seed = law_random(&random);
		start_all();
		for (int i = 0; i < JOINERS; i++) {
			if (law_random(&random) % 4 == 0)
				fiber_yield();
			if (law_random(&random) % 2 == 0)
				fiber_cancel(arena.joiner[law_random(&random) % JOINERS]);
		}
		settle_all();
	}
	cr_expect(atomic_load(&arena.wrong) == 0, "%u were wrong", atomic_load(&arena.wrong));
	return 0;
}

Test(join_stress, whatever_interrupts_joiners_each_fiber_is_joined_exactly_once, .timeout = 120)
{
	law_holds(joiners_are_interrupted, NULL);
}

Test(join_stress, the_same_with_fibers_that_roam, .timeout = 120)
{
	fiber_options_t options = { .flags = FIBER_ALL_ROAM };

	law_holds_with(&options, joiners_are_interrupted, NULL);
}

/* ---- handles that nobody gave out -------------------------------------------------------------*/
static _Atomic bool over;
static fiber_t sleeper;

static int sleep_on(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		if (fiber_sleep(FIBER_MILLISECOND) != 0)
			return -ECANCELED;
	return 0;
}

static void *wait_in_a_thread(void *arg)
{
	int r;

	(void)arg;
	UNTIL((r = fiber_join(sleeper, NULL)) != -EBUSY); /* the test looks whether we have come */
	return (void *)(intptr_t)r;
}

static bool is_known(fiber_t f, fiber_t main)
{
	return fiber_equal(f, main) || fiber_equal(f, sleeper);
}

static unsigned reached_by(fiber_t f)
{
	fiber_info_t info;
	unsigned reached = 0;

	reached += fiber_cancel(f) != -ESRCH;
	reached += fiber_unpark(f) != -ESRCH;
	reached += fiber_info(f, &info) != -ESRCH;
	reached += fiber_detach(f) != -ESRCH;
	reached += FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_join(f, NULL)) != -ESRCH;
	return reached;
}

/* Every place of the first blocks, in their first lives; and wild ones. A plain thread waits in one
 * of those blocks, and is nobody's fiber. */
static int forged(void *arg)
{
	uint64_t random = law_seed();
	unsigned reached = 0;

	(void)arg;
	reached += reached_by((fiber_t){ 0 }) + reached_by((fiber_t){ UINT64_MAX });
	for (uint64_t generation = 0; generation < 6; generation++)
		for (uint64_t index = 0; index < 600; index++) {
			fiber_t f = { generation << 24 | index };

			if (!is_known(f, fiber_self()))
				reached += reached_by(f);
		}
	for (int i = 0; i < 10000; i++) {
		fiber_t f = { law_random(&random) };

		reached += reached_by(f);
	}
	cr_expect(reached == 0, "%u calls reached somebody", reached);
	return fiber_check();
}

static int beside_a_waiting_thread(void *arg)
{
	pthread_t thread;
	void *result = NULL;

	atomic_store(&over, false);
	cr_expect(fiber_spawn(&sleeper, NULL, sleep_on, NULL) == 0);
	cr_expect(!pthread_create(&thread, NULL, wait_in_a_thread, NULL));
	/* Until somebody else joins it: that thread. */
	UNTIL(FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_join(sleeper, NULL)) == -EBUSY);
	forged(arg);
	atomic_store(&over, true);
	until_gone(sleeper); /* it may need this worker to end */
	pthread_join(thread, &result);
	cr_expect(result == NULL, "the thread's join: %d", (int)(intptr_t)result);
	return 0;
}

Test(join_stress, a_forged_handle_reaches_nobody, .timeout = 60)
{
	cr_expect(law_run(2, beside_a_waiting_thread, NULL) == 0);
	cr_expect(law_run(8, beside_a_waiting_thread, NULL) == 0);
}
