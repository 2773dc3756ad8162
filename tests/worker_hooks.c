/* worker_start and worker_stop: once on each worker's own thread, first and last. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"

enum { MOST = 9 };

static struct {
	pthread_t thread[MOST];
	_Atomic unsigned started[MOST], stopped[MOST], ran[MOST];
	_Atomic unsigned wrong;
} seen;

static void on_start(void *context, unsigned worker)
{
	if (context != &seen || worker == 0 || worker >= MOST)
		atomic_fetch_add(&seen.wrong, 1);
	seen.thread[worker] = pthread_self();
	if (atomic_fetch_add(&seen.started[worker], 1) != 0 || seen.ran[worker] != 0)
		atomic_fetch_add(&seen.wrong, 1);
	if (fiber_self().id != 0)
		atomic_fetch_add(&seen.wrong, 1);
}

static void on_stop(void *context, unsigned worker)
{
	if (context != &seen || !pthread_equal(seen.thread[worker], pthread_self()))
		atomic_fetch_add(&seen.wrong, 1);
	atomic_fetch_add(&seen.stopped[worker], 1);
	if (fiber_self().id != 0)
		atomic_fetch_add(&seen.wrong, 1);
}

static int visit(void *arg)
{
	unsigned worker = fiber_worker();

	(void)arg;
	if (seen.started[worker] != 1 || seen.stopped[worker] != 0 ||
	    !pthread_equal(seen.thread[worker], pthread_self()))
		atomic_fetch_add(&seen.wrong, 1);
	atomic_fetch_add(&seen.ran[worker], 1);
	return 0;
}

static int visit_all(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	for (unsigned w = 1; w <= fiber_workers(); w++)
		for (int i = 0; i < 10; i++)
			fiber_group_spawn(&g, &(fiber_attr_t){ .worker = w }, visit, arg);
	return fiber_group_wait(&g);
}

static void check(unsigned workers)
{
	for (unsigned w = 1; w < MOST; w++) {
		unsigned once = w <= workers;

		cr_expect(seen.started[w] == once && seen.stopped[w] == once,
			  "worker %u of %u: %u starts, %u stops", w, workers, seen.started[w],
			  seen.stopped[w]);
		cr_expect(seen.ran[w] == 10 * once);
		seen.started[w] = seen.stopped[w] = seen.ran[w] = 0;
	}
	cr_expect(seen.wrong == 0);
}

Test(worker_hooks, each_is_called_once_on_each_workers_thread, .timeout = 20)
{
	fiber_options_t options = {
		.worker_start = on_start, .worker_stop = on_stop, .context = &seen,
	};

	for (options.workers = 1; options.workers < MOST; options.workers++) {
		fiber_runtime_t *runtime;

		cr_expect(fiber_run(&options, visit_all, NULL) == 0);
		check(options.workers);
		cr_expect(fiber_runtime_create(&runtime, &options) == 0);
		cr_expect(fiber_block_on(runtime, visit_all, NULL) == 0);
		cr_expect(fiber_runtime_free(runtime) == 0);
		check(options.workers);
	}
	law_no_leaks();
}

/* ---- calls of the library inside --------------------------------------------------------------*/
static fiber_key_t key;
static _Atomic unsigned destroyed;

static void note_destroyed(void *value)
{
	(void)value;
	atomic_fetch_add(&destroyed, 1);
}

/* There is no fiber to park: the calls work as on a plain thread, or say that they do not. */
static void call_everything(void *context, unsigned worker)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	fiber_scope_t s;

	(void)context, (void)worker;
	cr_expect(fiber_sleep(FIBER_MICROSECOND) == 0);
	cr_expect(FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_sleep(FIBER_SECOND)) == -ETIMEDOUT);
	cr_expect(fiber_park() == -EPERM);
	cr_expect(fiber_join((fiber_t){ 0 }, NULL) == -ESRCH);
	cr_expect(fiber_group_wait(&g) == 0);
	cr_expect(fiber_check() == 0 && fiber_deadline() == FIBER_NEVER);
	fiber_within(&s, fiber_after(FIBER_SECOND));
	cr_expect(fiber_deadline() != FIBER_NEVER);
	cr_expect(fiber_scope_end(&s, 3) == 3);
	fiber_yield();
	cr_expect(fiber_setspecific(key, &key) == 0 && fiber_getspecific(key) == &key);
	cr_expect(!fiber_pin());
	fiber_unpin(false);
	cr_expect(fiber_set_name("worker") == 0);
}

static int sleep_a_little(void *arg)
{
	(void)arg;
	cr_expect(fiber_getspecific(key) == NULL, "a fiber has its own");
	return fiber_sleep(FIBER_MILLISECOND);
}

Test(worker_hooks, calls_in_a_hook_work_as_on_a_plain_thread, .timeout = 20)
{
	fiber_options_t options = {
		.worker_start = call_everything, .worker_stop = call_everything,
	};

	cr_expect(fiber_key_create(&key, note_destroyed) == 0);
	for (options.workers = 1; options.workers <= 8; options.workers *= 2) {
		fiber_runtime_t *runtime;

		destroyed = 0;
		cr_expect(fiber_run(&options, sleep_a_little, NULL) == 0);
		cr_expect(destroyed == options.workers - 1, "%u of %u threads", destroyed,
			  options.workers - 1);
		cr_expect(fiber_runtime_create(&runtime, &options) == 0);
		cr_expect(fiber_block_on(runtime, sleep_a_little, NULL) == 0);
		cr_expect(fiber_runtime_free(runtime) == 0);
	}
	cr_expect(fiber_setspecific(key, NULL) == 0);
	cr_expect(fiber_key_delete(key) == 0);
	law_no_leaks();
}
