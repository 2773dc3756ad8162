/* Fibers by the thousand, from other threads, and at the limits: fibers_max, address space. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "law.h"
#include "os/sanitize.h"
#include "until.h"

static _Atomic unsigned arrived;

static int park_once(void *arg)
{
	atomic_fetch_add(&arrived, 1);
	return fiber_park() == 0 ? (int)(intptr_t)arg : -ECANCELED;
}

static int sum_up(const fiber_t *f, unsigned n, int64_t *sum)
{
	int result = 0, failed = 0;

	*sum = 0;
	for (unsigned i = 0; i < n; i++) {
		failed += fiber_join(f[i], &result) != 0;
		*sum += result;
	}
	return failed;
}

static void wait_for_arrivals(unsigned n)
{
	UNTIL(atomic_load(&arrived) >= n);
}

/* ---- a hundred thousand at once ---------------------------------------------------------------*/
static int many_alive(void *arg)
{
	unsigned n = law_rounds(100000);
	fiber_t *f = malloc(n * sizeof *f);
	int failed = 0;
	int64_t sum;

	(void)arg;
	atomic_store(&arrived, 0);
	for (unsigned i = 0; i < n; i++)
		failed += fiber_spawn(&f[i], NULL, park_once, (void *)(intptr_t)i) != 0;
	wait_for_arrivals(n);
	for (unsigned i = 0; i < n; i++)
		failed += fiber_unpark(f[i]) != 0;
	failed += sum_up(f, n, &sum);
	cr_expect(failed == 0, "%d calls failed", failed);
	cr_expect(sum == (int64_t)n * (n - 1) / 2);
	free(f);
	return 0;
}

Test(spawn_many, a_hundred_thousand_live_at_once, .timeout = 60)
{
	cr_expect(law_run(1, many_alive, NULL) == 0);
	cr_expect(law_run(8, many_alive, NULL) == 0);
	law_no_leaks();
}


/* They park for ever unless they are cancelled, and they have not run yet when that happens. */
static int park_until_cancelled(void *arg)
{
	atomic_fetch_add(&arrived, 1);
	return fiber_park() == -ECANCELED ? (int)(intptr_t)arg : -1;
}

static int leave_behind(void *arg)
{
	int failed = 0;

	(void)arg;
	for (unsigned i = law_rounds(100000); i > 0; i--)
		failed += fiber_go(park_until_cancelled, NULL) != 0;
	return failed ? -ENOMEM : 7;
}

Test(spawn_many, all_that_main_leaves_behind_run_and_are_cancelled, .timeout = 60)
{
	for (unsigned workers = 1; workers <= 8; workers += 7) {
		atomic_store(&arrived, 0);
		cr_expect(law_run(workers, leave_behind, NULL) == 7);
		cr_expect(atomic_load(&arrived) == law_rounds(100000), "%u ran",
			  atomic_load(&arrived));
	}
	law_no_leaks();
}

/* ---- from plain threads -----------------------------------------------------------------------*/
enum { THREADS = 4 };

static fiber_runtime_t *runtime;
static _Atomic int64_t total;

static int add(void *arg)
{
	fiber_yield();
	atomic_fetch_add(&total, (intptr_t)arg);
	return (int)(intptr_t)arg;
}

static void *spawn_into_runtime(void *arg)
{
	fiber_attr_t attr = { .runtime = runtime };
	unsigned n = law_rounds(5000);
	uintptr_t wrong = 0;
	int result = 0;
	fiber_t f;

	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		attr.worker = i % 3;
		if (i % 4 == 3) { /* detached */
			wrong += fiber_spawn(NULL, &attr, add, (void *)(intptr_t)i) != 0;
			continue;
		}
		wrong += fiber_spawn(&f, &attr, add, (void *)(intptr_t)i) != 0;
		if (i % 4 == 2) {
			wrong += fiber_detach(f) != 0;
			continue;
		}
		wrong += fiber_join(f, &result) != 0;
		wrong += result != (int)i;
	}
	return (void *)wrong;
}

static void threads_spawn(unsigned workers)
{
	fiber_options_t options = { .workers = workers, .flags = FIBER_WAIT_AT_END };
	int64_t n = law_rounds(5000);
	pthread_t thread[THREADS];
	void *wrong = NULL;

	atomic_store(&total, 0);
	cr_assert(fiber_runtime_create(&runtime, &options) == 0);
	for (int i = 0; i < THREADS; i++)
		cr_assert(!pthread_create(&thread[i], NULL, spawn_into_runtime, NULL));
	for (int i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &wrong);
		cr_expect(wrong == NULL, "%lu calls failed", (unsigned long)wrong);
	}
	cr_expect(fiber_runtime_free(runtime) == 0);
	cr_expect(atomic_load(&total) == THREADS * n * (n - 1) / 2);
}

Test(spawn_many, plain_threads_spawn_into_a_runtime, .timeout = 60)
{
	threads_spawn(2);
	threads_spawn(8);
	law_no_leaks();
}

/* ---- fibers_max -------------------------------------------------------------------------------*/
enum { MOST = 20 };

static int fill_up(fiber_t *f, unsigned n)
{
	int r = 0;

	atomic_store(&arrived, 0);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = fiber_spawn(&f[i], NULL, park_once, (void *)(intptr_t)i);
	return r;
}

/* Main counts too. */
static int up_to_the_limit(void *arg)
{
	fiber_attr_t huge = { .stack_bytes = SIZE_MAX };
	fiber_t f[MOST], more = { 0 };
	int64_t sum;

	(void)arg;
	for (int round = 0; round < 50; round++) {
		cr_expect(fill_up(f, MOST - 1) == 0);
		cr_expect(fiber_spawn(&more, NULL, add, NULL) == -EAGAIN);
		cr_expect(fiber_spawn(&more, &(fiber_attr_t){ .name = "x" }, add, NULL) == -EAGAIN);
		cr_expect(fiber_go(add, NULL) == -EAGAIN);
		for (int i = 0; i < MOST - 1; i++)
			fiber_unpark(f[i]);
		cr_expect(sum_up(f, MOST - 1, &sum) == 0);
		cr_expect(sum == (MOST - 1) * (MOST - 2) / 2);
	}
	cr_expect(fiber_spawn(NULL, &huge, add, NULL) == -ENOMEM, "it must not count");
	return fill_up(f, MOST - 1);
}

Test(spawn_many, fibers_max_is_exact, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .fibers_max = MOST }, up_to_the_limit, NULL);
}

static int a_group_fills_it(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	unsigned refused = 0;

	(void)arg;
	for (unsigned round = law_rounds(20000); round > 0; round--) {
		for (int i = 0; i < MOST - 1; i++)
			refused += fiber_group_spawn(&g, NULL, add, NULL) != 0;
		refused += fiber_group_wait(&g) != 0;
	}
	cr_expect(refused == 0, "%u times it was full although all had been awaited", refused);
	return 0;
}

/* A member left its group before it was counted out, so that its place was not free yet. */
Test(spawn_many, who_was_awaited_by_its_group_has_made_room, .timeout = 60)
{
	law_holds_with(&(fiber_options_t){ .fibers_max = MOST }, a_group_fills_it, NULL);
}

/* ---- no address space -------------------------------------------------------------------------*/
static size_t address_space(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file && fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * 4096;
}

static void limit_address_space(size_t bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = bytes;
	setrlimit(RLIMIT_AS, &limit);
}

struct outcome {
	unsigned spawned, refused, unrun, ran;
};

static struct outcome spawn_until_short(fiber_t *f, unsigned n)
{
	struct outcome o = { 0 };
	int result = 0, r;

	atomic_store(&arrived, 0);
	for (unsigned i = 0; i < n; i++) {
		r = fiber_spawn(&f[o.spawned], NULL, park_once, (void *)(intptr_t)1);
		cr_expect(r == 0 || r == -ENOMEM, "%d", r);
		o.spawned += r == 0;
		o.refused += r != 0;
		fiber_yield();
	}
	for (unsigned i = 0; i < o.spawned; i++)
		fiber_unpark(f[i]);
	for (unsigned i = 0; i < o.spawned; i++) {
		cr_expect(fiber_join(f[i], &result) == 0);
		cr_expect(result == 1 || result == -ENOMEM, "%d", result);
		o.ran += result == 1;
		o.unrun += result == -ENOMEM;
	}
	return o;
}

/* Once in a process: address space that was reserved once serves later fibers. */
static int run_short(void *arg)
{
	enum { MANY = 4000 };
	fiber_t *f = malloc(MANY * sizeof *f);
	struct outcome o;

	(void)arg;
	limit_address_space(address_space() + ((size_t)100 << 20));
	o = spawn_until_short(f, MANY);
	cr_expect(o.ran > 0 && o.ran < MANY, "%u ran", o.ran);
	cr_expect(o.ran == atomic_load(&arrived), "%u ran, %u say so", o.ran,
		  atomic_load(&arrived));
	cr_expect(o.refused > 0, "no spawn said so");
	limit_address_space(RLIM_INFINITY);
	o = spawn_until_short(f, MANY);
	cr_expect(o.ran == MANY, "with memory again %u ran, %u were refused, %u did not run", o.ran,
		  o.refused, o.unrun);
	free(f);
	return 0;
}

static void shortage(unsigned workers)
{
#if defined(FB_ASAN) || defined(FB_TSAN)
	cr_skip_test("sanitizers need the address space");
#endif
	cr_expect(law_run(workers, run_short, NULL) == 0);
}

Test(spawn_many, a_shortage_of_stacks_is_told_and_passes, .timeout = 60)
{
	shortage(1);
}

Test(spawn_many, a_shortage_of_stacks_is_told_and_passes_on_two_workers, .timeout = 60)
{
	shortage(2);
}

Test(spawn_many, a_shortage_of_stacks_is_told_and_passes_on_eight_workers, .timeout = 60)
{
	shortage(8);
}
