/* Once: the function is called once, and nobody goes on before it has returned. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>

#include "on_a_thread.h"
#include "worlds.h"

enum { ACTORS = 8, ONCES = 200 };

static fiber_once_t once[ONCES];
static atomic_uint calls;
static long made[ONCES];

/* Which of them is being made: the actors go through them in order, so it is the same for all. */
static void make(void)
{
	unsigned i = atomic_fetch_add(&calls, 1);

	fiber_yield(); /* it may park */
	made[i] = 42;
}

static int go_through_all(void *arg)
{
	int wrong = 0;

	(void)arg;
	for (unsigned i = 0; i < ONCES; i++) {
		wrong += fiber_once(&once[i], make) != 0;
		wrong += made[i] != 42;
	}
	return wrong;
}

static int one_call(void *world)
{
	struct actor actors[ACTORS];

	atomic_store(&calls, 0);
	for (unsigned i = 0; i < ONCES; i++) {
		once[i] = (fiber_once_t)FIBER_ONCE_INIT;
		made[i] = 0;
	}
	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, go_through_all, NULL);
	cr_expect(actors_end(actors, ACTORS) == 0);
	cr_expect(calls == ONCES, "%u calls", calls);
	return 0;
}

Test(once, it_is_called_once_and_all_wait_for_its_return, .timeout = 60)
{
	law_holds_in_all_worlds(one_call);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static fiber_once_t slow;
static fiber_event_t go_on;
static atomic_bool began, returned;

static void take_long(void)
{
	atomic_store(&began, true);
	cr_expect(fiber_event_wait(&go_on) == 0);
	atomic_store(&returned, true);
}

static int call_slow(void *arg)
{
	int r = fiber_once(&slow, take_long);

	(void)arg;
	return r != 0 ? r : atomic_load(&returned) ? 0 : -1;
}

static int is_hard(void *arg)
{
	fiber_t caller, waiter;

	(void)arg;
	slow = (fiber_once_t)FIBER_ONCE_INIT;
	fiber_event_reset(&go_on);
	atomic_store(&began, false);
	atomic_store(&returned, false);
	caller = spawned(call_slow, NULL);
	UNTIL(atomic_load(&began));
	waiter = spawned(call_slow, NULL);
	until_it_waits_for(waiter, "once");
	fiber_cancel(waiter);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	fiber_event_set(&go_on);
	cr_expect(result_of(waiter) == 0, "it went on before the function had returned");
	cr_expect(result_of(caller) == 0);
	return 0;
}

Test(once, a_cancellation_does_not_end_the_wait, .timeout = 20)
{
	law_holds(is_hard, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static fiber_once_t itself;
static int answer;

static void call_itself(void)
{
	answer = fiber_once(&itself, call_itself);
}

static int misuse(void *arg)
{
	(void)arg;
	itself = (fiber_once_t)FIBER_ONCE_INIT;
	answer = 0;
	cr_expect(fiber_once(&itself, call_itself) == 0);
	cr_expect(answer == -EDEADLK);
	cr_expect(fiber_once(NULL, call_itself) == -EINVAL);
	cr_expect(fiber_once(&itself, NULL) == -EINVAL);
	return 0;
}

Test(once, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}
