/* Generators and fibers: the body is the fiber that resumes it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <fiber/gen.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "law.h"
#include "on_a_thread.h"
#include "until.h"

static void *as_value(intptr_t i)
{
	return (void *)i;
}

static fiber_gen_t *created(fiber_gen_fn *fn, void *arg)
{
	fiber_gen_t *gen = NULL;

	cr_expect(fiber_gen_create(&gen, NULL, fn, arg) == 0);
	return gen;
}

/* ---- parks inside -----------------------------------------------------------------------------*/
/* Yields each number twice as large, after a park. */
static void *parks_and_doubles(fiber_gen_t *self, void *arg)
{
	void *in = fiber_gen_received(self);
	int r;

	(void)arg;
	do {
		if ((intptr_t)in % 3 == 0)
			fiber_yield();
		else if ((intptr_t)in % 3 == 1)
			fiber_sleep(FIBER_MICROSECOND);
		r = fiber_gen_yield(self, as_value(2 * (intptr_t)in), &in);
	} while (r == 0);
	return NULL;
}

static int doubles(void *arg)
{
	fiber_gen_t *gen = created(parks_and_doubles, NULL);
	unsigned rounds = law_rounds(300);
	intptr_t seed = (intptr_t)arg;

	for (intptr_t i = seed; i < seed + rounds; i++) {
		void *value = NULL;

		cr_expect(fiber_gen_resume(gen, as_value(i), &value) == 1);
		cr_expect((intptr_t)value == 2 * i, "%ld became %ld", i, (intptr_t)value);
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
	return 0;
}

static int many_double(void *attr)
{
	fiber_t fibers[20];

	for (intptr_t i = 0; i < 20; i++)
		cr_expect(fiber_spawn(&fibers[i], attr, doubles, (void *)i) == 0);
	for (int i = 0; i < 20; i++)
		cr_expect(fiber_join(fibers[i], NULL) == 0);
	return 0;
}

Test(gen_fiber, a_body_that_parks_parks_its_fiber, .timeout = 50)
{
	law_holds(many_double, NULL);
}

Test(gen_fiber, roaming_fibers_take_what_they_are_inside_of_along, .timeout = 50)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds(many_double, &(fiber_attr_t){ .flags = FIBER_ROAM });
}

Test(gen_fiber, on_a_plain_thread_a_body_that_waits_blocks_it, .timeout = 20)
{
	cr_expect(on_a_thread(doubles, NULL) == 0);
	law_no_leaks();
}

enum { ITEMS = 1000 };

static int sends(void *chan)
{
	for (int i = 0; i < ITEMS; i++)
		cr_expect(fiber_chan_send(chan, &i) == 0);
	return fiber_chan_close(chan);
}

static void *receives(fiber_gen_t *self, void *chan)
{
	int item, r;

	while ((r = fiber_chan_recv(chan, &item)) == 0)
		fiber_gen_yield(self, &item, NULL);
	return as_value(r);
}

static int channel_into_generator(void *arg)
{
	for (size_t capacity = 0; capacity < 3; capacity++) {
		fiber_chan_t *chan = NULL;
		int expected = 0, result = -1;
		fiber_gen_t *gen;
		fiber_t sender;
		void *value;

		cr_expect(fiber_chan_create(&chan, sizeof expected, capacity) == 0);
		cr_expect(fiber_spawn(&sender, arg, sends, chan) == 0);
		gen = created(receives, chan);
		while (fiber_gen_resume(gen, NULL, &value) > 0)
			cr_expect(*(int *)value == expected++);
		cr_expect(expected == ITEMS && (intptr_t)value == -EPIPE);
		cr_expect(fiber_gen_destroy(gen) == 0);
		cr_expect(fiber_join(sender, &result) == 0 && result == 0);
		fiber_chan_free(chan);
	}
	return 0;
}

Test(gen_fiber, a_body_waits_at_channels_as_any_fiber_does, .timeout = 20)
{
	law_holds(channel_into_generator, NULL);
}

/* ---- whose turn it is -------------------------------------------------------------------------*/
struct meeting {
	fiber_gen_t *gen;
	fiber_t inside;
	int parked;             /* what the park in the body returned */
};

static void *parks(fiber_gen_t *self, void *arg)
{
	struct meeting *m = arg;

	m->inside = fiber_self();
	m->parked = fiber_park();
	fiber_gen_yield(self, self, NULL);
	return NULL;
}

static int resumes(void *arg)
{
	struct meeting *m = arg;
	void *value = NULL;
	int r = fiber_gen_resume(m->gen, NULL, &value);

	if (r == 1)
		cr_expect(value == m->gen);
	return r;
}

/*	the resumer			another
 *	resume, park inside
 *					resume: -EBUSY, destroy: -EBUSY
 *	is unparked, yields
 *					resume: 0 */
static int another_is_refused(void *arg)
{
	struct meeting m = { .gen = NULL };
	fiber_attr_t *attr = arg;
	int result = -1;
	fiber_t resumer;
	void *value = &m;

	m.gen = created(parks, &m);
	attr->worker = fiber_workers();
	cr_expect(fiber_spawn(&resumer, attr, resumes, &m) == 0);
	until_it_waits_for(resumer, "park");
	cr_expect(fiber_equal(m.inside, resumer));
	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_gen_resume(m.gen, NULL, &value) == -EBUSY);
		cr_expect(value == &m, "untouched");
		cr_expect(fiber_gen_destroy(m.gen) == -EBUSY);
		cr_expect(fiber_gen_yield(m.gen, NULL, NULL) == -EPERM);
	}
	cr_expect(fiber_unpark(resumer) == 0);
	cr_expect(fiber_join(resumer, &result) == 0 && result == 1);
	cr_expect(m.parked == 0);
	cr_expect(fiber_gen_resume(m.gen, NULL, &value) == 0 && value == NULL);
	cr_expect(fiber_gen_destroy(m.gen) == 0);
	return 0;
}

Test(gen_fiber, while_one_runs_it_others_are_refused, .timeout = 20)
{
	law_holds(another_is_refused, &(fiber_attr_t){ .name = "resumer" });
}

static int cancelled_inside(void *arg)
{
	struct meeting m = { .gen = NULL };
	int result = -1;
	fiber_t resumer;

	(void)arg;
	m.gen = created(parks, &m);
	cr_expect(fiber_spawn(&resumer, NULL, resumes, &m) == 0);
	until_it_waits_for(resumer, "park");
	cr_expect(fiber_cancel(resumer) == 0);
	cr_expect(fiber_join(resumer, &result) == 0);
	cr_expect(result == 1, "the generator goes on, and yields");
	cr_expect(m.parked == -ECANCELED);
	cr_expect(fiber_gen_destroy(m.gen) == 0);
	return 0;
}

Test(gen_fiber, a_fiber_cancelled_inside_learns_of_it_where_it_waits, .timeout = 20)
{
	law_holds(cancelled_inside, NULL);
}

static void *sleeps_in_vain(fiber_gen_t *self, void *arg)
{
	(void)arg;
	while (fiber_gen_yield(self, as_value(fiber_sleep(FIBER_SECOND)), NULL) == 0)
		;
	return NULL;
}

static int deadline_of_the_resumer(void *arg)
{
	fiber_gen_t *gen = created(sleeps_in_vain, NULL);
	fiber_scope_t scope;
	void *value = NULL;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		fiber_within(&scope, fiber_after(20 * FIBER_MICROSECOND));
		cr_expect(fiber_gen_resume(gen, NULL, &value) == 1);
		cr_expect(fiber_scope_end(&scope, (intptr_t)value) == -ETIMEDOUT);
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
	return 0;
}

Test(gen_fiber, the_deadlines_of_the_resumer_hold_inside, .timeout = 20)
{
	law_holds(deadline_of_the_resumer, NULL);
}

static void *sleeps_on_its_way_out(fiber_gen_t *self, void *arg)
{
	cr_expect(fiber_gen_yield(self, NULL, NULL) == -ECANCELED);
	cr_expect(fiber_sleep(10 * FIBER_MICROSECOND) == 0);
	*(int *)arg = 1;
	return NULL;
}

static int destroy_parks(void *arg)
{
	int done = 0;
	fiber_gen_t *gen = created(sleeps_on_its_way_out, &done);

	(void)arg;
	cr_expect(fiber_gen_resume(gen, NULL, NULL) == 1);
	cr_expect(fiber_gen_destroy(gen) == 0);
	cr_expect(done == 1);
	return 0;
}

Test(gen_fiber, what_cleans_up_may_park, .timeout = 20)
{
	law_holds(destroy_parks, NULL);
}

/* On a helper thread and back, in and out of the body. */
static void *goes_to_a_helper_and_back(fiber_gen_t *self, void *arg)
{
	for (;;) {
		cr_expect(fiber_worker() != 0);
		cr_expect(fiber_blocking_begin() == 0);
		cr_expect(fiber_worker() == 0);
		if (fiber_gen_yield(self, arg, NULL) < 0)
			return NULL;
	}
}

static int comes_home_outside(void *arg)
{
	fiber_gen_t *gen = created(goes_to_a_helper_and_back, NULL);

	(void)arg;
	for (int i = 0; i < 5; i++) {
		cr_expect(fiber_gen_resume(gen, NULL, NULL) == 1);
		cr_expect(fiber_worker() == 0);
		cr_expect(fiber_blocking_end() == 0);
		cr_expect(fiber_worker() != 0);
	}
	cr_expect(fiber_gen_destroy(gen) == 0);
	return 0;
}

Test(gen_fiber, a_fiber_may_go_to_a_helper_thread_inside_and_come_back_outside, .timeout = 20)
{
	law_holds(comes_home_outside, NULL);
}

/* ---- a runtime inside, and an end inside ------------------------------------------------------*/
static void *runs_fibers(fiber_gen_t *self, void *arg)
{
	for (int i = 0; i < 3; i++)
		fiber_gen_yield(self, as_value(law_run(2, doubles, arg)), NULL);
	return NULL;
}

static int resumes_one_that_runs_fibers(void *arg)
{
	fiber_gen_t *gen = NULL;

	cr_expect(fiber_gen_create(&gen, &(fiber_gen_attr_t){ .stack_bytes = 1 << 20 },
				   runs_fibers, arg) == 0);
	for (int i = 0; i < 3; i++) {
		void *value = as_value(-1);

		cr_expect(fiber_gen_resume(gen, NULL, &value) == 1 && value == NULL);
	}
	return fiber_gen_destroy(gen);
}

Test(gen_fiber, a_body_on_a_plain_thread_may_run_a_runtime, .timeout = 20)
{
	cr_expect(on_a_thread(resumes_one_that_runs_fibers, NULL) == 0);
}

static void *ends_the_fiber(fiber_gen_t *self, void *arg)
{
	(void)self, (void)arg;
	fiber_exit(7);
}

static int resumes_its_end(void *arg)
{
	fiber_gen_resume(arg, NULL, NULL);
	return 1;
}

static int ends_inside(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10; i++) {
		fiber_gen_t *gen = created(ends_the_fiber, NULL);
		int result = -1;
		fiber_t f;

		cr_expect(fiber_spawn(&f, NULL, resumes_its_end, gen) == 0);
		cr_expect(fiber_join(f, &result) == 0 && result == 7);
		cr_expect(fiber_gen_resume(gen, NULL, NULL) == -EBUSY, "running, for ever");
		/* Whoever has its stack next is in no generator. */
		doubles(NULL);
	}
	return 0;
}

Test(gen_fiber, fiber_exit_inside_ends_the_fiber, .timeout = 20)
{
	law_holds(ends_inside, NULL);
}
