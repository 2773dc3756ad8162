/* foreign.c - foreign calls, the signature prepared once: what the library adds to libffi, and to a
 * fiber; and what a closure costs.
 *
 * The function takes an int, a double and a pointer. Each row takes turns with what it is compared
 * to, in the same run; figures are medians over the turns. Checked: every call has counted, and
 * got its arguments. */
#include "bench.h"

#include <ffi.h>
#include <fiber/foreign.h>
#include <stdlib.h>

enum { TURNS = 41 };

static fiber_signature_t *sig;
static long count;

static __attribute__((__noinline__)) int add(int i, double d, void *p)
{
	count += i + (int)d;
	return p == &count;
}

static double median(double *of)
{
	for (int i = 1; i < TURNS; i++)
		for (int j = i; j > 0 && of[j - 1] > of[j]; j--) {
			double held = of[j];

			of[j] = of[j - 1];
			of[j - 1] = held;
		}
	return of[TURNS / 2];
}

/* n operations; their time each. */
typedef void loop(long n);

static double turn(loop *run, long n)
{
	int64_t begin = bench_now();

	count = 0;
	run(n);
	BENCH_CHECK(count == 3 * n);
	return (double)(bench_now() - begin) / (double)n;
}

struct pair {
	loop *ours, *other;
	long n;
	double ours_ns, other_ns, ratio, more_ns;
};

static int take_turns(void *arg)
{
	static double ours[TURNS], other[TURNS], ratio[TURNS], more[TURNS];
	struct pair *p = arg;

	for (int i = 0; i < TURNS; i++) {
		other[i] = turn(p->other, p->n);
		ours[i] = turn(p->ours, p->n);
		ratio[i] = ours[i] / other[i];
		more[i] = ours[i] - other[i];
	}
	p->ours_ns = median(ours);
	p->other_ns = median(other);
	p->ratio = median(ratio);
	p->more_ns = median(more);
	return 0;
}

static struct pair compare(loop *ours, loop *other, const struct bench_row *row)
{
	struct pair p = {.ours = ours, .other = other, .n = row->n};
	fiber_options_t options = {.workers = 1};

	BENCH_CHECK(fiber_signature_create(&sig, "i(idp)", NULL) == 0);
	BENCH_CHECK(fiber_run(&options, take_turns, &p) == 0);
	fiber_signature_free(sig);
	return p;
}

/* ---- calls*/

static void through_us(long n)
{
	int got;

	for (long i = 0; i < n; i++) {
		int one = 1;
		double two = 2;
		void *place = &count;

		fiber_call(sig, FIBER_FOREIGN(add), &got, FIBER_ARGS(one, two, place));
		BENCH_CHECK(got == 1);
	}
}

static void through_libffi(long n)
{
	static ffi_type *types[] = {&ffi_type_sint, &ffi_type_double, &ffi_type_pointer};
	ffi_cif cif;
	ffi_arg got;

	BENCH_CHECK(ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 3, &ffi_type_sint, types) == FFI_OK);
	for (long i = 0; i < n; i++) {
		int one = 1;
		double two = 2;
		void *place = &count, *values[] = {&one, &two, &place};

		ffi_call(&cif, FFI_FN(add), &got, values);
		BENCH_CHECK((int)got == 1);
	}
}

static double call(const struct bench_row *row)
{
	struct pair p = compare(through_us, through_libffi, row);

	bench_figure("ffi_call", p.other_ns, "ns", 0);
	bench_figure("over ffi_call", p.ratio, "times", 1.2);
	return p.ours_ns;
}

static void deep(long n)
{
	for (long i = 0; i < n; i++)
		fiber_call_deep(sig, FIBER_FOREIGN(add), NULL, FIBER_ARGS(1, 2.0, (void *)&count));
}

static double call_deep(const struct bench_row *row)
{
	return compare(deep, through_libffi, row).ours_ns;
}

/* ---- fibers*/

static int add_in_a_fiber(void *arg)
{
	return add(1, 2, arg);
}

static void spawn(long n)
{
	fiber_t fiber;
	int got;

	for (long i = 0; i < n; i++) {
		BENCH_CHECK(fiber_spawn(&fiber, NULL, add_in_a_fiber, &count) == 0);
		BENCH_CHECK(fiber_join(fiber, &got) == 0 && got == 1);
	}
}

static void spawn_call(long n)
{
	fiber_t fiber;
	int got;

	for (long i = 0; i < n; i++) {
		BENCH_CHECK(fiber_spawn_call(&fiber, NULL, sig, FIBER_FOREIGN(add), NULL,
					     FIBER_ARGS(1, 2.0, (void *)&count)) == 0);
		BENCH_CHECK(fiber_join(fiber, &got) == 0 && got == 1);
	}
}

static double spawn_and_join(const struct bench_row *row)
{
	struct pair p = compare(spawn_call, spawn, row);

	bench_figure("fiber_spawn and join", p.other_ns, "ns", 0);
	bench_figure("more than fiber_spawn", p.more_ns, "ns", 60);
	return p.ours_ns;
}

/* ---- closures*/

static int (*code)(int, double, void *);

static void handle(void *context, void *result, void *const *args)
{
	(void)context;
	*(int *)result = add(FIBER_GIVEN(int, args, 0), FIBER_GIVEN(double, args, 1),
			     FIBER_GIVEN(void *, args, 2));
}

static void called_by_libffi(ffi_cif *cif, void *result, void **args, void *unused)
{
	(void)cif, (void)unused;
	*(ffi_arg *)result = (ffi_arg)add(*(int *)args[0], *(double *)args[1], *(void **)args[2]);
}

static void call_code(long n)
{
	for (long i = 0; i < n; i++)
		BENCH_CHECK(code(1, 2, &count) == 1);
}

static void through_our_closure(long n)
{
	fiber_closure_t *closure;
	fiber_foreign_fn *made;

	BENCH_CHECK(fiber_closure_create(&closure, &made, sig, NULL, handle, NULL) == 0);
	code = (int (*)(int, double, void *))made;
	call_code(n);
	fiber_closure_free(closure);
}

static void through_libffis_closure(long n)
{
	static ffi_type *types[] = {&ffi_type_sint, &ffi_type_double, &ffi_type_pointer};
	ffi_closure *closure;
	void *made;
	ffi_cif cif;

	closure = ffi_closure_alloc(sizeof *closure, &made);
	BENCH_CHECK(ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 3, &ffi_type_sint, types) == FFI_OK);
	BENCH_CHECK(ffi_prep_closure_loc(closure, &cif, called_by_libffi, NULL, made) == FFI_OK);
	code = (int (*)(int, double, void *))made;
	call_code(n);
	ffi_closure_free(closure);
}

static double closure(const struct bench_row *row)
{
	struct pair p = compare(through_our_closure, through_libffis_closure, row);

	bench_figure("libffi's own closure", p.other_ns, "ns", 0);
	bench_figure("more than libffi's own", p.more_ns, "ns", 0);
	return p.ours_ns;
}

static const struct bench_row rows[] = {
	{"typed call", call, 0, TURNS * 20000L, "ns", .n = 20000},
	{"spawn_call and join", spawn_and_join, 0, TURNS * 5000L, "ns", .n = 5000},
	{"deep call", call_deep, 0, TURNS * 500L, "ns", .n = 500},
	{"closure called on a fiber", closure, 0, TURNS * 20000L, "ns", .n = 20000},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
