/* Many generators, resumed by chance from fibers on many workers and from plain threads, several at
 * a time: each resume is granted to exactly one or refused, every value comes once and in order,
 * and the books balance. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/gen.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "law.h"
#include "worlds.h"

enum { GENS = 64, ACTORS = 16 };

struct post {
	fiber_gen_t *gen;
	uint64_t yielded;               /* the body's own count: no two run it at once */
	_Atomic uint64_t granted;       /* resumes of it that said 1 */
	_Atomic uint64_t sum;           /* of what they got */
};

struct chancer {
	struct actor actor;
	uint64_t random, granted, busy;
};

static struct post posts[GENS];
static uint64_t seed;
static unsigned attempts;

static void *as_value(uint64_t i)
{
	return (void *)(uintptr_t)i;
}

static fiber_gen_t *created(fiber_gen_fn *fn, void *arg)
{
	fiber_gen_t *gen = NULL;

	cr_expect(fiber_gen_create(&gen, NULL, fn, arg) == 0);
	return gen;
}

static void wait_perhaps(uint64_t chance)
{
	if (chance % 5 == 0)
		fiber_yield();
	else if (chance % 97 == 1)
		fiber_sleep(FIBER_MICROSECOND);
}

/* Yields 1, 2, 3, ...; waits now and then, and resumes a generator of its own, which does the same
 * and is made and ended by whoever happens to be inside. */
static void *counts(fiber_gen_t *self, void *arg)
{
	struct post *p = arg, of_inner = { .yielded = 0 };
	void *in = fiber_gen_received(self);
	fiber_gen_t *inner = NULL;
	int r = 0;

	while (r == 0) {
		uint64_t chance = (uintptr_t)in;

		p->yielded++;
		wait_perhaps(chance);
		if (chance % 11 == 2) {
			cr_expect(fiber_gen_destroy(inner) == 0);
			inner = created(counts, &of_inner);
		} else if (inner && chance % 11 < 6) {
			cr_expect(fiber_gen_resume(inner, as_value(chance / 13), NULL) == 1);
		}
		r = fiber_gen_yield(self, as_value(p->yielded), &in);
	}
	cr_expect(r == -ECANCELED);
	cr_expect(fiber_gen_destroy(inner) == 0);
	return p;
}

static int takes_chances(void *arg)
{
	struct chancer *c = arg;

	for (unsigned i = 0; i < attempts; i++) {
		struct post *p = &posts[law_random(&c->random) % GENS];
		void *value = NULL;
		int r = fiber_gen_resume(p->gen, as_value(law_random(&c->random) >> 8), &value);

		if (r == 1) {
			c->granted++;
			atomic_fetch_add(&p->granted, 1);
			atomic_fetch_add(&p->sum, (uintptr_t)value);
		} else {
			cr_expect(r == -EBUSY, "%d", r);
			c->busy++;
		}
	}
	return 0;
}

static uint64_t close_the_books(void)
{
	uint64_t granted = 0;

	for (int i = 0; i < GENS; i++) {
		struct post *p = &posts[i];

		cr_expect(fiber_gen_destroy(p->gen) == 0);
		cr_expect(p->yielded == p->granted, "%lu yielded, %lu granted", p->yielded,
			  p->granted);
		cr_expect(p->sum == p->granted * (p->granted + 1) / 2, "each value once");
		granted += p->granted;
	}
	return granted;
}

static int books_balance(void *world)
{
	static struct chancer chancers[ACTORS];
	uint64_t granted = 0, busy = 0;

	for (int i = 0; i < GENS; i++) {
		posts[i] = (struct post){ .yielded = 0 };
		posts[i].gen = created(counts, &posts[i]);
	}
	for (unsigned i = 0; i < ACTORS; i++) {
		chancers[i] = (struct chancer){ .random = seed + i * 12345 + 1 };
		actor_start(&chancers[i].actor, (enum world)(uintptr_t)world, i, takes_chances,
			    &chancers[i]);
	}
	for (unsigned i = 0; i < ACTORS; i++) {
		cr_expect(actor_end(&chancers[i].actor) == 0);
		granted += chancers[i].granted;
		busy += chancers[i].busy;
	}
	cr_expect(granted + busy == (uint64_t)ACTORS * attempts);
	cr_expect(close_the_books() == granted);
	return 0;
}

static void prepare(unsigned most)
{
	seed = law_seed();
	attempts = law_rounds(most);
}

Test(gen_stress, each_value_comes_once_whoever_resumes, .timeout = 250)
{
	prepare(60000);
	law_holds_in_all_worlds(books_balance);
}

Test(gen_stress, the_same_for_fibers_that_move_at_every_park, .timeout = 250)
{
	const fiber_options_t options = { .flags = FIBER_ALL_ROAM };

	setenv("FIBER_TEST_MOVE", "1", 1);
	prepare(60000);
	law_holds_with(&options, books_balance, (void *)FIBERS);
}
