/* Stacks between threads: one gets, another puts; all at once; and a fork in the middle. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "os/os.h"
#include "stack/stack.h"

enum { THREADS = 4, BOX = 64 };

static _Atomic(struct stack *) box[BOX];
static _Atomic bool over;
static uint64_t seed;

/* A mark that whoever is handed the same stack at the same time would find, or overwrite. */
static struct stack *get_marked(struct stack_cache *cache, size_t bytes)
{
	struct stack *s = NULL;

	if (stack_get(cache, bytes, &s) < 0)
		return NULL;
	cr_expect(s->owner == NULL, "it has an owner already");
	s->owner = s;
	s->bottom[s->bytes - 1] = 1;
	return s;
}

static void put_marked(struct stack_cache *cache, struct stack *s)
{
	cr_expect(s->owner == s, "somebody else had it meanwhile");
	stack_put(cache, s);
}

/*	thread 1                  thread 2
 *	get a                     get b
 *	exchange a with the box   ...
 *	put what was in the box   exchange b with the box: a
 *	...                       put a */
static void *get_and_put_what_others_got(void *argument)
{
	uint64_t random = seed + (uintptr_t)argument;
	struct stack_cache cache = { .count = 0 };

	for (unsigned i = law_rounds(200000); i > 0; i--) {
		uint64_t r = law_random(&random);
		struct stack *s = get_marked(&cache, r % 16 ? 0 : 200000 << r / 16 % 3);
		struct stack *other = atomic_exchange(&box[r / 256 % BOX], s);

		if (other)
			put_marked(&cache, other);
		if (r / 65536 % 8192 == 0)
			stack_cache_trim(&cache, 100);
	}
	stack_cache_drain(&cache);
	return NULL;
}

Test(stack_threads, no_stack_is_handed_out_twice, .timeout = 120)
{
	struct stack_cache cache = { .count = 0 };
	struct stack_stats stats;
	pthread_t threads[THREADS];

	seed = law_seed();
	for (uintptr_t i = 0; i < THREADS; i++)
		cr_assert(!pthread_create(&threads[i], NULL, get_and_put_what_others_got,
					  (void *)i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < BOX; i++)
		if (box[i])
			put_marked(&cache, box[i]);
	stack_cache_drain(&cache);
	for (int i = 0; i < 2; i++)
		stack_cache_trim(&cache, SIZE_MAX);
	stack_stats(&stats);
	cr_expect_eq(stats.slots, 0, "%lu have been lost", stats.slots);
}

/*	first                 second
 *	get s
 *	box empty? s into it
 *	                      box full? s out of it
 *	                      put s */
static void *end_what_comes(void *argument)
{
	struct stack_cache cache = { .count = 0 };
	struct stack *s;

	while (!atomic_load(&over) || atomic_load(&box[0])) {
		s = atomic_exchange(&box[0], NULL);
		if (s)
			stack_put(&cache, s);
		else
			os_yield();
	}
	stack_cache_drain(&cache);
	return argument;
}

Test(stack_threads, what_one_thread_ends_another_starts_again, .timeout = 120)
{
	struct stack_cache cache = { .count = 0 };
	struct stack_stats stats;
	pthread_t other;
	struct stack *s;

	cr_assert(!pthread_create(&other, NULL, end_what_comes, NULL));
	for (unsigned i = law_rounds(50000); i > 0; i--) {
		cr_assert(stack_get(&cache, 0, &s) == 0);
		while (atomic_load(&box[0]))
			os_yield();
		atomic_store(&box[0], s);
	}
	stack_stats(&stats);
	atomic_store(&over, true);
	pthread_join(other, NULL);
	cr_expect(stats.slots < 2500, "%lu stacks for one at a time", stats.slots);
}

static void *take_and_return(void *argument)
{
	while (!atomic_load(&over)) {
		struct stack_cache cache = { .count = 0 };
		struct stack *s;

		if (stack_get(&cache, 200000, &s) == 0)
			stack_put(&cache, s);
		if (stack_get(&cache, 0, &s) == 0)
			stack_put(&cache, s);
		stack_cache_drain(&cache);
	}
	return argument;
}

static int child_gets_a_stack(void)
{
	struct stack_cache cache = { .count = 0 };
	struct stack *s;

	alarm(20); /* the lock was lost: it would wait for ever */
	return stack_get(&cache, 0, &s) == 0 && stack_get(&cache, 300000, &s) == 0 ? 0 : 1;
}

Test(stack_threads, a_fork_in_the_middle_leaves_the_child_a_whole_store, .timeout = 60)
{
	pthread_t other;

	cr_assert(!pthread_create(&other, NULL, take_and_return, NULL));
	for (unsigned i = law_rounds(200); i > 0; i--) {
		int status = -1;
		pid_t child;

		stack_fork_prepare();
		child = fork();
		stack_fork_done();
		if (child == 0)
			_exit(child_gets_a_stack());
		cr_expect(waitpid(child, &status, 0) == child && status == 0, "%#x", status);
	}
	atomic_store(&over, true);
	pthread_join(other, NULL);
}
