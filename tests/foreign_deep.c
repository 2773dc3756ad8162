/* Deep calls: foreign functions on a borrowed stack of 8 MiB. Built without
 * -fstack-clash-protection, as most foreign code is. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <stdio.h>
#include <string.h>

#include "death.h"
#include "foreign.h"
#include "law.h"
#include "on_a_thread.h"
#include "sched/overflow.h"
#include "until.h"

static struct death death;

/* ---- other people's functions -----------------------------------------------------------------*/
/* Half a kilobyte or so a level. */
static NOINLINE long sum_down(long levels)
{
	volatile char frame[512];

	frame[0] = 1;
	return levels == 0 ? 0 : sum_down(levels - 1) + frame[0];
}

static NOINLINE long parks_deep_down(long levels)
{
	volatile char frame[512];
	long below;

	frame[0] = 1;
	if (levels == 0)
		return fiber_sleep(FIBER_MICROSECOND);
	below = parks_deep_down(levels - 1);
	return below < 0 ? below : below + frame[0];
}

static NOINLINE long reads_into_a_large_frame(long fd)
{
	char buffer[1 << 20];
	ssize_t n = fiber_read((fiber_fd)fd, buffer, sizeof buffer);

	return n < 0 ? n : buffer[n - 1];
}

/* ---- laws -------------------------------------------------------------------------------------*/
enum { LEVELS = 8000 };

static int deep(void *unused)
{
	fiber_signature_t *sig = sig_of("l(l)");
	fiber_t self = fiber_self();
	fiber_fd pipe[2];
	long result = 0;

	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_call_deep(sig, FIBER_FOREIGN(sum_down), &result,
					  FIBER_ARGS((long)LEVELS)) == 0);
		cr_expect(result == LEVELS);
	}
	cr_expect(fiber_call_deep(sig, FIBER_FOREIGN(sum_down), NULL, FIBER_ARGS(5L)) == 0);
	cr_expect(fiber_call_deep(sig, FIBER_FOREIGN(sum_down), NULL, FIBER_ARGS(5)) == -EINVAL);
	cr_expect(fiber_call_deep(sig, NULL, NULL, FIBER_ARGS(5L)) == -EINVAL);
	cr_expect(fiber_call_deep(NULL, FIBER_FOREIGN(sum_down), NULL, FIBER_NO_ARGS) == -EINVAL);
	cr_expect(fiber_pipe(pipe) == 0 && fiber_write(pipe[1], "xyz", 3) == 3);
	cr_expect(fiber_call_deep(sig, FIBER_FOREIGN(reads_into_a_large_frame), &result,
				  FIBER_ARGS((long)pipe[0])) == 0);
	cr_expect(result == 'z', "%ld", result);
	fiber_close(pipe[0]);
	fiber_close(pipe[1]);
	cr_expect(fiber_equal(self, fiber_self()));
	fiber_signature_free(sig);
	return unused != NULL;
}

Test(foreign_deep, megabytes_of_frames_fit_a_small_fiber, .timeout = 30)
{
	law_holds(deep, NULL);
	cr_expect(on_a_thread(deep, NULL) == 0);
	law_no_leaks();
}

static fiber_signature_t *shared;

static int parks(void *arg)
{
	long result = 0, levels = 10 + (long)(intptr_t)arg * 50;

	for (unsigned i = 0; i < law_rounds(20); i++) {
		cr_expect(fiber_call_deep(shared, FIBER_FOREIGN(parks_deep_down), &result,
					  FIBER_ARGS(levels)) == 0);
		cr_expect(result == levels || result == -ECANCELED, "%ld", result);
	}
	return 0;
}

static int many_park(void *attr)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	fiber_attr_t roam = { .flags = FIBER_ROAM };

	for (int i = 0; i < 30; i++)
		cr_expect(fiber_group_spawn(&group, attr ? &roam : NULL, parks,
					    (void *)(intptr_t)i) == 0);
	return fiber_group_wait(&group);
}

Test(foreign_deep, thirty_fibers_park_in_deep_calls_and_each_finds_its_frames, .timeout = 60)
{
	shared = sig_of("l(l)");
	law_holds(many_park, NULL);
	law_holds(many_park, "roaming");
	fiber_signature_free(shared);
	law_no_leaks();
}

static int cancelled(void *unused)
{
	uint64_t seed = law_seed();

	for (unsigned round = 0; round < law_rounds(50); round++) {
		fiber_t f[8];

		for (int i = 0; i < 8; i++)
			cr_expect(fiber_spawn(&f[i], NULL, parks, (void *)(intptr_t)i) == 0);
		for (int i = 0; i < 8; i++) {
			if (law_random(&seed) % 2)
				fiber_sleep((int64_t)(law_random(&seed) % 20000));
			fiber_cancel(f[i]);
		}
		for (int i = 0; i < 8; i++)
			cr_expect(fiber_join(f[i], NULL) == 0);
	}
	return unused != NULL;
}

Test(foreign_deep, whoever_is_cancelled_in_one_comes_back_through_all_its_frames, .timeout = 60)
{
	shared = sig_of("l(l)");
	law_holds(cancelled, NULL);
	fiber_signature_free(shared);
	law_no_leaks();
}

static long dives_again(long depth)
{
	long result = 0;

	if (depth > 0)
		cr_expect(fiber_call_deep(shared, FIBER_FOREIGN(dives_again), &result,
					  FIBER_ARGS(depth - 1)) == 0);
	return fiber_sleep(FIBER_MICROSECOND) < 0 ? -1 : result + 1;
}

static int nested(void *unused)
{
	long result = 0;

	cr_expect(fiber_call_deep(shared, FIBER_FOREIGN(dives_again), &result,
				  FIBER_ARGS(5L)) == 0);
	cr_expect(result == 6);
	return unused != NULL;
}

Test(foreign_deep, a_deep_call_may_make_another, .timeout = 30)
{
	shared = sig_of("l(l)");
	law_holds(nested, NULL);
	cr_expect(on_a_thread(nested, NULL) == 0);
	fiber_signature_free(shared);
	law_no_leaks();
}

/* ---- the end of such a stack ------------------------------------------------------------------*/
static int overflows(void *unused)
{
	long result;

	fiber_set_name("diver");
	return fiber_call_deep(shared, FIBER_FOREIGN(sum_down), &result, FIBER_ARGS(1000000L)) +
	       (unused != NULL);
}

static int with_a_runtime(void)
{
	shared = sig_of("l(l)");
	return fiber_run(&(fiber_options_t){ .workers = 1 }, overflows, NULL);
}

#define says(what) cr_expect(strstr(death.text, what) != NULL, "%s", death.text)

Test(foreign_deep, its_overflow_is_reported_as_a_deep_calls, .timeout = 60)
{
	die_of(with_a_runtime, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d: %s", death.signal, death.status,
		     death.text);
	if (!OVERFLOW_INSTALLS)
		return;
	says("fiber: stack overflow: deep call in fiber ");
	says("\"diver\" touched ");
	says("called at ");
	says("spawned at ");
	says("as every deep call's");
}
