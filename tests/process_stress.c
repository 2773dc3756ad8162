/* Hundreds of short children at once, with deadlines and cancellations at random: every one is
 * accounted for, each status belongs to its own child, and nothing is left. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "children.h"
#include "poller/poller.h"

enum { STORIES = 200, AT_ONCE = 24 };

enum outcome { NOT_STARTED, ENDED, KILLED, CANCELLED, TIMED_OUT, OUTCOMES };

struct story {
	uint64_t random;
	int number;
	int outcome;
};

static int64_t soon(struct story *s)
{
	return (int64_t)(law_random(&s->random) % 4000) * FIBER_MICROSECOND;
}

/* What became of a wait; -1: what may not be. */
static int judge(const struct story *s, int r, fiber_process_status_t status)
{
	if (r == -ECANCELED)
		return CANCELLED;
	if (r == -ETIMEDOUT)
		return TIMED_OUT;
	if (r != 0)
		return -1;
	if (status.signal)
		return status.code == -1 ? KILLED : -1;
	return status.code == s->number % 200 ? ENDED : -1;
}

static int waits(struct story *s, fiber_process_t *p)
{
	fiber_process_status_t status = { -2, -2 };
	int r;

	switch (law_random(&s->random) % 4) {
	case 0:
		r = fiber_process_wait(p, &status);
		break;
	case 1:
		r = fiber_process_wait_until(p, &status, fiber_after(soon(s)));
		break;
	case 2:
		fiber_process_kill(p, law_random(&s->random) % 2 ? SIGKILL : SIGTERM);
		r = fiber_process_wait(p, &status);
		break;
	default:
		r = fiber_process_stop(p, soon(s), &status);
		break;
	}
	return judge(s, r, status);
}

static int starts(struct story *s, const fiber_process_options_t *options)
{
	fiber_process_t p FIBER_CLEANUP(fiber_process_close) = FIBER_PROCESS_INIT;
	int r = fiber_process_start(&p, options);

	if (r < 0)
		return r == -ECANCELED ? NOT_STARTED : -1;
	return waits(s, &p);
}

static int runs(struct story *s, const fiber_process_options_t *options)
{
	fiber_process_result_t result = { .out = NULL };
	int64_t limit = law_random(&s->random) % 2 ? 60 * FIBER_SECOND : soon(s);
	int r = FIBER_TIMEOUT(limit, fiber_process_run(&result, options, "x", 1, 0)), outcome;

	outcome = judge(s, r, result.status);
	if (r == 0 && (result.out_bytes != 1 || result.out[0] != 'x'))
		outcome = -1;
	fiber_process_result_free(&result);
	return outcome;
}

static int lives(void *arg)
{
	struct story *s = arg;
	char script[64];
	fiber_process_options_t options = {
		.argv = SHELL(script), .in = { FIBER_STDIO_PIPE, 0 },
		.out = { FIBER_STDIO_PIPE, 0 }, .grace_ns = soon(s) - FIBER_MILLISECOND,
		.flags = law_random(&s->random) % 2 ? FIBER_PROCESS_GROUP : 0,
	};

	snprintf(script, sizeof script, "%s exit %d",
		 law_random(&s->random) % 3 ? "" : "trap '' TERM;", s->number % 200);
	if (law_random(&s->random) % 2) {
		s->outcome = starts(s, &options);
	} else {
		snprintf(script, sizeof script, "head -c 1; exit %d", s->number % 200);
		s->outcome = runs(s, &options);
	}
	return 0;
}

/* At most so many at once; from the outside a third of them are cancelled, at any moment. */
static unsigned all_of_them(struct story *stories, unsigned n, uint64_t *random)
{
	fiber_t f[STORIES];
	unsigned cancelled = 0, joined = 0;

	for (unsigned i = 0; i < n; i++) {
		stories[i] = (struct story){ law_random(random), (int)i, -2 };
		cr_expect(fiber_spawn(&f[i], NULL, lives, &stories[i]) == 0);
		if (law_random(random) % 3 == 0) {
			unsigned which = joined + law_random(random) % (i + 1 - joined);

			fiber_sleep((int64_t)(law_random(random) % 300) * FIBER_MICROSECOND);
			cancelled += fiber_cancel(f[which]) == 0;
		}
		if (i - joined >= AT_ONCE)
			cr_expect(fiber_join(f[joined++], NULL) == 0);
	}
	while (joined < n)
		cr_expect(fiber_join(f[joined++], NULL) == 0);
	return cancelled;
}

static int accounts(void *seed)
{
	static struct story stories[STORIES];
	unsigned n = law_rounds(STORIES), counts[OUTCOMES] = { 0 }, sum = 0, cancelled;

	cancelled = all_of_them(stories, n, seed);
	for (unsigned i = 0; i < n; i++) {
		cr_expect(stories[i].outcome >= 0, "story %u: %d", i, stories[i].outcome);
		if (stories[i].outcome >= 0)
			counts[stories[i].outcome]++;
	}
	for (int i = 0; i < OUTCOMES; i++)
		sum += counts[i];
	cr_expect(sum == n);
	cr_expect(counts[NOT_STARTED] + counts[CANCELLED] <= cancelled);
	cr_expect(children_none(), "a child is left");
	return 0;
}

/* Whether this kernel has it. */
static bool opens(const struct poller_ops *ops)
{
	struct poller *poller;

	if (ops->open(&poller) < 0)
		return false;
	ops->close(poller);
	return true;
}

Test(process_stress, every_child_is_accounted_for_and_none_is_left, .timeout = 300)
{
	uint64_t seed = law_seed();
	int before = law_descriptors();

	for (const struct poller_ops *const *ops = poller_backends; *ops; ops++) {
		fiber_options_t stays = { .poller = (*ops)->name };
		fiber_options_t roams = { .poller = (*ops)->name, .flags = FIBER_ALL_ROAM };

		if (!opens(*ops))
			continue;
		for (int without = 0; without < 2; without++) {
			child_without_pidfd = without;
			law_holds_with(&stays, accounts, &seed);
			law_holds_with(&roams, accounts, &seed);
		}
	}
	cr_expect(law_descriptors() == before, "a descriptor is left");
}
