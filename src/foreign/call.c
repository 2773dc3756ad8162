/* call.c - foreign functions, called here, in a fiber of their own, on a deep stack, or on
 * a helper thread. */
#include "foreign/call.h"

#include <errno.h>
#include <fiber/io.h>
#include <stdlib.h>
#include <string.h>

#include "gen/gen.h"
#include "sched/spawn.h"

enum { COPY_HERE = 2048 }; /* bytes of values that are put together on the caller's stack */

/* ---- what does not fit ------------------------------------------------------------------------*/
static const char *why_not(const struct signature_arg *wanted, const fiber_arg_t *arg)
{
	if (!arg->at)
		return "the argument has no address";
	if (arg->bytes != wanted->bytes)
		return "the argument has another size than this type";
	if (arg->kind == FIBER_ARG_ANY || arg->kind == wanted->kind)
		return NULL;
	return wanted->kind == FIBER_ARG_FLOATING ? "the argument is no floating-point number"
						  : "the argument is a floating-point number";
}

static fiber_signature_error_t find_error(const struct fiber_signature *sig, fiber_foreign_fn *fn,
					  const fiber_arg_t *args, size_t n)
{
	if (!sig)
		return (fiber_signature_error_t){ 0, "there is no signature" };
	if (!fn)
		return (fiber_signature_error_t){ 0, "there is no function" };
	if (n && !args)
		return (fiber_signature_error_t){ sig->end, "there is no array of arguments" };
	for (size_t i = 0; i < n && i < sig->count; i++) {
		const char *why = why_not(&sig->arg[i], &args[i]);

		if (why)
			return (fiber_signature_error_t){ sig->arg[i].at, why };
	}
	if (n < sig->count)
		return (fiber_signature_error_t){ sig->arg[n].at, "there is no argument for it" };
	if (n > sig->count)
		return (fiber_signature_error_t){ sig->end, "there are more arguments" };
	return (fiber_signature_error_t){ 0, NULL };
}

PUBLIC int fiber_call_check(const fiber_signature_t *sig, fiber_foreign_fn *fn,
			    const fiber_arg_t *args, size_t n, fiber_signature_error_t *error)
{
	fiber_signature_error_t found = find_error(sig, fn, args, n);

	if (error)
		*error = found;
	return found.why ? -EINVAL : 0;
}

/* ---- here -------------------------------------------------------------------------------------*/
static void narrow(void *result, size_t bytes, ffi_arg wide)
{
	uint8_t one = (uint8_t)wide;
	uint16_t two = (uint16_t)wide;
	uint32_t four = (uint32_t)wide;

	memcpy(result, bytes == 1 ? &one : bytes == 2 ? (void *)&two : &four, bytes);
}

int call_with(const struct fiber_signature *sig, fiber_foreign_fn *fn, void *result, void **values)
{
	ffi_cif *cif = (ffi_cif *)(uintptr_t)&sig->cif; /* libffi has no const */
	ffi_arg wide = 0;

	if (!sig->narrow_bytes) {
		ffi_call(cif, fn, result, values);
		return 0;
	}
	ffi_call(cif, fn, &wide, values);
	if (result)
		narrow(result, sig->narrow_bytes, wide);
	return sig->is_int ? (int)wide : 0;
}

PUBLIC int fiber_call(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		      const fiber_arg_t *args, size_t n)
{
	void *values[SIGNATURE_ARGS];

	if (unlikely(!call_fits(sig, fn, args, n)))
		return -EINVAL;
	call_point(values, args, n);
	call_with(sig, fn, result, values);
	return 0;
}

/* ---- in a fiber of its own --------------------------------------------------------------------*/
/* What the new fiber gets, as the copy of its argument: so nothing is lost where a fiber ends
 * without having run. */
struct spawned {
	const struct fiber_signature *sig;
	fiber_foreign_fn *fn;
	void *result;
	_Alignas(SIGNATURE_ALIGNMENT) char values[];
};

static int run_spawned(void *argument)
{
	struct spawned *s = argument;
	void *values[SIGNATURE_ARGS];

	for (unsigned i = 0; i < s->sig->count; i++)
		values[i] = s->values + s->sig->arg[i].offset;
	return call_with(s->sig, s->fn, s->result, values);
}

static int spawn_copy(struct spawned *s, fiber_t *out, fiber_attr_t *attr, const fiber_arg_t *args,
		      const void *spawned_at)
{
	for (unsigned i = 0; i < s->sig->count; i++)
		memcpy(s->values + s->sig->arg[i].offset, args[i].at, args[i].bytes);
	return spawn_from(out, attr, run_spawned, s, spawned_at);
}

PUBLIC int fiber_spawn_call(fiber_t *out, const fiber_attr_t *attr, const fiber_signature_t *sig,
			    fiber_foreign_fn *fn, void *result, const fiber_arg_t *args, size_t n)
{
	_Alignas(struct spawned) char here[sizeof(struct spawned) + COPY_HERE];
	fiber_attr_t with_copy = attr ? *attr : (fiber_attr_t){0};
	struct spawned *s = (struct spawned *)here;
	int r;

	if (!call_fits(sig, fn, args, n) || with_copy.copy_bytes)
		return -EINVAL;
	with_copy.copy_bytes = sizeof *s + sig->copy_bytes;
	if (sig->copy_bytes > COPY_HERE && !(s = malloc(with_copy.copy_bytes)))
		return -ENOMEM;
	s->sig = sig;
	s->fn = fn;
	s->result = result;
	r = spawn_copy(s, out, &with_copy, args, __builtin_return_address(0));
	if ((char *)s != here)
		free(s);
	return r;
}

/* ---- on another stack -------------------------------------------------------------------------*/
/* The values need no copy: the caller's frame stays until the call has ended, whatever happens. */
struct elsewhere {
	const struct fiber_signature *sig;
	fiber_foreign_fn *fn;
	void *result;
	void **values;
};

static void run_elsewhere(void *argument)
{
	struct elsewhere *e = argument;

	call_with(e->sig, e->fn, e->result, e->values);
}

PUBLIC int fiber_call_deep(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
			   const fiber_arg_t *args, size_t n)
{
	void *values[SIGNATURE_ARGS];
	struct elsewhere e = { sig, fn, result, values };

	if (!call_fits(sig, fn, args, n))
		return -EINVAL;
	call_point(values, args, n);
	return gen_call_deep(run_elsewhere, &e, __builtin_return_address(0));
}

static int run_blocking(void *argument)
{
	run_elsewhere(argument);
	return 0;
}

PUBLIC int fiber_call_blocking(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
			       const fiber_arg_t *args, size_t n, int *error)
{
	void *values[SIGNATURE_ARGS];
	struct elsewhere e = { sig, fn, result, values };

	if (error)
		*error = 0;
	if (!call_fits(sig, fn, args, n))
		return -EINVAL;
	call_point(values, args, n);
	return fiber_offload_errno(run_blocking, &e, error);
}
