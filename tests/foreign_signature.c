/* Signatures of foreign functions: the string and its errors, each pointed at; ffi_types. */
#include <criterion/criterion.h>
#include <errno.h>
#include <ffi.h>
#include <fiber/foreign.h>
#include <float.h>
#include <string.h>

#include "foreign/signature.h"
#include "law.h"

static fiber_signature_t *made(const char *text)
{
	fiber_signature_error_t error;
	fiber_signature_t *sig = NULL;
	int r = fiber_signature_create(&sig, text, &error);

	cr_expect(r == 0, "%s: %d at %zu: %s", text, r, error.at, error.why ? error.why : "");
	cr_expect(error.why == NULL);
	return sig;
}

Test(foreign_signature, each_letter_is_the_type_that_the_table_says, .timeout = 20)
{
	static const struct {
		const char *text;
		size_t bytes;
		unsigned type;
	} letters[] = {
		{ "b", sizeof(bool), FFI_TYPE_UINT8 },
		{ "c", 1, (char)-1 < 0 ? FFI_TYPE_SINT8 : FFI_TYPE_UINT8 },
		{ "C", 1, FFI_TYPE_UINT8 },
		{ "s", sizeof(short), FFI_TYPE_SINT16 },
		{ "S", sizeof(short), FFI_TYPE_UINT16 },
		{ "i", sizeof(int), FFI_TYPE_SINT32 },
		{ "I", sizeof(int), FFI_TYPE_UINT32 },
		{ "l", sizeof(long), FFI_TYPE_SINT64 },
		{ "L", sizeof(long), FFI_TYPE_UINT64 },
		{ "q", sizeof(long long), FFI_TYPE_SINT64 },
		{ "Q", sizeof(long long), FFI_TYPE_UINT64 },
		{ "n", sizeof(ssize_t), FFI_TYPE_SINT64 },
		{ "N", sizeof(size_t), FFI_TYPE_UINT64 },
		{ "i8", 1, FFI_TYPE_SINT8 },
		{ "i16", 2, FFI_TYPE_SINT16 },
		{ "i32", 4, FFI_TYPE_SINT32 },
		{ "i64", 8, FFI_TYPE_SINT64 },
		{ "I8", 1, FFI_TYPE_UINT8 },
		{ "I16", 2, FFI_TYPE_UINT16 },
		{ "I32", 4, FFI_TYPE_UINT32 },
		{ "I64", 8, FFI_TYPE_UINT64 },
		{ "f", sizeof(float), FFI_TYPE_FLOAT },
		{ "d", sizeof(double), FFI_TYPE_DOUBLE },
		{ "D", sizeof(long double), FFI_TYPE_LONGDOUBLE },
		{ "p", sizeof(void *), FFI_TYPE_POINTER },
	};

	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
		char text[16];
		fiber_signature_t *sig;

		snprintf(text, sizeof text, "%s(%s)", letters[i].text, letters[i].text);
		sig = made(text);
		cr_expect_eq(sig->cif.rtype->type, letters[i].type, "%s", text);
		cr_expect_eq(sig->types[0]->type, letters[i].type, "%s", text);
		cr_expect_eq(sig->arg[0].bytes, letters[i].bytes, "%s", text);
		fiber_signature_free(sig);
	}
	law_no_leaks();
}

struct nested {
	int i;
	struct {
		double x, y;
	} at;
	char name[8];
	bool last;
};

Test(foreign_signature, a_struct_has_the_size_and_alignment_that_the_compiler_gives_it,
     .timeout = 20)
{
	fiber_signature_t *sig = made(" {D c} ( {i {dd} [8c] b} c ) ");

	cr_expect_eq(sig->types[0]->size, sizeof(struct nested));
	cr_expect_eq(sig->types[0]->alignment, _Alignof(struct nested));
	cr_expect_eq(sig->cif.rtype->size, 2 * sizeof(long double));
	cr_expect_eq(sig->arg[1].offset, sizeof(struct nested));
	fiber_signature_free(sig);
	law_no_leaks();
}

struct wrong {
	const char *text;
	size_t at;
	const char *why;
};

static void is_wrong(const struct wrong *w)
{
	fiber_signature_error_t error;
	fiber_signature_t *sig = NULL;
	int r = fiber_signature_create(&sig, w->text, &error);

	cr_expect(r == -EINVAL, "%s: %d", w->text, r);
	cr_expect(sig == NULL);
	cr_expect(error.at == w->at, "%s: at %zu, not %zu", w->text, error.at, w->at);
	cr_expect(error.why && strstr(error.why, w->why), "%s: %s", w->text, error.why);
	cr_expect(fiber_signature_create(&sig, w->text, NULL) == -EINVAL);
}

Test(foreign_signature, what_is_wrong_is_pointed_at, .timeout = 20)
{
	static const struct wrong strings[] = {
		{ "", 0, "a type is missing" },
		{ "x()", 0, "no type has this letter" },
		{ "i", 1, "should be a (" },
		{ "i[", 1, "should be a (" },
		{ "i(", 2, "should be a )" },
		{ "i(px", 3, "no type has this letter" },
		{ "i(p", 3, "should be a )" },
		{ "i(pv)", 3, "void is a result only" },
		{ "i(p)i", 4, "it should end" },
		{ "i(i7)", 3, "8, 16, 32 or 64" },
		{ "i(i99999999999999999999)", 3, "8, 16, 32 or 64" },
		{ "I128(p)", 1, "8, 16, 32 or 64" },
		{ "i({})", 3, "a struct has members" },
		{ "i({ii)", 5, "no type has this letter" },
		{ "i({ii", 5, "a type is missing" },
		{ "i([3c])", 2, "member of a struct only" },
		{ "i({[c]})", 4, "begins with the number" },
		{ "i({[0c]})", 5, "begins with the number" },
		{ "i({[3v]})", 5, "void is a result only" },
		{ "i({[3c})", 6, "should be a ]" },
		{ "i({[9999c]})", 9, "beyond the limit" },
		{ "i(.)", 2, "before the ." },
		{ "i(p.i.i)", 5, "a . already" },
		{ "i(p.f)", 4, "a float is promoted: say d" },
		{ "i(p.ic)", 5, "promoted: say i" },
		{ "i(p.  S)", 6, "promoted: say i" },
		{ "{D}(i)", 0, "such a result" },
		{ "{{D}}()", 0, "such a result" },
		{ "i({{{{{{{{{{{{{{{{{i}}}}}}}}}}}}}}}}})", 18, "beyond the limit" },
	};

	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
		is_wrong(&strings[i]);
	law_no_leaks();
}

Test(foreign_signature, what_libffi_would_call_wrongly_is_refused_and_its_neighbours_are_not,
     .timeout = 20)
{
	bool x86 = LDBL_MANT_DIG == 64, quad = LDBL_MANT_DIG == 113;
	static const char *good[] = { "v(nnnnn{nf})", "v(nnnnf{nf})", "v(nnnnnnf{nf})",
				      "v(nnnnnf{dd})", "D(D)", "{DD}({D})", "v(nnnnnnn{Dn})" };
	const struct { const char *text; bool refused; } bad[] = {
		{ "v(nnnnnf{nf})", x86 },
		{ "v(nnnnn{fn})", x86 },
		{ "{nnn}(nnnnf{nf})", x86 },
		{ "v(nnnnnnnn{Dn})", quad },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		fiber_signature_free(made(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (bad[i].refused)
			is_wrong(&(struct wrong){ bad[i].text, 0, "libffi cannot" });
		else
			fiber_signature_free(made(bad[i].text));
	}
	law_no_leaks();
}

Test(foreign_signature, a_128th_argument_is_pointed_at, .timeout = 20)
{
	char text[140] = "v(";

	memset(text + 2, 'p', 127);
	strcpy(text + 129, ")");
	fiber_signature_free(made(text));
	strcpy(text + 129, "i)");
	is_wrong(&(struct wrong){ text, 129, "more than 127" });
	law_no_leaks();
}

Test(foreign_signature, without_a_string_or_a_place_for_it_there_is_none, .timeout = 20)
{
	fiber_signature_error_t error;
	fiber_signature_t *sig;

	cr_expect(fiber_signature_create(NULL, "v()", &error) == -EINVAL && error.why);
	cr_expect(fiber_signature_create(&sig, NULL, &error) == -EINVAL && error.why);
	fiber_signature_free(NULL);
}

Test(foreign_signature, no_string_of_any_letters_is_more_than_an_error, .timeout = 60)
{
	static const char letters[] = "vbcCsSiIlLqQnNfdDp{}[]().0123468 x";
	uint64_t seed = law_seed();
	unsigned good = 0;

	for (unsigned round = 0; round < law_rounds(200000); round++) {
		char text[24] = "i(";
		size_t length = 2 + law_random(&seed) % 20;
		fiber_signature_error_t error;
		fiber_signature_t *sig;
		int r;

		for (size_t i = 2; i < length; i++)
			text[i] = letters[law_random(&seed) % (sizeof letters - 1)];
		r = fiber_signature_create(&sig, text, &error);
		cr_expect(r == 0 || (r == -EINVAL && error.why && error.at <= strlen(text)),
			  "%s: %d", text, r);
		if (r == 0) {
			good++;
			fiber_signature_free(sig);
		}
	}
	cr_expect(good > 0);
	law_no_leaks();
}

Test(foreign_signature, libffis_own_types_make_one_too, .timeout = 20)
{
	ffi_type *members[] = { &ffi_type_double, &ffi_type_sint8, NULL };
	ffi_type pair = { .type = FFI_TYPE_STRUCT, .elements = members };
	ffi_type *args[] = { &ffi_type_pointer, &pair, &ffi_type_double, NULL };
	fiber_signature_t *sig;

	cr_expect(fiber_signature_create_types(&sig, &ffi_type_float, args, 3, 3) == 0);
	cr_expect_eq(sig->arg[1].bytes, 16);
	cr_expect_eq(sig->arg[2].offset, 24);
	fiber_signature_free(sig);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, args, 3, 1) == 0);
	fiber_signature_free(sig);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, NULL, 0, 0) == 0);
	fiber_signature_free(sig);
	cr_expect(fiber_signature_create_types(&sig, NULL, args, 3, 3) == -EINVAL);
	cr_expect(fiber_signature_create_types(NULL, &ffi_type_void, args, 3, 3) == -EINVAL);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, NULL, 3, 3) == -EINVAL);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, args, 4, 4) == -EINVAL);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, args, 3, 4) == -EINVAL);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, args, 3, 0) == -EINVAL);
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, args, 128, 128) == -EINVAL);
	args[2] = &ffi_type_float; /* after the dots */
	cr_expect(fiber_signature_create_types(&sig, &ffi_type_void, args, 3, 1) == -EINVAL);
	law_no_leaks();
}
