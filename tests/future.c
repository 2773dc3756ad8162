/* Futures: set once, seen by all, whoever comes when; promises; futures in a select. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <stdlib.h>
#include <string.h>

#include "on_a_thread.h"
#include "worlds.h"

enum { ACTORS = 6 };

static fiber_future_t from_the_start = FIBER_FUTURE_INIT;
static int thing;

/* 0 if it is set to &thing. */
static int wait_for_thing(void *f)
{
	void *value = NULL;
	int r = fiber_future_wait(f, &value);

	return r < 0 ? r : value != &thing;
}

static int set_thing(void *f)
{
	return fiber_future_set(f, &thing);
}

/* ---- set once ---------------------------------------------------------------------------------*/
static int all_see_it(void *world)
{
	fiber_future_t f = FIBER_FUTURE_INIT;
	struct actor actors[ACTORS];
	void *value = NULL;

	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, wait_for_thing, &f);
	until_waiting(&f, ACTORS);
	cr_expect(fiber_future_try(&f, &value) == -EAGAIN && value == NULL);
	cr_expect(fiber_future_destroy(&f) == -EBUSY);
	cr_expect(fiber_future_set(&f, &thing) == 0);
	cr_expect(waiting_for(&f) == 0);
	cr_expect(fiber_future_set(&f, NULL) == -EALREADY);
	cr_expect(fiber_future_fail(&f, -EIO) == -EALREADY);
	cr_expect(fiber_future_promise(&f) == -EALREADY);
	cr_expect(actors_end(actors, ACTORS) == 0);
	cr_expect(wait_for_thing(&f) == 0, "who comes later sees it too");
	cr_expect(fiber_future_wait_until(&f, NULL, 0) == 0);
	cr_expect(fiber_future_try(&f, &value) == 0 && value == &thing);
	cr_expect(fiber_future_destroy(&f) == 0);
	return 0;
}

Test(future, all_who_wait_see_the_value, .timeout = 60)
{
	law_holds_in_all_worlds(all_see_it);
	cr_expect(fiber_future_try(&from_the_start, NULL) == -EAGAIN);
	cr_expect(fiber_future_set(&from_the_start, &thing) == 0);
	cr_expect(wait_for_thing(&from_the_start) == 0, "without any runtime");
}

static int all_see_the_error(void *world)
{
	fiber_future_t f;
	struct actor actors[ACTORS];
	void *value = &f;

	cr_expect(fiber_future_init(&f) == 0);
	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, wait_for_thing, &f);
	until_waiting(&f, ACTORS);
	cr_expect(fiber_future_fail(&f, -ENOENT) == 0);
	for (unsigned i = 0; i < ACTORS; i++)
		cr_expect(actor_end(&actors[i]) == -ENOENT);
	cr_expect(fiber_future_wait(&f, &value) == -ENOENT && value == &f);
	cr_expect(fiber_future_try(&f, &value) == -ENOENT && value == &f);
	cr_expect(fiber_future_destroy(&f) == 0);
	return 0;
}

Test(future, all_who_wait_see_the_error, .timeout = 60)
{
	law_holds_in_all_worlds(all_see_the_error);
}

static int on_the_heap(void *world)
{
	for (unsigned i = law_rounds(500); i > 0; i--) {
		fiber_future_t *f = calloc(1, sizeof *f);
		struct actor setter;

		actor_start(&setter, (enum world)(intptr_t)world, 1, set_thing, f);
		cr_expect(wait_for_thing(f) == 0);
		memset(f, 0xa5, sizeof *f);
		free(f);
		cr_expect(actor_end(&setter) == 0);
	}
	return 0;
}

Test(future, its_memory_may_go_after_the_wait, .timeout = 60)
{
	law_holds_in_all_worlds(on_the_heap);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int wait_a_little(void *f)
{
	return fiber_future_wait_until(f, NULL, fiber_after(FIBER_MILLISECOND));
}

static int wait_under_a_deadline(void *f)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_future_wait(f, NULL));
}

static int wait_though_canceled(void *f)
{
	fiber_cancel(fiber_self());
	cr_expect(fiber_future_try(f, NULL) == 0, "trying is no cancellation point");
	return fiber_future_wait(f, NULL);
}

static int interrupted(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_future_t f = FIBER_FUTURE_INIT;
	struct actor a;

	actor_start(&a, w, 1, wait_a_little, &f);
	cr_expect(actor_end(&a) == -ETIMEDOUT);
	actor_start(&a, w, 1, wait_under_a_deadline, &f);
	cr_expect(actor_end(&a) == -ETIMEDOUT, "by its scope");
	cr_expect(waiting_for(&f) == 0);
	if (w == FIBERS) {
		actor_start(&a, w, 0, wait_for_thing, &f);
		until_waiting(&f, 1);
		fiber_cancel(a.fiber);
		cr_expect(actor_end(&a) == -ECANCELED);
	}
	cr_expect(fiber_future_destroy(&f) == 0);
	cr_expect(set_thing(&f) == 0);
	if (w == FIBERS)
		cr_expect(result_of(spawned(wait_though_canceled, &f)) == -ECANCELED);
	return 0;
}

Test(future, time_deadline_and_cancellation_end_a_wait, .timeout = 60)
{
	law_holds_in_all_worlds(interrupted);
}

/* ---- promises ---------------------------------------------------------------------------------*/
enum { PROMISES = 3 };

static struct {
	fiber_future_t broken[PROMISES], kept, gone;
	atomic_bool promised, end;
} vows;

static int break_promises(void *by_exit)
{
	for (int i = 0; i < PROMISES; i++)
		cr_expect(fiber_future_promise(&vows.broken[i]) == 0);
	cr_expect(fiber_future_promise(&vows.kept) == 0);
	cr_expect(fiber_future_promise(&vows.gone) == 0);
	cr_expect(fiber_future_promise(&vows.kept) == -EALREADY);
	atomic_store(&vows.promised, true);
	UNTIL(atomic_load(&vows.end));
	cr_expect(fiber_future_set(&vows.kept, &thing) == 0);
	cr_expect(fiber_future_destroy(&vows.gone) == 0);
	memset(&vows.gone, 0xa5, sizeof vows.gone);
	if (by_exit)
		fiber_exit(0);
	return 0;
}

/*	producer            waiters             main
 *	promises
 *	                    wait                may neither set nor promise nor destroy it
 *	sets one, destroys one, and ends
 *	                    -EOWNERDEAD         */
static void promises_break(enum world w)
{
	struct actor waiter[PROMISES + 1];

	UNTIL(atomic_load(&vows.promised));
	for (unsigned i = 0; i < PROMISES; i++)
		actor_start(&waiter[i], w, i, wait_for_thing, &vows.broken[i]);
	actor_start(&waiter[PROMISES], w, PROMISES, wait_for_thing, &vows.kept);
	until_waiting(&vows.broken[0], 1);
	cr_expect(fiber_future_set(&vows.kept, NULL) == -EPERM);
	cr_expect(fiber_future_fail(&vows.kept, -EIO) == -EPERM);
	cr_expect(fiber_future_promise(&vows.kept) == -EPERM);
	cr_expect(fiber_future_destroy(&vows.gone) == -EBUSY);
	atomic_store(&vows.end, true);
	for (unsigned i = 0; i < PROMISES; i++)
		cr_expect(actor_end(&waiter[i]) == -EOWNERDEAD);
	cr_expect(actor_end(&waiter[PROMISES]) == 0);
	cr_expect(fiber_future_set(&vows.broken[0], NULL) == -EALREADY);
}

static int by_return(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	struct actor producer;

	memset(&vows, 0, sizeof vows);
	actor_start(&producer, w, 1, break_promises, NULL);
	promises_break(w);
	return actor_end(&producer);
}

static int by_exit(void *arg)
{
	fiber_t producer;

	(void)arg;
	memset(&vows, 0, sizeof vows);
	producer = spawned(break_promises, &vows);
	promises_break(FIBERS);
	return result_of(producer);
}

Test(future, whose_promiser_ends_fails, .timeout = 60)
{
	law_holds_in_all_worlds(by_return);
	law_holds(by_exit, NULL);
}

static int promise_and_park(void *f)
{
	int r = fiber_future_promise(f);

	return r < 0 ? r : fiber_park();
}

static int canceled_promiser(void *arg)
{
	fiber_future_t f = FIBER_FUTURE_INIT;
	fiber_t producer = spawned(promise_and_park, &f), waiter = spawned(wait_for_thing, &f);

	(void)arg;
	until_waiting(&f, 1);
	until_it_waits_for(producer, "park");
	fiber_cancel(producer);
	cr_expect(result_of(waiter) == -EOWNERDEAD);
	cr_expect(result_of(producer) == -ECANCELED);
	return 0;
}

Test(future, a_canceled_promiser_leaves_nobody_waiting, .timeout = 60)
{
	law_holds(canceled_promiser, NULL);
}

/* ---- in a select ------------------------------------------------------------------------------*/
struct choice {
	fiber_future_t first, second;
	fiber_chan_t *chan;
	int at, result;
	void *value;
};

static int choose(void *arg)
{
	struct choice *c = arg;
	fiber_case_t cases[] = {
		FIBER_RECV(c->chan, NULL), FIBER_FUTURE(&c->first, &c->value),
		FIBER_FUTURE(&c->second, NULL), FIBER_FUTURE(&c->second, &c->value),
	};

	c->at = fiber_select(cases, 4);
	if (c->at >= 0)
		c->result = cases[c->at].result;
	return 0;
}

static void begin(struct choice *c, struct actor *a, enum world world)
{
	memset(c, 0, sizeof *c);
	cr_expect(fiber_chan_create(&c->chan, 0, 0) == 0);
	actor_start(a, world, 1, choose, c);
	until_waiting(&c->first, 1);
	until_waiting(&c->second, 2);
}

static void end(struct choice *c, struct actor *a)
{
	cr_expect(actor_end(a) == 0);
	cr_expect(waiting_for(&c->first) == 0 && waiting_for(&c->second) == 0);
	cr_expect(fiber_future_destroy(&c->first) == 0);
	cr_expect(fiber_future_destroy(&c->second) == 0, "a case has not left");
	fiber_chan_free(c->chan);
}

static int selects(void *world)
{
	struct choice c;
	struct actor a;

	begin(&c, &a, (enum world)(intptr_t)world);
	cr_expect(set_thing(&c.first) == 0);
	end(&c, &a);
	cr_expect(c.at == 1 && c.result == 0 && c.value == &thing);

	begin(&c, &a, (enum world)(intptr_t)world);
	cr_expect(fiber_future_fail(&c.second, -EAGAIN) == 0);
	end(&c, &a);
	cr_expect(c.at >= 2 && c.result == -EAGAIN && c.value == NULL);

	begin(&c, &a, (enum world)(intptr_t)world);
	cr_expect(fiber_chan_send(c.chan, NULL) == 0);
	end(&c, &a);
	cr_expect(c.at == 0);
	return 0;
}

Test(future, a_select_waits_for_it, .timeout = 60)
{
	law_holds_in_all_worlds(selects);
}

static int selects_at_once(void *arg)
{
	fiber_future_t set = FIBER_FUTURE_INIT, unset = FIBER_FUTURE_INIT;
	void *value = NULL;
	fiber_case_t cases[] = {FIBER_FUTURE(&unset, &value), FIBER_FUTURE(&set, &value)};
	fiber_case_t none[] = {FIBER_FUTURE(NULL, NULL)};

	(void)arg;
	cr_expect(fiber_select_now(cases, 2) == -EAGAIN);
	cr_expect(fiber_select_until(cases, 2, 0) == -ETIMEDOUT);
	cr_expect(fiber_future_destroy(&unset) == 0 && fiber_future_destroy(&set) == 0);
	cr_expect(set_thing(&set) == 0);
	cr_expect(fiber_select_now(cases, 2) == 1 && value == &thing && cases[1].result == 0);
	cr_expect(fiber_select(cases, 2) == 1);
	cr_expect(fiber_select(none, 1) == 0 && none[0].result == -EINVAL);
	return 0;
}

Test(future, a_select_finds_it_set, .timeout = 60)
{
	cr_expect(on_a_thread(selects_at_once, NULL) == 0);
	law_holds(selects_at_once, NULL);
}

static int misuse(void *arg)
{
	fiber_future_t f;

	(void)arg;
	memset(&f, 0xff, sizeof f);
	cr_expect(fiber_future_init(&f) == 0);
	cr_expect(fiber_future_wait_until(&f, NULL, 0) == -ETIMEDOUT);
	cr_expect(fiber_future_fail(&f, 0) == -EINVAL && fiber_future_fail(&f, 1) == -EINVAL);
	cr_expect(fiber_future_init(NULL) == -EINVAL && fiber_future_destroy(NULL) == -EINVAL);
	cr_expect(fiber_future_set(NULL, NULL) == -EINVAL);
	cr_expect(fiber_future_fail(NULL, -1) == -EINVAL);
	cr_expect(fiber_future_promise(NULL) == -EINVAL && fiber_future_try(NULL, NULL) == -EINVAL);
	cr_expect(fiber_future_wait(NULL, NULL) == -EINVAL);
	cr_expect(fiber_future_wait_until(NULL, NULL, 0) == -EINVAL);
	return 0;
}

Test(future, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}
