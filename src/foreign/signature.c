/* signature.c - prepared signatures: what libffi computes of one, and what our calls want to know
 * besides, so that a call only compares and copies. */
#include "foreign/signature.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "foreign/limits.h"
#include "foreign/parse.h"

static bool is_integer(const ffi_type *type)
{
	switch (type->type) {
	case FFI_TYPE_INT:
	case FFI_TYPE_UINT8:
	case FFI_TYPE_SINT8:
	case FFI_TYPE_UINT16:
	case FFI_TYPE_SINT16:
	case FFI_TYPE_UINT32:
	case FFI_TYPE_SINT32:
	case FFI_TYPE_UINT64:
	case FFI_TYPE_SINT64:
		return true;
	default:
		return false;
	}
}

/* libffi has computed the sizes of structs by now. */
static void lay_out_copy(struct fiber_signature *sig, const uint32_t *at)
{
	size_t offset = 0;

	for (unsigned i = 0; i < sig->count; i++) {
		const ffi_type *type = sig->types[i];
		size_t mask = (size_t)type->alignment - 1;

		offset = (offset + mask) & ~mask;
		sig->arg[i] = (struct signature_arg){
			.bytes = (uint32_t)type->size,
			.kind = signature_is_floating(type) ? FIBER_ARG_FLOATING : FIBER_ARG_OTHER,
			.offset = (uint32_t)offset,
			.at = at ? at[i] : i,
		};
		offset += type->size;
	}
	sig->copy_bytes = offset;
}

static bool prepare(struct fiber_signature *sig, ffi_type *result, unsigned fixed)
{
	ffi_status status;

	if (fixed == sig->count)
		status = ffi_prep_cif(&sig->cif, FFI_DEFAULT_ABI, sig->count, result, sig->types);
	else
		status = ffi_prep_cif_var(&sig->cif, FFI_DEFAULT_ABI, fixed, sig->count, result,
					  sig->types);
	if (status != FFI_OK)
		return false;
	for (unsigned i = 0; i < sig->count; i++)
		if (sig->types[i]->alignment > SIGNATURE_ALIGNMENT)
			return false;
	if (limits_forbid(sig))
		return false;
	if (is_integer(result) && result->size < sizeof(ffi_arg))
		sig->narrow_bytes = result->size;
	sig->is_int = result == &ffi_type_sint32;
	return true;
}

static int make(struct fiber_signature **out, ffi_type *result, ffi_type *const *types,
		const uint32_t *at, unsigned count, unsigned fixed)
{
	struct fiber_signature *sig = calloc(1, sizeof *sig + count * sizeof *sig->arg);

	if (!sig)
		return -ENOMEM;
	sig->types = calloc(count + 1, sizeof *sig->types);
	if (!sig->types) {
		free(sig);
		return -ENOMEM;
	}
	sig->count = sig->end = count;
	if (count)
		memcpy(sig->types, types, count * sizeof *types);
	if (!prepare(sig, result, fixed)) {
		fiber_signature_free(sig);
		return -EINVAL;
	}
	lay_out_copy(sig, at);
	*out = sig;
	return 0;
}

PUBLIC int fiber_signature_create(fiber_signature_t **out, const char *text,
				  fiber_signature_error_t *error)
{
	fiber_signature_error_t nowhere;
	struct parsed parsed;
	int r;

	if (!error)
		error = &nowhere;
	*error = (fiber_signature_error_t){ 0, out && text ? NULL : "there is no string" };
	if (error->why)
		return -EINVAL;
	r = parse_signature(text, &parsed, error);
	if (r == 0)
		r = make(out, parsed.result, parsed.types, parsed.at, parsed.count, parsed.fixed);
	if (r < 0) {
		parse_free_structs(parsed.structs);
		if (r == -EINVAL && !error->why)
			error->why = "libffi cannot call functions with such a result or argument";
		return r;
	}
	(*out)->structs = parsed.structs;
	(*out)->end = parsed.end;
	return 0;
}

PUBLIC int fiber_signature_create_types(fiber_signature_t **out, struct _ffi_type *result,
					struct _ffi_type *const *args, unsigned n, unsigned fixed)
{
	if (!out || !result || (n && !args) || n > SIGNATURE_ARGS)
		return -EINVAL;
	if (fixed > n || (fixed == 0 && n != 0))
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		if (!args[i])
			return -EINVAL;
	return make(out, result, args, NULL, n, fixed);
}

PUBLIC void fiber_signature_free(fiber_signature_t *sig)
{
	if (!sig)
		return;
	parse_free_structs(sig->structs);
	free(sig->types);
	free(sig);
}
