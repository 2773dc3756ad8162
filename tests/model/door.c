/* door.c - "claim" (sched/wait.h), on plain threads: of all who end a wait one does, and what it
 * wrote for the waiter before the wake is there when the waiter goes on. */
#include <errno.h>

#include "bottle.h"

enum { UNTIL = 5 };

static struct entry {
	struct fiber *fiber;
	uint64_t ticket;
	int *data;
} entry[2];
static _Atomic(struct entry *) published, old; /* in place of a queue and its guard */
static int claims[MODEL_THREADS], outcome[2];

static void begin(void)
{
	bottle_begin(1);
	bottle_plain_blocks();
	memset(entry, 0, sizeof entry);
	atomic_init(&published, NULL);
	atomic_init(&old, NULL);
	memset(claims, 0, sizeof claims);
	outcome[0] = outcome[1] = 0;
}

static int wait_once(struct entry *e)
{
	struct fiber *self = bottle_be_plain();
	int data = 0, r;

	model_has_deadline();
	e->fiber = self;
	e->ticket = wait_begin(self, WAIT_EVENT, NULL, WAIT_INTERRUPTIBLE);
	e->data = &data;
	atomic_store_explicit(&published, e, memory_order_release);
	r = wait_park(self, UNTIL);
	law(r >= 0 ? data == r : r == -ETIMEDOUT && data == 0);
	return r;
}

static void wait_until(void)
{
	outcome[0] = wait_once(&entry[0]);
}

static void wait_twice(void)
{
	outcome[0] = wait_once(&entry[0]);
	atomic_store_explicit(&old, &entry[0], memory_order_release);
	outcome[1] = wait_once(&entry[1]);
}

/* The claim is enough to write into the waiter's memory, until the wake. */
static void grant_as(int index)
{
	struct entry *e = atomic_load_explicit(&published, memory_order_acquire);
	struct fiber *fiber;

	if (!e)
		return;
	fiber = e->fiber;
	if (!wait_claim(fiber, e->ticket, (unsigned)index))
		return;
	*e->data = index;
	wait_wake(fiber);
	claims[model_thread()]++;
}

static void grant_3(void)
{
	grant_as(3);
}

static void grant_4(void)
{
	grant_as(4);
}

/* With a ticket that is over: nothing may come of it. */
static void grant_late(void)
{
	struct entry *e = atomic_load_explicit(&old, memory_order_acquire);

	if (e)
		law(!wait_claim(e->fiber, e->ticket, 9));
}

static void one_outcome(void)
{
	law(claims[1] + claims[2] == (outcome[0] > 0) + (outcome[1] > 0));
}

const struct scenario scenarios_door[] = {
	SCENARIO("a grant against a deadline", begin, one_outcome, wait_until, grant_3),
	SCENARIO("two grants against a deadline", begin, one_outcome, wait_until, grant_3, grant_4),
	SCENARIO("a ticket that is over claims nothing", begin, one_outcome, wait_twice,
		 grant_late),
	{ .name = NULL },
};
