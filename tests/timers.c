/* The heap of deadlines: what a worker asks of it, against a sorted array that does it slowly. */
#include <criterion/criterion.h>
#include <string.h>

#include "law.h"
#include "time/timers.h"

enum { TIMERS = 700 };

static struct timers heap;
static struct timer timer[TIMERS];

/* The oracle: when each timer is due, and all those times in order. */
static int64_t due_at[TIMERS];
static int64_t sorted[TIMERS];
static unsigned count;

static unsigned place_of(int64_t when)
{
	unsigned i = 0;

	while (i < count && sorted[i] < when)
		i++;
	return i;
}

static void oracle_add(int64_t when)
{
	unsigned i = place_of(when);

	memmove(&sorted[i + 1], &sorted[i], (count++ - i) * sizeof *sorted);
	sorted[i] = when;
}

static void oracle_remove(int64_t when)
{
	unsigned i = place_of(when);

	cr_assert(i < count && sorted[i] == when, "the oracle lost a time");
	memmove(&sorted[i], &sorted[i + 1], (--count - i) * sizeof *sorted);
}

/* Few different times, so that many are equal; and now and then the ends of the scale. */
static int64_t some_time(uint64_t *random)
{
	uint64_t r = law_random(random);

	if (r % 64 == 0)
		return r & 64 ? INT64_MIN : INT64_MAX;
	return (int64_t)(r >> 8) % (r & 128 ? 100 : INT64_MAX);
}

static void set(unsigned i, int64_t when)
{
	if (timer_set(&timer[i]))
		oracle_remove(due_at[i]);
	cr_assert(timers_put(&heap, &timer[i], when) == 0);
	due_at[i] = when;
	oracle_add(when);
	cr_assert(timer_set(&timer[i]) && timer_when(&heap, &timer[i]) == when);
}

static void clear(unsigned i)
{
	if (timer_set(&timer[i]))
		oracle_remove(due_at[i]);
	timers_remove(&heap, &timer[i]);
	cr_assert(!timer_set(&timer[i]));
}

static void take_due(int64_t now)
{
	struct timer *t;

	while ((t = timers_due(&heap, now))) {
		unsigned i = (unsigned)(t - timer);

		cr_assert(i < TIMERS && count > 0 && due_at[i] == sorted[0] && due_at[i] <= now,
			  "timer %u came out of turn", i);
		cr_assert(!timer_set(t));
		oracle_remove(due_at[i]);
	}
	cr_assert(count == 0 || sorted[0] > now, "one that is due stayed");
}

Test(timers, come_out_as_a_sorted_array_gives_them, .timeout = 60)
{
	uint64_t random = law_seed();

	for (unsigned n = law_rounds(400000); n > 0; n--) {
		uint64_t r = law_random(&random);
		unsigned i = (unsigned)(r >> 32) % TIMERS;

		if (r % 8 < 5)
			set(i, some_time(&random));
		else if (r % 8 < 7)
			clear(i);
		else if (r % 512 == 7)
			take_due(some_time(&random));
		cr_assert(heap.count == count);
		cr_assert(timers_next(&heap) == (count ? sorted[0] : OS_NEVER));
	}
	take_due(INT64_MAX);
	cr_assert(heap.count == 0);
	timers_destroy(&heap);
	law_no_leaks();
}

/* Every fill level, because the last level of a 4-ary heap has one, two, three or four children. */
Test(timers, removing_any_one_of_any_number_leaves_the_others_in_order, .timeout = 60)
{
	uint64_t random = law_seed();

	for (unsigned n = 1; n <= 90; n++)
		for (unsigned victim = 0; victim < n; victim++) {
			for (unsigned i = 0; i < n; i++)
				set(i, (int64_t)(law_random(&random) % 50));
			clear(victim);
			take_due(100);
			cr_assert(heap.count == 0);
		}
	timers_destroy(&heap);
}

Test(timers, a_timer_set_again_moves, .timeout = 10)
{
	set(0, 10);
	set(1, 20);
	set(0, 30);
	cr_assert(heap.count == 2 && timers_next(&heap) == 20);
	set(1, 40);
	cr_assert(heap.count == 2 && timers_next(&heap) == 30);
	set(1, 5);
	cr_assert(timers_due(&heap, 4) == NULL);
	cr_assert(timers_due(&heap, 5) == &timer[1]);
	cr_assert(timers_due(&heap, 29) == NULL);
	cr_assert(timers_due(&heap, 30) == &timer[0]);
	timers_destroy(&heap);
}

Test(timers, removing_what_is_not_set_does_nothing, .timeout = 10)
{
	timers_remove(&heap, &timer[0]);
	set(1, 1);
	timers_remove(&heap, &timer[0]);
	cr_assert(heap.count == 1);
	clear(1);
	clear(1);
	cr_assert(heap.count == 0 && timers_next(&heap) == OS_NEVER);
	cr_assert(timers_due(&heap, INT64_MAX) == NULL);
	timers_destroy(&heap);
	timers_destroy(&heap);
}

/* A server's deadlines: mostly set and removed again, hardly ever due. */
Test(timers, a_million_beside_each_other_stay_whole, .timeout = 60)
{
	unsigned many = law_rounds(1000000);
	struct timer *crowd = calloc(many, sizeof *crowd);
	uint64_t random = law_seed();
	int64_t last = INT64_MIN;

	cr_assert(crowd != NULL);
	for (unsigned i = 0; i < many; i++)
		cr_assert(timers_put(&heap, &crowd[i], (int64_t)(law_random(&random) >> 1)) == 0);
	for (unsigned i = 0; i < many; i += 2)
		timers_remove(&heap, &crowd[law_random(&random) % many]);
	for (struct timer *t; heap.count > 0;) {
		int64_t next = timers_next(&heap);

		cr_assert(next >= last);
		last = next;
		t = timers_due(&heap, next);
		cr_assert(t >= crowd && t < crowd + many && !timer_set(t));
	}
	timers_destroy(&heap);
	free(crowd);
	law_no_leaks();
}
