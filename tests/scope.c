/* Scopes: which deadline rules, what a shield hides, and who calls an interruption a timeout. */
#include <criterion/criterion.h>
#include <errno.h>

#include "law.h"
#include "until.h"

#define LATE (1000 * FIBER_SECOND)

static int result_of(fiber_fn *fn, void *arg)
{
	int result = 0, r;
	fiber_t f;

	r = fiber_spawn(&f, NULL, fn, arg);
	if (r == 0)
		r = fiber_join(f, &result);
	return r < 0 ? r : result;
}

static bool deadline_is(int64_t when)
{
	return fiber_deadline() == when;
}

/* ---- which deadline rules ---------------------------------------------------------------------*/
static int nearest_rules(void *arg)
{
	int64_t now = fiber_now();
	int64_t far = now + 2 * LATE, near = now + LATE, nearest = now + LATE / 2;
	fiber_scope_t a, b, c, d;

	(void)arg;
	cr_expect(deadline_is(FIBER_NEVER));
	cr_expect(fiber_within(&a, near) == &a && deadline_is(near));
	cr_expect(fiber_within(&b, far) == &b && deadline_is(near), "a later one changes nothing");
	cr_expect(fiber_shield(&c, far) == &c && deadline_is(far), "a shield hides earlier ones");
	fiber_within(&d, nearest);
	cr_expect(deadline_is(nearest));
	cr_expect(fiber_scope_end(&d, 1) == 1 && deadline_is(far));
	cr_expect(fiber_scope_end(&c, -EPIPE) == -EPIPE && deadline_is(near));
	cr_expect(fiber_scope_end(&b, 0) == 0 && deadline_is(near));
	fiber_within(&b, nearest);
	cr_expect(deadline_is(nearest));
	fiber_shield(&c, FIBER_NEVER);
	cr_expect(deadline_is(FIBER_NEVER));
	fiber_scope_end(&c, 0);
	fiber_scope_end(&b, 0);
	fiber_scope_end(&a, 0);
	cr_expect(deadline_is(FIBER_NEVER));
	return 0;
}

Test(scope, the_nearest_deadline_up_to_the_innermost_shield_rules, .timeout = 20)
{
	law_holds(nearest_rules, NULL);
	cr_expect(nearest_rules(NULL) == 0, "on a plain thread");
}

static int deep(int levels)
{
	int64_t when = fiber_now() + (levels % 3 ? LATE : LATE - levels), outer = fiber_deadline();
	fiber_scope_t s;
	int wrong;

	fiber_within(&s, when);
	wrong = !deadline_is(when < outer ? when : outer);
	if (levels > 0)
		wrong += deep(levels - 1);
	wrong += fiber_scope_end(&s, levels) != levels;
	return wrong + !deadline_is(outer);
}

static int deep_nesting(void *arg)
{
	(void)arg;
	return deep(200);
}

Test(scope, they_nest_to_any_depth, .timeout = 20)
{
	law_holds(deep_nesting, NULL);
}

static int expect_no_deadline(void *arg)
{
	(void)arg;
	cr_expect(deadline_is(FIBER_NEVER));
	return fiber_park(); /* to outlive the first join, whatever the machine does */
}

static int children_are_free(void *arg)
{
	fiber_scope_t s;
	fiber_t f;

	(void)arg;
	fiber_within(&s, fiber_now());
	cr_expect(fiber_spawn(&f, NULL, expect_no_deadline, NULL) == 0);
	cr_expect(fiber_join(f, NULL) == -ECANCELED);
	cr_expect(fiber_scope_end(&s, 0) == 0);
	cr_expect(fiber_unpark(f) == 0);
	return fiber_join(f, NULL);
}

Test(scope, children_do_not_inherit_a_deadline, .timeout = 20)
{
	law_holds(children_are_free, NULL);
}

/* ---- who calls it a timeout -------------------------------------------------------------------*/
static int owner_converts(void *arg)
{
	static const struct {
		int64_t outer, inner;
		int inner_says, outer_says;
	} cases[] = {
		{ LATE, 0, -ETIMEDOUT, -EPIPE },           /* the inner one's deadline */
		{ 0, LATE, -ECANCELED, -ETIMEDOUT },       /* the outer one's */
		{ 0, 0, -ECANCELED, -ETIMEDOUT },          /* equal: it is the outer one's too */
		{ FIBER_MILLISECOND, 0, -ETIMEDOUT, -EPIPE },
		{ 0, FIBER_MILLISECOND, -ECANCELED, -ETIMEDOUT },
	};
	int64_t now = fiber_now();

	(void)arg;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fiber_scope_t outer, inner;
		ssize_t r;

		fiber_within(&outer, now + cases[i].outer);
		fiber_within(&inner, now + cases[i].inner);
		r = fiber_sleep(LATE);
		cr_expect(r == -ECANCELED, "case %zu: inside it reads %zd", i, r);
		r = fiber_scope_end(&inner, r);
		cr_expect(r == cases[i].inner_says, "case %zu: the inner one says %zd", i, r);
		r = fiber_scope_end(&outer, r == -ETIMEDOUT ? -EPIPE : r);
		cr_expect(r == cases[i].outer_says, "case %zu: the outer one says %zd", i, r);
	}
	return fiber_sleep(0);
}

Test(scope, the_one_whose_deadline_passed_says_so_and_no_other, .timeout = 20)
{
	law_holds(owner_converts, NULL);
	cr_expect(owner_converts(NULL) == 0, "on a plain thread");
}

static int middle_of_three(void *arg)
{
	fiber_scope_t a, b, c;
	ssize_t r;

	(void)arg;
	fiber_within(&a, fiber_after(LATE));
	fiber_within(&b, fiber_now());
	fiber_within(&c, fiber_after(LATE));
	r = fiber_sleep(LATE);
	r = fiber_scope_end(&c, r);
	cr_expect(r == -ECANCELED);
	cr_expect(fiber_sleep(1) == -ECANCELED, "it is known outside of the innermost too");
	r = fiber_scope_end(&b, r);
	cr_expect(r == -ETIMEDOUT);
	cr_expect(fiber_sleep(1) == 0, "outside of its scope the deadline is over");
	return (int)fiber_scope_end(&a, 0);
}

Test(scope, a_noticed_deadline_lasts_until_its_own_scope_ends, .timeout = 20)
{
	law_holds(middle_of_three, NULL);
	cr_expect(middle_of_three(NULL) == 0, "on a plain thread");
}

static int results_pass(void *arg)
{
	static const ssize_t results[] = { 0, 1, INT64_MAX, -EPIPE, -ETIMEDOUT, INT64_MIN };
	fiber_scope_t s;

	(void)arg;
	for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
		fiber_within(&s, fiber_now());
		cr_expect(fiber_sleep(LATE) == -ECANCELED);
		cr_expect(fiber_scope_end(&s, results[i]) == results[i]);
	}
	fiber_within(&s, fiber_after(LATE));
	cr_expect(fiber_scope_end(&s, -ECANCELED) == -ECANCELED, "its deadline has not passed");
	cr_expect(fiber_scope_end(&s, 3) == 3, "one that has ended does nothing any more");
	return 0;
}

Test(scope, every_other_result_passes_unchanged, .timeout = 20)
{
	law_holds(results_pass, NULL);
}

static int cancelled_within(void *arg)
{
	fiber_scope_t s;

	(void)arg;
	fiber_within(&s, fiber_after(LATE));
	fiber_cancel(fiber_self());
	cr_expect(fiber_sleep(LATE) == -ECANCELED);
	cr_expect(fiber_scope_end(&s, -ECANCELED) == -ECANCELED, "that was no timeout");
	cr_expect(FIBER_TIMEOUT(LATE, fiber_sleep(LATE)) == -ECANCELED);
	return fiber_check() == -ECANCELED ? 0 : -1;
}

static int cancellation_is_no_timeout(void *arg)
{
	return result_of(cancelled_within, arg);
}

Test(scope, a_cancellation_is_no_timeout, .timeout = 20)
{
	law_holds(cancellation_is_no_timeout, NULL);
}

/* ---- shields ----------------------------------------------------------------------------------*/
static int clean_up_shielded(void *arg)
{
	fiber_scope_t shield, inner;

	(void)arg;
	fiber_cancel(fiber_self());
	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_sleep(1) == -ECANCELED && fiber_check() == -ECANCELED);
		fiber_shield(&shield, fiber_after(LATE));
		cr_expect(fiber_check() == 0);
		cr_expect(fiber_sleep(FIBER_MILLISECOND) == 0);
		fiber_within(&inner, fiber_now());
		cr_expect(fiber_sleep(LATE) == -ECANCELED);
		cr_expect(fiber_scope_end(&inner, -ECANCELED) == -ETIMEDOUT);
		cr_expect(fiber_sleep(FIBER_MICROSECOND) == 0);
		cr_expect(fiber_scope_end(&shield, 0) == 0);
	}
	return fiber_check() == -ECANCELED ? 0 : -1;
}

static int a_shield_hides_cancellation(void *arg)
{
	return result_of(clean_up_shielded, arg);
}

Test(scope, a_shield_hides_a_cancellation_that_lasts, .timeout = 20)
{
	law_holds(a_shield_hides_cancellation, NULL);
}

static int shield_in_expired(void *arg)
{
	fiber_scope_t outer, shield, second;

	(void)arg;
	fiber_within(&outer, fiber_now());
	cr_expect(fiber_sleep(LATE) == -ECANCELED);
	fiber_shield(&shield, FIBER_NEVER);
	cr_expect(fiber_sleep(FIBER_MILLISECOND) == 0);
	fiber_shield(&second, fiber_now());
	cr_expect(fiber_sleep(LATE) == -ECANCELED);
	cr_expect(fiber_scope_end(&second, -ECANCELED) == -ETIMEDOUT, "its own bound");
	cr_expect(fiber_sleep(FIBER_MILLISECOND) == 0);
	cr_expect(fiber_scope_end(&shield, 0) == 0);
	cr_expect(fiber_sleep(1) == -ECANCELED);
	cr_expect(fiber_scope_end(&outer, -ECANCELED) == -ETIMEDOUT);
	return fiber_sleep(1);
}

Test(scope, a_shield_hides_outer_deadlines_and_has_its_own, .timeout = 20)
{
	law_holds(shield_in_expired, NULL);
	cr_expect(shield_in_expired(NULL) == 0, "on a plain thread");
}

static int sleep_shielded(void *arg)
{
	fiber_scope_t shield;
	int r;

	(void)arg;
	fiber_shield(&shield, FIBER_NEVER);
	r = fiber_park();
	fiber_scope_end(&shield, 0);
	cr_expect(fiber_check() == -ECANCELED);
	return r;
}

static int cancel_a_shielded_wait(void *arg)
{
	fiber_t f = { 0 };
	int result = -1;

	(void)arg;
	cr_expect(fiber_spawn(&f, NULL, sleep_shielded, NULL) == 0);
	until_it_waits_for(f, "park");
	cr_expect(fiber_cancel(f) == 0);
	for (int i = 0; i < 200; i++)
		fiber_yield();
	until_it_waits_for(f, "park");
	cr_expect(fiber_unpark(f) == 0);
	cr_expect(fiber_join(f, &result) == 0);
	return result;
}

Test(scope, a_cancellation_ends_no_shielded_wait, .timeout = 20)
{
	law_holds(cancel_a_shielded_wait, NULL);
}

/* ---- the macros -------------------------------------------------------------------------------*/
static int leave_by_return(void)
{
	FIBER_WITHIN(LATE) {
		FIBER_SHIELD(LATE / 2)
			return fiber_deadline() == FIBER_NEVER ? -1 : 5;
	}
	return -2;
}

static int leave_in_every_way(void *arg)
{
	(void)arg;
	FIBER_WITHIN(LATE)
		cr_expect(!deadline_is(FIBER_NEVER));
	cr_expect(deadline_is(FIBER_NEVER), "left by its end");
	FIBER_WITHIN(LATE) {
		if (!deadline_is(FIBER_NEVER))
			break;
	}
	cr_expect(deadline_is(FIBER_NEVER), "left by break");
	for (int i = 0; i < 2; i++) {
		FIBER_WITHIN(LATE) {
			FIBER_WITHIN(LATE / 2)
				continue;
		}
		cr_expect(deadline_is(FIBER_NEVER), "left by continue");
	}
	cr_expect(leave_by_return() == 5 && deadline_is(FIBER_NEVER), "left by return");
	FIBER_WITHIN(LATE) {
		FIBER_WITHIN(LATE / 2)
			goto out;
	}
	cr_expect(false, "goto did not go");
out:
	cr_expect(deadline_is(FIBER_NEVER), "left by goto");
	return 0;
}

Test(scope, fiber_within_ends_however_it_is_left, .timeout = 20)
{
	law_holds(leave_in_every_way, NULL);
	cr_expect(leave_in_every_way(NULL) == 0, "on a plain thread");
}

static int timeouts(void *arg)
{
	(void)arg;
	cr_expect(FIBER_TIMEOUT(0, fiber_sleep(LATE)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(-5, fiber_sleep(LATE)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(INT64_MIN, fiber_sleep(LATE)) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(LATE, fiber_sleep(0)) == 0);
	cr_expect(FIBER_TIMEOUT(INT64_MAX, fiber_sleep(FIBER_MICROSECOND)) == 0);
	cr_expect(FIBER_TIMEOUT(LATE, FIBER_TIMEOUT(0, fiber_sleep(LATE))) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(0, FIBER_TIMEOUT(LATE, fiber_sleep(LATE))) == -ETIMEDOUT);
	cr_expect(FIBER_TIMEOUT(0, INT64_C(1) << 40) == INT64_C(1) << 40);
	return 0;
}

Test(scope, fiber_timeout_wraps_one_call, .timeout = 20)
{
	law_holds(timeouts, NULL);
	cr_expect(timeouts(NULL) == 0, "on a plain thread");
}
