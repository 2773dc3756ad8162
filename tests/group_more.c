/* Groups in trees and by the thousand, again and again, from plain threads, and misused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

/* ---- trees ------------------------------------------------------------------------------------*/
enum { DEPTH = 5, WIDTH = 3 };

static _Atomic int leaves, ended;

static int branch(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	intptr_t depth = (intptr_t)arg;
	int r;

	if (depth == 0) {
		atomic_fetch_add(&leaves, 1);
		r = fiber_park();
	} else {
		for (int i = 0; i < WIDTH; i++)
			fiber_group_spawn(&g, NULL, branch, (void *)(depth - 1));
		r = fiber_group_wait(&g);
	}
	atomic_fetch_add(&ended, 1);
	return r;
}

static int fell_a_tree(void *arg)
{
	fiber_t root = { 0 };
	int result = 0;

	(void)arg;
	leaves = ended = 0;
	cr_expect(fiber_spawn(&root, NULL, branch, (void *)DEPTH) == 0);
	UNTIL(atomic_load(&leaves) == 243);
	cr_expect(atomic_load(&ended) == 0);
	cr_expect(fiber_cancel(root) == 0);
	cr_expect(fiber_join(root, &result) == 0 && result == -ECANCELED);
	cr_expect(atomic_load(&ended) == 364, "%d of 364 ended", ended);
	return 0;
}

Test(group_more, a_cancelled_tree_falls_to_its_last_leaf, .timeout = 30)
{
	law_holds(fell_a_tree, NULL);
}

static int fail_in_a_leaf(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	intptr_t depth = (intptr_t)arg;

	if (depth == 0)
		return -EPIPE;
	fiber_group_spawn(&g, NULL, fail_in_a_leaf, (void *)(depth - 1));
	fiber_group_spawn(&g, NULL, branch, (void *)2);
	return fiber_group_wait(&g);
}

static int a_leaf_fails(void *arg)
{
	(void)arg;
	return fail_in_a_leaf((void *)DEPTH) == -EPIPE ? 0 : -1;
}

Test(group_more, a_failure_in_a_leaf_reaches_the_root_and_ends_all_branches, .timeout = 30)
{
	law_holds(a_leaf_fails, NULL);
}

/* ---- failed spawns ----------------------------------------------------------------------------*/
static int count_end(void *arg)
{
	(void)arg;
	while (fiber_park() == 0)
		;
	atomic_fetch_add(&ended, 1);
	return 0;
}

static int spawns_fail(void *arg)
{
	static const fiber_attr_t wrong[] = { { .flags = ~0u }, { .stack_bytes = SIZE_MAX } };
	static const int why[] = { -EINVAL, -ENOMEM };
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (int i = 0; i < 2; i++) {
		ended = 0;
		fiber_group_spawn(&g, NULL, count_end, NULL);
		cr_expect(fiber_group_spawn(&g, &wrong[i], count_end, NULL) == why[i]);
		fiber_group_spawn(&g, NULL, count_end, NULL);
		cr_expect(fiber_group_wait(&g) == why[i]);
		cr_expect(ended == 2);
	}
	cr_expect(fiber_group_spawn(&g, NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_group_wait(&g) == -EINVAL, "the result of a spawn need not be looked at");
	return 0;
}

Test(group_more, a_spawn_that_failed_is_a_failure_of_the_group, .timeout = 20)
{
	law_holds(spawns_fail, NULL);
}

static int null_groups(void *arg)
{
	(void)arg;
	cr_expect(fiber_group_spawn(NULL, NULL, return_argument, NULL) == -EINVAL);
	cr_expect(fiber_group_wait(NULL) == -EINVAL);
	cr_expect(fiber_group_race(NULL) == -EINVAL);
	fiber_group_cancel(NULL);
	fiber_group_limit(NULL, 1);
	return 0;
}

Test(group_more, no_group_is_refused, .timeout = 20)
{
	law_holds(null_groups, NULL);
	null_groups(NULL);
}

/* ---- members ----------------------------------------------------------------------------------*/
static fiber_group_t *own_group;

static int try_what_members_may_not(void *arg)
{
	(void)arg;
	cr_expect(fiber_join(fiber_self(), NULL) < 0);
	cr_expect(fiber_detach(fiber_self()) == -EINVAL);
	UNTIL(fiber_group_wait(own_group) == -EBUSY); /* as soon as the owner waits */
	fiber_exit(0);
}

static int members(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	own_group = &g;
	cr_expect(fiber_group_spawn(&g, &(fiber_attr_t){ .worker = 1 }, try_what_members_may_not,
				    NULL) == 0);
	return fiber_group_wait(&g);
}

Test(group_more, a_member_is_neither_joined_nor_detached_nor_waits_for_its_own_group, .timeout = 20)
{
	law_holds(members, NULL);
}

/* ---- again and again --------------------------------------------------------------------------*/
static int used_again(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (intptr_t round = 0; round < 200; round++) {
		int expected = round % 3 == 0 ? -EPIPE : 0;

		for (intptr_t i = 0; i < 8; i++)
			fiber_group_spawn(&g, NULL, return_argument,
					  (void *)(i == 5 ? expected : i));
		if (round % 7 == 1)
			fiber_group_cancel(&g);
		if (round % 2)
			cr_expect(fiber_group_wait(&g) == expected, "round %ld", (long)round);
		else
			cr_expect(fiber_group_race(&g) >= 0, "round %ld", (long)round);
	}
	return 0;
}

Test(group_more, it_is_empty_after_the_wait_and_can_be_used_again, .timeout = 20)
{
	law_holds(used_again, NULL);
}

static int born_cancelled(void *arg)
{
	(void)arg;
	return fiber_check() == -ECANCELED ? 5 : -EIO;
}

static int spawn_after_cancel(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	fiber_group_cancel(&g);
	for (int i = 0; i < 10; i++)
		cr_expect(fiber_group_spawn(&g, NULL, born_cancelled, NULL) == 0);
	cr_expect(fiber_group_wait(&g) == 0);
	cr_expect(fiber_group_spawn(&g, NULL, born_cancelled, NULL) == 0);
	cr_expect(fiber_group_wait(&g) == -EIO, "the cancellation ended with the wait");
	return 0;
}

Test(group_more, members_of_a_cancelled_group_are_born_cancelled, .timeout = 20)
{
	law_holds(spawn_after_cancel, NULL);
}

/* ---- by the thousand --------------------------------------------------------------------------*/
static _Atomic int64_t total;

static int add(void *arg)
{
	if ((intptr_t)arg % 3 == 0)
		fiber_yield();
	atomic_fetch_add(&total, (intptr_t)arg);
	return 0;
}

/* The group lies on a stack that is used for something else as soon as the wait has returned. */
static __attribute__((__noinline__)) void many(unsigned n)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	unsigned failed = 0;

	for (uintptr_t i = 0; i < n; i++)
		failed += fiber_group_spawn(&g, NULL, add, (void *)i) != 0;
	failed += fiber_group_wait(&g) != 0;
	cr_expect(failed == 0);
}

static __attribute__((__noinline__)) void overwrite(void)
{
	volatile char frame[1024];

	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = 0x5a;
}

static int thousands(void *arg)
{
	unsigned large = law_rounds(50000), rounds = law_rounds(20000);

	(void)arg;
	total = 0;
	many(large);
	cr_expect(total == (int64_t)large * (large - 1) / 2);
	total = 0;
	for (unsigned i = 0; i < rounds; i++) {
		many(4);
		overwrite();
	}
	cr_expect(total == (int64_t)rounds * 6);
	return 0;
}

Test(group_more, thousands_of_members_are_all_awaited_before_the_group_goes, .timeout = 60)
{
	law_holds(thousands, NULL);
}

/* ---- cancelled while it is being filled -------------------------------------------------------*/
struct filled {
	fiber_group_t group;
	_Atomic unsigned step;
};

static int cancel_it(void *arg)
{
	struct filled *f = arg;

	UNTIL(atomic_load(&f->step) >= 1);
	fiber_group_cancel(&f->group);
	return 0;
}

static int park_and_count(void *arg)
{
	(void)arg;
	if (fiber_park() == -ECANCELED)
		atomic_fetch_add(&ended, 1);
	return 0;
}

static int cancelled_while_filling(void *arg)
{
	uint64_t random = law_seed();

	(void)arg;
	for (unsigned round = law_rounds(1000); round > 0; round--) {
		struct filled f = { .group = FIBER_GROUP_INIT };
		int start = (int)(law_random(&random) % 20);
		fiber_t canceller = { 0 };

		ended = 0;
		cr_expect(fiber_spawn(&canceller, NULL, cancel_it, &f) == 0);
		for (int i = 0; i < 20; i++) {
			if (i == start)
				atomic_store(&f.step, 1);
			fiber_group_spawn(&f.group, NULL, park_and_count, NULL);
			if (law_random(&random) % 8 == 0)
				fiber_yield();
		}
		cr_expect(fiber_group_wait(&f.group) == 0);
		cr_expect(ended == 20, "%d of 20 were cancelled", ended);
		cr_expect(fiber_join(canceller, NULL) == 0);
	}
	return 0;
}

Test(group_more, a_cancel_while_members_are_spawned_reaches_every_one, .timeout = 60)
{
	law_holds(cancelled_while_filling, NULL);
}

/* ---- plain threads ----------------------------------------------------------------------------*/
Test(group_more, a_plain_thread_owns_groups_too, .timeout = 30)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_runtime_t *runtime;
	fiber_attr_t attr;

	cr_assert(fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = 2 }) == 0);
	attr = (fiber_attr_t){ .runtime = runtime };
	cr_expect(fiber_group_spawn(&g, NULL, add, NULL) == -EINVAL, "in no runtime");
	cr_expect(fiber_group_wait(&g) == -EINVAL);
	total = 0;
	fiber_group_limit(&g, 10);
	for (intptr_t i = 0; i < 1000; i++)
		cr_expect(fiber_group_spawn(&g, &attr, add, (void *)i) == 0);
	cr_expect(fiber_group_wait(&g) == 0 && total == 999 * 1000 / 2);
	ended = 0;
	for (int i = 0; i < 5; i++)
		fiber_group_spawn(&g, &attr, park_and_count, NULL);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_group_wait(&g)) == -ETIMEDOUT);
	cr_expect(ended == 5);
	cr_expect(fiber_runtime_free(runtime) == 0);
	law_no_leaks();
}
