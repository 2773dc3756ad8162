/* fiber/gen.h - generators: asymmetric coroutines. SPDX-License-Identifier: MIT
 *
 * A generator is a function with a stack of its own that runs only while somebody resumes it, and
 * that may stop in the middle, at any depth of calls, to yield a value:
 *
 *	static void *count(fiber_gen_t *self, void *arg)
 *	{
 *		for (intptr_t i = 0; i < *(int *)arg; i++)
 *			if (fiber_gen_yield(self, (void *)i, NULL) < 0)
 *				break;                       destroyed early: clean up
 *		return "that was all";
 *	}
 *
 *	fiber_gen_t *gen;
 *	void *value;
 *	int r = fiber_gen_create(&gen, NULL, count, &limit);
 *
 *	while ((r = fiber_gen_resume(gen, NULL, &value)) > 0)
 *		printf("%d\n", (int)(intptr_t)value);
 *	puts(value);                                         r is 0: what it returned
 *	fiber_gen_destroy(gen);
 *
 * It is a subroutine, not a fiber: resume runs the body on the caller's thread, as part of the
 * caller, and no scheduler is involved. So generators work in fibers, on plain threads, and in
 * programs that never start a runtime; and they nest: a body may resume other generators.
 *
 * Values are pointers, and the library never looks at them. What one points to may lie in a frame
 * of the body: frames stay as they are until the next resume, so a value of any type is yielded
 * without a copy. Integers that fit travel as (void *)(intptr_t)i.
 *
 * In a fiber. While the body runs it is the fiber that resumed it: fiber_self, fiber-locals, scopes
 * and cancellation are that fiber's. If the body parks, the fiber parks; if the fiber is
 * cancelled, the call that the body waits in returns -ECANCELED. A suspended generator belongs to
 * nobody: the next resume may come from another fiber, on another thread (then the body should keep
 * no address of a thread-local across a yield). Memory that one resumer wrote before, the next one
 * sees. A scope that the body opens it must close before it yields; the same goes for locks.
 *
 * longjmp and C++ exceptions must not leave a body; inside it exceptions may be thrown, caught and
 * kept across a yield. fiber_exit inside a body ends the fiber; the generator then counts as
 * running for ever, and nothing can release it. exit(3) ends the process as always.
 *
 * A body that runs off its stack is reported as a fiber is, with its name; on a plain thread only
 * if some runtime exists and the thread has a sigaltstack(2) for the handler. */
#ifndef FIBER_GEN_H
#define FIBER_GEN_H
#include <fiber.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct fiber_gen fiber_gen_t;

/* The body. `self` is for fiber_gen_yield, `arg` is fiber_gen_create's. What it returns is the
 * generator's result. */
typedef void *fiber_gen_fn(fiber_gen_t *self, void *arg);

enum {                                 /* fiber_gen_attr_t.flags */
	FIBER_GEN_NO_FPU = 1u << 0,        /* a promise: while it runs nobody changes the control
	                                    * words of the FPU (mxcsr, x87). It then computes with
	                                    * those of its resumer, and a resume with its yield
	                                    * costs up to 4 ns less */
};

/* All zero: the defaults. */
typedef struct fiber_gen_attr {
	const char *name;                  /* for reports; its first 15 bytes are copied */
	size_t      stack_bytes;           /* usable stack: address space, committed page by page as
	                                    * it is touched. 0, and the least: 96 KiB */
	unsigned    flags;
	uintptr_t   reserved[2];           /* zero */
} fiber_gen_attr_t;

/* Makes a generator, which waits for its first resume. It takes a stack at once. `attr` may be
 * NULL. Never parks. From any thread.
 *
 * Returns 0, or
 *	-EINVAL         out or fn is NULL; unknown flags, or reserved words that are not zero
 *	-ENOMEM         no stack */
FIBER_CHECKED int fiber_gen_create(fiber_gen_t **out, const fiber_gen_attr_t *attr,
				   fiber_gen_fn *fn, void *arg);

/* Runs the body from its beginning, or from where it yielded, until it yields or returns. `in` is
 * what fiber_gen_yield hands over inside, and fiber_gen_received tells. `*out` becomes the value
 * that it yielded, or its result; out may be NULL.
 *
 * After the end every further resume says the same again: 0, and the result.
 *
 * Parks if the body does. Not a cancellation point by itself.
 *
 * Returns 1: it yielded; 0: it has returned; or, with *out untouched,
 *	-EBUSY          another fiber or thread runs it at this moment (it may be parked inside)
 *	-EDEADLK        the caller is inside: it is the body itself, or that of a generator which
 *	                this one resumed, however far down
 *	-EINVAL         gen is NULL */
int fiber_gen_resume(fiber_gen_t *gen, void *in, void **out);

/* Inside the body, or whatever it calls: hands `value` to the resumer, and goes on when somebody
 * resumes again; `*in` is then what they gave. in may be NULL.
 *
 * Returns 0, or
 *	-ECANCELED      somebody destroys the generator: the value was dropped, *in is untouched.
 *	                The body should release what it holds, and return. From here on every yield
 *	                says so at once
 *	-EPERM          the caller is not on this generator's stack: outside of it, or in another
 *	                one that this one resumed
 *	-EINVAL         self is NULL */
int fiber_gen_yield(fiber_gen_t *self, void *value, void **in);

/* Inside the body: what the latest resume gave. Of the first one, which no yield waits for, this is
 * the only way to know. Never parks. NULL for NULL. */
void *fiber_gen_received(const fiber_gen_t *self);

/* Ends a generator, and releases it. One that is suspended inside its body is resumed for the last
 * time: its yield returns -ECANCELED, and what it then does runs to the end (its result is
 * dropped). The body of one that was never resumed does not run at all. NULL: nothing happens.
 *
 * Parks if the body does on its way out. Not a cancellation point by itself.
 *
 * Returns 0, or, and then nothing has happened,
 *	-EBUSY          another fiber or thread runs it at this moment
 *	-EDEADLK        the caller is inside, as for fiber_gen_resume */
int fiber_gen_destroy(fiber_gen_t *gen);
#ifdef __cplusplus
}
#endif
#endif
