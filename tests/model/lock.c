/* lock.c - the mutex (sync/lock.h) between plain threads: who holds it is alone, nobody waits
 * beside a free lock; and an event, and a semaphore. */
#include <errno.h>
#include <fiber/sync.h>

#include "bottle.h"
#include "sync/lock.h"

static struct lock lock;
static int count, wanted[MODEL_THREADS];
static fiber_event_t event;
static fiber_sem_t sem;

static void begin(void)
{
	bottle_begin(1);
	bottle_plain_blocks();
	memset(&lock, 0, sizeof lock);
	memset(&event, 0, sizeof event);
	law(fiber_sem_init(&sem, 0) == 0);
	count = 0;
	memset(wanted, 0, sizeof wanted);
}

static void up(void)
{
	count++;
	wanted[model_thread()]++;
}

static void let_go(uintptr_t who)
{
	if (!lock_leave_at_once(&lock, who))
		law(lock_leave(&lock, who, false) == 0);
}

/* The identity is that of a fiber that runs nowhere: then nobody spins for it. */
static void lock_once(void)
{
	uintptr_t who = (uintptr_t)bottle_be_plain();
	struct lock_wish wish = {
		.who = who, .what = WAIT_MUTEX, .mode = WAIT_HARD, .until = FIBER_NEVER,
	};

	if (!lock_take_at_once(&lock, who))
		law(lock_take(&lock, &wish) == 0);
	up();
	let_go(who);
}

static void try_once(void)
{
	uintptr_t who = (uintptr_t)bottle_be_plain();

	if (!lock_try(&lock, who, false))
		return;
	up();
	let_go(who);
}

static void lock_until(void)
{
	uintptr_t who = (uintptr_t)bottle_be_plain();
	struct lock_wish wish = {
		.who = who, .what = WAIT_MUTEX, .mode = WAIT_INTERRUPTIBLE, .until = 5,
	};

	model_has_deadline();
	if (!lock_take_at_once(&lock, who)) {
		int r = lock_take(&lock, &wish);

		law(r == 0 || r == -ETIMEDOUT);
		if (r < 0)
			return;
	}
	up();
	let_go(who);
}

static void counted(void)
{
	law(count == wanted[0] + wanted[1] + wanted[2] + wanted[3]);
	law(lock_busy(&lock) == 0);
}

/* ---- events, semaphores -----------------------------------------------------------------------*/
static void await(void)
{
	bottle_be_plain();
	law(fiber_event_wait(&event) == 0);
	law(count == 1);
}

static void set(void)
{
	bottle_be_plain();
	count = 1;
	fiber_event_set(&event);
}

static void wait_unit(void)
{
	bottle_be_plain();
	law(fiber_sem_wait(&sem) == 0);
	law(count == 1);
}

static void post_unit(void)
{
	bottle_be_plain();
	count = 1;
	law(fiber_sem_post(&sem) == 0);
}

static void all_idle(void)
{
	law(fiber_event_destroy(&event) == 0);
	law(fiber_sem_destroy(&sem) == 0);
}

const struct scenario scenarios_lock[] = {
	SCENARIO("two lock", begin, counted, lock_once, lock_once),
	SCENARIO("one locks, one tries", begin, counted, lock_once, try_once),
	SCENARIO("one locks, one has a deadline", begin, counted, lock_once, lock_until),
	SCENARIO("an event is set for who waits", begin, all_idle, await, set),
	SCENARIO("a semaphore's unit carries what was done before", begin, all_idle, wait_unit,
		 post_unit),
	{ .name = NULL },
};
