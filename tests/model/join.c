/* join.c - "join" and "request" (sched/fiber.h), with fibers that really run: a worker's own loop
 * on one thread, those who join, detach, cancel and unpark on others. */
#include "bottle.h"

static struct fiber *f;
static fiber_t handle;
static int data, joined, detached, refused;

static int run(void *arg)
{
	(void)arg;
	data = 1;
	return 7;
}

static int park(void *arg)
{
	int r = fiber_park();

	(void)arg;
	law(r == -ECANCELED || (r == 0 && data == 1)); /* data: a race, if not seen */
	return r;
}

static void begin(fiber_fn *function)
{
	bottle_begin(1);
	bottle_plain_blocks();
	f = bottle_fiber(&bottle_worker[0], 0, function, NULL);
	handle = fiber_handle(f);
	law(deque_push(&bottle_worker[0].unstarted, f) == 0);
	data = joined = detached = refused = 0;
}

static void begin_run(void)
{
	begin(run);
}

static void begin_park(void)
{
	begin(park);
}

/* Until it sleeps for good. */
static void work(void)
{
	worker_loop(bottle_be_worker(0));
}

static void join(void)
{
	int result = 0, r;

	bottle_be_plain();
	r = fiber_join(handle, &result);
	if (r == 0) {
		law(result == 7 && data == 1);
		joined++;
	} else {
		law(r == -EBUSY || r == -ESRCH || r == -EINVAL);
		refused++;
	}
}

static void detach(void)
{
	int r;

	bottle_be_plain();
	r = fiber_detach(handle);
	law(r == 0 || r == -EBUSY || r == -ESRCH);
	detached += r == 0;
}

static void over(void)
{
	law(data == 1);
	law(!fiber_find(handle)); /* the block was given back */
}

static void joined_once(void)
{
	over();
	law(joined == 1);
}

static void joined_or_detached(void)
{
	over();
	law(joined + detached == 1);
}

static void unpark(void)
{
	bottle_be_plain();
	data = 1;
	law(fiber_unpark(handle) == 0);
}

static void cancel(void)
{
	int r;

	bottle_be_plain();
	r = fiber_cancel(handle);
	law(r == 0 || r == -ESRCH);
}

static bool has_ended(void)
{
	uint64_t word = atomic_load_explicit(&f->join, memory_order_relaxed);

	return JOIN_LOW(word) == JOIN_DONE;
}

static void ended(void)
{
	law(has_ended());
}

#define LOOP(title, begin, end, ...)                                                               \
	{ .name = title, .setup = begin, .check = end, .thread = { work, __VA_ARGS__ },            \
	  .may_sleep = true }

const struct scenario scenarios_join[] = {
	LOOP("one joins", begin_run, joined_once, join),
	LOOP("two join, one succeeds", begin_run, joined_once, join, join),
	LOOP("joined or detached", begin_run, joined_or_detached, join, detach),
	LOOP("an unpark is not lost", begin_park, ended, unpark),
	LOOP("a cancellation is not lost", begin_park, ended, cancel),
	{ .name = NULL },
};
