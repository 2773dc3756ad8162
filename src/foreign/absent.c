/* absent.c - fiber/foreign.h where the library is built without libffi: so that a program links
 * against any build of it, and learns at run time what there is. */
#include <errno.h>
#include <fiber/foreign.h>

#include "base/must.h"

PUBLIC int fiber_signature_create(fiber_signature_t **out, const char *text,
				  fiber_signature_error_t *error)
{
	(void)out, (void)text;
	if (error)
		*error = (fiber_signature_error_t){ 0, "the library was built without libffi" };
	return -ENOTSUP;
}

PUBLIC int fiber_signature_create_types(fiber_signature_t **out, struct _ffi_type *result,
					struct _ffi_type *const *args, unsigned n, unsigned fixed)
{
	(void)out, (void)result, (void)args, (void)n, (void)fixed;
	return -ENOTSUP;
}

PUBLIC void fiber_signature_free(fiber_signature_t *sig)
{
	(void)sig;
}

PUBLIC int fiber_call_check(const fiber_signature_t *sig, fiber_foreign_fn *fn,
			    const fiber_arg_t *args, size_t n, fiber_signature_error_t *error)
{
	(void)sig, (void)fn, (void)args, (void)n;
	if (error)
		*error = (fiber_signature_error_t){ 0, "the library was built without libffi" };
	return -ENOTSUP;
}

PUBLIC int fiber_call(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		      const fiber_arg_t *args, size_t n)
{
	(void)sig, (void)fn, (void)result, (void)args, (void)n;
	return -ENOTSUP;
}

PUBLIC int fiber_spawn_call(fiber_t *out, const fiber_attr_t *attr, const fiber_signature_t *sig,
			    fiber_foreign_fn *fn, void *result, const fiber_arg_t *args, size_t n)
{
	(void)out, (void)attr, (void)sig, (void)fn, (void)result, (void)args, (void)n;
	return -ENOTSUP;
}

PUBLIC int fiber_call_blocking(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
			       const fiber_arg_t *args, size_t n, int *error)
{
	(void)sig, (void)fn, (void)result, (void)args, (void)n;
	if (error)
		*error = 0;
	return -ENOTSUP;
}

PUBLIC int fiber_call_deep(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
			   const fiber_arg_t *args, size_t n)
{
	(void)sig, (void)fn, (void)result, (void)args, (void)n;
	return -ENOTSUP;
}

PUBLIC int fiber_closure_create(fiber_closure_t **out, fiber_foreign_fn **code,
				const fiber_signature_t *sig, const fiber_closure_attr_t *attr,
				fiber_closure_fn *handler, void *context)
{
	(void)out, (void)code, (void)sig, (void)attr, (void)handler, (void)context;
	return -ENOTSUP;
}

PUBLIC void fiber_closure_free(fiber_closure_t *closure)
{
	(void)closure;
}
