/* foreign.h - signatures and closures that tests make. cr_expect only. */
#ifndef TESTS_FOREIGN_H
#define TESTS_FOREIGN_H

#include <criterion/criterion.h>
#include <fiber/foreign.h>

static inline fiber_signature_t *sig_of(const char *text)
{
	fiber_signature_error_t error;
	fiber_signature_t *sig = NULL;

	cr_expect(fiber_signature_create(&sig, text, &error) == 0, "%s at %zu: %s", text, error.at,
		  error.why ? error.why : "");
	return sig;
}

/* Its code. */
static inline fiber_foreign_fn *closure_of(fiber_closure_t **c, fiber_signature_t *sig,
					   const fiber_closure_attr_t *attr,
					   fiber_closure_fn *handler, void *context)
{
	fiber_foreign_fn *code = NULL;

	cr_expect(fiber_closure_create(c, &code, sig, attr, handler, context) == 0);
	cr_expect(code != NULL);
	return code;
}

#endif
