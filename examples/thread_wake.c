/* thread_wake.c - a thread that knows nothing of fibers hands its result to one. While the fiber is
 * parked its worker serves the others: the ticker goes on. */
#include <fiber.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct work {
	fiber_t waiter;
	int answer;
	atomic_bool ready; /* the thread's store (release) pairs with the fiber's load (acquire) */
};

static void *think(void *arg)
{
	struct work *work = arg;

	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* a library that blocks */
	work->answer = 42;
	atomic_store_explicit(&work->ready, true, memory_order_release);
	fiber_unpark(work->waiter);
	return NULL;
}

static int tick(void *arg)
{
	int *ticks = arg;

	while (fiber_sleep(10 * FIBER_MILLISECOND) == 0)
		++*ticks;
	return 0;
}

static int ask(void *unused)
{
	struct work work = {.waiter = fiber_self()};
	int ticks = 0, r = 0;
	fiber_t ticker;
	pthread_t thread;

	(void)unused;
	if ((r = fiber_spawn(&ticker, NULL, tick, &ticks)) < 0)
		return r;
	if (pthread_create(&thread, NULL, think, &work) == 0) {
		/* Somebody else may have unparked us: only the flag tells. */
		while (r == 0 && !atomic_load_explicit(&work.ready, memory_order_acquire))
			r = fiber_park();
		pthread_join(thread, NULL);
	}
	fiber_cancel(ticker);
	fiber_join(ticker, NULL);
	printf("the thread says %d; meanwhile the ticker %s\n", work.answer,
	       ticks > 0 ? "ticked" : "stood still");
	return r;
}

int main(void)
{
	return fiber_run(&(fiber_options_t){.workers = 1}, ask, NULL) < 0;
}
