/* Several futures: all of them, any, the first; and many setters, waiters, deadlines at once. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/future.h>
#include <stdlib.h>
#include <string.h>

#include "on_a_thread.h"
#include "worlds.h"

enum { MANY = 20 };

typedef int several(fiber_future_t *const *, size_t);

struct wait_for {
	several *wait;
	size_t n;
	fiber_future_t future[MANY];
};

static int wait_for_them(void *arg)
{
	struct wait_for *w = arg;
	fiber_future_t *all[MANY];

	for (size_t i = 0; i < w->n; i++)
		all[i] = &w->future[i];
	return w->wait(all, w->n);
}

static void begin(struct wait_for *w, struct actor *a, void *world, several *wait, size_t n)
{
	memset(w, 0, sizeof *w);
	w->wait = wait;
	w->n = n;
	actor_start(a, (enum world)(intptr_t)world, 1, wait_for_them, w);
	for (size_t i = 0; i < n; i++)
		until_waiting(&w->future[i], 1);
}

/* Its result; and it left nothing behind. */
static int end(struct wait_for *w, struct actor *a)
{
	int r = actor_end(a);

	for (size_t i = 0; i < w->n; i++)
		cr_expect(fiber_future_destroy(&w->future[i]) == 0, "%zu was not left", i);
	return r;
}

static int all_of_them(void *world)
{
	struct wait_for w;
	struct actor a;

	begin(&w, &a, world, fiber_future_all, MANY);
	for (size_t i = MANY - 1; i > 0; i--)
		cr_expect(fiber_future_set(&w.future[i], NULL) == 0);
	cr_expect(!atomic_load(&a.over) && waiting_for(&w.future[0]) == 1);
	cr_expect(fiber_future_destroy(&w.future[1]) == -EBUSY, "it has yet to come by");
	cr_expect(fiber_future_set(&w.future[0], NULL) == 0);
	cr_expect(end(&w, &a) == 0);

	begin(&w, &a, world, fiber_future_all, MANY);
	cr_expect(fiber_future_set(&w.future[3], NULL) == 0);
	cr_expect(fiber_future_fail(&w.future[5], -EIO) == 0);
	cr_expect(end(&w, &a) == -EIO, "the first failure ends it");
	return 0;
}

Test(futures, all_waits_for_the_last_value_or_the_first_error, .timeout = 60)
{
	law_holds_in_all_worlds(all_of_them);
}

static int any_of_them(void *world)
{
	struct wait_for w;
	struct actor a;

	begin(&w, &a, world, fiber_future_any, 4);
	cr_expect(fiber_future_fail(&w.future[0], -EIO) == 0);
	cr_expect(fiber_future_fail(&w.future[2], -ENOENT) == 0);
	cr_expect(!atomic_load(&a.over) && waiting_for(&w.future[1]) == 1);
	cr_expect(fiber_future_set(&w.future[3], NULL) == 0);
	cr_expect(end(&w, &a) == 3);

	begin(&w, &a, world, fiber_future_any, 3);
	cr_expect(fiber_future_fail(&w.future[1], -ENOENT) == 0);
	cr_expect(fiber_future_fail(&w.future[2], -EIO) == 0);
	cr_expect(fiber_future_fail(&w.future[0], -EPERM) == 0);
	cr_expect(end(&w, &a) == -ENOENT, "the first of the errors");
	return 0;
}

Test(futures, any_waits_for_the_first_value_or_the_last_error, .timeout = 60)
{
	law_holds_in_all_worlds(any_of_them);
}

static int first_of_them(void *world)
{
	struct wait_for w;
	struct actor a;

	begin(&w, &a, world, fiber_future_race, 3);
	cr_expect(fiber_future_fail(&w.future[1], -EIO) == 0);
	cr_expect(end(&w, &a) == 1);
	begin(&w, &a, world, fiber_future_race, MANY);
	cr_expect(fiber_future_set(&w.future[MANY - 1], NULL) == 0);
	cr_expect(end(&w, &a) == MANY - 1);
	return 0;
}

Test(futures, race_waits_for_the_first_of_all, .timeout = 60)
{
	law_holds_in_all_worlds(first_of_them);
}

static int set_already(void *arg)
{
	fiber_future_t value = FIBER_FUTURE_INIT, error = FIBER_FUTURE_INIT;
	fiber_future_t unset = FIBER_FUTURE_INIT;
	fiber_future_t *all[] = {&unset, &error, &value, &value};

	(void)arg;
	cr_expect(fiber_future_all_until(all, 4, 0) == -ETIMEDOUT);
	cr_expect(fiber_future_any_until(all, 4, 0) == -ETIMEDOUT);
	cr_expect(fiber_future_race_until(all, 4, 0) == -ETIMEDOUT);
	cr_expect(fiber_future_set(&value, NULL) == 0 && fiber_future_fail(&error, -EIO) == 0);
	cr_expect(fiber_future_all(all, 4) == -EIO);
	cr_expect(fiber_future_all(all + 2, 2) == 0);
	cr_expect(fiber_future_any(all, 4) == 2);
	cr_expect(fiber_future_any(all + 1, 1) == -EIO);
	cr_expect(fiber_future_race(all, 4) == 1);
	cr_expect(fiber_future_destroy(&unset) == 0, "it was left");
	return 0;
}

Test(futures, what_is_set_already_counts_in_order, .timeout = 20)
{
	on_a_thread(set_already, NULL);
	law_holds(set_already, NULL);
}

static int canceled(void *arg)
{
	struct wait_for w = { .n = 3 };

	for (int i = 0; i < 3; i++) {
		fiber_t f;

		w.wait = (several *[]){ fiber_future_all, fiber_future_any, fiber_future_race }[i];
		f = spawned(wait_for_them, &w);
		until_waiting(&w.future[2], 1);
		fiber_cancel(f);
		cr_expect(result_of(f) == -ECANCELED);
		cr_expect(fiber_future_destroy(&w.future[0]) == 0);
		f = spawned(wait_for_them, &w);
		fiber_cancel(f);
		cr_expect(result_of(f) == -ECANCELED);
	}
	cr_expect(FIBER_TIMEOUT(0, wait_for_them(&w)) == -ETIMEDOUT);
	(void)arg;
	return 0;
}

Test(futures, cancellation_and_deadline_end_a_wait, .timeout = 20)
{
	law_holds(canceled, NULL);
}

static int misuse(void *arg)
{
	fiber_future_t f = FIBER_FUTURE_INIT;
	fiber_future_t *one[] = {&f}, *null[] = {&f, NULL};

	(void)arg;
	cr_expect(fiber_future_all(NULL, 0) == 0, "of none all are set");
	cr_expect(fiber_future_any(one, 0) == -EINVAL && fiber_future_race(one, 0) == -EINVAL);
	cr_expect(fiber_future_all(NULL, 1) == -EINVAL && fiber_future_any(NULL, 1) == -EINVAL);
	cr_expect(fiber_future_all(null, 2) == -EINVAL && fiber_future_race(null, 2) == -EINVAL);
	cr_expect(fiber_future_any(one, 65537) == -EINVAL);
	return 0;
}

Test(futures, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}

/* ---- everything at once -----------------------------------------------------------------------*/
enum { WAITERS = 8, FUTURES = 10 };

/* Everybody's, for one round. */
static struct {
	fiber_future_t *future[FUTURES];
	bool fails[FUTURES];
	atomic_uint wrong, in_time, late, canceled;
} round_;

struct player {
	struct actor actor;
	uint64_t random;
};

/* The values and errors are known beforehand, so every result can be checked. */
static bool is_right(int how, int r)
{
	bool any_fails = false, any_value = false;

	for (int i = 0; i < FUTURES; i++) {
		any_fails |= round_.fails[i];
		any_value |= !round_.fails[i];
	}
	switch (how) {
	case 0:
		return any_fails ? r <= -1000 : r == 0;
	case 1:
		return any_value ? r >= 0 && r < FUTURES && !round_.fails[r] : r <= -1000;
	case 2:
		return r >= 0 && r < FUTURES;
	default:
		return round_.fails[0] ? r == -1000 : r == 0;
	}
}

static int wait_somehow(void *arg)
{
	struct player *p = arg;
	int how = (int)(law_random(&p->random) % 4), r;
	int64_t until = law_random(&p->random) % 2
				? FIBER_NEVER
				: fiber_after((int64_t)(law_random(&p->random) % 50000));

	switch (how) {
	case 0:
		r = fiber_future_all_until(round_.future, FUTURES, until);
		break;
	case 1:
		r = fiber_future_any_until(round_.future, FUTURES, until);
		break;
	case 2:
		r = fiber_future_race_until(round_.future, FUTURES, until);
		break;
	default:
		r = fiber_future_wait_until(round_.future[0], NULL, until);
		break;
	}
	if (r == -ETIMEDOUT)
		atomic_fetch_add(&round_.late, 1);
	else if (r == -ECANCELED)
		atomic_fetch_add(&round_.canceled, 1);
	else if (is_right(how, r))
		atomic_fetch_add(&round_.in_time, 1);
	else
		atomic_fetch_add(&round_.wrong, 1);
	return 0;
}

static void set_all(uint64_t *random)
{
	unsigned first = (unsigned)(law_random(random) % FUTURES);

	for (unsigned i = 0; i < FUTURES; i++) {
		unsigned at = (first + i) % FUTURES;
		int r = round_.fails[at] ? fiber_future_fail(round_.future[at], -1000 - (int)at)
					 : fiber_future_set(round_.future[at], NULL);

		cr_expect(r == 0);
		if (law_random(random) % 4 == 0)
			fiber_yield();
	}
}

static int crowd(void *world)
{
	uint64_t random = law_seed();
	unsigned rounds = law_rounds(world ? 1500 : 40000); /* threads are slow to start */

	memset(&round_, 0, sizeof round_);
	for (unsigned i = 0; i < rounds; i++) {
		struct player players[WAITERS];

		for (int k = 0; k < FUTURES; k++) { /* on the heap: a late touch is seen */
			round_.future[k] = calloc(1, sizeof *round_.future[k]);
			round_.fails[k] = law_random(&random) % 8 == 0;
		}
		for (unsigned k = 0; k < WAITERS; k++) {
			players[k].random = law_random(&random);
			actor_start(&players[k].actor, (enum world)(intptr_t)world, k, wait_somehow,
				    &players[k]);
		}
		if (law_random(&random) % 2)
			fiber_yield();
		if (players[0].actor.fiber.id && law_random(&random) % 2)
			fiber_cancel(players[0].actor.fiber);
		set_all(&random);
		for (unsigned k = 0; k < WAITERS; k++)
			actor_end(&players[k].actor);
		for (int k = 0; k < FUTURES; k++) {
			cr_expect(fiber_future_destroy(round_.future[k]) == 0);
			free(round_.future[k]);
		}
	}
	cr_expect(round_.wrong == 0, "%u were wrong", round_.wrong);
	cr_expect(round_.in_time + round_.late + round_.canceled == rounds * WAITERS);
	return 0;
}

Test(futures, each_wait_ends_in_one_right_way, .timeout = 120)
{
	law_holds_in_all_worlds(crowd);
}

Test(futures, each_wait_of_roaming_fibers_ends_in_one_right_way, .timeout = 120)
{
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, crowd, NULL);
}
