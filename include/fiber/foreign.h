/* fiber/foreign.h - other people's C: any function called by its signature, as a fiber, on a helper
 * thread or on a deep stack. SPDX-License-Identifier: MIT
 *
 * A signature is written as a short string, prepared once and used for any number of calls:
 *
 *	fiber_signature_t *sig;
 *	fiber_signature_error_t error;
 *
 *	if (fiber_signature_create(&sig, "i(pp)", &error) < 0)
 *		fprintf(stderr, "i(pp)\n%*s^ %s\n", (int)error.at, "", error.why);
 *
 *	char *answer = NULL;
 *	int rows;                                       int query(const char *, char **)
 *	r = fiber_call_blocking(sig, FIBER_FOREIGN(query), &rows,
 *				FIBER_ARGS("select 1", &answer), NULL);
 *
 * The string is the result's type, then the arguments' in parentheses; blanks mean nothing:
 *
 *	v                   void: the result of a function without one; no arguments are ()
 *	b                   bool
 *	c C                 char, unsigned char
 *	s S  i I  l L       short, int, long, and unsigned
 *	q Q                 long long, unsigned long long
 *	n N                 ssize_t, size_t
 *	i8 i16 i32 i64      int8_t and so on; I8 to I64 uint8_t and so on
 *	f d D               float, double, long double
 *	p                   a pointer, to anything, functions too
 *	{..}                a struct by value: its members' types in their order. {i{dd}[8c]} is
 *	                    struct { int i; struct { double x, y; } at; char name[8]; }
 *	.                   here the arguments begin that the function takes as "...". One call's
 *	                    signature of printf is i(p.id) where it is given an int and a double
 *
 * A member's alignment is that of its type: structs that are packed, and unions and bit-fields,
 * have no letters. A few signatures libffi calls wrongly, and they are refused: a result that is a
 * struct of nothing but one long double; on x86-64 a struct of an integer and a floating-point word
 * that would take the last register; on AArch64 a large struct with a long double in it after eight
 * or so other arguments.
 *
 * What the call is given is copied: values are the function's own. What a pointer points to is
 * never copied and stays its owner's: a string or a buffer must remain until the call has ended,
 * as must the place where the result goes, and the signature.
 *
 * A function that sets errno: fiber_call_blocking tells it; after the other calls it is where the C
 * library left it, and only the code right after it may rely on that (a fiber that parks meets its
 * neighbours' errno).
 *
 * All of this needs libffi, which the library may have been built without: then every call here
 * answers -ENOTSUP. */
#ifndef FIBER_FOREIGN_H
#define FIBER_FOREIGN_H
#include <fiber.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- signatures ------------------------------------------------------------------------------ */
typedef struct fiber_signature fiber_signature_t;

typedef struct fiber_signature_error {
	size_t      at;                    /* which character of the string; its length: the end */
	const char *why;                   /* in English, of static storage; NULL: no error */
} fiber_signature_error_t;

/* Prepares a signature from a string, which is not needed afterwards. It may be used by any number
 * of fibers and threads at the same time. `error` (may be NULL) says what is wrong with the string.
 * Never parks. From any thread.
 *
 * Returns 0, or
 *	-EINVAL         out or text is NULL; or the string is wrong: `error` points at the
 *	                character and says why
 *	-ENOMEM
 *	-ENOTSUP        there is no libffi */
FIBER_CHECKED int fiber_signature_create(fiber_signature_t **out, const char *text,
					 fiber_signature_error_t *error);

/* libffi's ffi_type, for those who have <ffi.h>: this header does not need it. */
struct _ffi_type;

/* The same from ffi_types: of the result, and of n arguments, the first `fixed` of which are named
 * and the rest are "..." (fixed == n: it takes none). The array is copied, the types must remain.
 * Where errors of calls point at a character, it is the number of the argument here.
 *
 * Returns 0, or
 *	-EINVAL         out, result or an argument is NULL; more than 127 arguments; fixed is larger
 *	                than n, or 0 though there are arguments; libffi refuses a type
 *	-ENOMEM -ENOTSUP */
FIBER_CHECKED int fiber_signature_create_types(fiber_signature_t **out, struct _ffi_type *result,
					       struct _ffi_type *const *args, unsigned n,
					       unsigned fixed);

/* Releases it. No call with it may be under way, and no closure of it alive. NULL: nothing
 * happens. */
void fiber_signature_free(fiber_signature_t *sig);

/* ---- arguments ------------------------------------------------------------------------------- */
enum {                                 /* fiber_arg_t.kind */
	FIBER_ARG_ANY      = 0,            /* not said: only its size is checked */
	FIBER_ARG_FLOATING = 1,
	FIBER_ARG_OTHER    = 2,            /* integers, pointers, structs */
};

/* One argument: where its value lies, and how large it is. Sizes, and kinds where they are said,
 * must be those of the signature, or the call fails before anything is called. */
typedef struct fiber_arg {
	const void *at;
	uint32_t    bytes;
	uint32_t    kind;
} fiber_arg_t;

/* Two parameters of the calls below, made from one to sixteen values of any types: the array, and
 * how many. FIBER_ARGS(fd, "text", 1.5, point). There are no promotions, as if each parameter had
 * the type of its argument: write 1L for a long. Without any: FIBER_NO_ARGS. GNU C; in C++ write
 * the array out. */
#define FIBER_ARGS(...)                                                                            \
	FIBER_ARGS_OF_(FIBER_ARGS_COUNT_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5,   \
					 4, 3, 2, 1, 0), __VA_ARGS__)
#define FIBER_NO_ARGS NULL, 0

/* Behind the macro: one element. */
#define FIBER_ARG_(x)                                                                              \
	{ (__typeof__(((void)0, (x)))[1]){ x }, (uint32_t)sizeof(__typeof__(((void)0, (x)))),      \
	  _Generic(((void)0, (x)), float: 1u, double: 1u, long double: 1u, default: 2u) }
#define FIBER_ARGS_COUNT_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count
#define FIBER_ARGS_OF_(count, ...) FIBER_ARGS_OF_2_(count, __VA_ARGS__)
#define FIBER_ARGS_OF_2_(count, ...)                                                               \
	(const fiber_arg_t[]){ FIBER_ARGS_##count##_(__VA_ARGS__) }, count
#define FIBER_ARGS_1_(x) FIBER_ARG_(x)
#define FIBER_ARGS_2_(x, ...) FIBER_ARG_(x), FIBER_ARGS_1_(__VA_ARGS__)
#define FIBER_ARGS_3_(x, ...) FIBER_ARG_(x), FIBER_ARGS_2_(__VA_ARGS__)
#define FIBER_ARGS_4_(x, ...) FIBER_ARG_(x), FIBER_ARGS_3_(__VA_ARGS__)
#define FIBER_ARGS_5_(x, ...) FIBER_ARG_(x), FIBER_ARGS_4_(__VA_ARGS__)
#define FIBER_ARGS_6_(x, ...) FIBER_ARG_(x), FIBER_ARGS_5_(__VA_ARGS__)
#define FIBER_ARGS_7_(x, ...) FIBER_ARG_(x), FIBER_ARGS_6_(__VA_ARGS__)
#define FIBER_ARGS_8_(x, ...) FIBER_ARG_(x), FIBER_ARGS_7_(__VA_ARGS__)
#define FIBER_ARGS_9_(x, ...) FIBER_ARG_(x), FIBER_ARGS_8_(__VA_ARGS__)
#define FIBER_ARGS_10_(x, ...) FIBER_ARG_(x), FIBER_ARGS_9_(__VA_ARGS__)
#define FIBER_ARGS_11_(x, ...) FIBER_ARG_(x), FIBER_ARGS_10_(__VA_ARGS__)
#define FIBER_ARGS_12_(x, ...) FIBER_ARG_(x), FIBER_ARGS_11_(__VA_ARGS__)
#define FIBER_ARGS_13_(x, ...) FIBER_ARG_(x), FIBER_ARGS_12_(__VA_ARGS__)
#define FIBER_ARGS_14_(x, ...) FIBER_ARG_(x), FIBER_ARGS_13_(__VA_ARGS__)
#define FIBER_ARGS_15_(x, ...) FIBER_ARG_(x), FIBER_ARGS_14_(__VA_ARGS__)
#define FIBER_ARGS_16_(x, ...) FIBER_ARG_(x), FIBER_ARGS_15_(__VA_ARGS__)

/* ---- calls ----------------------------------------------------------------------------------- */
/* Any function, cast to this: FIBER_FOREIGN(strlen). */
typedef void fiber_foreign_fn(void);
#define FIBER_FOREIGN(fn) ((fiber_foreign_fn *)(fn))

/* Do these arguments fit? What the calls below ask first, with an answer that says more: `error`
 * (may be NULL) points at the type in the signature's string that an argument does not fit, or that
 * there is no argument for; at its ')' if there are too many. Never parks.
 *
 * Returns 0, or -EINVAL (sig or fn NULL too), -ENOTSUP. */
int fiber_call_check(const fiber_signature_t *sig, fiber_foreign_fn *fn, const fiber_arg_t *args,
		     size_t n, fiber_signature_error_t *error);

/* Calls fn right here, as the compiler would have: on this stack, which must be large enough for
 * it. `result` points to an object of exactly the result's type; NULL: it is dropped.
 *
 * Parks if fn does. Not a cancellation point by itself. Returns 0, or -EINVAL (see
 * fiber_call_check), -ENOTSUP: nothing was called. */
int fiber_call(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
	       const fiber_arg_t *args, size_t n);

/* Starts a fiber that runs fn: fiber_spawn for any function. The values are copied before it
 * returns. The function's result is stored at `result` before the fiber ends, so whoever has joined
 * it finds it there; NULL: it is dropped. The fiber's own result, which fiber_join tells, is the
 * function's if that is an int, and else 0. attr.copy_bytes must be 0.
 *
 * Never parks. Returns 0, or -EINVAL (see fiber_call_check; copy_bytes), -ENOTSUP, or an error of
 * fiber_spawn. */
FIBER_CHECKED int fiber_spawn_call(fiber_t *out, const fiber_attr_t *attr,
				   const fiber_signature_t *sig, fiber_foreign_fn *fn,
				   void *result, const fiber_arg_t *args, size_t n);

/* Runs fn on a helper thread, for functions that block, and waits for its end, as fiber_offload
 * does: whatever the deadline, once it runs. fn has a thread's stack there. `*error` (NULL: not
 * wanted) becomes the errno it left; 0 if it set none.
 *
 * May park. A cancellation point until it runs. Returns 0; -EINVAL (see fiber_call_check),
 * -ECANCELED, -EAGAIN (no helper thread), -ENOMEM, -ENOTSUP: nothing was called. */
int fiber_call_blocking(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
			const fiber_arg_t *args, size_t n, int *error);

/* Runs fn here, but on a borrowed stack of 8 MiB (address space; memory comes page by page, and
 * goes back when it returns): for functions that want more stack than a fiber has. It is still this
 * fiber that runs, and fn may park. An overflow there is reported as a deep call's. On plain
 * threads too. Costs about a microsecond. fiber_exit, longjmp and exceptions must not leave fn.
 *
 * Parks if fn does. Not a cancellation point by itself. Returns 0, or -EINVAL (see
 * fiber_call_check), -ENOMEM (no stack), -ENOTSUP: nothing was called. */
int fiber_call_deep(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		    const fiber_arg_t *args, size_t n);

/* ---- closures: C functions made at run time -------------------------------------------------- */
typedef struct fiber_closure fiber_closure_t;

/* What runs when somebody calls one. args[i] points to the i-th argument: FIBER_GIVEN(int, args, 0)
 * is its value. `result` points to an object of the result's type, which is zero so far; NULL if
 * that is void. */
typedef void fiber_closure_fn(void *context, void *result, void *const *args);
#define FIBER_GIVEN(type, args, i) (*(__typeof__(type) const *)(args)[i])

/* All zero: the defaults. */
typedef struct fiber_closure_attr {
	fiber_runtime_t *runtime;          /* where handlers of calls from outside of fibers run;
	                                    * NULL: the creator's, if it is a fiber */
	const void      *otherwise;        /* the result of a call from outside whose handler cannot
	                                    * run: no runtime (any more), no memory for a fiber.
	                                    * Copied. NULL: such a call aborts the process */
	uintptr_t        reserved[2];      /* zero */
} fiber_closure_attr_t;

/* Makes a function of that signature, for foreign code to call: a comparator, a callback. Cast
 * *code to the function's type. Each call runs handler(context, ...), which may park:
 *
 *	on a fiber          right there: as part of that fiber, on its stack, whatever runtime it
 *	                    belongs to
 *	on any other thread (a helper of fiber_call_blocking, a thread that the library has never
 *	                    seen) in a fiber of its own, in the closure's runtime, while the thread
 *	                    waits, whatever its deadline
 *
 *	static void compare(void *context, void *result, void *const *args)
 *	{
 *		const int *a = FIBER_GIVEN(int *, args, 0), *b = FIBER_GIVEN(int *, args, 1);
 *
 *		fiber_yield();
 *		*(int *)result = (*a > *b) - (*a < *b);
 *	}
 *
 *	fiber_closure_create(&closure, &code, sig, NULL, compare, NULL);        sig: "i(pp)"
 *	qsort(numbers, n, sizeof *numbers, (int (*)(const void *, const void *))code);
 *	fiber_closure_free(closure);
 *
 * It may be called by any number of fibers and threads at the same time. Exceptions and longjmp
 * must not leave the handler. Not to be called on a worker's thread outside of fibers (the hooks
 * worker_start and worker_stop), which would wait for itself. The signature must stay as long as
 * the closure. `attr` may be NULL. Never parks. From any thread.
 *
 * Returns 0, or
 *	-EINVAL         out, code, sig or handler is NULL; reserved words that are not zero
 *	-ENOMEM         no memory, or none that may be executed
 *	-ENOTSUP */
FIBER_CHECKED int fiber_closure_create(fiber_closure_t **out, fiber_foreign_fn **code,
				       const fiber_signature_t *sig,
				       const fiber_closure_attr_t *attr, fiber_closure_fn *handler,
				       void *context);

/* Nobody will call it any more; calls under way go on, and need the signature until they end (the
 * handler itself may call this). The last 256 that were freed are kept aside: whoever still calls
 * one of them, or frees it again, is told so on stderr, and the process is aborted. NULL: nothing
 * happens. Never parks. From any thread. */
void fiber_closure_free(fiber_closure_t *closure);
#ifdef __cplusplus
}
#endif
#endif
