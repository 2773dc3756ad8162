/* Everything once in a process that has one thread, where atomics are plain loads and stores: a
 * Criterion worker has two from the start. Ends by asking whether it was alone all the time. */
#include <errno.h>
#include <fiber.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"
#include "os/sanitize.h"

static int turns, destroyed;

static fiber_t spawn(fiber_fn *fn, void *arg)
{
	fiber_t f = { 0 };

	EXPECT(fiber_spawn(&f, NULL, fn, arg) == 0);
	return f;
}

static int result_of(fiber_t f)
{
	int result = 0, r = fiber_join(f, &result);

	return r < 0 ? r : result;
}

static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int park(void *arg)
{
	int r = fiber_park();

	return r == 0 ? (int)(intptr_t)arg : r;
}

/* ---- spawn, join, detach, cancel --------------------------------------------------------------*/
static int add_up(void *arg)
{
	intptr_t n = (intptr_t)arg;
	fiber_t f;

	if (n < 2)
		return (int)n;
	f = spawn(add_up, (void *)(n - 1));
	return add_up((void *)(n - 2)) + result_of(f);
}

static void fibers(void)
{
	fiber_t f = spawn(return_argument, (void *)3);

	EXPECT(add_up((void *)15) == 610);
	EXPECT(result_of(f) == 3);
	EXPECT(fiber_join(f, NULL) == -ESRCH && fiber_cancel(f) == -ESRCH);
	EXPECT(fiber_unpark(f) == -ESRCH && fiber_detach(f) == -ESRCH);
	EXPECT(fiber_join(fiber_self(), NULL) < 0);
	f = spawn(park, (void *)4);
	fiber_yield();
	EXPECT(fiber_unpark(f) == 0 && result_of(f) == 4);
	f = spawn(park, NULL);
	fiber_yield();
	EXPECT(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	f = spawn(park, NULL);
	EXPECT(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	f = spawn(park, NULL);
	EXPECT(fiber_detach(f) == 0 && fiber_detach(f) == -EINVAL);
	EXPECT(fiber_join(f, NULL) == -EINVAL);
	EXPECT(fiber_unpark(f) == 0);
	fiber_yield();
	EXPECT(fiber_go(return_argument, NULL) == 0);
}

static int join_it(void *arg)
{
	return fiber_join(*(fiber_t *)arg, NULL);
}

static void joiners(void)
{
	fiber_t f = spawn(park, NULL), joiner = spawn(join_it, &f);

	fiber_yield();
	EXPECT(fiber_join(f, NULL) == -EBUSY && fiber_detach(f) == -EBUSY);
	EXPECT(fiber_cancel(joiner) == 0 && result_of(joiner) == -ECANCELED);
	EXPECT(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_join(f, NULL)) == -ETIMEDOUT);
	EXPECT(fiber_unpark(f) == 0 && result_of(f) == 0);
}

/* ---- time -------------------------------------------------------------------------------------*/
static int sleep_and_note(void *arg)
{
	EXPECT(fiber_sleep((intptr_t)arg * FIBER_MILLISECOND) == 0);
	EXPECT(turns++ == (intptr_t)arg);
	return 0;
}

static int clean_up(void *arg)
{
	fiber_scope_t shield;

	(void)arg;
	EXPECT(fiber_park() == -ECANCELED && fiber_check() == -ECANCELED);
	fiber_shield(&shield, FIBER_NEVER);
	EXPECT(fiber_sleep(FIBER_MILLISECOND) == 0 && fiber_check() == 0);
	EXPECT(fiber_scope_end(&shield, 0) == 0);
	return fiber_park();
}

static void times(void)
{
	fiber_t f[5], cancelled = spawn(clean_up, NULL);

	for (intptr_t i = 0; i < 5; i++)
		f[i] = spawn(sleep_and_note, (void *)(4 - i));
	for (int i = 0; i < 5; i++)
		EXPECT(result_of(f[i]) == 0);
	EXPECT(fiber_cancel(cancelled) == 0 && result_of(cancelled) == -ECANCELED);
	EXPECT(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_park()) == -ETIMEDOUT);
	FIBER_WITHIN(FIBER_MILLISECOND) {
		EXPECT(fiber_sleep(FIBER_SECOND) == -ECANCELED);
		EXPECT(fiber_park() == -ECANCELED);
	}
	EXPECT(fiber_deadline() == FIBER_NEVER);
	fiber_unpark(fiber_self());
	EXPECT(fiber_park() == 0);
}

/* ---- groups, locals, names, roaming -----------------------------------------------------------*/
static int yield_some(void *arg)
{
	for (intptr_t i = (intptr_t)arg; i > 0; i--)
		fiber_yield();
	return 0;
}

static void groups(void)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	for (intptr_t i = 0; i < 100; i++)
		EXPECT(fiber_group_spawn(&g, NULL, return_argument, (void *)i) == 0);
	EXPECT(fiber_group_wait(&g) == 0);
	for (int i = 0; i < 10; i++)
		fiber_group_spawn(&g, NULL, park, NULL);
	fiber_group_spawn(&g, NULL, return_argument, (void *)-EPIPE);
	EXPECT(fiber_group_wait(&g) == -EPIPE);
	fiber_group_spawn(&g, NULL, park, NULL);
	fiber_group_spawn(&g, NULL, return_argument, (void *)7);
	EXPECT(fiber_group_race(&g) == 7);
	fiber_group_limit(&g, 3);
	for (intptr_t i = 0; i < 100; i++)
		EXPECT(fiber_group_spawn(&g, NULL, yield_some, (void *)(i % 5)) == 0);
	EXPECT(fiber_group_wait(&g) == 0);
	fiber_group_limit(&g, 0);
	fiber_group_spawn(&g, NULL, park, NULL);
	EXPECT(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_group_wait(&g)) == -ETIMEDOUT);
}

static void destroy(void *value)
{
	EXPECT(!strcmp(value, "value"));
	fiber_yield();
	destroyed++;
}

static int set_local(void *arg)
{
	fiber_key_t key = *(fiber_key_t *)arg;

	EXPECT(fiber_getspecific(key) == NULL);
	EXPECT(fiber_setspecific(key, "value") == 0);
	fiber_yield();
	fiber_exit(strcmp(fiber_getspecific(key), "value"));
}

static void locals(void)
{
	fiber_key_t key;

	EXPECT(fiber_key_create(&key, destroy) == 0);
	for (int i = 0; i < 10; i++)
		EXPECT(result_of(spawn(set_local, &key)) == 0);
	EXPECT(destroyed == 10);
	EXPECT(fiber_key_delete(key) == 0);
}

static int roam(void *arg)
{
	bool was = fiber_pin();

	for (int i = 0; i < 200; i++)
		fiber_yield();
	fiber_unpin(was);
	for (int i = 0; i < 200; i++)
		fiber_yield();
	EXPECT(fiber_sleep(FIBER_MICROSECOND) == 0);
	return (int)(intptr_t)arg;
}

static void attributes(void)
{
	char copied[2000] = "copied";
	fiber_attr_t attr[] = {
		{ .flags = FIBER_ROAM },
		{ .flags = FIBER_STAY | FIBER_NO_FPU },
		{ .worker = 1, .name = "a name" },
		{ .stack_bytes = 1 << 20 },
		{ .flags = FIBER_STACK_NOW },
	};
	enum { ATTRIBUTES = sizeof attr / sizeof *attr };
	fiber_t f[ATTRIBUTES];

	for (intptr_t i = 0; i < ATTRIBUTES; i++)
		EXPECT(fiber_spawn(&f[i], &attr[i], roam, (void *)i) == 0);
	for (int i = 0; i < ATTRIBUTES; i++)
		EXPECT(result_of(f[i]) == i);
	attr[0] = (fiber_attr_t){ .copy_bytes = sizeof copied };
	EXPECT(fiber_spawn(&f[0], &attr[0], (fiber_fn *)(void *)return_argument, copied) == 0);
	EXPECT(fiber_join(f[0], NULL) == 0);
	attr[0].flags = ~0u;
	EXPECT(fiber_spawn(&f[0], &attr[0], roam, copied) == -EINVAL);
}

static void inside(void)
{
	fiber_info_t info;
	fiber_stats_t stats;
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	EXPECT(fiber_set_name("inside") == 0);
	EXPECT(fiber_info(fiber_self(), &info) == 0 && !strcmp(info.name, "inside"));
	EXPECT(fiber_stats(NULL, &stats) == 0 && stats.fibers >= 1 && stats.switches > 0);
	EXPECT(fiber_dump(to) == 0);
	fclose(to);
	EXPECT(strstr(text, "inside") != NULL);
	free(text);
}

static int everything(void *arg)
{
	turns = destroyed = 0;
	fibers();
	joiners();
	times();
	groups();
	locals();
	attributes();
	inside();
	for (int i = 0; i < 5; i++) /* who is left behind is cancelled */
		EXPECT(fiber_go(clean_up, NULL) == 0);
	fiber_yield();
	return (int)(intptr_t)arg;
}

/* ---- the thread itself ------------------------------------------------------------------------*/
static void as_a_plain_thread(void)
{
	EXPECT(fiber_sleep(FIBER_MICROSECOND) == 0 && fiber_park() == -EPERM);
	EXPECT(FIBER_TIMEOUT(FIBER_MICROSECOND, fiber_sleep(FIBER_SECOND)) == -ETIMEDOUT);
	EXPECT(fiber_self().id == 0 && fiber_worker() == 0 && fiber_runtime() == NULL);
	EXPECT(fiber_go(return_argument, NULL) == -EINVAL);
	EXPECT(fiber_dump(stdout) == 0);
}

int main(void)
{
	fiber_options_t options = { .workers = 1 };

	alarm(50);
	for (int i = 0; i < 5; i++) {
		as_a_plain_thread();
		EXPECT(fiber_run(&options, everything, (void *)5) == 5);
		options.flags ^= FIBER_ALL_ROAM;
		options.fibers_max = i % 2 ? 1000 : 0;
		options.idle_spin_ns = i % 3 * FIBER_MICROSECOND;
	}
#if !defined(FB_TSAN) /* which has a thread of its own */
	EXPECT(os_alone());
#endif
	return expect_status();
}
