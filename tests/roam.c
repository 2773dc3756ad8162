/* Who changes thread and who does not. $FIBER_TEST_MOVE makes every park and yield of a fiber that
 * roams a move, so that whatever holds an address of a thread-local across one is found. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "law.h"
#include "until.h"

static __thread int thread_local;

static __attribute__((__noinline__)) int *local_address(void)
{
	__asm__ volatile("");
	return &thread_local;
}

static __attribute__((__noinline__)) int *errno_address(void)
{
	__asm__ volatile("");
	return &errno;
}

/* pthread_self is declared a constant function: compilers keep its result across a park. */
static __attribute__((__noinline__)) pthread_t this_thread(void)
{
	__asm__ volatile("");
	return pthread_self();
}

/* ---- ways to park -----------------------------------------------------------------------------*/
static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int by_yield(void)
{
	fiber_yield();
	return 0;
}

static int by_sleep(void)
{
	return fiber_sleep(FIBER_MICROSECOND);
}

static int by_deadline(void)
{
	return FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_park()) == -ETIMEDOUT ? 0 : -1;
}

static int by_join(void)
{
	fiber_t f;
	int r = fiber_spawn(&f, &(fiber_attr_t){ .worker = 1 }, return_argument, NULL);

	return r < 0 ? r : fiber_join(f, NULL);
}

static int by_group(void)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	for (unsigned w = 1; w <= 2 && w <= fiber_workers(); w++)
		fiber_group_spawn(&g, &(fiber_attr_t){ .worker = w }, return_argument, NULL);
	return fiber_group_wait(&g);
}

static int (*const parks[])(void) = { by_yield, by_sleep, by_deadline, by_join, by_group };
enum { PARKS = sizeof parks / sizeof *parks };

/* ---- those that roam --------------------------------------------------------------------------*/
static int moves_at(int (*park)(void), int n)
{
	int moves = 0;

	for (int i = 0; i < n; i++) {
		pthread_t before = this_thread();
		unsigned worker = fiber_worker();

		cr_expect(park() == 0);
		if ((worker != fiber_worker()) == pthread_equal(before, this_thread()))
			return -1000000; /* worker and thread disagree */
		moves += worker != fiber_worker();
	}
	return moves;
}

/* Every one, but for those that end before they have begun: a worker that looks around on the way
 * to the park may find the time over. */
static int move_at_every_park(void *arg)
{
	enum { TIMES = 50 };
	int nearly_all = law_rounds(10) < 10 ? TIMES / 2 : 40; /* fewer where all is slow */
	int moves;

	(void)arg;
	moves = moves_at(by_sleep, TIMES);
	cr_expect(moves >= nearly_all, "%d of %d sleeps moved", moves, TIMES);
	moves = moves_at(by_deadline, TIMES);
	cr_expect(moves >= nearly_all, "%d of %d parks moved", moves, TIMES);
	return 0;
}

static int several_move(void *arg)
{
	fiber_attr_t attr = { .flags = FIBER_ROAM };
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (int i = 0; i < 5; i++)
		fiber_group_spawn(&g, &attr, move_at_every_park, NULL);
	return fiber_group_wait(&g);
}

Test(roam, in_the_test_mode_a_park_changes_the_thread, .timeout = 60)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	cr_expect(law_run(2, several_move, NULL) == 0);
	cr_expect(law_run(8, several_move, NULL) == 0);
}

static int pinned(void *arg)
{
	bool outer, inner;

	(void)arg;
	outer = fiber_pin();
	cr_expect(!outer);
	for (int i = 0; i < PARKS; i++)
		cr_expect(moves_at(parks[i], 10) == 0, "park %d moved a pinned fiber", i);
	inner = fiber_pin();
	cr_expect(inner);
	fiber_unpin(inner);
	cr_expect(moves_at(by_yield, 10) == 0, "the inner unpin let it go");
	fiber_unpin(outer);
	cr_expect(moves_at(by_sleep, 20) >= 10, "it does not roam again");
	return 0;
}

static int several_pinned(void *arg)
{
	fiber_attr_t attr = { .flags = FIBER_ROAM };
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (int i = 0; i < 10; i++)
		fiber_group_spawn(&g, &attr, pinned, NULL);
	return fiber_group_wait(&g);
}

Test(roam, a_pinned_fiber_stays_until_it_is_unpinned, .timeout = 60)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	cr_expect(law_run(2, several_pinned, NULL) == 0);
	cr_expect(law_run(8, several_pinned, NULL) == 0);
}

/* ---- those that stay --------------------------------------------------------------------------*/
static int stay(void *arg)
{
	pthread_t thread = this_thread();
	int *local = local_address(), *error = errno_address(), moved = 0;
	uint64_t random = (uintptr_t)arg;

	for (int i = 0; i < 40; i++) {
		cr_expect(parks[law_random(&random) % PARKS]() == 0);
		moved += !pthread_equal(thread, this_thread());
		moved += local != local_address() || error != errno_address();
	}
	return -moved;
}

/* Beside others that roam, and take the same ways. */
static int stay_beside(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_attr_t attr = { 0 };

	for (uintptr_t i = 1; i <= 20; i++) {
		attr.flags = FIBER_STAY;
		fiber_group_spawn(&g, &attr, stay, (void *)i);
		if (arg) { /* the runtime's default is to stay */
			attr.flags = 0;
			fiber_group_spawn(&g, &attr, stay, (void *)(i + 100));
		}
		attr.flags = FIBER_ROAM;
		fiber_group_spawn(&g, &attr, move_at_every_park, NULL);
	}
	cr_expect(fiber_group_wait(&g) == 0);
	return stay(NULL); /* main */
}

static int results_are_0(void *arg)
{
	fiber_attr_t attr = { .flags = FIBER_STAY };
	fiber_t f[20];
	int result = 0;

	for (uintptr_t i = 0; i < 20; i++)
		cr_expect(fiber_spawn(&f[i], &attr, stay, (void *)i) == 0);
	for (int i = 0; i < 20; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == 0, "%d moves", result);
	return stay_beside(arg);
}

Test(roam, who_stays_never_changes_thread, .timeout = 60)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	cr_expect(law_run(2, results_are_0, "stay") == 0);
	cr_expect(law_run(8, results_are_0, "stay") == 0);
}

Test(roam, who_stays_never_changes_thread_though_all_others_roam, .timeout = 60)
{
	fiber_options_t options = { .workers = 8, .flags = FIBER_ALL_ROAM };

	setenv("FIBER_TEST_MOVE", "1", 1);
	cr_expect(fiber_run(&options, results_are_0, NULL) == 0);
	options.workers = 2;
	cr_expect(fiber_run(&options, results_are_0, NULL) == 0);
}

/* ---- counts -----------------------------------------------------------------------------------*/
enum { RING = 20 };

static fiber_t ring[RING];
static _Atomic unsigned ready, passes;

static int pass_on(void *arg)
{
	unsigned n = law_rounds(1000);
	uintptr_t me = (uintptr_t)arg;

	atomic_fetch_add(&ready, 1);
	for (unsigned i = 0; i < n; i++) {
		if (fiber_park() != 0)
			return -ECANCELED;
		if (atomic_fetch_add(&passes, 1) % RING != me)
			return -EILSEQ; /* out of turn */
		fiber_unpark(ring[(me + 1) % RING]);
	}
	return 0;
}

static int a_ring(void *arg)
{
	fiber_attr_t attr = { .flags = FIBER_ROAM };
	int result = 0;

	(void)arg;
	ready = passes = 0;
	for (uintptr_t i = 0; i < RING; i++)
		cr_expect(fiber_spawn(&ring[i], &attr, pass_on, (void *)i) == 0);
	UNTIL(atomic_load(&ready) == RING);
	fiber_unpark(ring[0]);
	for (int i = 0; i < RING; i++)
		cr_expect(fiber_join(ring[i], &result) == 0 && result == 0, "%d", result);
	cr_expect(passes == RING * law_rounds(1000));
	return 0;
}

Test(roam, a_token_goes_round_a_ring_of_fibers_that_move, .timeout = 120)
{
	law_holds(a_ring, NULL);
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds(a_ring, NULL);
}

static _Atomic unsigned steps;

static int wander(void *arg)
{
	uint64_t random = (uintptr_t)arg;

	for (int i = 0; i < 30; i++) {
		bool was = law_random(&random) % 4 == 0 ? fiber_pin() : true;

		if (parks[law_random(&random) % PARKS]() != 0)
			return -1;
		fiber_unpin(was);
		atomic_fetch_add(&steps, 1);
	}
	return 0;
}

static int many_wander(void *arg)
{
	unsigned n = law_rounds(500);
	fiber_group_t g = FIBER_GROUP_INIT;
	uint64_t random = law_seed();

	(void)arg;
	steps = 0;
	for (unsigned i = 0; i < n; i++)
		fiber_group_spawn(&g, NULL, wander, (void *)(uintptr_t)law_random(&random));
	cr_expect(fiber_group_wait(&g) == 0);
	cr_expect(steps == 30 * n, "%u of %u steps", steps, 30 * n);
	return 0;
}

Test(roam, many_wander_and_none_is_lost, .timeout = 120)
{
	fiber_options_t options = { .flags = FIBER_ALL_ROAM };

	law_holds_with(&options, many_wander, NULL);
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds_with(&options, many_wander, NULL);
}
