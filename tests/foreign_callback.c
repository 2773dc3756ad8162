/* Closures, called on fibers, on helper threads and on threads the library has never seen: their
 * handlers are fibers, and park. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "foreign.h"
#include "law.h"
#include "until.h"

/* ---- the classic ------------------------------------------------------------------------------*/
enum { NUMBERS = 300 };

typedef int comparator(const void *, const void *);

/* Counts how often it ran in a fiber. */
static void compare(void *context, void *result, void *const *args)
{
	const int *a = FIBER_GIVEN(int *, args, 0), *b = FIBER_GIVEN(int *, args, 1);

	if (fiber_self().id)
		atomic_fetch_add((_Atomic int *)context, 1);
	fiber_yield();
	*(int *)result = (*a > *b) - (*a < *b);
}

static void fill(int *numbers, uint64_t seed)
{
	for (int i = 0; i < NUMBERS; i++)
		numbers[i] = (int)(law_random(&seed) % 1000);
}

static bool is_sorted(const int *numbers)
{
	for (int i = 1; i < NUMBERS; i++)
		if (numbers[i - 1] > numbers[i])
			return false;
	return true;
}

static _Atomic bool sorting;

static int beside(void *beats)
{
	while (atomic_load(&sorting)) {
		++*(long *)beats;
		fiber_yield();
	}
	return 0;
}

static int sort_here(void *unused)
{
	fiber_signature_t *sig = sig_of("i(pp)"), *to_sort = sig_of("v(pNNp)");
	_Atomic int ran = 0;
	int numbers[NUMBERS];
	fiber_closure_t *c;
	fiber_foreign_fn *code = closure_of(&c, sig, NULL, compare, &ran);
	long beats = 0;
	fiber_t f;

	atomic_store(&sorting, true);
	cr_expect(fiber_spawn(&f, NULL, beside, &beats) == 0);
	fill(numbers, 1);
	qsort(numbers, NUMBERS, sizeof *numbers, (comparator *)code);
	cr_expect(is_sorted(numbers) && atomic_load(&ran) > NUMBERS);
	atomic_store(&sorting, false);
	cr_expect(fiber_join(f, NULL) == 0);
	cr_expect(fiber_workers() > 1 || beats > NUMBERS, "%ld", beats);
	/* On a helper thread, and on a deep stack. */
	fill(numbers, 2);
	atomic_store(&ran, 0);
	cr_expect(fiber_call_blocking(to_sort, FIBER_FOREIGN(qsort), NULL,
				      FIBER_ARGS(&numbers[0], (size_t)NUMBERS, sizeof *numbers,
						 code), NULL) == 0);
	cr_expect(is_sorted(numbers) && atomic_load(&ran) > NUMBERS);
	fill(numbers, 3);
	cr_expect(fiber_call_deep(to_sort, FIBER_FOREIGN(qsort), NULL,
				  FIBER_ARGS(&numbers[0], (size_t)NUMBERS, sizeof *numbers,
					     code)) == 0);
	cr_expect(is_sorted(numbers));
	/* Where the fiber is at a helper's, by itself. */
	fill(numbers, 4);
	cr_expect(fiber_blocking_begin() == 0);
	qsort(numbers, NUMBERS, sizeof *numbers, (comparator *)code);
	cr_expect(fiber_blocking_end() == 0);
	cr_expect(is_sorted(numbers));
	fiber_closure_free(c);
	fiber_signature_free(sig);
	fiber_signature_free(to_sort);
	return unused != NULL;
}

Test(foreign_closure, a_comparator_that_yields_sorts_wherever_qsort_runs, .timeout = 50)
{
	law_holds(sort_here, NULL);
	law_no_leaks();
}

static void *sort_on_a_thread(void *code)
{
	int numbers[NUMBERS];

	fill(numbers, (uintptr_t)pthread_self());
	qsort(numbers, NUMBERS, sizeof *numbers, (comparator *)code);
	return is_sorted(numbers) ? NULL : "unsorted";
}

Test(foreign_closure, threads_never_seen_before_call_the_same_one_at_the_same_time, .timeout = 50)
{
	fiber_signature_t *sig = sig_of("i(pp)");
	fiber_closure_attr_t attr = {0};
	_Atomic int ran = 0;
	fiber_runtime_t *runtime;
	pthread_t threads[4];
	fiber_foreign_fn *code;
	fiber_closure_t *c;
	void *wrong;

	cr_expect(fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = 2 }) == 0);
	attr.runtime = runtime;
	code = closure_of(&c, sig, &attr, compare, &ran);
	for (int i = 0; i < 4; i++)
		cr_expect(pthread_create(&threads[i], NULL, sort_on_a_thread, (void *)code) == 0);
	for (int i = 0; i < 4; i++)
		cr_expect(pthread_join(threads[i], &wrong) == 0 && !wrong);
	cr_expect(atomic_load(&ran) > 4 * NUMBERS, "handlers are fibers");
	fiber_closure_free(c);
	cr_expect(fiber_runtime_free(runtime) == 0);
	fiber_signature_free(sig);
	law_no_leaks();
}

/* ---- handlers that park, and calls that are cancelled -----------------------------------------*/
struct echo {
	fiber_fd fd[2];
	fiber_runtime_t *runtime;
	_Atomic bool called;
};

/* Waits for a byte, and returns it. */
static void read_one(void *context, void *result, void *const *args)
{
	struct echo *e = context;
	char byte = 0;
	ssize_t n;

	atomic_store(&e->called, true);
	n = fiber_read(e->fd[0], &byte, 1);

	*(int *)result = n == 1 ? byte + FIBER_GIVEN(int, args, 0) : (int)n;
}

typedef int adder(int);

static int call_it(void *code)
{
	return ((adder *)code)(1);
}

static int parks(void *unused)
{
	fiber_signature_t *sig = sig_of("i(i)");
	fiber_closure_t *c;
	struct echo e = {0};
	fiber_foreign_fn *code = closure_of(&c, sig, NULL, read_one, &e);
	fiber_t f;
	int r;

	cr_expect(fiber_pipe(e.fd) == 0);
	cr_expect(fiber_spawn(&f, NULL, call_it, (void *)code) == 0);
	until_it_waits_for(f, "read");
	cr_expect(fiber_write(e.fd[1], "A", 1) == 1);
	cr_expect(fiber_join(f, &r) == 0 && r == 'B', "%d", r);
	/* It is the caller's fiber that is cancelled. */
	cr_expect(fiber_spawn(&f, NULL, call_it, (void *)code) == 0);
	until_it_waits_for(f, "read");
	fiber_cancel(f);
	cr_expect(fiber_join(f, &r) == 0 && r == -ECANCELED);
	/* Under a deadline a call from a helper thread waits all the same. */
	cr_expect(fiber_spawn(&f, NULL, call_it, (void *)code) == 0);
	FIBER_WITHIN(FIBER_MICROSECOND) {
		cr_expect(fiber_sleep(FIBER_SECOND) == -ECANCELED);
		cr_expect(fiber_offload(call_it, (void *)code) == -ECANCELED);
	}
	cr_expect(fiber_write(e.fd[1], "C", 1) == 1);
	cr_expect(fiber_join(f, &r) == 0 && r == 'D');
	fiber_close(e.fd[0]);
	fiber_close(e.fd[1]);
	fiber_closure_free(c);
	fiber_signature_free(sig);
	return unused != NULL;
}

Test(foreign_closure, a_handler_parks_in_io_and_is_cancelled_as_part_of_its_caller, .timeout = 30)
{
	law_holds(parks, NULL);
	law_no_leaks();
}

static void *call_on_a_thread(void *code)
{
	fiber_scope_t scope;
	int r;

	fiber_within(&scope, 0); /* a deadline of the thread's: the call waits whatever it is */
	r = call_it(code);
	fiber_scope_end(&scope, 0);
	return (void *)(intptr_t)r;
}

Test(foreign_closure, a_thread_waits_for_its_handler_whatever_its_deadline, .timeout = 20)
{
	fiber_signature_t *sig = sig_of("i(i)");
	fiber_closure_attr_t attr = {0};
	struct echo e = {0};
	fiber_foreign_fn *code;
	fiber_closure_t *c;
	pthread_t thread;
	void *result;

	cr_expect(fiber_pipe(e.fd) == 0);
	cr_expect(fiber_runtime_create(&e.runtime, NULL) == 0);
	attr.runtime = e.runtime;
	code = closure_of(&c, sig, &attr, read_one, &e);
	cr_expect(pthread_create(&thread, NULL, call_on_a_thread, (void *)code) == 0);
	UNTIL(atomic_exchange(&e.called, false));
	cr_expect(fiber_write(e.fd[1], "x", 1) == 1);
	cr_expect(pthread_join(thread, &result) == 0);
	cr_expect((intptr_t)result == 'y');
	/* The end of the runtime cancels a handler, and its thread goes on. */
	cr_expect(pthread_create(&thread, NULL, call_on_a_thread, (void *)code) == 0);
	UNTIL(atomic_exchange(&e.called, false));
	fiber_runtime_cancel(e.runtime);
	cr_expect(pthread_join(thread, &result) == 0);
	cr_expect((intptr_t)result == -ECANCELED);
	fiber_closure_free(c);
	cr_expect(fiber_runtime_free(e.runtime) == 0);
	fiber_signature_free(sig);
	fiber_close(e.fd[0]);
	fiber_close(e.fd[1]);
	law_no_leaks();
}
