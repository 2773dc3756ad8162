/* Plain threads wait in control blocks that they borrow. Such a block is nobody's fiber: no late
 * word to a fiber that ended may reach it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

enum { FIBERS = 12, THREADS = 12, MORE = 250 };

static fiber_runtime_t *runtime;
static _Atomic unsigned step, arrived, ended, borrowed;
static _Atomic bool hogging;

/* Keeps the worker from looking at its inbox. */
static int hog_until(void *arg)
{
	atomic_store(&hogging, true);
	while (atomic_load(&step) < (uintptr_t)arg)
		;
	return 0;
}

static int end_at_once(void *arg)
{
	return (int)(intptr_t)arg;
}

static int end_in_step_one(void *arg)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&step) < 1)
		fiber_yield();
	atomic_fetch_add(&ended, 1);
	return (int)(intptr_t)arg;
}

static int hog_when_they_ended(void *arg)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&ended) < FIBERS)
		fiber_yield();
	return hog_until(arg);
}

static void *borrow_a_block(void *arg)
{
	cr_expect(fiber_set_name("thread") == 0);
	atomic_fetch_add(&borrowed, 1);
	UNTIL(atomic_load(&step) == 3);
	cr_expect(FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_sleep(FIBER_SECOND)) == -ETIMEDOUT);
	return arg;
}

static fiber_t spawn(fiber_fn *fn, uintptr_t argument)
{
	fiber_attr_t attr = { .runtime = runtime };
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, &attr, fn, (void *)argument) == 0);
	return f;
}

/*	this thread              worker                        plain threads
 *	                         fibers yield; the first hog computes
 *	cancel all: posted
 *	step 1                   fibers end; the second hog computes (before the worker looks
 *	                         around, in most rounds)
 *	join all: blocks free
 *	                                                       borrow those blocks
 *	step 2                   looks into its inbox: words to fibers that are gone */
static void late_words(void)
{
	pthread_t thread[THREADS];
	fiber_t f[FIBERS], more[MORE], first, second;

	atomic_store(&step, 0);
	atomic_store(&arrived, 0);
	atomic_store(&ended, 0);
	atomic_store(&hogging, false);
	atomic_store(&borrowed, 0);
	for (int i = 0; i < MORE; i++)
		more[i] = spawn(end_at_once, 0);
	for (int i = 0; i < FIBERS; i++)
		f[i] = spawn(end_in_step_one, 0);
	second = spawn(hog_when_they_ended, 2);
	UNTIL(atomic_load(&arrived) == FIBERS + 1);
	first = spawn(hog_until, 1);
	UNTIL(atomic_load(&hogging));
	for (int i = 0; i < FIBERS; i++)
		cr_expect(fiber_cancel(f[i]) == 0);
	atomic_store(&step, 1);
	for (int i = 0; i < FIBERS; i++)
		cr_expect(fiber_join(f[i], NULL) == 0);
	for (int i = 0; i < MORE; i++) /* free blocks are handed out in batches of that size */
		cr_expect(fiber_join(more[i], NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		cr_expect(!pthread_create(&thread[i], NULL, borrow_a_block, NULL));
	UNTIL(atomic_load(&borrowed) == THREADS);
	atomic_store(&step, 2);
	cr_expect(fiber_join(first, NULL) == 0);
	cr_expect(fiber_join(second, NULL) == 0);
	atomic_store(&step, 3);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

Test(borrow, a_late_word_to_a_fiber_never_reaches_a_thread_in_its_block, .timeout = 60)
{
	cr_assert(fiber_runtime_create(&runtime, &(fiber_options_t){ .workers = 1 }) == 0);
	for (unsigned i = law_rounds(60); i > 0; i--)
		late_words();
	cr_expect(fiber_runtime_free(runtime) == 0);
	law_no_leaks();
}
