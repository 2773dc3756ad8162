/* sleep.c - fibers that sleep: what one weighs, what its timer costs.
 *
 * Memory: resident bytes and page tables of this process with so many fibers in fiber_sleep, less
 * the same before they were spawned. Everything that the library keeps for them is inside; only
 * the kernel's own records of mappings are not, so their number is published beside it.
 *
 * Dormant: the same for fibers that have no stack and wait for a descriptor of their own, an
 * eventfd: control block, operation, and what is known of the descriptor.
 *
 * Random sleeps: processor time of the whole run, from before the runtime starts until after it
 * has ended. Checked: everybody slept at least as long as asked.
 *
 * Arm and cancel: a fiber waits with a deadline, is woken before it, and waits again, beside a
 * million others in fiber_sleep; less the same without the deadline. Reading the clock for the
 * deadline is inside. With random deadlines every second one is nearer than the one before; with
 * the same timeout each is later, as timeouts of connections are. */
#include "bench.h"

#include <errno.h>
#include <fiber/ready.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

static fiber_t main_fiber;
static long started, ended, cancelled, n;

/* ---- memory -----------------------------------------------------------------------------------*/

static int sleep_long(void *unused)
{
	int r;

	(void)unused;
	if (++started == n)
		fiber_unpark(main_fiber);
	r = fiber_sleep(3600 * FIBER_SECOND);
	BENCH_CHECK(r == -ECANCELED);
	cancelled++;
	return r;
}

/* Returns when all n are asleep: the last one wakes us on its way to its own park. */
static void put_to_sleep(long fibers)
{
	main_fiber = fiber_self();
	n = fibers;
	started = cancelled = 0;
	for (long i = 0; i < n; i++)
		BENCH_CHECK(fiber_go(sleep_long, NULL) == 0);
	BENCH_CHECK(fiber_park() == 0);
	fiber_yield();
	BENCH_CHECK(started == n && cancelled == 0);
}

static int hang_up(void *fd)
{
	BENCH_CHECK(fiber_became_ready() == -ECANCELED);
	fiber_close((fiber_fd)(intptr_t)fd);
	cancelled++;
	return 0;
}

static void put_to_rest(long fibers)
{
	cancelled = 0;
	for (long i = 0; i < fibers; i++) {
		fiber_fd fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		BENCH_CHECK(fd >= 0);
		BENCH_CHECK(fiber_spawn_ready(NULL, NULL, fd, POLLIN, hang_up,
					      (void *)(intptr_t)fd) == 0);
	}
	fiber_yield();
	BENCH_CHECK(cancelled == 0);
}

static int weigh(void *argument)
{
	const struct bench_row *row = argument;
	int64_t resident = bench_resident(), tables = bench_page_tables();
	long mappings = bench_mappings();
	double all;

	if (row->variant)
		put_to_rest(row->n);
	else
		put_to_sleep(row->n);
	resident = bench_resident() - resident;
	tables = bench_page_tables() - tables;
	all = (double)(resident + tables) / row->n;
	bench_figure("", all, "bytes", row->target);
	bench_figure("of which page tables", (double)tables / row->n, "bytes", 0);
	bench_figure("mappings in all", bench_mappings() - mappings, "", 0);
	return 0;
}

/* The sleepers are cancelled when main returns. */
static double memory(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};

	if (bench_lacks_memory(row->n, 5000))
		return BENCH_NO_FIGURE;
	BENCH_CHECK(fiber_run(&options, weigh, (void *)row) == 0);
	BENCH_CHECK(cancelled == row->n);
	return BENCH_NO_FIGURE;
}

/* ---- a random sleep each*/

static int sleep_once(void *ns)
{
	int64_t begin = bench_now();

	BENCH_CHECK(fiber_sleep((int64_t)ns) == 0);
	BENCH_CHECK(bench_now() - begin >= (int64_t)ns);
	if (++ended == n)
		fiber_unpark(main_fiber);
	return 0;
}

static int sleep_all(void *argument)
{
	const struct bench_row *row = argument;
	uint64_t seed = 1;

	main_fiber = fiber_self();
	n = row->n;
	ended = 0;
	for (long i = 0; i < n; i++) {
		int64_t ns = (int64_t)(bench_random(&seed) % FIBER_SECOND);

		BENCH_CHECK(fiber_go(sleep_once, (void *)ns) == 0);
	}
	return fiber_park();
}

static double random_sleeps(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};
	int64_t begin = bench_cpu();

	BENCH_CHECK(fiber_run(&options, sleep_all, (void *)row) == 0);
	BENCH_CHECK(ended == row->n);
	return (double)(bench_cpu() - begin) / 1e9;
}

/* ---- arm and cancel*/

enum deadline { NONE, SAME, RANDOM };

struct waits {
	enum deadline deadline;
	long count;
	long taken;
};

static int wait_often(void *argument)
{
	struct waits *waits = argument;
	uint64_t seed = 7;
	ssize_t r;

	for (; waits->taken < waits->count; waits->taken++) {
		switch (waits->deadline) {
		case NONE:
			r = fiber_park();
			break;
		case SAME:
			r = FIBER_TIMEOUT(30 * FIBER_SECOND, fiber_park());
			break;
		default:
			r = FIBER_TIMEOUT((int64_t)(bench_random(&seed) % (1000 * FIBER_SECOND))
					  + FIBER_SECOND, fiber_park());
		}
		BENCH_CHECK(r == 0);
	}
	return 0;
}

/* Nanoseconds for each wait, its wake-up and the two switches included. */
static double wake_often(enum deadline deadline, long count)
{
	struct waits waits = {.deadline = deadline, .count = count};
	int64_t begin, end;
	fiber_t waiter;

	BENCH_CHECK(fiber_spawn(&waiter, NULL, wait_often, &waits) == 0);
	fiber_sleep(FIBER_MILLISECOND); /* until it is parked for the first time */
	begin = bench_now();
	for (long i = 0; i < count; i++) {
		fiber_unpark(waiter);
		fiber_yield();
	}
	end = bench_now();
	BENCH_CHECK(fiber_join(waiter, NULL) == 0 && waits.taken == count);
	return (double)(end - begin) / count;
}

static int arm_and_cancel(void *argument)
{
	const struct bench_row *row = argument;
	double none, same, random;

	put_to_sleep(row->n);
	wake_often(NONE, row->operations / 4);
	none = wake_often(NONE, row->operations);
	same = wake_often(SAME, row->operations);
	random = wake_often(RANDOM, row->operations);
	bench_figure("random deadlines", random - none, "ns", row->target);
	bench_figure("same timeout", same - none, "ns", row->target);
	bench_figure("whole wait, random deadlines", random, "ns", 0);
	bench_figure("whole wait without deadline", none, "ns", 0);
	return 0;
}

static double timers(const struct bench_row *row)
{
	fiber_options_t options = {.workers = 1};

	BENCH_CHECK(fiber_run(&options, arm_and_cancel, (void *)row) == 0);
	BENCH_CHECK(cancelled == row->n);
	return BENCH_NO_FIGURE;
}

static const struct bench_row rows[] = {
	{"10,000 parked", memory, 4600, 1, "bytes", .n = 10000, .cold = true},
	{"100,000 parked", memory, 4600, 1, "bytes", .n = 100000, .cold = true},
	{"1,000,000 parked", memory, 4420, 1, "bytes", .n = 1000000, .cold = true},
	{"19,000 dormant", memory, 300, 1, "bytes", .n = 19000, .cold = true, .variant = 1},
	{"100,000 random sleeps", random_sleeps, 0.35, 100000, "s", .n = 100000, .cold = true},
	{"1,000,000 random sleeps", random_sleeps, 2.4, 1000000, "s", .n = 1000000, .cold = true},
	{"arm and cancel beside 1,000,000", timers, 150, 1000000, "ns", .n = 1000000, .cold = true},
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
