/* limits.c - each thing that libffi gets wrong. The processor on which it does is told by its long
 * double: 64 bits of mantissa are x86, 113 AArch64. All were found by tests/foreign_fuzz.c. */
#include "foreign/limits.h"

#include <float.h>

/* On x86-64 a struct that is one long double comes back on the stack of the x87. libffi (3.4.4)
 * knows that of the type itself only, and leaves the struct there; after eight such calls every
 * long double is a NaN. Refused everywhere, so that programs stay portable. */
static bool returns_x87_struct(const ffi_type *type)
{
	while (type->type == FFI_TYPE_STRUCT && type->elements[0] && !type->elements[1]) {
		type = type->elements[0];
		if (type->type == FFI_TYPE_LONGDOUBLE)
			return true;
	}
	return false;
}

/* On AArch64, whose long double has 113 bits, a struct of more than 16 bytes goes by reference.
 * Where its pointer finds no register any more, libffi (3.4.4) aligns the pointer like the struct,
 * and the function looks for it 8 bytes below. Of registers the most that may be taken count. */
static bool misplaces_reference(const struct fiber_signature *sig)
{
	unsigned registers = 0;

	for (unsigned i = 0; LDBL_MANT_DIG == 113 && i < sig->count; i++) {
		const ffi_type *type = sig->types[i];
		bool large = type->type == FFI_TYPE_STRUCT && type->size > 16;

		if (large && type->alignment > 8 && registers >= 8)
			return true;
		if (!signature_is_floating(type))
			registers += type->type == FFI_TYPE_STRUCT && !large ? 2 : 1;
	}
	return false;
}

/* Which of a struct's two words have an integer in them. */
static void note_words(const ffi_type *type, size_t at, bool integer[2])
{
	if (type->type != FFI_TYPE_STRUCT) {
		if (!signature_is_floating(type))
			integer[at / 8] = true;
		return;
	}
	for (ffi_type **e = type->elements; *e; e++) {
		at = (at + (*e)->alignment - 1) & ~((size_t)(*e)->alignment - 1);
		note_words(*e, at, integer);
		at += (*e)->size;
	}
}

struct registers {
	unsigned general, vector; /* taken so far: of 6, and of 8 */
};

/* The next argument takes its registers. True: as follows. */
static bool overwrites_vector(struct registers *r, const ffi_type *type)
{
	bool integer[2] = { false, false };
	unsigned general, vector;
	bool last;

	if (type->size > 16 || type->alignment > 8)
		return false; /* in memory */
	note_words(type, 0, integer);
	general = integer[0] + integer[1];
	vector = (type->size > 8 ? 2 : 1) - general;
	if (r->general + general > 6 || r->vector + vector > 8)
		return false;
	last = type->size > 8 && general == 1 && r->general == 5;
	if (last && (r->vector > 0 || !integer[0]))
		return true;
	r->general += general;
	r->vector += vector;
	return false;
}

/* On x86-64 a struct of an integer and a floating-point word goes in one register of each kind. If
 * the first is the last general one, libffi writes both words there, and the second onto the first
 * vector register, which may have its value already. */
static bool overwrites_argument(const struct fiber_signature *sig)
{
	const ffi_type *result = sig->cif.rtype;
	struct registers r = { .general = result->type == FFI_TYPE_STRUCT && result->size > 16 };

	for (unsigned i = 0; LDBL_MANT_DIG == 64 && i < sig->count; i++)
		if (overwrites_vector(&r, sig->types[i]))
			return true;
	return false;
}

bool limits_forbid(const struct fiber_signature *sig)
{
	return returns_x87_struct(sig->cif.rtype) || misplaces_reference(sig) ||
	       overwrites_argument(sig);
}
