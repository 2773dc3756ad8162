/* Condition variables: no signal is lost, none is taken by who was interrupted, and the mutex is
 * held again whatever happened. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <stdlib.h>
#include <string.h>

#include "on_a_thread.h"
#include "worlds.h"

struct shared {
	fiber_mutex_t mutex;
	fiber_cond_t cond;
	int tokens;
	int64_t when;
};

/* Waits for a token and takes it. The result of the wait; -1: the mutex was not held again. */
static int take(void *arg)
{
	struct shared *s = arg;
	int r = 0;

	fiber_mutex_lock(&s->mutex);
	while (r == 0 && s->tokens == 0)
		r = fiber_cond_wait_until(&s->cond, &s->mutex, s->when);
	if (r == 0)
		s->tokens--;
	return fiber_mutex_unlock(&s->mutex) != 0 ? -1 : r;
}

static void give(struct shared *s, int tokens)
{
	fiber_mutex_lock(&s->mutex);
	s->tokens += tokens;
	fiber_mutex_unlock(&s->mutex);
}

/* ---- signal and broadcast ---------------------------------------------------------------------*/
enum { ACTORS = 5 };

static unsigned over(struct actor *actors)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ACTORS; i++)
		n += atomic_load(&actors[i].over);
	return n;
}

static int one_or_all(void *world)
{
	struct shared s = { .when = FIBER_NEVER };
	struct actor actors[ACTORS];

	cr_expect(fiber_cond_signal(&s.cond) == 0, "nobody to hear it");
	for (unsigned i = 0; i < ACTORS; i++) {
		actor_start(&actors[i], (enum world)(intptr_t)world, i, take, &s);
		until_waiting(&s.cond, i + 1);
	}
	cr_expect(fiber_cond_destroy(&s.cond) == -EBUSY);
	give(&s, ACTORS);
	fiber_cond_signal(&s.cond);
	cr_expect(actor_end(&actors[0]) == 0, "not the one who waited longest");
	cr_expect(waiting_for(&s.cond) == ACTORS - 1);
	cr_expect(over(actors) == 1);
	fiber_cond_broadcast(&s.cond);
	cr_expect(actors_end(actors + 1, ACTORS - 1) == 0);
	cr_expect(s.tokens == 0);
	cr_expect(fiber_cond_destroy(&s.cond) == 0);
	return 0;
}

Test(cond, a_signal_wakes_the_oldest_and_a_broadcast_all, .timeout = 60)
{
	law_holds_in_all_worlds(one_or_all);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int take_under_a_deadline(void *arg)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, take(arg));
}

static int ended(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	struct shared timed = { .when = fiber_after(FIBER_MILLISECOND) };
	struct shared ever = { .when = FIBER_NEVER };
	struct actor a;

	actor_start(&a, w, 1, take, &timed);
	cr_expect(actor_end(&a) == -ETIMEDOUT);
	actor_start(&a, w, 1, take_under_a_deadline, &ever);
	cr_expect(actor_end(&a) == -ETIMEDOUT, "by its scope");
	if (w == FIBERS) {
		actor_start(&a, w, 0, take, &ever);
		until_waiting(&ever.cond, 1);
		fiber_cancel(a.fiber);
		cr_expect(actor_end(&a) == -ECANCELED);
	}
	cr_expect(waiting_for(&timed.cond) == 0 && waiting_for(&ever.cond) == 0);
	cr_expect(fiber_cond_destroy(&ever.cond) == 0);
	return 0;
}

Test(cond, time_deadline_and_cancellation_end_a_wait_with_the_mutex_held, .timeout = 60)
{
	law_holds_in_all_worlds(ended);
}

/*	canceler             waiter
 *	                     wait
 *	lock
 *	cancel
 *	yield                -ECANCELED: locks the mutex again, waits for it
 *	unlock               has it, returns */
static int hard_relock(void *arg)
{
	struct shared s = { .when = FIBER_NEVER };
	struct actor a;

	(void)arg;
	actor_start(&a, FIBERS, 0, take, &s);
	until_waiting(&s.cond, 1);
	fiber_mutex_lock(&s.mutex);
	fiber_cancel(a.fiber);
	until_waiting(&s.mutex, 1);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	cr_expect(!atomic_load(&a.over) && waiting_for(&s.mutex) == 1);
	fiber_mutex_unlock(&s.mutex);
	cr_expect(actor_end(&a) == -ECANCELED);
	return 0;
}

Test(cond, locking_again_is_not_interrupted, .timeout = 20)
{
	law_holds(hard_relock, NULL);
}

static int lock_and_unlock(void *m)
{
	int r = fiber_mutex_lock(m);

	return r != 0 ? r : fiber_mutex_unlock(m);
}

/* Not even the mutex is let go of: who waits for it would no longer be in its queue. */
static int wait_though_canceled(void *arg)
{
	struct shared *s = arg;
	fiber_t other;
	int r;

	fiber_cancel(fiber_self());
	fiber_mutex_lock(&s->mutex);
	other = spawned(lock_and_unlock, &s->mutex);
	until_waiting(&s->mutex, 1);
	r = fiber_cond_wait(&s->cond, &s->mutex);
	cr_expect(waiting_for(&s->mutex) == 1, "the mutex was let go of");
	cr_expect(fiber_mutex_unlock(&s->mutex) == 0);
	fiber_detach(other);
	return r;
}

static int known_before(void *arg)
{
	struct shared s = { .when = FIBER_NEVER };

	(void)arg;
	cr_expect(result_of(spawned(wait_though_canceled, &s)) == -ECANCELED);
	UNTIL(fiber_mutex_destroy(&s.mutex) == 0);
	return 0;
}

Test(cond, a_known_interruption_fails_the_wait_before_the_mutex_is_let_go_of, .timeout = 20)
{
	cr_expect(law_run(1, known_before, NULL) == 0);
}

/*	signaler            first                    second
 *	                    wait                     wait
 *	cancel first                                              <- has ended its wait, has not run
 *	signal                                                    <- drops it, wakes the second
 *	destroy: -EBUSY                                           <- the first looks once more
 *	yield               -ECANCELED               goes on */
static int none_is_stolen(void *arg)
{
	struct shared s = { .when = FIBER_NEVER };
	struct actor first, second;

	(void)arg;
	actor_start(&first, FIBERS, 0, take, &s);
	until_waiting(&s.cond, 1);
	actor_start(&second, FIBERS, 0, take, &s);
	until_waiting(&s.cond, 2);
	give(&s, 1);
	fiber_cancel(first.fiber);
	fiber_cond_signal(&s.cond);
	cr_expect(waiting_for(&s.cond) == 0);
	cr_expect(fiber_cond_destroy(&s.cond) == -EBUSY);
	cr_expect(actor_end(&first) == -ECANCELED);
	cr_expect(actor_end(&second) == 0);
	cr_expect(fiber_cond_destroy(&s.cond) == 0);
	return 0;
}

Test(cond, who_is_interrupted_takes_no_signal_from_others, .timeout = 20)
{
	cr_expect(law_run(1, none_is_stolen, NULL) == 0);
}

/* The other order: what was signaled first is a success, and the interruption shows later. */
static int signaled_first(void *arg)
{
	struct shared s = { .when = FIBER_NEVER };
	struct actor a;

	(void)arg;
	actor_start(&a, FIBERS, 0, take, &s);
	until_waiting(&s.cond, 1);
	give(&s, 1);
	fiber_cond_signal(&s.cond);
	fiber_cancel(a.fiber);
	cr_expect(actor_end(&a) == 0);
	return 0;
}

Test(cond, an_interruption_after_the_signal_changes_nothing, .timeout = 20)
{
	cr_expect(law_run(1, signaled_first, NULL) == 0);
}

/* ---- the mutex --------------------------------------------------------------------------------*/
static int take_deep(void *arg)
{
	struct shared *s = arg;
	int r;

	for (int i = 0; i < 3; i++)
		fiber_mutex_lock(&s->mutex);
	r = fiber_cond_wait(&s->cond, &s->mutex);
	for (int i = 0; i < 3; i++)
		r = r == 0 ? fiber_mutex_unlock(&s->mutex) : r;
	return r == 0 && fiber_mutex_unlock(&s->mutex) == -EPERM ? 0 : -1;
}

static int recursive(void *arg)
{
	struct shared s = { .mutex = FIBER_RECURSIVE_MUTEX_INIT };
	struct actor a;

	(void)arg;
	actor_start(&a, FIBERS, 0, take_deep, &s);
	until_waiting(&s.cond, 1);
	cr_expect(fiber_mutex_lock(&s.mutex) == 0, "it is let go of entirely");
	fiber_cond_signal(&s.cond);
	cr_expect(fiber_mutex_unlock(&s.mutex) == 0);
	cr_expect(actor_end(&a) == 0);
	return 0;
}

Test(cond, a_recursive_mutex_is_held_as_often_as_before, .timeout = 20)
{
	law_holds(recursive, NULL);
}

static int misuse(void *arg)
{
	fiber_mutex_t m = FIBER_MUTEX_INIT;
	fiber_cond_t c = FIBER_COND_INIT;

	(void)arg;
	cr_expect(fiber_cond_wait(&c, &m) == -EPERM, "nobody holds the mutex");
	cr_expect(fiber_cond_wait(NULL, &m) == -EINVAL);
	cr_expect(fiber_cond_wait(&c, NULL) == -EINVAL);
	cr_expect(fiber_cond_wait_until(NULL, NULL, 0) == -EINVAL);
	cr_expect(fiber_cond_signal(NULL) == -EINVAL);
	cr_expect(fiber_cond_broadcast(NULL) == -EINVAL);
	cr_expect(fiber_cond_init(NULL) == -EINVAL);
	cr_expect(fiber_cond_destroy(NULL) == -EINVAL);
	memset(&c, 0xff, sizeof c);
	cr_expect(fiber_cond_init(&c) == 0);
	cr_expect(fiber_cond_broadcast(&c) == 0);
	fiber_mutex_lock(&m);
	cr_expect(fiber_cond_wait_until(&c, &m, 0) == -ETIMEDOUT);
	cr_expect(fiber_mutex_unlock(&m) == 0);
	return 0;
}

Test(cond, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}
