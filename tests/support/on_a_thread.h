/* on_a_thread.h - a law for plain threads, run on one that ends, and then holds no memory any more.
 * cr_expect only. */
#ifndef TESTS_ON_A_THREAD_H
#define TESTS_ON_A_THREAD_H

#include <criterion/criterion.h>
#include <fiber.h>
#include <pthread.h>

struct on_a_thread {
	fiber_fn *law;
	void *arg;
	int result;
};

static inline void *on_a_thread_begin(void *arg)
{
	struct on_a_thread *call = arg;

	call->result = call->law(call->arg);
	return NULL;
}

/* What law(arg) returned. */
static inline int on_a_thread(fiber_fn *law, void *arg)
{
	struct on_a_thread call = { law, arg, -1 };
	pthread_t thread;
	int r = pthread_create(&thread, NULL, on_a_thread_begin, &call);

	cr_expect(r == 0);
	if (r == 0)
		pthread_join(thread, NULL);
	return call.result;
}

#endif
