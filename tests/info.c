/* Looking inside: one fiber, all of them, the counters; at any time, from any thread. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"
#include "until.h"

static fiber_info_t info_of(fiber_t f)
{
	fiber_info_t info;

	memset(&info, 0x5a, sizeof info);
	cr_expect(fiber_info(f, &info) == 0);
	cr_expect(fiber_equal(info.fiber, f));
	return info;
}

static int park(void *arg)
{
	int r = fiber_park();

	return r == 0 ? (int)(intptr_t)arg : r;
}

static fiber_t spawn(const fiber_attr_t *attr, fiber_fn *fn, void *arg)
{
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, attr, fn, arg) == 0);
	return f;
}

static int cancel_and_join(fiber_t f)
{
	cr_expect(fiber_cancel(f) == 0);
	return fiber_join(f, NULL);
}

/* ---- states -----------------------------------------------------------------------------------*/
static int yield_until(void *arg)
{
	while (!atomic_load((_Atomic bool *)arg))
		fiber_yield();
	return 0;
}

static int states(void *arg)
{
	_Atomic bool over = false;
	fiber_t f = spawn(NULL, yield_until, &over);
	fiber_info_t info = info_of(f);

	(void)arg;
	cr_expect(!strcmp(info.state, "new"), "%s", info.state);
	cr_expect(info.stack_bytes == 0 && info.spawned_at == NULL && info.fd == -1);
	cr_expect(!strcmp(info.waits_for, "") && info.deadline == FIBER_NEVER);
	info = info_of(fiber_self());
	cr_expect(!strcmp(info.state, "running"), "%s", info.state);
	cr_expect(!strcmp(info.name, "main") && info.worker == 1);
	cr_expect(info.stack_bytes >= 96 * 1024 && info.stack_used > 0);
	fiber_yield();
	info = info_of(f);
	cr_expect(!strcmp(info.state, "runnable"), "%s", info.state);
	cr_expect(info.spawned_at != NULL && info.stack_bytes >= 96 * 1024);
	atomic_store(&over, true);
	return fiber_join(f, NULL);
}

Test(info, it_knows_new_running_and_runnable, .timeout = 20)
{
	cr_expect(law_run(1, states, NULL) == 0);
}

static int sleep_long(void *arg)
{
	(void)arg;
	return fiber_sleep(1000 * FIBER_SECOND);
}

static int join_long(void *arg)
{
	return fiber_join(*(fiber_t *)arg, NULL);
}

static int await_group(void *arg)
{
	fiber_group_t *g = arg;

	fiber_group_spawn(g, NULL, park, NULL);
	return fiber_group_wait(g);
}

static int await_room(void *arg)
{
	fiber_group_t *g = arg;

	fiber_group_limit(g, 1);
	fiber_group_spawn(g, NULL, park, NULL);
	fiber_group_spawn(g, NULL, park, NULL);
	return fiber_group_wait(g);
}

static void expect_wait(fiber_t f, const char *what, const void *object)
{
	int64_t before = fiber_now();
	fiber_info_t info;

	until_it_waits_for(f, what);
	info = info_of(f);
	cr_expect(!strcmp(info.state, "parked") && !strcmp(info.waits_for, what),
		  "%s in %s, not %s", info.state, info.waits_for, what);
	cr_expect(object == NULL || info.object == object);
	cr_expect(info.since > 0 && info.since <= fiber_now() &&
		  info.since >= before - 100 * FIBER_SECOND);
	cr_expect(cancel_and_join(f) == 0);
}

static int waits(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT, limited = FIBER_GROUP_INIT;
	fiber_t f;

	(void)arg;
	expect_wait(spawn(NULL, park, NULL), "park", NULL);
	expect_wait(spawn(NULL, sleep_long, NULL), "sleep", NULL);
	expect_wait(spawn(NULL, await_group, &g), "group", &g);
	expect_wait(spawn(NULL, await_room, &limited), "group limit", &limited);
	f = spawn(NULL, park, NULL);
	expect_wait(spawn(NULL, join_long, &f), "join", NULL);
	return cancel_and_join(f);
}

Test(info, it_knows_what_a_parked_fiber_waits_for, .timeout = 20)
{
	law_holds(waits, NULL);
}

static int park_within(void *arg)
{
	fiber_scope_t s;

	fiber_within(&s, *(int64_t *)arg);
	return (int)fiber_scope_end(&s, fiber_park());
}

static int details(void *arg)
{
	int64_t when = fiber_after(1000 * FIBER_SECOND);
	fiber_attr_t attr = { .stack_bytes = 500000, .name = "a name" };

	(void)arg;
	for (attr.worker = 1; attr.worker <= fiber_workers(); attr.worker++) {
		fiber_t f = spawn(&attr, park_within, &when);
		fiber_info_t info;

		until_it_waits_for(f, "park");
		info = info_of(f);
		cr_expect(info.worker == attr.worker && info.deadline == when);
		cr_expect(info.stack_bytes >= 500000);
		cr_expect(info.stack_used > 0 && info.stack_used < 100000, "%zu used",
			  info.stack_used);
		cr_expect(!strcmp(info.name, "a name"));
		cr_expect(cancel_and_join(f) == 0);
		cr_expect(fiber_info(f, &info) == -ESRCH);
	}
	return 0;
}

Test(info, it_knows_worker_deadline_and_stack, .timeout = 20)
{
	law_holds(details, NULL);
}

static int use_stack(void *arg)
{
	volatile char deep[64 * 1024];

	for (size_t i = 0; i < sizeof deep; i += 1024)
		deep[sizeof deep - 1 - i] = 1;
	(void)arg;
	return fiber_park() == -ECANCELED ? deep[1023] : 0;
}

static int high_water(void *arg)
{
	fiber_t shallow = spawn(NULL, park, NULL), deep = spawn(NULL, use_stack, NULL);

	(void)arg;
	until_it_waits_for(shallow, "park");
	until_it_waits_for(deep, "park");
	cr_expect(info_of(deep).stack_used >= 64 * 1024, "%zu", info_of(deep).stack_used);
	cr_expect(info_of(shallow).stack_used < 64 * 1024, "%zu", info_of(shallow).stack_used);
	cr_expect(cancel_and_join(shallow) == 0);
	return cancel_and_join(deep);
}

Test(info, it_knows_how_deep_a_stack_was_used, .timeout = 20)
{
	law_holds(high_water, NULL);
}

static int return_at_once(void *arg)
{
	return (int)(intptr_t)arg;
}

/* Its stack is another fiber's before it is joined. */
static int ended(void *arg)
{
	fiber_t f = spawn(&(fiber_attr_t){ .name = "first" }, return_at_once, arg), other;
	fiber_info_t info;

	UNTIL(!strcmp(info_of(f).state, "ended"));
	other = spawn(&(fiber_attr_t){ .name = "second" }, park, NULL);
	until_it_waits_for(other, "park");
	info = info_of(f);
	cr_expect(!strcmp(info.state, "ended") && !strcmp(info.name, ""), "%s %s", info.name,
		  info.state);
	cr_expect(info.stack_bytes == 0 && !strcmp(info.waits_for, ""));
	cr_expect(fiber_join(f, NULL) == 0);
	return cancel_and_join(other);
}

Test(info, a_fiber_that_has_ended_has_a_result_and_no_more, .timeout = 20)
{
	law_holds(ended, NULL);
}

/* ---- names ------------------------------------------------------------------------------------*/
static int names(void *arg)
{
	static const char *const given[] = {
		"", "a", "exactly fifteen", "more than fifteen", NULL,
	};
	static const char *const kept[] = {
		"", "a", "exactly fifteen", "more than fifte", "",
	};

	(void)arg;
	for (int i = 0; i < 5; i++) {
		fiber_t f = spawn(&(fiber_attr_t){ .name = given[i] }, park, NULL);

		until_it_waits_for(f, "park");
		cr_expect(!strcmp(info_of(f).name, kept[i]), "%s", info_of(f).name);
		cr_expect(cancel_and_join(f) == 0);
		cr_expect(fiber_set_name(given[i]) == (given[i] ? 0 : -EINVAL));
		cr_expect(!strcmp(info_of(fiber_self()).name, kept[given[i] ? i : i - 1]));
	}
	return 0;
}

Test(info, fifteen_bytes_of_a_name_are_kept, .timeout = 20)
{
	law_holds(names, NULL);
	cr_expect(fiber_set_name("thread") == 0 && fiber_set_name(NULL) == -EINVAL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	fiber_info_t info;
	fiber_stats_t stats;

	(void)arg;
	cr_expect(fiber_info((fiber_t){ 0 }, &info) == -ESRCH);
	cr_expect(fiber_info((fiber_t){ UINT64_MAX }, &info) == -ESRCH);
	cr_expect(fiber_info(fiber_self(), NULL) == -EINVAL);
	cr_expect(fiber_stats(NULL, NULL) == -EINVAL);
	cr_expect(fiber_stats((fiber_runtime_t *)&info, &stats) == -EINVAL);
	cr_expect(fiber_dump(NULL) == -EINVAL);
	return 0;
}

Test(info, what_makes_no_sense_is_refused, .timeout = 20)
{
	fiber_stats_t stats;

	law_holds(misuse, NULL);
	misuse(NULL);
	cr_expect(fiber_stats(NULL, &stats) == -EINVAL);
}

/* ---- counters ---------------------------------------------------------------------------------*/
static int return_argument(void *arg)
{
	return (int)(intptr_t)arg;
}

static int counters(void *arg)
{
	enum { MANY = 100 };
	fiber_stats_t before, after;
	fiber_t f[MANY];

	(void)arg;
	cr_expect(fiber_stats(NULL, &before) == 0);
	cr_expect(before.fibers == 1 && before.spawned == 1 && before.ended == 0);
	cr_expect(before.parked == 0);
	for (int i = 0; i < MANY; i++)
		f[i] = spawn(NULL, park, NULL);
	for (int i = 0; i < MANY; i++)
		until_it_waits_for(f[i], "park");
	cr_expect(fiber_stats(fiber_runtime(), &after) == 0);
	cr_expect(after.fibers == 1 + MANY && after.spawned == 1 + MANY && after.ended == 0);
	cr_expect(after.parked == MANY, "%lu parked", (unsigned long)after.parked);
	cr_expect(after.switches >= before.switches + MANY);
	cr_expect(after.stack_bytes_resident > 0);
	for (int i = 0; i < MANY; i++)
		cr_expect(cancel_and_join(f[i]) == 0);
	for (int i = 0; i < MANY; i++)
		cr_expect(fiber_join(spawn(NULL, return_argument, NULL), NULL) == 0);
	cr_expect(fiber_stats(NULL, &after) == 0);
	cr_expect(after.spawned == 1 + 2 * MANY && after.ended == 2 * MANY && after.fibers == 1);
	return 0;
}

Test(info, the_counters_add_up, .timeout = 20)
{
	law_holds(counters, NULL);
}

/* ---- words ------------------------------------------------------------------------------------*/
Test(info, results_have_words, .timeout = 10)
{
	cr_expect(!strcmp(fiber_strerror(0), "no error") && !strcmp(fiber_strerror(7), "no error"));
	cr_expect(!strcmp(fiber_strerror(-ENOMEM), "Cannot allocate memory"));
	cr_expect(!strcmp(fiber_strerror(INT32_MIN), "unknown error"));
	cr_expect(!strcmp(fiber_strerror(-100000), "unknown error"));
	cr_expect(!strcmp(fiber_version(), FIBER_VERSION));
}
