/* counts_foreign.c - as counts.c, of foreign calls: beside ours the same by libffi alone, and
 * fiber_spawn, so that what the library adds can be read off. */
#include <ffi.h>
#include <fiber/foreign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "counts: %s\n", #x), exit(1)))

static long n, turns;
static fiber_signature_t *sig;
static ffi_cif cif;

static int add(int i, double d, void *p)
{
	turns += i + (int)d;
	return p == &turns;
}

static int call(void *place)
{
	int got;

	for (long i = 0; i < n; i++)
		CHECK(fiber_call(sig, FIBER_FOREIGN(add), &got, FIBER_ARGS(1, 2.0, place)) == 0);
	return 0;
}

static int call_by_libffi(void *place)
{
	ffi_arg got;

	for (long i = 0; i < n; i++) {
		int one = 1;
		double two = 2;
		void *values[] = {&one, &two, &place};

		ffi_call(&cif, FFI_FN(add), &got, values);
	}
	return 0;
}

static int add_in_a_fiber(void *place)
{
	return add(1, 2, place);
}

static int spawn(void *place)
{
	fiber_t f;

	for (long i = 0; i < n; i++) {
		CHECK(fiber_spawn(&f, NULL, add_in_a_fiber, place) == 0);
		CHECK(fiber_join(f, NULL) == 0);
	}
	return 0;
}

static int spawn_call(void *place)
{
	fiber_t f;

	for (long i = 0; i < n; i++) {
		CHECK(fiber_spawn_call(&f, NULL, sig, FIBER_FOREIGN(add), NULL,
				       FIBER_ARGS(1, 2.0, place)) == 0);
		CHECK(fiber_join(f, NULL) == 0);
	}
	return 0;
}

static void handle(void *context, void *result, void *const *args)
{
	(void)context;
	*(int *)result = add(FIBER_GIVEN(int, args, 0), FIBER_GIVEN(double, args, 1),
			     FIBER_GIVEN(void *, args, 2));
}

static int closure(void *place)
{
	fiber_closure_t *made;
	fiber_foreign_fn *code;

	CHECK(fiber_closure_create(&made, &code, sig, NULL, handle, NULL) == 0);
	for (long i = 0; i < n; i++)
		CHECK(((int (*)(int, double, void *))code)(1, 2, place) == 1);
	fiber_closure_free(made);
	return 0;
}

static void handle_for_libffi(ffi_cif *of, void *result, void **args, void *unused)
{
	(void)of, (void)unused;
	*(ffi_arg *)result = (ffi_arg)add(*(int *)args[0], *(double *)args[1], *(void **)args[2]);
}

static int closure_by_libffi(void *place)
{
	void *code;
	ffi_closure *made = ffi_closure_alloc(sizeof *made, &code);

	CHECK(made && ffi_prep_closure_loc(made, &cif, handle_for_libffi, NULL, code) == FFI_OK);
	for (long i = 0; i < n; i++)
		CHECK(((int (*)(int, double, void *))code)(1, 2, place) == 1);
	ffi_closure_free(made);
	return 0;
}

static const struct {
	const char *name;
	fiber_fn *run;
} whats[] = {
	{"call", call},
	{"call by libffi", call_by_libffi},
	{"spawn", spawn},
	{"spawn a call", spawn_call},
	{"closure", closure},
	{"closure by libffi", closure_by_libffi},
};

int main(int argc, char **argv)
{
	static ffi_type *types[] = {&ffi_type_sint, &ffi_type_double, &ffi_type_pointer};
	fiber_options_t options = {.workers = 1};

	if (argc != 3)
		return 2;
	n = atol(argv[2]);
	CHECK(fiber_signature_create(&sig, "i(idp)", NULL) == 0);
	CHECK(ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 3, &ffi_type_sint, types) == FFI_OK);
	for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++)
		if (!strcmp(argv[1], whats[i].name)) {
			CHECK(fiber_run(&options, whats[i].run, &turns) == 0);
			CHECK(turns == 3 * n);
			fiber_signature_free(sig);
			return 0;
		}
	return 2;
}
