/* Generators: what attributes ask for, and many at once. Without a runtime. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <fiber/gen.h>
#include <string.h>

#include "law.h"

static void *as_value(intptr_t i)
{
	return (void *)i;
}

/* ---- what attributes ask for ------------------------------------------------------------------*/
enum { LARGE = 3 << 20 };

static void *fills_its_stack(fiber_gen_t *self, void *arg)
{
	volatile char frame[LARGE];
	uintptr_t sum = 0;

	(void)arg;
	memset((char *)frame, 1, sizeof frame);
	fiber_gen_yield(self, NULL, NULL);
	for (size_t i = 0; i < sizeof frame; i++)
		sum += (uintptr_t)frame[i];
	return (void *)sum;
}

Test(gen_attr, a_stack_is_as_large_as_was_asked_for, .timeout = 20)
{
	fiber_gen_attr_t attr = { .name = "a name of more than fifteen bytes",
				  .stack_bytes = LARGE + 16384 };
	fiber_gen_t *gen[5];
	void *value = NULL;

	for (int i = 0; i < 5; i++) {
		cr_expect(fiber_gen_create(&gen[i], &attr, fills_its_stack, NULL) == 0);
		cr_expect(fiber_gen_resume(gen[i], NULL, NULL) == 1);
	}
	for (int i = 0; i < 5; i++) {
		cr_expect(fiber_gen_resume(gen[i], NULL, &value) == 0);
		cr_expect((uintptr_t)value == LARGE);
		cr_expect(fiber_gen_destroy(gen[i]) == 0);
	}
}

static void *rounds_its_own_way(fiber_gen_t *self, void *arg)
{
	int before = fegetround();

	(void)arg;
	fesetround(FE_UPWARD);
	while (fiber_gen_yield(self, as_value(before), NULL) == 0)
		cr_expect(fegetround() == FE_UPWARD);
	return NULL;
}

Test(gen_attr, the_rounding_mode_is_the_bodys_own, .timeout = 10)
{
	fiber_gen_t *gen;

	fesetround(FE_TOWARDZERO);
	cr_expect(fiber_gen_create(&gen, NULL, rounds_its_own_way, NULL) == 0);
	fesetround(FE_DOWNWARD);
	for (int i = 0; i < 3; i++) {
		void *value = NULL;

		cr_expect(fiber_gen_resume(gen, NULL, &value) == 1);
		cr_expect(fegetround() == FE_DOWNWARD);
		cr_expect((intptr_t)value == FE_TOWARDZERO, "that of whoever created it");
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
	cr_expect(fegetround() == FE_DOWNWARD);
}

static void *tells_the_rounding_mode(fiber_gen_t *self, void *arg)
{
	(void)arg;
	while (fiber_gen_yield(self, as_value(fegetround()), NULL) == 0)
		;
	return NULL;
}

Test(gen_attr, with_the_promise_it_is_that_of_whoever_resumes, .timeout = 10)
{
	static const int modes[] = { FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO, FE_TONEAREST };
	fiber_gen_attr_t attr = { .flags = FIBER_GEN_NO_FPU };
	fiber_gen_t *gen;

	cr_expect(fiber_gen_create(&gen, &attr, tells_the_rounding_mode, NULL) == 0);
	for (int i = 0; i < 4; i++) {
		void *value = NULL;

		fesetround(modes[i]);
		cr_expect(fiber_gen_resume(gen, NULL, &value) == 1);
		cr_expect((intptr_t)value == modes[i]);
		cr_expect(fegetround() == modes[i]);
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
}

/* ---- many -------------------------------------------------------------------------------------*/
static void *counts(fiber_gen_t *self, void *arg)
{
	for (intptr_t i = 0; i < *(intptr_t *)arg; i++)
		if (fiber_gen_yield(self, as_value(i), NULL) < 0)
			break;
	return NULL;
}

Test(gen_attr, thousands_exist_at_once, .timeout = 50)
{
	enum { MANY = 5000 };
	static fiber_gen_t *gen[MANY];
	static intptr_t n = 3;
	intptr_t sum = 0;
	void *value;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			cr_expect(fiber_gen_create(&gen[i], NULL, counts, &n) == 0);
		for (int turn = 0; turn < 3; turn++)
			for (int i = 0; i < MANY; i++)
				if (fiber_gen_resume(gen[i], NULL, &value) == 1)
					sum += (intptr_t)value;
		for (int i = 0; i < MANY; i++)
			cr_expect(fiber_gen_destroy(gen[i]) == 0);
	}
	cr_expect(sum == 2 * MANY * (0 + 1 + 2));
	law_no_leaks();
}
