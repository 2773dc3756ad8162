/* Mutexes: exclusion, recursion, interruption, misuse. Who is next is the matter of sync_next.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync/mutex.h"
#include "on_a_thread.h"
#include "worlds.h"

/* ---- exclusion --------------------------------------------------------------------------------*/
enum { ACTORS = 6 };

struct shared {
	fiber_mutex_t mutex;
	long count;
	unsigned rounds;
};

/*	actor 1            actor 2
 *	lock
 *	read count
 *	yield              lock: waits
 *	write count + 1
 *	unlock             read count ...      <- the sum is exact, or they were inside together */
static int count_under_it(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < s->rounds; i++) {
		long before;

		if (fiber_mutex_lock(&s->mutex) != 0)
			return -1;
		before = s->count;
		if (i % 8 == 0)
			fiber_yield();
		s->count = before + 1;
		if (fiber_mutex_unlock(&s->mutex) != 0)
			return -1;
	}
	return 0;
}

static int one_at_a_time(void *world)
{
	struct shared s = { .rounds = law_rounds(2000) };
	struct actor actors[ACTORS];

	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, count_under_it, &s);
	cr_expect(actors_end(actors, ACTORS) == 0);
	cr_expect(s.count == (long)(ACTORS * s.rounds), "%ld", s.count);
	cr_expect(fiber_mutex_destroy(&s.mutex) == 0);
	return 0;
}

Test(mutex, one_holds_it_at_a_time, .timeout = 60)
{
	law_holds_in_all_worlds(one_at_a_time);
}

/* The holder is the fiber, wherever it runs. */
Test(mutex, a_fiber_that_moves_still_holds_it, .timeout = 60)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, one_at_a_time, NULL);
}

/*	uses = 2
 *	actor 1: lock; uses 1; unlock
 *	actor 2: lock; uses 0; unlock; free    <- perhaps before actor 1's unlock has returned */
struct counted {
	fiber_mutex_t mutex;
	int uses;
};

static int drop(void *arg)
{
	struct counted *c = arg;
	bool last;

	fiber_mutex_lock(&c->mutex);
	last = --c->uses == 0;
	fiber_mutex_unlock(&c->mutex);
	if (last) {
		memset(c, 0xa5, sizeof *c); /* a late store would be seen by the next of its size */
		free(c);
	}
	return 0;
}

static int last_user_frees(void *world)
{
	for (unsigned round = law_rounds(300); round > 0; round--) {
		struct counted *c = calloc(1, sizeof *c);
		struct actor actors[4];

		c->uses = 4;
		for (unsigned i = 0; i < 4; i++)
			actor_start(&actors[i], (enum world)(intptr_t)world, i, drop, c);
		cr_expect(actors_end(actors, 4) == 0);
	}
	return 0;
}

Test(mutex, its_memory_may_go_after_the_last_unlock, .timeout = 60)
{
	law_holds_in_all_worlds(last_user_frees);
}

/* ---- initialisers and misuse ------------------------------------------------------------------*/
static fiber_mutex_t by_zeros;
static fiber_mutex_t by_macro = FIBER_MUTEX_INIT;
static fiber_mutex_t recursive = FIBER_RECURSIVE_MUTEX_INIT;

static void may_be_used(fiber_mutex_t *m)
{
	cr_expect(fiber_mutex_unlock(m) == -EPERM, "nobody holds it");
	cr_expect(fiber_mutex_lock(m) == 0);
	cr_expect(fiber_mutex_destroy(m) == -EBUSY);
	cr_expect(fiber_mutex_unlock(m) == 0);
	cr_expect(fiber_mutex_trylock(m) == 0);
	cr_expect(fiber_mutex_unlock(m) == 0);
	cr_expect(fiber_mutex_lock_until(m, 0) == 0, "it was free");
	cr_expect(fiber_mutex_unlock(m) == 0);
	cr_expect(fiber_mutex_unlock(m) == -EPERM);
	cr_expect(fiber_mutex_destroy(m) == 0);
}

static int initialisers(void *arg)
{
	fiber_mutex_t m;

	(void)arg;
	may_be_used(&by_zeros);
	may_be_used(&by_macro);
	may_be_used(&recursive);
	memset(&m, 0xff, sizeof m);
	cr_expect(fiber_mutex_init(&m, 0) == 0);
	may_be_used(&m);
	cr_expect(fiber_mutex_init(&m, FIBER_RECURSIVE) == 0);
	cr_expect(memcmp(&m, &recursive, sizeof m) == 0);
	return 0;
}

Test(mutex, zeros_the_macros_and_init_make_an_idle_one, .timeout = 20)
{
	on_a_thread(initialisers, NULL);
	law_holds(initialisers, NULL);
}

static int misuse(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;

	(void)arg;
	cr_expect(fiber_mutex_init(NULL, 0) == -EINVAL);
	cr_expect(fiber_mutex_init(&m, 2) == -EINVAL);
	cr_expect(fiber_mutex_destroy(NULL) == -EINVAL);
	cr_expect(fiber_mutex_lock(NULL) == -EINVAL);
	cr_expect(fiber_mutex_lock_until(NULL, 0) == -EINVAL);
	cr_expect(fiber_mutex_trylock(NULL) == -EINVAL);
	cr_expect(fiber_mutex_unlock(NULL) == -EINVAL);
	fiber_mutex_lock(&m);
	cr_expect(fiber_mutex_lock(&m) == -EDEADLK, "its holder would wait for itself");
	cr_expect(fiber_mutex_lock_until(&m, FIBER_NEVER) == -EDEADLK);
	cr_expect(fiber_mutex_trylock(&m) == -EBUSY);
	cr_expect(fiber_mutex_unlock(&m) == 0);
	return 0;
}

Test(mutex, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}

static int unlock_it(void *m)
{
	return fiber_mutex_unlock(m);
}

static int try_it(void *m)
{
	return fiber_mutex_trylock(m);
}

static int as_another(enum world world, fiber_fn *fn, void *arg)
{
	struct actor other;

	actor_start(&other, world, 0, fn, arg);
	return actor_end(&other);
}

static int only_the_holder(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_mutex_t m = FIBER_MUTEX_INIT, again = FIBER_RECURSIVE_MUTEX_INIT;

	fiber_mutex_lock(&m);
	fiber_mutex_lock(&again);
	fiber_mutex_lock(&again);
	cr_expect(as_another(w, unlock_it, &m) == -EPERM);
	cr_expect(as_another(w, unlock_it, &again) == -EPERM);
	cr_expect(as_another(w, try_it, &m) == -EBUSY);
	cr_expect(as_another(w, try_it, &again) == -EBUSY);
	cr_expect(fiber_mutex_unlock(&m) == 0);
	cr_expect(fiber_mutex_unlock(&again) == 0);
	cr_expect(as_another(w, try_it, &again) == -EBUSY, "it was locked twice");
	cr_expect(fiber_mutex_unlock(&again) == 0);
	cr_expect(fiber_mutex_unlock(&again) == -EPERM);
	return 0;
}

Test(mutex, nobody_but_its_holder_unlocks_it, .timeout = 60)
{
	law_holds_in_all_worlds(only_the_holder);
}

/* ---- recursion --------------------------------------------------------------------------------*/
static int nested(void *arg)
{
	fiber_mutex_t m = FIBER_RECURSIVE_MUTEX_INIT;

	(void)arg;
	for (int i = 0; i < 1000; i++) {
		cr_expect(fiber_mutex_lock(&m) == 0);
		cr_expect(fiber_mutex_trylock(&m) == 0);
		cr_expect(fiber_mutex_lock_until(&m, 0) == 0);
	}
	for (int i = 0; i < 2999; i++)
		cr_expect(fiber_mutex_unlock(&m) == 0);
	cr_expect(as_another(FIBERS, try_it, &m) == -EBUSY);
	cr_expect(fiber_mutex_unlock(&m) == 0);
	cr_expect(fiber_mutex_destroy(&m) == 0);
	return 0;
}

Test(mutex, a_recursive_one_is_free_after_as_many_unlocks, .timeout = 20)
{
	law_holds(nested, NULL);
}

static int too_deep(void *arg)
{
	fiber_mutex_t m = FIBER_RECURSIVE_MUTEX_INIT;

	(void)arg;
	fiber_mutex_lock(&m);
	mutex_inside(&m)->depth = MUTEX_DEPTH_MOST | MUTEX_RECURSIVE;
	cr_expect(fiber_mutex_lock(&m) == -EAGAIN);
	cr_expect(fiber_mutex_trylock(&m) == -EAGAIN);
	cr_expect(fiber_mutex_unlock(&m) == 0);
	cr_expect(fiber_mutex_lock(&m) == 0);
	return 0;
}

Test(mutex, its_depth_has_an_end, .timeout = 20)
{
	law_holds(too_deep, NULL);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int lock_and_unlock(void *m)
{
	int r = fiber_mutex_lock(m), after = fiber_check();

	return r != 0 ? r : fiber_mutex_unlock(m) != 0 ? -1 : after;
}

static int lock_under_a_deadline(void *m)
{
	int r = -1;

	FIBER_WITHIN(0)
		r = lock_and_unlock(m);
	return r;
}

/* A lock is not a cancellation point: whoever does not look at its result holds it. */
static int hard(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_t f, late;

	(void)arg;
	fiber_mutex_lock(&m);
	f = spawned(lock_and_unlock, &m);
	late = spawned(lock_under_a_deadline, &m);
	until_waiting(&m, 2);
	fiber_cancel(f);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	cr_expect(waiting_for(&m) == 2, "an interruption ended the wait");
	fiber_mutex_unlock(&m);
	cr_expect(result_of(f) == -ECANCELED, "after the lock, and not by it");
	cr_expect(result_of(late) == -ECANCELED);
	return 0;
}

Test(mutex, neither_cancellation_nor_deadline_ends_a_lock, .timeout = 20)
{
	law_holds(hard, NULL);
}

struct patience {
	fiber_mutex_t *mutex;
	int64_t when, within;
};

static int lock_until(void *arg)
{
	struct patience *p = arg;
	ssize_t r = FIBER_TIMEOUT(p->within, fiber_mutex_lock_until(p->mutex, p->when));

	if (r == 0)
		fiber_mutex_unlock(p->mutex);
	return (int)r;
}

static int soft(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	struct patience soon = { &m, fiber_after(FIBER_MILLISECOND), FIBER_NEVER };
	struct patience within = { &m, FIBER_NEVER, FIBER_MILLISECOND };
	struct patience ever = { &m, FIBER_NEVER, FIBER_NEVER };
	struct actor canceled, last;

	fiber_mutex_lock(&m);
	cr_expect(as_another(w, lock_until, &soon) == -ETIMEDOUT);
	cr_expect(as_another(w, lock_until, &within) == -ETIMEDOUT, "by the scope's deadline");
	if (w == FIBERS) {
		actor_start(&canceled, w, 0, lock_until, &ever);
		until_waiting(&m, 1);
		fiber_cancel(canceled.fiber);
		cr_expect(actor_end(&canceled) == -ECANCELED);
	}
	cr_expect(waiting_for(&m) == 0, "an interrupted wait is still in the queue");
	actor_start(&last, w, 1, lock_until, &ever);
	until_waiting(&m, 1);
	fiber_mutex_unlock(&m);
	cr_expect(actor_end(&last) == 0);
	cr_expect(fiber_mutex_destroy(&m) == 0);
	return 0;
}

Test(mutex, lock_until_ends_by_time_deadline_and_cancellation, .timeout = 60)
{
	law_holds_in_all_worlds(soft);
}

static int lock_though_canceled(void *m)
{
	fiber_cancel(fiber_self());
	return fiber_mutex_lock_until(m, FIBER_NEVER);
}

static int known_before(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;

	(void)arg;
	cr_expect(result_of(spawned(lock_though_canceled, &m)) == -ECANCELED);
	cr_expect(fiber_mutex_trylock(&m) == 0, "a failed lock had an effect");
	return 0;
}

Test(mutex, a_known_interruption_fails_lock_until_before_it_takes_a_free_one, .timeout = 20)
{
	law_holds(known_before, NULL);
}
