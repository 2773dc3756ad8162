/* Fiber-locals: a value for each fiber and key, and destructors that run in the fiber. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "law.h"
#include "until.h"

static fiber_key_t key, other;
static _Atomic unsigned destroyed, wrong;

static fiber_key_t create(void (*destroy)(void *))
{
	fiber_key_t k = { 0 };

	cr_expect(fiber_key_create(&k, destroy) == 0);
	return k;
}

static int in_a_fiber(fiber_fn *fn, void *arg)
{
	int result = 0, r;
	fiber_t f;

	r = fiber_spawn(&f, NULL, fn, arg);
	if (r == 0)
		r = fiber_join(f, &result);
	return r < 0 ? r : result;
}

/* ---- values -----------------------------------------------------------------------------------*/
static int keep_own_values(void *arg)
{
	int lost = 0;

	lost += fiber_getspecific(key) != NULL || fiber_getspecific(other) != NULL;
	for (intptr_t i = 1; i < 50; i++) {
		lost += fiber_setspecific(key, (char *)arg + i) != 0;
		if (i % 2)
			lost += fiber_setspecific(other, &lost) != 0;
		fiber_yield();
		lost += fiber_getspecific(key) != (char *)arg + i;
		lost += fiber_getspecific(other) != &lost;
	}
	return lost;
}

static int values(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	key = create(NULL);
	other = create(NULL);
	for (intptr_t i = 1; i <= 100; i++)
		fiber_group_spawn(&g, NULL, keep_own_values, (void *)(i * 1000));
	cr_expect(fiber_group_race(&g) == 0);
	cr_expect(fiber_getspecific(key) == NULL, "main has one of its own");
	cr_expect(fiber_key_delete(key) == 0 && fiber_key_delete(other) == 0);
	return 0;
}

Test(local, each_fiber_has_a_value_of_its_own, .timeout = 20)
{
	law_holds(values, NULL);
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, values, NULL);
}

static int misuse(void *arg)
{
	fiber_key_t none = { 0 }, wild = { UINT32_MAX }, gone = create(NULL);

	(void)arg;
	cr_expect(fiber_key_create(NULL, free) == -EINVAL);
	cr_expect(fiber_key_delete(gone) == 0);
	for (int i = 0; i < 3; i++) {
		fiber_key_t k = i == 0 ? none : i == 1 ? wild : gone;

		cr_expect(fiber_key_delete(k) == -EINVAL);
		cr_expect(fiber_setspecific(k, &k) == -EINVAL);
		cr_expect(fiber_getspecific(k) == NULL);
	}
	return 0;
}

Test(local, what_is_no_key_is_refused, .timeout = 20)
{
	law_holds(misuse, NULL);
	misuse(NULL);
}

static int exhausted(void *arg)
{
	enum { MOST = 1024 };
	fiber_key_t k[MOST], more;
	intptr_t sum = 0;

	(void)arg;
	for (int i = 0; i < MOST; i++)
		k[i] = create(NULL);
	cr_expect(fiber_key_create(&more, NULL) == -EAGAIN);
	for (intptr_t i = 0; i < MOST; i++)
		cr_expect(fiber_setspecific(k[i], (void *)i) == 0);
	for (intptr_t i = 0; i < MOST; i++)
		sum += (intptr_t)fiber_getspecific(k[i]);
	cr_expect(sum == (intptr_t)MOST * (MOST - 1) / 2);
	for (int i = 0; i < MOST; i++)
		cr_expect(fiber_key_delete(k[i]) == 0);
	return 0;
}

Test(local, there_are_1024_keys, .timeout = 20)
{
	law_holds(exhausted, NULL);
}

static int a_key_in_the_same_place(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5000; i++) {
		fiber_key_t k = create(NULL);

		cr_expect(fiber_getspecific(k) == NULL, "it found the value of a deleted key");
		cr_expect(fiber_setspecific(k, &k) == 0);
		cr_expect(fiber_key_delete(k) == 0);
		cr_expect(fiber_getspecific(k) == NULL);
	}
	return 0;
}

Test(local, a_new_key_is_empty_everywhere, .timeout = 20)
{
	law_holds(a_key_in_the_same_place, NULL);
}

/* ---- destructors ------------------------------------------------------------------------------*/
static void destroy_own(void *value)
{
	fiber_t owner = *(fiber_t *)value;

	if (!fiber_equal(owner, fiber_self()) || fiber_getspecific(key))
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(&destroyed, 1);
	free(value);
}

static int set_one(void *arg)
{
	fiber_t *self = malloc(sizeof *self);

	*self = fiber_self();
	cr_expect(fiber_setspecific(key, self) == 0);
	if (arg)
		fiber_exit(0);
	return 0;
}

static int set_none(void *arg)
{
	cr_expect(fiber_setspecific(key, &key) == 0);
	cr_expect(fiber_setspecific(key, NULL) == 0);
	return (int)(intptr_t)arg;
}

static int destructors(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	atomic_store(&destroyed, 0);
	key = create(destroy_own);
	cr_expect(in_a_fiber(set_one, NULL) == 0 && destroyed == 1, "before the join returns");
	cr_expect(in_a_fiber(set_one, "exit") == 0 && destroyed == 2);
	cr_expect(in_a_fiber(set_none, NULL) == 0 && destroyed == 2);
	for (int i = 0; i < 50; i++)
		fiber_group_spawn(&g, NULL, set_one, NULL);
	cr_expect(fiber_group_wait(&g) == 0);
	cr_expect(destroyed == 52, "before the group's wait returns");
	cr_expect(wrong == 0);
	return fiber_key_delete(key);
}

Test(local, a_destructor_runs_once_in_the_fiber_before_it_has_ended, .timeout = 20)
{
	law_holds(destructors, NULL);
}

static void set_again(void *value)
{
	atomic_fetch_add(&destroyed, 1);
	fiber_setspecific(key, value);
}

static void set_the_other(void *value)
{
	atomic_fetch_add(&destroyed, 1);
	fiber_setspecific(other, value);
}

static void only_count(void *value)
{
	(void)value;
	atomic_fetch_add(&destroyed, 1);
}

static int set_key(void *arg)
{
	return fiber_setspecific(key, arg);
}

static int rounds(void *arg)
{
	(void)arg;
	atomic_store(&destroyed, 0);
	key = create(set_again);
	cr_expect(in_a_fiber(set_key, "value") == 0);
	cr_expect(destroyed == 4, "%u rounds", destroyed);
	fiber_key_delete(key);
	destroyed = 0;
	other = create(only_count); /* a lower place than the one that sets it: the next round's */
	key = create(set_the_other);
	cr_expect(in_a_fiber(set_key, "value") == 0);
	cr_expect(destroyed == 2, "%u calls", destroyed);
	fiber_key_delete(other);
	return fiber_key_delete(key);
}

Test(local, destructors_that_set_values_have_four_rounds, .timeout = 20)
{
	law_holds(rounds, NULL);
}

static int set_then_delete(void *arg)
{
	cr_expect(fiber_setspecific(key, arg) == 0);
	cr_expect(fiber_key_delete(key) == 0);
	other = create(only_count); /* in the same place */
	return 0;
}

static int deleted(void *arg)
{
	(void)arg;
	destroyed = 0;
	key = create(only_count);
	cr_expect(in_a_fiber(set_then_delete, "value") == 0);
	cr_expect(destroyed == 0);
	return fiber_key_delete(other);
}

Test(local, a_deleted_keys_destructor_is_called_no_more, .timeout = 20)
{
	law_holds(deleted, NULL);
}

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static void park_a_while(void *value)
{
	fiber_t before = fiber_self();

	FIBER_SHIELD(1000 * FIBER_SECOND) {
		if (fiber_sleep(100 * FIBER_MICROSECOND) != 0)
			atomic_fetch_add(&wrong, 1);
		if (in_a_fiber(return_argument, (void *)3) != 3)
			atomic_fetch_add(&wrong, 1);
	}
	for (int i = 0; i < 10; i++)
		fiber_yield();
	if (!fiber_equal(before, fiber_self()))
		atomic_fetch_add(&wrong, 1);
	only_count(value);
}

static int cancel_with_a_value(void *arg)
{
	fiber_setspecific(key, arg);
	if ((intptr_t)arg % 2)
		fiber_cancel(fiber_self());
	return (int)(intptr_t)arg;
}

static int parking(void *arg)
{
	fiber_t f[40];
	int result = 0;

	(void)arg;
	destroyed = wrong = 0;
	key = create(park_a_while);
	for (intptr_t i = 0; i < 40; i++)
		cr_expect(fiber_spawn(&f[i], NULL, cancel_with_a_value, (void *)(i + 1)) == 0);
	for (int i = 0; i < 40; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == i + 1);
	cr_expect(destroyed == 40 && wrong == 0, "%u destroyed, %u wrong", destroyed, wrong);
	return fiber_key_delete(key);
}

Test(local, a_destructor_may_park, .timeout = 20)
{
	law_holds(parking, NULL);
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, parking, NULL);
}

/* ---- plain threads ----------------------------------------------------------------------------*/
static pthread_t destroyed_on;

static void note_thread(void *value)
{
	only_count(value);
	destroyed_on = pthread_self();
}

static void *set_in_a_thread(void *arg)
{
	cr_expect(fiber_getspecific(key) == NULL);
	cr_expect(fiber_setspecific(key, arg) == 0);
	cr_expect(fiber_getspecific(key) == arg);
	fiber_sleep(FIBER_MICROSECOND);
	return fiber_getspecific(key);
}

Test(local, a_plain_thread_has_values_and_destructors, .timeout = 20)
{
	pthread_t thread;
	void *result;

	key = create(note_thread);
	cr_expect(fiber_setspecific(key, &key) == 0);
	for (unsigned i = 1; i <= 20; i++) {
		cr_assert(!pthread_create(&thread, NULL, set_in_a_thread, &i));
		pthread_join(thread, &result);
		cr_expect(result == &i && destroyed == i);
		cr_expect(pthread_equal(destroyed_on, thread));
	}
	cr_expect(fiber_getspecific(key) == &key);
	cr_expect(fiber_key_delete(key) == 0);
	law_no_leaks();
}

/* ---- all at once ------------------------------------------------------------------------------*/
static int churn(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	fiber_key_t own = { 0 };

	for (int i = 0; i < 30; i++) {
		if (own.index == 0 && fiber_key_create(&own, NULL) != 0)
			atomic_fetch_add(&wrong, 1);
		if (fiber_getspecific(own) != NULL || fiber_setspecific(own, &own) != 0)
			atomic_fetch_add(&wrong, 1);
		if (law_random(&random) % 4 == 0)
			fiber_yield();
		if (fiber_getspecific(own) != &own || fiber_key_delete(own) != 0)
			atomic_fetch_add(&wrong, 1);
		own.index = 0;
	}
	return set_one(NULL);
}

static int all_at_once(void *arg)
{
	unsigned n = law_rounds(3000);
	fiber_group_t g = FIBER_GROUP_INIT;
	uint64_t random = law_seed();

	(void)arg;
	destroyed = wrong = 0;
	key = create(destroy_own);
	fiber_group_limit(&g, 200);
	for (unsigned i = 0; i < n; i++)
		fiber_group_spawn(&g, NULL, churn, (void *)(uintptr_t)law_random(&random));
	cr_expect(fiber_group_wait(&g) == 0);
	cr_expect(destroyed == n && wrong == 0, "%u of %u, %u wrong", destroyed, n, wrong);
	return fiber_key_delete(key);
}

Test(local, keys_come_and_go_while_others_are_used, .timeout = 60)
{
	law_holds(all_at_once, NULL);
}
