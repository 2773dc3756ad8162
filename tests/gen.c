/* Generators: what goes in and out, who may resume, and how they end. Without a runtime: what
 * concerns fibers is in gen_fiber.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/gen.h>
#include <stdlib.h>

#include "law.h"

static void *as_value(intptr_t i)
{
	return (void *)i;
}

static fiber_gen_t *created(fiber_gen_fn *fn, void *arg)
{
	fiber_gen_t *gen = NULL;

	cr_expect(fiber_gen_create(&gen, NULL, fn, arg) == 0);
	return gen;
}

static char end[] = "the end";

/* Yields 0, 1, 2, ... below *arg. */
static void *counts(fiber_gen_t *self, void *arg)
{
	for (intptr_t i = 0; i < *(intptr_t *)arg; i++)
		if (fiber_gen_yield(self, as_value(i), NULL) < 0)
			break;
	return end;
}

/* ---- values -----------------------------------------------------------------------------------*/
Test(gen, values_come_one_by_one_and_then_the_result, .timeout = 10)
{
	intptr_t n = 1000, expected = 0;
	fiber_gen_t *gen = created(counts, &n);
	void *value = NULL;

	while (fiber_gen_resume(gen, NULL, &value) == 1)
		cr_expect((intptr_t)value == expected++);
	cr_expect(expected == n);
	cr_expect(value == end);
	cr_expect(fiber_gen_destroy(gen) == 0);
	law_no_leaks();
}

Test(gen, after_the_end_every_resume_says_the_same_again, .timeout = 10)
{
	intptr_t none = 0;
	fiber_gen_t *gen = created(counts, &none);

	for (int i = 0; i < 3; i++) {
		void *value = NULL;

		cr_expect(fiber_gen_resume(gen, as_value(i), &value) == 0);
		cr_expect(value == end);
		cr_expect(fiber_gen_resume(gen, NULL, NULL) == 0);
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
}

/* Yields the sum of all it was given so far; ends when given 0, and returns how many. */
static void *adds_up(fiber_gen_t *self, void *arg)
{
	intptr_t sum = (intptr_t)fiber_gen_received(self), n = 1;
	void *in = NULL;

	(void)arg;
	for (;; n++) {
		cr_expect(fiber_gen_yield(self, as_value(sum), &in) == 0);
		cr_expect(fiber_gen_received(self) == in);
		if (!in)
			return as_value(n);
		sum += (intptr_t)in;
	}
}

Test(gen, what_a_resume_gives_arrives_the_first_time_too, .timeout = 10)
{
	fiber_gen_t *gen = created(adds_up, NULL);
	void *value = NULL;

	for (intptr_t i = 1, sum = 0; i <= 100; i++) {
		sum += i;
		cr_expect(fiber_gen_resume(gen, as_value(i), &value) == 1);
		cr_expect((intptr_t)value == sum);
	}
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 0);
	cr_expect((intptr_t)value == 100);
	cr_expect(fiber_gen_destroy(gen) == 0);
	cr_expect(fiber_gen_received(NULL) == NULL);
}

struct pair {
	double x, y;
};

static void *yields_its_own_memory(fiber_gen_t *self, void *arg)
{
	struct pair pair = { 0, 1 };

	(void)arg;
	for (int i = 0; i < 100; i++, pair.x += 1, pair.y *= 2)
		fiber_gen_yield(self, &pair, NULL);
	return NULL;
}

Test(gen, a_value_in_a_frame_of_the_body_stays_until_the_next_resume, .timeout = 10)
{
	fiber_gen_t *gen = created(yields_its_own_memory, NULL);
	double x = 0, y = 1;

	for (void *value; fiber_gen_resume(gen, NULL, &value) > 0; x += 1, y *= 2) {
		const struct pair *pair = value;

		cr_expect(pair->x == x && pair->y == y);
	}
	cr_expect(x == 100);
	cr_expect(fiber_gen_destroy(gen) == 0);
}

Test(gen, values_that_nobody_wants_are_dropped, .timeout = 10)
{
	intptr_t n = 3;
	fiber_gen_t *gen = created(counts, &n);
	void *value = NULL;

	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 1);
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 1 && (intptr_t)value == 1);
	cr_expect(fiber_gen_destroy(gen) == 0);
}

/* ---- any depth, and nested --------------------------------------------------------------------*/
struct descent {
	fiber_gen_t *gen;
	volatile int sum;
};

static __attribute__((__noinline__)) void descend(struct descent *d, int depth)
{
	volatile char frame[200];

	frame[0] = (char)depth;
	if (depth > 0)
		descend(d, depth - 1);
	fiber_gen_yield(d->gen, as_value(depth), NULL);
	d->sum += frame[0];
}

static void *yields_at_every_depth(fiber_gen_t *self, void *arg)
{
	struct descent d = { self, 0 };

	descend(&d, *(int *)arg);
	return as_value(d.sum);
}

Test(gen, a_body_may_yield_at_any_depth_of_calls, .timeout = 10)
{
	int deepest = 100;
	fiber_gen_t *gen = created(yields_at_every_depth, &deepest);
	void *value = NULL;

	for (int depth = 0; depth <= deepest; depth++) {
		cr_expect(fiber_gen_resume(gen, NULL, &value) == 1);
		cr_expect((intptr_t)value == depth);
	}
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 0);
	cr_expect((intptr_t)value == deepest * (deepest + 1) / 2);
	cr_expect(fiber_gen_destroy(gen) == 0);
}

static void *passes_on(fiber_gen_t *self, void *arg)
{
	int depth = *(int *)arg;
	intptr_t n = 3;
	int below = depth - 1;
	fiber_gen_t *inner = depth ? created(passes_on, &below) : created(counts, &n);
	void *value;

	while (fiber_gen_resume(inner, NULL, &value) > 0)
		if (fiber_gen_yield(self, as_value((intptr_t)value + 1), NULL) < 0)
			break;
	cr_expect(fiber_gen_destroy(inner) == 0);
	return value;
}

Test(gen, bodies_resume_other_generators, .timeout = 10)
{
	int depth = 50;
	fiber_gen_t *gen = created(passes_on, &depth);
	void *value = NULL;

	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_gen_resume(gen, NULL, &value) == 1);
		cr_expect((intptr_t)value == i + depth + 1);
	}
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 0);
	cr_expect(value == end);
	cr_expect(fiber_gen_destroy(gen) == 0);
	/* In the middle: each one destroys the next. */
	gen = created(passes_on, &depth);
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 1);
	cr_expect(fiber_gen_destroy(gen) == 0);
	law_no_leaks();
}

/* ---- early ends -------------------------------------------------------------------------------*/
struct tidy {
	int begun, cleaned, refused;
	void *last;
};

static void *cleans_up(fiber_gen_t *self, void *arg)
{
	struct tidy *t = arg;
	void *in = end;
	char *memory = malloc(100);

	t->begun++;
	for (int i = 0; i < 10; i++) {
		int r = fiber_gen_yield(self, memory, &in);

		if (r == -ECANCELED)
			t->refused++;
		else
			cr_expect(r == 0);
	}
	free(memory);
	t->last = in;
	t->cleaned++;
	return NULL;
}

Test(gen, destroyed_early_its_yield_fails_and_the_body_runs_to_its_end, .timeout = 10)
{
	struct tidy t = { 0 };
	fiber_gen_t *gen = created(cleans_up, &t);

	for (intptr_t i = 1; i <= 4; i++)
		cr_expect(fiber_gen_resume(gen, as_value(i), NULL) == 1);
	cr_expect(t.cleaned == 0);
	cr_expect(fiber_gen_destroy(gen) == 0);
	cr_expect(t.cleaned == 1);
	cr_expect(t.refused == 7, "the one that waited, and all further ones: %d", t.refused);
	cr_expect(t.last == as_value(4), "what the fourth resume gave, untouched");
	law_no_leaks();
}

Test(gen, destroyed_before_its_first_resume_its_body_does_not_run, .timeout = 10)
{
	struct tidy t = { 0 };

	cr_expect(fiber_gen_destroy(created(cleans_up, &t)) == 0);
	cr_expect(t.begun == 0);
	cr_expect(fiber_gen_destroy(NULL) == 0);
	law_no_leaks();
}

/* ---- misuse -----------------------------------------------------------------------------------*/
Test(gen, what_makes_no_sense_is_refused, .timeout = 10)
{
	fiber_gen_t *gen = NULL;

	cr_expect(fiber_gen_create(NULL, NULL, counts, NULL) == -EINVAL);
	cr_expect(fiber_gen_create(&gen, NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_gen_create(&gen, &(fiber_gen_attr_t){ .flags = 2 }, counts, NULL) ==
		  -EINVAL);
	cr_expect(fiber_gen_create(&gen, &(fiber_gen_attr_t){ .reserved = { 0, 1 } }, counts,
				   NULL) == -EINVAL);
	cr_expect(fiber_gen_create(&gen, &(fiber_gen_attr_t){ .stack_bytes = SIZE_MAX / 2 }, counts,
				   NULL) == -ENOMEM);
	cr_expect(fiber_gen_create(&gen, &(fiber_gen_attr_t){ .stack_bytes = SIZE_MAX }, counts,
				   NULL) == -ENOMEM);
	cr_expect(gen == NULL);
	cr_expect(fiber_gen_resume(NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_gen_yield(NULL, NULL, NULL) == -EINVAL);
}

static void *resumes_itself(fiber_gen_t *self, void *arg)
{
	void *value = arg;

	cr_expect(fiber_gen_resume(self, NULL, &value) == -EDEADLK);
	cr_expect(fiber_gen_destroy(self) == -EDEADLK);
	cr_expect(value == arg);
	cr_expect(fiber_gen_yield(self, arg, NULL) == 0);
	return NULL;
}

static void *resumes_those_outside(fiber_gen_t *self, void *arg)
{
	fiber_gen_t **outer = arg, *inner;
	fiber_gen_t *chain[] = { self, outer[0], outer[1] };

	for (int i = 0; i < 3 && chain[i]; i++) {
		cr_expect(fiber_gen_resume(chain[i], NULL, NULL) == -EDEADLK);
		cr_expect(fiber_gen_destroy(chain[i]) == -EDEADLK);
		if (chain[i] != self)
			cr_expect(fiber_gen_yield(chain[i], NULL, NULL) == -EPERM);
	}
	if (outer[1])
		return NULL;
	inner = created(resumes_those_outside, chain);
	cr_expect(fiber_gen_resume(inner, NULL, NULL) == 0);
	cr_expect(fiber_gen_destroy(inner) == 0);
	return end;
}

Test(gen, a_body_can_resume_or_destroy_neither_itself_nor_whom_it_is_nested_in, .timeout = 10)
{
	fiber_gen_t *none[] = { NULL, NULL };
	fiber_gen_t *gen = created(resumes_itself, end);
	void *value = NULL;

	cr_expect(fiber_gen_resume(gen, NULL, &value) == 1 && value == end);
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 0);
	cr_expect(fiber_gen_destroy(gen) == 0);
	gen = created(resumes_those_outside, none);
	cr_expect(fiber_gen_resume(gen, NULL, &value) == 0 && value == end);
	cr_expect(fiber_gen_destroy(gen) == 0);
}

Test(gen, nobody_but_the_body_may_yield, .timeout = 10)
{
	intptr_t n = 2;
	fiber_gen_t *gen = created(counts, &n);
	void *in = end;

	cr_expect(fiber_gen_yield(gen, NULL, &in) == -EPERM);
	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 1);
	cr_expect(fiber_gen_yield(gen, NULL, &in) == -EPERM);
	cr_expect(in == end);
	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 1);
	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 0);
	cr_expect(fiber_gen_yield(gen, NULL, NULL) == -EPERM);
	cr_expect(fiber_gen_destroy(gen) == 0);
}
