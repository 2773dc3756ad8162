/* Generators from hand to hand: suspended by one fiber or thread, resumed by another. */
#include <criterion/criterion.h>
#include <fiber/gen.h>

#include "law.h"
#include "worlds.h"

static fiber_gen_t *created(fiber_gen_fn *fn, void *arg)
{
	fiber_gen_t *gen = NULL;

	cr_expect(fiber_gen_create(&gen, NULL, fn, arg) == 0);
	return gen;
}

static void *tells_who_resumes(fiber_gen_t *self, void *arg)
{
	volatile uintptr_t count = 0;

	(void)arg;
	for (;;) {
		fiber_t who = fiber_self();

		count++;
		if (fiber_gen_yield(self, &who, NULL) < 0)
			return (void *)count;
	}
}

static int takes_a_turn(void *arg)
{
	void *value = NULL;
	int r = fiber_gen_resume(arg, NULL, &value);

	cr_expect(r == 1 && fiber_equal(*(fiber_t *)value, fiber_self()));
	return r;
}

/* Fibers on every worker, and threads, one after the other; all but the last have ended. */
static int passes_it_around(void *arg)
{
	fiber_gen_t *gen = created(tells_who_resumes, NULL);
	unsigned rounds = law_rounds(50);

	for (unsigned i = 0; i < rounds; i++) {
		fiber_attr_t attr = { .worker = i % fiber_workers() + 1 };
		struct actor thread;
		int result = -1;
		fiber_t f;

		cr_expect(fiber_spawn(&f, &attr, takes_a_turn, gen) == 0);
		cr_expect(fiber_join(f, &result) == 0 && result == 1);
		cr_expect(takes_a_turn(gen) == 1);
		if (i % 10 != 0)
			continue;
		actor_start(&thread, THREADS, 0, takes_a_turn, gen);
		cr_expect(actor_end(&thread) == 1);
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
	return arg != NULL;
}

Test(gen_hands, a_suspended_one_may_be_resumed_by_any_fiber_and_any_thread, .timeout = 50)
{
	law_holds(passes_it_around, NULL);
}

static int leaves_one_behind(void *arg)
{
	fiber_gen_t *gen = created(tells_who_resumes, NULL);

	*(fiber_gen_t **)arg = gen;
	return takes_a_turn(gen);
}

Test(gen_hands, it_outlives_its_creator_and_the_runtime, .timeout = 20)
{
	fiber_gen_t *gen = NULL;

	cr_expect(law_run(2, leaves_one_behind, &gen) == 1);
	cr_expect(takes_a_turn(gen) == 1);
	cr_expect(law_run(2, takes_a_turn, gen) == 1);
	cr_expect(fiber_gen_destroy(gen) == 0);
	law_no_leaks();
}
