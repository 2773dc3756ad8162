/* Closures from beginning to end: what they are given and give back, where no handler can run, and
 * freed ones, which are found. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "death.h"
#include "foreign.h"
#include "law.h"

static struct death death;

static void add_one(void *context, void *result, void *const *args)
{
	(void)context;
	*(int *)result = FIBER_GIVEN(int, args, 0) + 1;
}

typedef int adder(int);

static int call_it(void *code)
{
	return ((adder *)code)(1);
}

/* ---- results of every width -------------------------------------------------------------------*/
static void same(void *context, void *result, void *const *args)
{
	memcpy(result, args[0], *(size_t *)context);
}

#define comes_back(letter, type, value)                                                            \
	do {                                                                                       \
		fiber_signature_t *sig = sig_of(letter "(" letter ")");                            \
		size_t bytes = sizeof(type);                                                       \
		fiber_closure_t *c;                                                                \
		fiber_foreign_fn *code = closure_of(&c, sig, NULL, same, &bytes);                  \
		type (*fn)(type) = (type (*)(type))code;                                           \
		type is = value;                                                                   \
		type got = fn(is);                                                                 \
		cr_expect(memcmp(&is, &got, sizeof is < 10 ? sizeof is : 10) == 0, letter);        \
		fiber_closure_free(c);                                                             \
		fiber_signature_free(sig);                                                         \
	} while (0)

struct triple {
	int64_t a, b, c;
};
struct pair {
	float x;
	int8_t y;
};

static int all_widths(void *unused)
{
	comes_back("b", bool, true);
	comes_back("i8", int8_t, -100);
	comes_back("I8", uint8_t, 200);
	comes_back("s", short, -30000);
	comes_back("S", unsigned short, 60000);
	comes_back("i", int, -2000000000);
	comes_back("I", unsigned, 4000000000u);
	comes_back("l", long, -5000000000000000000);
	comes_back("Q", unsigned long long, 15000000000000000000ull);
	comes_back("f", float, 1.5f);
	comes_back("d", double, -2.25);
	comes_back("D", long double, 1.0L / 3);
	comes_back("p", void *, &unused);
	comes_back("{fi8}", struct pair, ((struct pair){ 1.5f, -7 }));
	comes_back("{qqq}", struct triple, ((struct triple){ 1, -2, 3 }));
	return unused != NULL;
}

Test(foreign_closure, arguments_and_results_of_every_width_keep_their_value, .timeout = 20)
{
	law_holds(all_widths, NULL);
	law_no_leaks();
}

/* ---- where no handler can run -----------------------------------------------------------------*/
Test(foreign_closure, without_a_runtime_a_call_from_a_thread_has_the_result_it_was_given,
     .timeout = 20)
{
	fiber_signature_t *sig = sig_of("i(i)"), *large = sig_of("{qqq}()");
	int minus_five = -5;
	struct triple t = { 7, 8, 9 };
	fiber_closure_t *c;
	fiber_runtime_t *runtime;
	fiber_closure_attr_t attr = { .otherwise = &minus_five };
	fiber_foreign_fn *code = closure_of(&c, sig, &attr, add_one, NULL);

	cr_expect(call_it((void *)code) == -5);
	fiber_closure_free(c);
	cr_expect(fiber_runtime_create(&runtime, NULL) == 0);
	attr = (fiber_closure_attr_t){ .runtime = runtime, .otherwise = &t };
	code = closure_of(&c, large, &attr, add_one, NULL);
	cr_expect(fiber_runtime_free(runtime) == 0);
	cr_expect(((struct triple (*)(void))code)().b == 8, "its runtime is gone");
	fiber_closure_free(c);
	fiber_signature_free(sig);
	fiber_signature_free(large);
	law_no_leaks();
}

static int calls_without_a_runtime(void)
{
	fiber_closure_t *c;

	return call_it((void *)closure_of(&c, sig_of("i(i)"), NULL, add_one, NULL));
}

Test(foreign_closure, without_either_the_process_is_aborted_with_the_reason, .timeout = 20)
{
	die_of(calls_without_a_runtime, &death);
	cr_expect_eq(death.signal, SIGABRT, "%s", death.text);
	cr_expect(strstr(death.text, "a closure was called outside of fibers, and its handler "
				     "cannot run: it has no runtime\n  made at "),
		  "%s", death.text);
}

Test(foreign_closure, what_makes_no_sense_is_refused, .timeout = 20)
{
	fiber_signature_t *sig = sig_of("i(i)");
	fiber_closure_attr_t bad = { .reserved = { 1 } };
	fiber_foreign_fn *code;
	fiber_closure_t *c;

	cr_expect(fiber_closure_create(NULL, &code, sig, NULL, add_one, NULL) == -EINVAL);
	cr_expect(fiber_closure_create(&c, NULL, sig, NULL, add_one, NULL) == -EINVAL);
	cr_expect(fiber_closure_create(&c, &code, NULL, NULL, add_one, NULL) == -EINVAL);
	cr_expect(fiber_closure_create(&c, &code, sig, NULL, NULL, NULL) == -EINVAL);
	cr_expect(fiber_closure_create(&c, &code, sig, &bad, add_one, NULL) == -EINVAL);
	fiber_closure_free(NULL);
	fiber_signature_free(sig);
	law_no_leaks();
}

/* ---- freed ones -------------------------------------------------------------------------------*/
static int later; /* how many are freed after it */

static fiber_foreign_fn *freed(fiber_closure_t **c)
{
	fiber_signature_t *sig = sig_of("i(i)");
	fiber_foreign_fn *code = closure_of(c, sig, NULL, add_one, NULL);
	fiber_closure_t *other;

	fiber_closure_free(*c);
	for (int i = 0; i < later; i++) {
		closure_of(&other, sig, NULL, add_one, NULL);
		fiber_closure_free(other);
	}
	fiber_signature_free(sig); /* even without it the call is reported */
	return code;
}

static int calls_a_freed_one(void)
{
	fiber_closure_t *c;

	return call_it((void *)freed(&c));
}

static int frees_it_twice(void)
{
	fiber_closure_t *c;

	freed(&c);
	fiber_closure_free(c);
	return 0;
}

Test(foreign_closure, a_call_of_a_freed_one_is_reported_even_after_255_more_were_freed,
     .timeout = 20)
{
	static const int numbers[] = { 0, 10, 255 };

	for (int i = 0; i < 3; i++) {
		later = numbers[i];
		die_of(calls_a_freed_one, &death);
		cr_expect_eq(death.signal, SIGABRT, "%s", death.text);
		cr_expect(strstr(death.text, "fiber: a closure was called after it was freed at "),
			  "%s", death.text);
		cr_expect(strstr(death.text, "made at "), "%s", death.text);
	}
	die_of(frees_it_twice, &death);
	cr_expect_eq(death.signal, SIGABRT, "%s", death.text);
	cr_expect(strstr(death.text, "a closure was freed again; the first time at "), "%s",
		  death.text);
}

static void free_itself(void *context, void *result, void *const *args)
{
	fiber_closure_t *c = *(fiber_closure_t **)context;

	fiber_closure_free(c);
	fiber_yield();
	*(int *)result = FIBER_GIVEN(int, args, 0) + 1;
}

/* In the middle of a call, and a thousand after each other: memory is used again, and nothing that
 * a call still needs. */
static int frees_while_called(void *unused)
{
	fiber_signature_t *sig = sig_of("i(i)");
	unsigned rounds = law_rounds(1000);

	for (unsigned i = 0; i < rounds; i++) {
		fiber_closure_t *c, *other;
		fiber_foreign_fn *code = closure_of(&c, sig, NULL, free_itself, &c);
		fiber_t f;
		int r;

		cr_expect(fiber_spawn(&f, NULL, call_it, (void *)code) == 0);
		for (int j = 0; j < 3; j++) {
			closure_of(&other, sig, NULL, add_one, NULL);
			fiber_closure_free(other);
		}
		cr_expect(fiber_join(f, &r) == 0 && r == 2);
	}
	fiber_signature_free(sig);
	return unused != NULL;
}

Test(foreign_closure, one_may_be_freed_in_the_middle_of_its_own_call, .timeout = 50)
{
	law_holds(frees_while_called, NULL);
	law_no_leaks();
}
