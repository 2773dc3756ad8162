/* fuzz.h - between tests/foreign_fuzz.c and the functions of random signatures that
 * tests/foreign_fuzz.py writes. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <fiber/foreign.h>

/* One of the library's ways to call a function. < 0: it was not called. */
typedef int fuzz_way(const fiber_signature_t *, fiber_foreign_fn *, void *result,
		     const fiber_arg_t *, size_t n, void *context);

struct fuzz_case {
	const char *text;       /* the signature */
	/* Calls it as the compiler does, and then `way`, with the same random arguments: 1, the
	 * results are equal; 0, they are not; or what the way said. */
	int (*call)(uint64_t seed, fuzz_way *, const fiber_signature_t *, void *context);
	/* The same with a closure of that signature, whose handler is: */
	int (*call_back)(uint64_t seed, fiber_foreign_fn *code);
	fiber_closure_fn *handler;
};

extern const struct fuzz_case fuzz_cases[];
extern const unsigned fuzz_count;

/* What each handler does first. */
void fuzz_pause(void *context);

#endif
