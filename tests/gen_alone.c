/* Generators in a program without any runtime: in a process with one thread, where the claim is a
 * plain store, and then between plain threads. A program of its own, because a Criterion worker has
 * two threads from the start. */
#include <stdio.h>
#include <errno.h>
#include <fiber/gen.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulated/emulated.h"
#include "expect.h"

static void *counts(fiber_gen_t *self, void *arg)
{
	intptr_t i = 0;

	while (i < (intptr_t)arg && fiber_gen_yield(self, (void *)i, NULL) == 0)
		i++;
	return (void *)i;
}

static fiber_gen_t *created(fiber_gen_fn *fn, void *arg)
{
	fiber_gen_t *gen = NULL;

	EXPECT(fiber_gen_create(&gen, NULL, fn, arg) == 0);
	return gen;
}

static void a_million_values(void)
{
	enum { MANY = 1000000 };
	fiber_gen_t *gen = created(counts, (void *)(intptr_t)MANY);
	intptr_t sum = 0;
	void *value;

	while (fiber_gen_resume(gen, NULL, &value) > 0)
		sum += (intptr_t)value;
	EXPECT((intptr_t)value == MANY);
	EXPECT(sum == (intptr_t)MANY * (MANY - 1) / 2);
	EXPECT(fiber_gen_destroy(gen) == 0);
}

static void *resumes_itself(fiber_gen_t *self, void *arg)
{
	EXPECT(fiber_gen_resume(self, NULL, NULL) == -EDEADLK);
	EXPECT(fiber_gen_destroy(self) == -EDEADLK);
	EXPECT(!fiber_self().id && fiber_sleep(1000) == 0);
	return arg;
}

static void itself(void)
{
	fiber_gen_t *gen = created(resumes_itself, NULL);

	EXPECT(fiber_gen_resume(gen, NULL, NULL) == 0);
	EXPECT(fiber_gen_destroy(gen) == 0);
}

/* Both processes go on in the body. */
static void *forks(fiber_gen_t *self, void *arg)
{
	intptr_t child = fork();

	EXPECT(fiber_gen_yield(self, (void *)child, NULL) == 0);
	return arg;
}

static void a_fork(void)
{
	fiber_gen_t *gen = created(forks, NULL), *other = created(counts, (void *)1);
	int status = -1;
	void *child;

	EXPECT(fiber_gen_resume(gen, NULL, &child) == 1);
	EXPECT(fiber_gen_resume(gen, NULL, NULL) == 0);
	EXPECT(fiber_gen_destroy(gen) == 0);
	EXPECT(fiber_gen_resume(other, NULL, NULL) == 1);
	EXPECT(fiber_gen_destroy(other) == 0);
	if (!child)
		_exit(expect_status());
	EXPECT(waitpid((pid_t)(intptr_t)child, &status, 0) == (pid_t)(intptr_t)child);
	EXPECT(status == 0);
}

/* Address space ends with a few of these. Nothing has changed then, and those that exist go on. */
static void no_more_stacks(void)
{
	enum { MOST = 16 };
	const fiber_gen_attr_t large = { .stack_bytes = (size_t)1 << 45 };
	fiber_gen_t *gen[MOST] = { created(counts, (void *)2) };
	int n = 0, r = 0;

	while (r == 0 && ++n < MOST)
		r = fiber_gen_create(&gen[n], &large, counts, (void *)2);
	EXPECT(r == -ENOMEM && n < MOST && gen[n] == NULL);
	for (int i = 0; i < n; i++) {
		EXPECT(fiber_gen_resume(gen[i], NULL, NULL) == 1);
		EXPECT(fiber_gen_destroy(gen[i]) == 0);
	}
}

/* ---- between threads --------------------------------------------------------------------------*/
static sem_t inside, go_on;

static void *waits(fiber_gen_t *self, void *arg)
{
	sem_post(&inside);
	sem_wait(&go_on);
	EXPECT(fiber_gen_yield(self, arg, NULL) == -ECANCELED);
	return NULL;
}

static void *resumes(void *gen)
{
	void *value = NULL;

	EXPECT(fiber_gen_resume(gen, NULL, &value) == 1 && value == &inside);
	return NULL;
}

static void another_thread(void)
{
	fiber_gen_t *gen = created(waits, &inside);
	pthread_t thread;

	sem_init(&inside, 0, 0);
	sem_init(&go_on, 0, 0);
	EXPECT(pthread_create(&thread, NULL, resumes, gen) == 0);
	sem_wait(&inside);
	EXPECT(fiber_gen_resume(gen, NULL, NULL) == -EBUSY);
	EXPECT(fiber_gen_destroy(gen) == -EBUSY);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	EXPECT(fiber_gen_destroy(gen) == 0);
}

int main(void)
{
	if (emulated_kernel()) {
		puts("skipped: qemu-user takes memory for what is only reserved");
		return 77;
	}
	a_million_values();
	itself();
	a_fork();
	no_more_stacks();
	another_thread();
	return expect_status();
}
