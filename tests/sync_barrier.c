/* Barriers: nobody passes before all have come; and when one will not come, nobody waits for it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <string.h>

#include "worlds.h"

enum { PARTIES = 5 };

struct course {
	fiber_barrier_t barrier;
	unsigned rounds;
	atomic_uint came, firsts, wrong;
};

/*	each, in every round:
 *	came++                                  <- of round r: between r n and (r + 1) n
 *	barrier                                 <- after it all n of this round have come
 *	barrier                                 <- or one would begin the next round too early */
static int run_rounds(void *arg)
{
	struct course *c = arg;

	for (unsigned i = 0; i < c->rounds; i++) {
		int r;

		atomic_fetch_add_explicit(&c->came, 1, memory_order_relaxed);
		r = fiber_barrier_wait(&c->barrier);
		c->wrong += r != 0 && r != 1;
		c->firsts += r == 1;
		c->wrong += atomic_load_explicit(&c->came, memory_order_relaxed) !=
			    (i + 1) * PARTIES;
		c->wrong += fiber_barrier_wait(&c->barrier) < 0;
	}
	return 0;
}

static int together(void *world)
{
	struct course c = { .rounds = law_rounds(400) };
	struct actor actors[PARTIES];

	cr_expect(fiber_barrier_init(&c.barrier, PARTIES) == 0);
	for (unsigned i = 0; i < PARTIES; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, run_rounds, &c);
	cr_expect(actors_end(actors, PARTIES) == 0);
	cr_expect(c.wrong == 0);
	cr_expect(c.firsts == c.rounds, "one of them gets 1 in each round");
	cr_expect(fiber_barrier_destroy(&c.barrier) == 0);
	return 0;
}

Test(barrier, nobody_passes_before_all_have_come, .timeout = 60)
{
	law_holds_in_all_worlds(together);
}

/* ---- broken -----------------------------------------------------------------------------------*/
static int wait_at(void *b)
{
	return fiber_barrier_wait(b);
}

static int wait_at_under_a_deadline(void *b)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_barrier_wait(b));
}

static int wait_though_canceled(void *b)
{
	fiber_cancel(fiber_self());
	return fiber_barrier_wait(b);
}

/* `one` is interrupted, having come or not; the others are told, those to come as well. */
static void breaks_it(enum world w, fiber_fn *one, int result)
{
	struct actor actors[PARTIES];
	fiber_barrier_t b;

	fiber_barrier_init(&b, PARTIES);
	for (unsigned i = 0; i < 3; i++)
		actor_start(&actors[i], w, i, wait_at, &b);
	until_waiting(&b, 3);
	actor_start(&actors[3], w, 3, one, &b);
	if (one == wait_at) {
		until_waiting(&b, 4);
		fiber_cancel(actors[3].fiber);
	}
	cr_expect(actor_end(&actors[3]) == result);
	for (unsigned i = 0; i < 3; i++)
		cr_expect(actor_end(&actors[i]) == -EPIPE);
	actor_start(&actors[4], w, 4, wait_at, &b);
	cr_expect(actor_end(&actors[4]) == -EPIPE, "it stays broken");
	cr_expect(fiber_barrier_destroy(&b) == 0);
	cr_expect(fiber_barrier_init(&b, 1) == 0);
	cr_expect(fiber_barrier_wait(&b) == 1, "set up again");
}

static int broken(void *world)
{
	enum world w = (enum world)(intptr_t)world;

	breaks_it(w, wait_at_under_a_deadline, -ETIMEDOUT);
	if (w != FIBERS)
		return 0;
	breaks_it(w, wait_at, -ECANCELED);
	breaks_it(w, wait_though_canceled, -ECANCELED);
	return 0;
}

Test(barrier, who_is_interrupted_breaks_it_for_all, .timeout = 60)
{
	law_holds_in_all_worlds(broken);
}

/*	last                 first
 *	                     waits
 *	cancel first                             <- its wait has ended, it has not run
 *	waits: all have come
 *	                     0: it was there */
static int met_all_the_same(void *arg)
{
	fiber_barrier_t b;
	fiber_t f;

	(void)arg;
	fiber_barrier_init(&b, 2);
	f = spawned(wait_at, &b);
	until_waiting(&b, 1);
	fiber_cancel(f);
	cr_expect(fiber_barrier_wait(&b) == 1);
	cr_expect(fiber_barrier_destroy(&b) == -EBUSY, "the first looks once more");
	cr_expect(result_of(f) == 0);
	cr_expect(fiber_barrier_destroy(&b) == 0);
	f = spawned(wait_at, &b);
	cr_expect(fiber_barrier_wait(&b) >= 0, "it is not broken");
	cr_expect(result_of(f) >= 0);
	return 0;
}

Test(barrier, an_interruption_after_the_last_has_come_changes_nothing, .timeout = 20)
{
	cr_expect(law_run(1, met_all_the_same, NULL) == 0);
}

static int misuse(void *arg)
{
	fiber_barrier_t b = { { 0 } };
	fiber_t f;

	(void)arg;
	cr_expect(fiber_barrier_wait(&b) == -EINVAL, "it was never set up");
	cr_expect(fiber_barrier_init(&b, 0) == -EINVAL);
	cr_expect(fiber_barrier_init(&b, (unsigned)-1) == -EINVAL);
	cr_expect(fiber_barrier_init(NULL, 1) == -EINVAL);
	cr_expect(fiber_barrier_wait(NULL) == -EINVAL);
	cr_expect(fiber_barrier_destroy(NULL) == -EINVAL);
	cr_expect(fiber_barrier_init(&b, 2) == 0);
	f = spawned(wait_at, &b);
	until_waiting(&b, 1);
	cr_expect(fiber_barrier_destroy(&b) == -EBUSY);
	cr_expect(fiber_barrier_wait(&b) == 1);
	cr_expect(result_of(f) == 0);
	return 0;
}

Test(barrier, misuse_has_a_clear_answer, .timeout = 20)
{
	law_holds(misuse, NULL);
}
