/* Runtimes on threads of their own, several side by side, and plain threads that use them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

static fiber_runtime_t *create(unsigned workers)
{
	fiber_runtime_t *runtime = NULL;

	cr_expect(fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = workers }) == 0);
	return runtime;
}

static fiber_t spawn_into(fiber_runtime_t *runtime, fiber_fn *fn, void *arg)
{
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, &(fiber_attr_t){ .runtime = runtime }, fn, arg) == 0);
	return f;
}

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int park(void *arg)
{
	int r = fiber_park();

	return r == 0 ? (int)(intptr_t)arg : r;
}

/* ---- create and free --------------------------------------------------------------------------*/
static fiber_runtime_t *own;

static int free_from_inside(void *arg)
{
	(void)arg;
	cr_expect(fiber_runtime() == own);
	cr_expect(fiber_worker() >= 1 && fiber_worker() <= fiber_workers());
	return fiber_runtime_free(own);
}

Test(runtimes, free_is_refused_where_it_makes_no_sense, .timeout = 20)
{
	int inside = 0;

	cr_expect(fiber_runtime_free(NULL) == -EINVAL);
	cr_expect(fiber_runtime_free((fiber_runtime_t *)&inside) == -EINVAL);
	own = create(3);
	cr_expect(fiber_block_on(own, free_from_inside, NULL) == -EDEADLK);
	cr_expect(fiber_runtime_free(own) == 0);
	cr_expect(fiber_runtime_free(own) == -EINVAL);
	fiber_runtime_cancel(NULL);
	fiber_runtime_cancel(own);
	law_no_leaks();
}

static int free_the_one_of_fiber_run(void *arg)
{
	(void)arg;
	return fiber_runtime_free(fiber_runtime());
}

Test(runtimes, the_runtime_of_fiber_run_is_not_for_free, .timeout = 20)
{
	cr_expect(law_run(2, free_the_one_of_fiber_run, NULL) == -EINVAL);
}

static int inside_another(void *arg)
{
	fiber_runtime_t *inner = create(2);

	(void)arg;
	cr_expect(fiber_block_on(inner, return_argument, (void *)7) == 7);
	cr_expect(fiber_runtime() != inner);
	return fiber_runtime_free(inner);
}

Test(runtimes, a_fiber_makes_uses_and_frees_another_runtime, .timeout = 20)
{
	law_holds(inside_another, NULL);
}

Test(runtimes, free_cancels_and_awaits, .timeout = 20)
{
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		fiber_runtime_t *runtime = create(workers);
		fiber_t f[50];
		int result = 0;

		for (int i = 0; i < 50; i++)
			f[i] = spawn_into(runtime, park, NULL);
		cr_expect(fiber_runtime_free(runtime) == 0);
		for (int i = 0; i < 50; i++) { /* their results outlive it */
			cr_expect(fiber_cancel(f[i]) == 0 || fiber_cancel(f[i]) == -ESRCH);
			cr_expect(fiber_join(f[i], &result) == 0 && result == -ECANCELED);
			cr_expect(fiber_join(f[i], &result) == -ESRCH);
			cr_expect(fiber_unpark(f[i]) == -ESRCH);
		}
	}
	law_no_leaks();
}

Test(runtimes, cancel_asks_all_and_lasts, .timeout = 20)
{
	fiber_runtime_t *runtime = create(2);
	fiber_t f[20];
	int result = 0;

	for (int i = 0; i < 20; i++)
		f[i] = spawn_into(runtime, park, NULL);
	fiber_runtime_cancel(runtime);
	for (int i = 0; i < 20; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == -ECANCELED);
	cr_expect(fiber_block_on(runtime, park, NULL) == -ECANCELED, "born cancelled");
	cr_expect(fiber_block_on(runtime, return_argument, (void *)3) == 3);
	cr_expect(fiber_runtime_free(runtime) == 0);
}

/* ---- block_on ---------------------------------------------------------------------------------*/
static void *block_often(void *arg)
{
	uintptr_t wrong = 0;

	for (intptr_t i = 0; i < law_rounds(2000); i++)
		wrong += fiber_block_on(arg, return_argument, (void *)i) != i;
	return (void *)wrong;
}

Test(runtimes, many_threads_block_on_one, .timeout = 60)
{
	fiber_runtime_t *runtime = create(2);
	pthread_t thread[6];
	void *wrong;

	for (int i = 0; i < 6; i++)
		cr_assert(!pthread_create(&thread[i], NULL, block_often, runtime));
	for (int i = 0; i < 6; i++) {
		pthread_join(thread[i], &wrong);
		cr_expect(wrong == NULL);
	}
	cr_expect(fiber_block_on(NULL, return_argument, NULL) == -EINVAL);
	cr_expect(fiber_block_on(runtime, NULL, NULL) == -EINVAL);
	cr_expect(fiber_runtime_free(runtime) == 0);
	cr_expect(fiber_block_on(runtime, return_argument, NULL) == -EINVAL);
	law_no_leaks();
}

static _Atomic uint64_t blocked_on;

static int say_who_and_park(void *arg)
{
	atomic_store(&blocked_on, fiber_self().id);
	return park(arg);
}

static int interrupted(void *runtime)
{
	fiber_t f;

	atomic_store(&blocked_on, 0);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND,
				fiber_block_on(runtime, say_who_and_park, NULL)) == -ETIMEDOUT);
	UNTIL(atomic_load(&blocked_on) != 0);
	f.id = atomic_load(&blocked_on);
	until_it_waits_for(f, "park");
	cr_expect(fiber_unpark(f) == 0);
	until_gone(f); /* nobody has its handle: it must not stay to be joined */
	return 0;
}

Test(runtimes, an_interrupted_block_on_leaves_a_detached_fiber, .timeout = 20)
{
	fiber_runtime_t *runtime = create(2);

	interrupted(runtime);
	cr_expect(fiber_block_on(runtime, interrupted, runtime) == 0, "in a fiber");
	cr_expect(fiber_runtime_free(runtime) == 0);
}

/* ---- side by side -----------------------------------------------------------------------------*/
enum { PLAYERS = 8 };

static struct {
	_Atomic uint64_t side[2];
	_Atomic unsigned permits[2];
} pair[PLAYERS];

/* Each waits for the other's permit and gives one: the counts never differ by more than one. */
static int play(void *arg)
{
	uintptr_t which = (uintptr_t)arg, me = which & 1;
	fiber_t other;
	int wrong = 0;

	atomic_store(&pair[which / 2].side[me], fiber_self().id);
	UNTIL(atomic_load(&pair[which / 2].side[!me]) != 0);
	other.id = atomic_load(&pair[which / 2].side[!me]);
	for (unsigned i = 0; i < law_rounds(2000); i++) {
		if (me == 0)
			wrong += fiber_unpark(other) != 0;
		wrong += fiber_park() != 0;
		wrong += atomic_fetch_add(&pair[which / 2].permits[me], 1) != i;
		if (me == 1)
			wrong += fiber_unpark(other) != 0;
	}
	return wrong;
}

Test(runtimes, fibers_of_two_wake_each_other, .timeout = 60)
{
	fiber_runtime_t *runtime[2] = { create(1), create(2) };
	fiber_t f[2 * PLAYERS];
	int result = -1;

	for (uintptr_t i = 0; i < 2 * PLAYERS; i++)
		f[i] = spawn_into(runtime[i % 2], play, (void *)i);
	for (int i = 0; i < 2 * PLAYERS; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == 0, "%d were wrong", result);
	cr_expect(fiber_runtime_free(runtime[0]) == 0);
	cr_expect(fiber_block_on(runtime[1], return_argument, (void *)5) == 5);
	cr_expect(fiber_runtime_free(runtime[1]) == 0);
	law_no_leaks();
}

static int join_across(void *arg)
{
	unsigned wrong = 0;
	int result = 0;

	for (intptr_t i = 0; i < law_rounds(1000); i++) {
		fiber_t f = spawn_into(arg, return_argument, (void *)i);

		wrong += fiber_join(f, &result) != 0;
		wrong += result != i;
		f = spawn_into(arg, park, NULL);
		wrong += fiber_cancel(f) != 0;
		wrong += fiber_join(f, &result) != 0;
		wrong += result != -ECANCELED;
	}
	return (int)wrong;
}

Test(runtimes, a_fiber_of_one_spawns_cancels_and_joins_in_another, .timeout = 60)
{
	fiber_runtime_t *runtime[2] = { create(2), create(2) };
	fiber_t f[2] = {
		spawn_into(runtime[0], join_across, runtime[1]),
		spawn_into(runtime[1], join_across, runtime[0]),
	};
	int result = 0;

	for (int i = 0; i < 2; i++)
		cr_expect(fiber_join(f[i], &result) == 0 && result == 0, "%d were wrong", result);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_runtime_free(runtime[i]) == 0);
}

/* ---- used while it ends -----------------------------------------------------------------------*/
static _Atomic(fiber_runtime_t *) shared;
static _Atomic bool over;
static _Atomic unsigned began, ended;

static int count(void *arg)
{
	(void)arg;
	fiber_yield();
	atomic_fetch_add(&ended, 1);
	return 0;
}

/* What a fiber ran in is refused when it has gone; what was accepted runs to its end. */
static void *use_what_ends(void *arg)
{
	fiber_stats_t stats;
	uintptr_t wrong = 0;

	(void)arg;
	while (!atomic_load(&over)) {
		fiber_attr_t attr = { .runtime = atomic_load(&shared) };
		int r;

		until_pause(began % 40);
		if (!attr.runtime)
			continue;
		r = fiber_spawn(NULL, &attr, count, NULL);
		atomic_fetch_add(&began, r == 0);
		wrong += r != 0 && r != -EINVAL;
		fiber_runtime_cancel(attr.runtime);
		r = fiber_stats(attr.runtime, &stats);
		wrong += r != 0 && r != -EINVAL;
	}
	return (void *)wrong;
}

static int share_and_end(void *arg)
{
	atomic_store(&shared, fiber_runtime());
	fiber_yield();
	return (int)(intptr_t)arg;
}

Test(runtimes, threads_may_use_one_that_is_ending, .timeout = 60)
{
	pthread_t thread[2];
	void *wrong;

	for (int i = 0; i < 2; i++)
		cr_assert(!pthread_create(&thread[i], NULL, use_what_ends, NULL));
	for (unsigned i = law_rounds(200); i > 0; i--) {
		cr_expect(law_run(i % 3 + 1, share_and_end, NULL) == 0);
		if (i % 2) {
			fiber_runtime_t *runtime = create(2);

			atomic_store(&shared, runtime);
			cr_expect(fiber_runtime_free(runtime) == 0);
		}
	}
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], &wrong);
		cr_expect(wrong == NULL);
	}
	cr_expect(began == ended, "%u were spawned, %u ran", began, ended);
	law_no_leaks();
}
