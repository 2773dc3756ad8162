/* signature.h - a prepared signature, as calls and closures see it. Immutable once it is made. */
#ifndef FB_FOREIGN_SIGNATURE_H
#define FB_FOREIGN_SIGNATURE_H

#include <ffi.h>
#include <fiber/foreign.h>

enum {
	SIGNATURE_ARGS = 127,      /* what C guarantees */
	SIGNATURE_ALIGNMENT = 16,  /* no type of libffi's needs more */
};

struct signature_arg {
	uint32_t bytes;            /* both must be the argument's */
	uint32_t kind;             /* FIBER_ARG_FLOATING or FIBER_ARG_OTHER */
	uint32_t offset;           /* in a copy of all values */
	uint32_t at;               /* the type's place in the string */
};

/* A struct of the string: what libffi wants to know of it. */
struct signature_struct {
	struct signature_struct *next;
	ffi_type type;
	ffi_type *elements[];      /* ends with NULL */
};

struct fiber_signature {
	ffi_cif cif;
	unsigned count;
	uint32_t end;              /* where the ')' of the string is */
	size_t copy_bytes;         /* of a copy of all values */
	/* What libffi widens to a whole word; 0: it writes the result as it is. */
	size_t narrow_bytes;
	bool is_int;               /* the result is one */
	struct signature_struct *structs;
	ffi_type **types;
	struct signature_arg arg[];
};

static inline bool signature_is_floating(const ffi_type *type)
{
	return type->type == FFI_TYPE_FLOAT || type->type == FFI_TYPE_DOUBLE ||
	       type->type == FFI_TYPE_LONGDOUBLE;
}

#endif
