/* Unpark, deadline and cancellation all at once: each permit that was given is taken exactly once,
 * or is the one that is left. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

/* ---- unpark against deadline ------------------------------------------------------------------*/
enum { PAIRS = 6, THREADS = 2 };

static struct pair {
	fiber_t parker;
	uint64_t seed;
	_Atomic unsigned given, taken, late, wrong;
	_Atomic bool ready, over;
} pair[PAIRS];

/*	parker               unparker            clock
 *	park                                     the deadline passes
 *	                     given++, unpark
 *	taken++, or late++   sees taken == given */
static int parker(void *arg)
{
	struct pair *p = arg;
	uint64_t random = p->seed;

	p->parker = fiber_self();
	atomic_store(&p->ready, true);
	for (unsigned n = law_rounds(6000); n > 0; n--) {
		int64_t patience = (int64_t)(law_random(&random) % 8) * 5 * FIBER_MICROSECOND;
		ssize_t r = FIBER_TIMEOUT(patience, fiber_park());

		atomic_fetch_add(r == 0 ? &p->taken : r == -ETIMEDOUT ? &p->late : &p->wrong, 1);
	}
	atomic_store(&p->over, true);
	return 0;
}

static int unparker(void *arg)
{
	struct pair *p = arg;
	uint64_t random = p->seed + 1;

	UNTIL(atomic_load(&p->ready));
	for (;;) {
		UNTIL(atomic_load(&p->given) == atomic_load(&p->taken) || atomic_load(&p->over));
		if (atomic_load(&p->over))
			break;
		if (law_random(&random) % 2 == 0)
			fiber_sleep((int64_t)(law_random(&random) % 30) * FIBER_MICROSECOND);
		atomic_fetch_add(&p->given, 1);
		if (fiber_unpark(p->parker) != 0 && !atomic_load(&p->over))
			atomic_fetch_add(&p->wrong, 1);
	}
	return 0;
}

static void *unparker_thread(void *arg)
{
	return (void *)(intptr_t)unparker(arg);
}

static unsigned check_pair(struct pair *p)
{
	unsigned given = atomic_load(&p->given), taken = atomic_load(&p->taken);

	cr_expect(given - taken <= 1, "%u given, %u taken", given, taken);
	cr_expect(atomic_load(&p->wrong) == 0, "%u were wrong", atomic_load(&p->wrong));
	return taken;
}

static int deadlines_race(void *arg)
{
	uint64_t random = law_seed();
	pthread_t thread[THREADS];
	fiber_t f[PAIRS][2];
	unsigned taken = 0;
	int failed = 0;

	(void)arg;
	for (int i = 0; i < PAIRS; i++) {
		pair[i] = (struct pair){ .seed = law_random(&random) };
		failed += fiber_spawn(&f[i][0], NULL, parker, &pair[i]) != 0;
		if (i < THREADS)
			failed += pthread_create(&thread[i], NULL, unparker_thread, &pair[i]) != 0;
		else
			failed += fiber_spawn(&f[i][1], NULL, unparker, &pair[i]) != 0;
	}
	for (int i = 0; i < PAIRS; i++) {
		failed += fiber_join(f[i][0], NULL) != 0;
		if (i >= THREADS)
			failed += fiber_join(f[i][1], NULL) != 0;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < PAIRS; i++)
		taken += check_pair(&pair[i]);
	/* Not by each pair: a thread of a slow machine may be late every time. */
	cr_expect(taken > 0, "nothing was ever taken");
	cr_expect(failed == 0);
	return 0;
}

Test(park_stress, unparks_and_deadlines_by_the_hundred_thousand_lose_no_permit, .timeout = 120)
{
	law_holds(deadlines_race, NULL);
}

Test(park_stress, the_same_with_fibers_that_roam, .timeout = 120)
{
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, deadlines_race, NULL);
}

/* ---- unpark against cancellation against deadline ---------------------------------------------*/
enum { CROWD = 32 };

static struct {
	fiber_t fiber[CROWD];
	_Atomic unsigned there, said, taken, cancelled, late, wrong;
	_Atomic unsigned round, unparked;
	_Atomic bool over;
} crowd;

static int take_what_is_left(void)
{
	fiber_scope_t shield;

	fiber_shield(&shield, fiber_now());
	return (int)fiber_scope_end(&shield, fiber_park());
}

/* Each is given one permit and is cancelled, in whatever order. */
static int be_in_the_crowd(void *arg)
{
	int64_t patience = (int64_t)(uintptr_t)arg * FIBER_MICROSECOND;
	int r;

	atomic_fetch_add(&crowd.there, 1);
	r = (int)FIBER_TIMEOUT(patience, fiber_park());
	if (r != 0) {
		atomic_fetch_add(r == -ETIMEDOUT ? &crowd.late : &crowd.cancelled, 1);
		UNTIL(atomic_load(&crowd.said) == 2);
		r = take_what_is_left();
	}
	atomic_fetch_add(r == 0 ? &crowd.taken : &crowd.wrong, 1);
	return 0;
}

static int unpark_the_crowd(void *arg)
{
	unsigned round = 0;

	(void)arg;
	for (;; round++) {
		UNTIL(atomic_load(&crowd.round) > round || atomic_load(&crowd.over));
		if (atomic_load(&crowd.over))
			return 0;
		for (int i = 0; i < CROWD; i++)
			fiber_unpark(crowd.fiber[i]);
		atomic_fetch_add(&crowd.said, 1);
	}
}

static void one_round(uint64_t *random)
{
	unsigned failed = 0, turn = (unsigned)(law_random(random) % CROWD);

	crowd.there = crowd.said = crowd.taken = 0;
	for (int i = 0; i < CROWD; i++)
		failed += fiber_spawn(&crowd.fiber[i], NULL, be_in_the_crowd,
				      (void *)(uintptr_t)(law_random(random) % 30)) != 0;
	while (law_random(random) % 4 && atomic_load(&crowd.there) < CROWD)
		fiber_yield();
	atomic_fetch_add(&crowd.round, 1);
	if (law_random(random) % 2)
		fiber_yield();
	for (unsigned i = 0; i < CROWD; i++)
		fiber_cancel(crowd.fiber[(i + turn) % CROWD]);
	atomic_fetch_add(&crowd.said, 1);
	for (int i = 0; i < CROWD; i++)
		failed += fiber_join(crowd.fiber[i], NULL) != 0;
	UNTIL(atomic_load(&crowd.said) == 2);
	failed += atomic_load(&crowd.taken) != CROWD;
	atomic_fetch_add(&crowd.wrong, failed);
}

static int everything_races(void *arg)
{
	uint64_t random = law_seed();
	fiber_t f = { 0 };

	(void)arg;
	crowd.over = false;
	crowd.round = 0;
	crowd.wrong = 0;
	cr_expect(fiber_spawn(&f, NULL, unpark_the_crowd, NULL) == 0);
	for (unsigned n = law_rounds(1200); n > 0; n--)
		one_round(&random);
	crowd.over = true;
	cr_expect(fiber_join(f, NULL) == 0);
	cr_expect(crowd.wrong == 0, "%u were wrong (%u late, %u cancelled)", crowd.wrong,
		  crowd.late, crowd.cancelled);
	return 0;
}

Test(park_stress, unpark_cancellation_and_deadline_at_once_lose_no_permit, .timeout = 120)
{
	law_holds(everything_races, NULL);
}

Test(park_stress, the_same_three_with_fibers_that_roam, .timeout = 120)
{
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, everything_races, NULL);
}
