/* call.c - foreign functions, called here, in a fiber of their own, on a deep stack, or on
 * a helper thread. */
#include <errno.h>
#include <fiber/io.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "foreign/signature.h"
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
static inline void narrow(void *result, size_t bytes, ffi_arg wide)
{
	switch (bytes) {
	case 1:
		*(uint8_t *)result = (uint8_t)wide;
		break;
	case 2:
		*(uint16_t *)result = (uint16_t)wide;
		break;
	default:
		*(uint32_t *)result = (uint32_t)wide;
	}
}

/* Calls it; what it returned is stored at `result`, if that is not NULL. Returns it as well, if it
 * is an int; else 0. */
INLINE int call_with(const struct fiber_signature *sig, fiber_foreign_fn *fn, void *result,
		     void **values)
{
	ffi_cif *cif = (ffi_cif *)(uintptr_t)&sig->cif; /* libffi has no const */
	ffi_arg wide;

	if (!sig->narrow_bytes) {
		ffi_call(cif, fn, result, values);
		return 0;
	}
	ffi_call(cif, fn, &wide, values);
	if (result)
		narrow(result, sig->narrow_bytes, wide);
	return sig->is_int ? (int)wide : 0;
}

/* Do they fit? fiber_call_check tells why not. values[] becomes what libffi wants: the places. */
INLINE bool take_places(const struct fiber_signature *sig, fiber_foreign_fn *fn,
			const fiber_arg_t *args, size_t n, void **values)
{
	const struct signature_arg *wanted;

	if (unlikely(!sig || !fn || n != sig->count || (n && !args)))
		return false;
	wanted = sig->arg;
	for (size_t i = 0; i < n; i++) {
		void *at = (void *)(uintptr_t)args[i].at;

		if (unlikely(args[i].bytes != wanted[i].bytes || !at))
			return false;
		if (unlikely(args[i].kind != wanted[i].kind) && args[i].kind != FIBER_ARG_ANY)
			return false;
		values[i] = at;
	}
	return true;
}

PUBLIC int fiber_call(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		      const fiber_arg_t *args, size_t n)
{
	void *values[SIGNATURE_ARGS];

	if (unlikely(!take_places(sig, fn, args, n, values)))
		return -EINVAL;
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

/* Without a call of memcpy, mostly. */
static inline void copy_value(char *to, const void *from, size_t bytes)
{
	if (likely(bytes == 8))
		memcpy(to, from, 8);
	else if (likely(bytes == 4))
		memcpy(to, from, 4);
	else
		memcpy(to, from, bytes);
}

static int spawn_copy(struct spawned *s, fiber_t *out, fiber_attr_t *attr, void **values,
		      const void *spawned_at)
{
	const struct signature_arg *arg = s->sig->arg;

	for (unsigned i = 0; i < s->sig->count; i++)
		copy_value(s->values + arg[i].offset, values[i], arg[i].bytes);
	return spawn_from(out, attr, run_spawned, s, spawned_at);
}

PUBLIC int fiber_spawn_call(fiber_t *out, const fiber_attr_t *attr, const fiber_signature_t *sig,
			    fiber_foreign_fn *fn, void *result, const fiber_arg_t *args, size_t n)
{
	_Alignas(struct spawned) char here[sizeof(struct spawned) + COPY_HERE];
	fiber_attr_t with_copy = attr ? *attr : (fiber_attr_t){0};
	struct spawned *s = (struct spawned *)here;
	void *values[SIGNATURE_ARGS];
	int r;

	if (!take_places(sig, fn, args, n, values) || with_copy.copy_bytes)
		return -EINVAL;
	with_copy.copy_bytes = sizeof *s + sig->copy_bytes;
	if (sig->copy_bytes > COPY_HERE && !(s = malloc(with_copy.copy_bytes)))
		return -ENOMEM;
	s->sig = sig;
	s->fn = fn;
	s->result = result;
	r = spawn_copy(s, out, &with_copy, values, __builtin_return_address(0));
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

	if (!take_places(sig, fn, args, n, values))
		return -EINVAL;
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
	if (!take_places(sig, fn, args, n, values))
		return -EINVAL;
	return fiber_offload_errno(run_blocking, &e, error);
}
