/* Foreign functions: called here, spawned, on a helper thread. The same on plain threads. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "law.h"
#include "on_a_thread.h"
#include "until.h"

/* ---- other people's functions -----------------------------------------------------------------*/
struct point {
	double x, y;
};
struct record {
	char name[20];
	int64_t number;
};

static struct point middle(struct point a, struct point b)
{
	return (struct point){ (a.x + b.x) / 2, (a.y + b.y) / 2 };
}

static struct record renumber(struct record r, signed char by)
{
	r.number += by;
	return r;
}

static signed char minus_one(void)
{
	return -1;
}

static unsigned short most(void)
{
	return 65535;
}

static bool is_even(int i)
{
	return i % 2 == 0;
}

static float half(float f)
{
	return f / 2;
}

static long double third(long double d)
{
	return d / 3;
}

static _Atomic int noted;

static void note(int i)
{
	atomic_store(&noted, i);
}

static int fails(int error)
{
	errno = error;
	return -1;
}

static pthread_t ran_on;

static int where(void)
{
	ran_on = pthread_self();
	return 7;
}

static int park_for_ever(int unused)
{
	return fiber_sleep_until(FIBER_NEVER) + unused;
}

/* ---- each kind of value -----------------------------------------------------------------------*/
static int returns_of_any_type(void *unused)
{
	static const char *texts[] = { "{dd}({dd}{dd})", "{[20c]i64}({[20c]i64}i8)", "i8()", "S()",
				       "b(i)", "f(f)", "D(D)", "v(i)" };
	fiber_signature_t *sig[8];
	struct { signed char value; char beyond[7]; } small = { 0, "beyond" };
	struct { unsigned short value; char beyond[6]; } medium = { 0, "after" };
	struct record r = { "name", 40 };
	struct point p = { 0, 0 };
	long double d = 0;
	bool b = false;
	float f = 0;

	for (int i = 0; i < 8; i++)
		sig[i] = sig_of(texts[i]);
	cr_expect(fiber_call(sig[0], FIBER_FOREIGN(middle), &p,
			     FIBER_ARGS(((struct point){ 1, 2 }), ((struct point){ 3, 6 }))) == 0);
	cr_expect(p.x == 2 && p.y == 4);
	cr_expect(fiber_call(sig[1], FIBER_FOREIGN(renumber), &r,
			     FIBER_ARGS(r, (signed char)-3)) == 0);
	cr_expect(r.number == 37 && strcmp(r.name, "name") == 0);
	cr_expect(fiber_call(sig[2], FIBER_FOREIGN(minus_one), &small, FIBER_NO_ARGS) == 0);
	cr_expect(small.value == -1 && strcmp(small.beyond, "beyond") == 0);
	cr_expect(fiber_call(sig[3], FIBER_FOREIGN(most), &medium, FIBER_NO_ARGS) == 0);
	cr_expect(medium.value == 65535 && strcmp(medium.beyond, "after") == 0);
	cr_expect(fiber_call(sig[4], FIBER_FOREIGN(is_even), &b, FIBER_ARGS(4)) == 0 && b);
	cr_expect(fiber_call(sig[5], FIBER_FOREIGN(half), &f, FIBER_ARGS(3.0f)) == 0 && f == 1.5f);
	cr_expect(fiber_call(sig[6], FIBER_FOREIGN(third), &d, FIBER_ARGS(6.0L)) == 0 && d == 2);
	cr_expect(fiber_call(sig[7], FIBER_FOREIGN(note), NULL, FIBER_ARGS(5)) == 0);
	cr_expect(atomic_load(&noted) == 5);
	/* What nobody wants is dropped, whatever it is. */
	cr_expect(fiber_call(sig[1], FIBER_FOREIGN(renumber), NULL,
			     FIBER_ARGS(r, (signed char)1)) == 0);
	cr_expect(fiber_call(sig[0], FIBER_FOREIGN(middle), NULL, FIBER_ARGS(p, p)) == 0);
	cr_expect(fiber_call(sig[6], FIBER_FOREIGN(third), NULL, FIBER_ARGS(6.0L)) == 0);
	cr_expect(fiber_call(sig[2], FIBER_FOREIGN(minus_one), NULL, FIBER_NO_ARGS) == 0);
	for (int i = 0; i < 8; i++)
		fiber_signature_free(sig[i]);
	return unused != NULL;
}

Test(foreign_call, values_of_every_kind_go_there_and_come_back, .timeout = 20)
{
	law_holds(returns_of_any_type, NULL);
	cr_expect(on_a_thread(returns_of_any_type, NULL) == 0);
	law_no_leaks();
}

Test(foreign_call, a_variadic_function_gets_what_it_is_given, .timeout = 20)
{
	fiber_signature_t *sig = sig_of("i(pNp.pidlp)");
	char text[100];
	int n = 0;

	cr_expect(fiber_call(sig, FIBER_FOREIGN(snprintf), &n,
			     FIBER_ARGS(text, sizeof text, "%s %d %.2f %ld %s", "a", -1, 2.5,
					1L << 40, "z")) == 0);
	cr_expect_str_eq(text, "a -1 2.50 1099511627776 z");
	cr_expect_eq(n, (int)strlen(text));
	fiber_signature_free(sig);
	law_no_leaks();
}

/* ---- what does not fit ------------------------------------------------------------------------*/
#define does_not_fit(sig, fn, where, what, ...)                                                    \
	do {                                                                                       \
		fiber_signature_error_t error;                                                     \
		fiber_t f;                                                                         \
		int e = 5;                                                                         \
		cr_expect(fiber_call_check(sig, fn, __VA_ARGS__, &error) == -EINVAL);              \
		cr_expect(error.at == (where), "at %zu: %s", error.at, error.why);                 \
		cr_expect(error.why && strstr(error.why, what), "%s", error.why);                  \
		cr_expect(fiber_call(sig, fn, NULL, __VA_ARGS__) == -EINVAL);                      \
		cr_expect(fiber_spawn_call(&f, NULL, sig, fn, NULL, __VA_ARGS__) == -EINVAL);      \
		cr_expect(fiber_call_blocking(sig, fn, NULL, __VA_ARGS__, &e) == -EINVAL);         \
		cr_expect(e == 0);                                                                 \
	} while (0)

static int misfits(void *unused)
{
	fiber_signature_t *sig = sig_of("v( i d p )");
	fiber_foreign_fn *fn = FIBER_FOREIGN(note);
	double d = 1;

	atomic_store(&noted, 0);
	does_not_fit(NULL, fn, 0u, "no signature", FIBER_ARGS(1));
	does_not_fit(sig, NULL, 0u, "no function", FIBER_ARGS(1, d, &d));
	does_not_fit(sig, fn, 3u, "no argument for it", FIBER_NO_ARGS);
	does_not_fit(sig, fn, 5u, "no argument for it", FIBER_ARGS(1));
	does_not_fit(sig, fn, 7u, "no argument for it", FIBER_ARGS(1, d));
	does_not_fit(sig, fn, 9u, "more arguments", FIBER_ARGS(1, d, &d, 4));
	does_not_fit(sig, fn, 3u, "another size", FIBER_ARGS(1L, d, &d));
	does_not_fit(sig, fn, 3u, "is a floating-point", FIBER_ARGS(1.0f, d, &d));
	does_not_fit(sig, fn, 5u, "is no floating-point", FIBER_ARGS(1, 1L, &d));
	does_not_fit(sig, fn, 7u, "another size", FIBER_ARGS(1, d, 0));
	does_not_fit(sig, fn, 9u, "no array", NULL, 3);
	does_not_fit(sig, fn, 3u, "no address", (fiber_arg_t[3]){ { NULL, 4, 0 } }, 3);
	cr_expect(fiber_call_check(sig, fn, FIBER_ARGS(1, d, &d), NULL) == 0);
	cr_expect(fiber_call_check(sig, fn, FIBER_NO_ARGS, NULL) == -EINVAL);
	cr_expect(atomic_load(&noted) == 0, "nothing was called");
	fiber_signature_free(sig);
	return unused != NULL;
}

Test(foreign_call, what_does_not_fit_is_pointed_at_and_not_called, .timeout = 20)
{
	law_holds(misfits, NULL);
	law_no_leaks();
}

/* ---- fibers of their own ----------------------------------------------------------------------*/
static int spawned(void *unused)
{
	fiber_signature_t *sig = sig_of("{dd}({dd}{dd})"), *to_int = sig_of("i(i)");
	struct point a = { 1, 2 }, b = { 3, 6 }, out = { 0, 0 };
	fiber_attr_t bad = { .copy_bytes = 1 }, named = { .name = "middle" };
	int result = 1, value = 0;
	fiber_t f;

	cr_expect(fiber_spawn_call(&f, &named, sig, FIBER_FOREIGN(middle), &out,
				   FIBER_ARGS(a, b)) == 0);
	a = b = (struct point){ 0, 0 }; /* it has copies */
	cr_expect(fiber_join(f, &result) == 0 && result == 0);
	cr_expect(out.x == 2 && out.y == 4);
	cr_expect(fiber_spawn_call(&f, NULL, to_int, FIBER_FOREIGN(fails), &value,
				   FIBER_ARGS(EIO)) == 0);
	cr_expect(fiber_join(f, &result) == 0 && result == -1 && value == -1);
	cr_expect(fiber_spawn_call(&f, NULL, to_int, FIBER_FOREIGN(fails), NULL,
				   FIBER_ARGS(EIO)) == 0);
	cr_expect(fiber_join(f, &result) == 0 && result == -1);
	cr_expect(fiber_spawn_call(&f, &bad, to_int, FIBER_FOREIGN(fails), NULL,
				   FIBER_ARGS(EIO)) == -EINVAL);
	bad = (fiber_attr_t){ .worker = 999 };
	cr_expect(fiber_spawn_call(&f, &bad, to_int, FIBER_FOREIGN(fails), NULL,
				   FIBER_ARGS(EIO)) == -EINVAL);
	atomic_store(&noted, 0);
	cr_expect(fiber_spawn_call(NULL, NULL, to_int, FIBER_FOREIGN(note), NULL,
				   FIBER_ARGS(9)) == 0);
	UNTIL(atomic_load(&noted) == 9);
	/* Cancelled: the function sees it in whatever it waits in. */
	cr_expect(fiber_spawn_call(&f, NULL, to_int, FIBER_FOREIGN(park_for_ever), NULL,
				   FIBER_ARGS(0)) == 0);
	fiber_cancel(f);
	cr_expect(fiber_join(f, &result) == 0 && result == -ECANCELED);
	UNTIL(noted == 9);
	fiber_signature_free(sig);
	fiber_signature_free(to_int);
	return unused != NULL;
}

Test(foreign_call, any_function_may_be_a_fiber_and_its_result_is_there_when_it_is_joined,
     .timeout = 20)
{
	law_holds(spawned, NULL);
	law_no_leaks();
}

struct large {
	char bytes[3000];
};

static unsigned sum_of(struct large l, unsigned more)
{
	for (size_t i = 0; i < sizeof l.bytes; i++)
		more += (unsigned char)l.bytes[i];
	return more;
}

static int spawned_with_much(void *unused)
{
	fiber_signature_t *sig = sig_of("I({[3000c]}I)");
	struct large *l = malloc(sizeof *l);
	unsigned sum = 0;
	fiber_t f;

	memset(l, 2, sizeof *l);
	cr_expect(fiber_spawn_call(&f, NULL, sig, FIBER_FOREIGN(sum_of), &sum,
				   FIBER_ARGS(*l, 1u)) == 0);
	free(l);
	cr_expect(fiber_join(f, NULL) == 0 && sum == 6001);
	fiber_signature_free(sig);
	return unused != NULL;
}

Test(foreign_call, a_fiber_may_be_given_kilobytes_by_value, .timeout = 20)
{
	law_holds(spawned_with_much, NULL);
	law_no_leaks();
}

Test(foreign_call, a_plain_thread_spawns_into_a_runtime, .timeout = 20)
{
	fiber_signature_t *sig = sig_of("i()");
	fiber_runtime_t *runtime;
	fiber_attr_t attr = {0};
	int result = 0;
	fiber_t f;

	cr_expect(fiber_spawn_call(&f, NULL, sig, FIBER_FOREIGN(where), NULL, FIBER_NO_ARGS) ==
		  -EINVAL);
	cr_expect(fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = 1 }) == 0);
	attr.runtime = runtime;
	cr_expect(fiber_spawn_call(&f, &attr, sig, FIBER_FOREIGN(where), &result,
				   FIBER_NO_ARGS) == 0);
	cr_expect(fiber_join(f, NULL) == 0 && result == 7);
	cr_expect(!pthread_equal(ran_on, pthread_self()));
	cr_expect(fiber_runtime_free(runtime) == 0);
	fiber_signature_free(sig);
	law_no_leaks();
}

/* ---- helper threads ---------------------------------------------------------------------------*/
static int blocking(void *unused)
{
	fiber_signature_t *sig = sig_of("i()"), *to_int = sig_of("i(i)");
	int result = 0, error = -1;
	fiber_scope_t scope;

	cr_expect(fiber_call_blocking(sig, FIBER_FOREIGN(where), &result, FIBER_NO_ARGS, NULL) ==
		  0);
	cr_expect(result == 7);
	cr_expect(!pthread_equal(ran_on, pthread_self()));
	cr_expect(fiber_call_blocking(to_int, FIBER_FOREIGN(fails), &result, FIBER_ARGS(EXDEV),
				      &error) == 0);
	cr_expect(result == -1 && error == EXDEV);
	cr_expect(fiber_call_blocking(sig, FIBER_FOREIGN(where), NULL, FIBER_NO_ARGS, &error) == 0);
	cr_expect(error == 0);
	result = 0;
	fiber_within(&scope, 0);
	cr_expect(fiber_call_blocking(sig, FIBER_FOREIGN(where), &result, FIBER_NO_ARGS, &error) ==
		  -ECANCELED);
	cr_expect(result == 0, "it was not called");
	fiber_scope_end(&scope, 0);
	fiber_signature_free(sig);
	fiber_signature_free(to_int);
	return unused != NULL;
}

Test(foreign_call, a_blocking_one_runs_on_another_thread_and_its_errno_is_a_value, .timeout = 20)
{
	law_holds(blocking, NULL);
	law_no_leaks();
}

static int blocking_here(void *unused)
{
	fiber_signature_t *sig = sig_of("i()"), *to_int = sig_of("i(i)");
	int result = 0, error = -1;

	cr_expect(fiber_call_blocking(sig, FIBER_FOREIGN(where), &result, FIBER_NO_ARGS, NULL) ==
		  0);
	cr_expect(result == 7 && pthread_equal(ran_on, pthread_self()));
	cr_expect(fiber_call_blocking(to_int, FIBER_FOREIGN(fails), NULL, FIBER_ARGS(EXDEV),
				      &error) == 0);
	cr_expect(error == EXDEV);
	fiber_signature_free(sig);
	fiber_signature_free(to_int);
	return unused != NULL;
}

Test(foreign_call, on_a_plain_thread_a_blocking_one_runs_there, .timeout = 20)
{
	cr_expect(on_a_thread(blocking_here, NULL) == 0);
	law_no_leaks();
}
