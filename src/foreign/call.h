/* call.h - a call whose arguments have been checked. */
#ifndef FB_FOREIGN_CALL_H
#define FB_FOREIGN_CALL_H

#include "base/must.h"
#include "foreign/signature.h"

/* Do they fit? fiber_call_check tells why not. */
static inline bool call_fits(const struct fiber_signature *sig, fiber_foreign_fn *fn,
			     const fiber_arg_t *args, size_t n)
{
	if (unlikely(!sig || !fn || n != sig->count || (n && !args)))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (unlikely(args[i].bytes != sig->arg[i].bytes || !args[i].at))
			return false;
		if (unlikely(args[i].kind != sig->arg[i].kind && args[i].kind != FIBER_ARG_ANY))
			return false;
	}
	return true;
}

/* What libffi wants: where each value is. */
static inline void call_point(void **values, const fiber_arg_t *args, size_t n)
{
	for (size_t i = 0; i < n; i++)
		values[i] = (void *)(uintptr_t)args[i].at;
}

/* Calls it; what it returned is stored at `result`, if that is not NULL. Returns it as well, if it
 * is an int; else 0. */
int call_with(const struct fiber_signature *, fiber_foreign_fn *, void *result, void **values);

#endif
