/* Functions of random signatures, written by tests/foreign_fuzz.py: called by the compiler's code
 * and through the library, with the same random arguments, they say the same. A million calls, each
 * way that there is, and back through closures. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "foreign.h"
#include "fuzz.h"
#include "law.h"
#include "on_a_thread.h"

static fiber_signature_t **sigs;
static fiber_closure_t **closures;
static fiber_foreign_fn **codes;
static const struct fuzz_case **cases;

void fuzz_pause(void *context)
{
	if (context)
		fiber_yield();
}

/* Some that libffi cannot call on this processor may be refused. */
static unsigned usable;

static bool is_refused(const char *text)
{
	fiber_signature_error_t error;
	fiber_signature_t *sig;

	if (fiber_signature_create(&sig, text, &error) == 0) {
		fiber_signature_free(sig);
		return false;
	}
	return strncmp(error.why, "libffi cannot", 13) == 0;
}

static void prepare(void *pauses)
{
	sigs = calloc(fuzz_count, sizeof *sigs);
	closures = calloc(fuzz_count, sizeof *closures);
	codes = calloc(fuzz_count, sizeof *codes);
	cases = calloc(fuzz_count, sizeof *cases);
	usable = 0;
	for (unsigned i = 0; i < fuzz_count; i++) {
		if (is_refused(fuzz_cases[i].text))
			continue;
		cases[usable] = &fuzz_cases[i];
		sigs[usable] = sig_of(fuzz_cases[i].text);
		codes[usable] = closure_of(&closures[usable], sigs[usable], NULL,
					   fuzz_cases[i].handler, pauses);
		usable++;
	}
	cr_expect(usable * 4 >= fuzz_count * 3, "%u of %u", usable, fuzz_count);
}

static void release(void)
{
	for (unsigned i = 0; i < usable; i++) {
		fiber_closure_free(closures[i]);
		fiber_signature_free(sigs[i]);
	}
	free(sigs);
	free(closures);
	free(codes);
	free(cases);
}

/* ---- the ways ---------------------------------------------------------------------------------*/
static int here(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		const fiber_arg_t *args, size_t n, void *unused)
{
	(void)unused;
	return fiber_call(sig, fn, result, args, n);
}

static int deep(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		const fiber_arg_t *args, size_t n, void *unused)
{
	(void)unused;
	return fiber_call_deep(sig, fn, result, args, n);
}

static int blocking(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		    const fiber_arg_t *args, size_t n, void *unused)
{
	(void)unused;
	return fiber_call_blocking(sig, fn, result, args, n, NULL);
}

/* With `context` the fiber is cancelled before it runs: its function runs all the same. */
static int spawned(const fiber_signature_t *sig, fiber_foreign_fn *fn, void *result,
		   const fiber_arg_t *args, size_t n, void *context)
{
	fiber_scope_t shield;
	fiber_t f;
	int r = fiber_spawn_call(&f, NULL, sig, fn, result, args, n);

	if (r < 0)
		return r;
	if (context)
		fiber_cancel(f);
	fiber_shield(&shield, FIBER_NEVER); /* the result's place is in a frame */
	r = fiber_join(f, NULL);
	return (int)fiber_scope_end(&shield, r);
}

/* ---- one fiber, one way -----------------------------------------------------------------------*/
struct plan {
	fuzz_way *way;          /* NULL: back through a closure */
	unsigned calls;
	uint64_t seed;
};

static int carry_out(void *arg)
{
	struct plan *p = arg;

	for (unsigned i = 0; i < p->calls; i++) {
		unsigned which = (unsigned)(law_random(&p->seed) % usable);
		const struct fuzz_case *c = cases[which];
		uint64_t seed = law_random(&p->seed);
		int same = p->way ? c->call(seed, p->way, sigs[which], NULL)
				  : c->call_back(seed, codes[which]);

		cr_expect(same == 1, "%s: %d", c->text, same);
	}
	return 0;
}

static void in_a_fiber(fuzz_way *way, unsigned calls)
{
	struct plan p = { way, law_rounds(calls), law_seed() };

	prepare(NULL);
	cr_expect(law_run(1, carry_out, &p) == 0);
	release();
	law_no_leaks();
}

Test(foreign_fuzz, half_a_million_calls_here_say_what_direct_ones_say, .timeout = 200)
{
	in_a_fiber(here, 500000);
}

Test(foreign_fuzz, two_hundred_thousand_fibers_say_what_direct_calls_say, .timeout = 200)
{
	in_a_fiber(spawned, 200000);
}

Test(foreign_fuzz, forty_thousand_deep_calls_say_what_direct_ones_say, .timeout = 200)
{
	in_a_fiber(deep, 40000);
}

Test(foreign_fuzz, twenty_thousand_blocking_calls_say_what_direct_ones_say, .timeout = 200)
{
	in_a_fiber(blocking, 20000);
}

Test(foreign_fuzz, three_hundred_thousand_callbacks_are_given_and_give_what_they_should,
     .timeout = 200)
{
	in_a_fiber(NULL, 300000);
}

Test(foreign_fuzz, on_a_plain_thread_they_say_the_same, .timeout = 200)
{
	struct plan p = { here, law_rounds(50000), law_seed() };

	prepare(NULL);
	cr_expect(on_a_thread(carry_out, &p) == 0);
	p.way = deep;
	p.calls /= 10;
	cr_expect(on_a_thread(carry_out, &p) == 0);
	p.way = blocking;
	cr_expect(on_a_thread(carry_out, &p) == 0);
	release();
	law_no_leaks();
}

/* ---- many fibers, every way, cancelled at random ----------------------------------------------*/
static fuzz_way *const ways[] = { here, spawned, deep, blocking };
static _Atomic unsigned called, not_called;

/* A call that was cancelled before it ran has had no effect; every other one is as ever. */
static int any_way(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg;

	for (unsigned i = 0; i < 50; i++) {
		unsigned which = (unsigned)(law_random(&seed) % usable);
		const struct fuzz_case *c = cases[which];
		unsigned way = (unsigned)(law_random(&seed) % 5);
		void *cancel = law_random(&seed) % 2 ? "cancelled" : NULL;
		int same = way < 4 ? c->call(law_random(&seed), ways[way], sigs[which], cancel)
				   : c->call_back(law_random(&seed), codes[which]);

		cr_expect(same == 1 || same == -ECANCELED, "%s: %d", c->text, same);
		atomic_fetch_add(same == 1 ? &called : &not_called, 1);
		if (i % 8 == 0)
			fiber_yield();
	}
	return 0;
}

static int cancel_at_random(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	for (unsigned round = 0; round < law_rounds(100); round++) {
		fiber_t f[16];

		for (int i = 0; i < 16; i++)
			cr_expect(fiber_spawn(&f[i], NULL, any_way,
					      (void *)(uintptr_t)law_random(&seed)) == 0);
		for (int i = 0; i < 16; i++) {
			if (law_random(&seed) % 4 == 0)
				fiber_cancel(f[law_random(&seed) % 16]);
			fiber_sleep((int64_t)(law_random(&seed) % 20000));
		}
		for (int i = 0; i < 16; i++)
			cr_expect(fiber_join(f[i], NULL) == 0);
	}
	return 0;
}

Test(foreign_fuzz, sixteen_at_a_time_cancelled_at_random_say_it_or_were_not_called, .timeout = 200)
{
	uint64_t seed = law_seed();

	prepare("pauses");
	law_holds(cancel_at_random, &seed);
	cr_expect(atomic_load(&called) > 0 && atomic_load(&not_called) > 0);
	release();
	law_no_leaks();
}
