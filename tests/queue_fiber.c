/* The event queue beside fibers: one waits for its descriptor, others and threads raise. */
#include <pthread.h>
#include <stdatomic.h>
#include <poll.h>

#include "queues.h"
#include "waits.h"

enum { RAISERS = 4, ROUNDS = 500 };

struct hall {
	fiber_queue_t *q;
	fiber_queue_user_t users[RAISERS + 1];
	_Atomic unsigned owed[RAISERS + 1];
	_Atomic unsigned next;
};

static int raises(void *arg)
{
	struct hall *h = arg;
	unsigned me = atomic_fetch_add(&h->next, 1);

	for (int i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&h->owed[me], 1);
		cr_expect(fiber_queue_user_raise(h->q, h->users[me], R) == 0);
		if (i % 8 == 0 && fiber_self().id)
			fiber_yield();
	}
	return 0;
}

static void *raises_on_a_thread(void *arg)
{
	raises(arg);
	return NULL;
}

/* Only looks, and parks in between: the worker is free. */
static void wait_for(struct hall *h, unsigned total)
{
	fiber_queue_event_t events[2];
	fiber_fd fd = fiber_queue_fd(h->q);
	unsigned sum = 0;
	int n;

	while (sum < total) {
		cr_expect(fiber_wait_fd(fd, POLLIN) > 0);
		n = fiber_queue_wait(h->q, events, 2, 0);
		cr_expect(n >= 0);
		for (int i = 0; i < n; i++)
			sum += atomic_exchange(&h->owed[events[i].token], 0);
	}
	cr_expect(sum == total);
}

static int waits_for_all(void *unused)
{
	struct hall h = {.q = queue_new()};
	fiber_t fibers[RAISERS];
	pthread_t thread;

	(void)unused;
	for (unsigned i = 0; i <= RAISERS; i++)
		cr_expect(fiber_queue_user_add(h.q, &h.users[i], i, EDGE) == 0);
	for (int i = 0; i < RAISERS; i++)
		fibers[i] = spawned(raises, &h);
	cr_expect(pthread_create(&thread, NULL, raises_on_a_thread, &h) == 0);
	wait_for(&h, (RAISERS + 1) * ROUNDS);
	for (int i = 0; i < RAISERS; i++)
		cr_expect(result_of(fibers[i]) == 0);
	pthread_join(thread, NULL);
	cr_expect(fiber_forget(fiber_queue_fd(h.q)) == 0);
	cr_expect(fiber_queue_destroy(h.q) == 0);
	return 0;
}

Test(queue_fiber, a_fiber_waits_for_a_queue_and_its_worker_goes_on, .timeout = 120)
{
	law_holds(waits_for_all, NULL);
}

static int waits_on(void *queue)
{
	return fiber_wait_fd(fiber_queue_fd(queue), POLLIN);
}

static int is_interrupted(void *unused)
{
	fiber_queue_t *q = queue_new();
	fiber_t f = spawned(waits_on, q);
	int r;

	(void)unused;
	until_it_waits_for(f, "poll");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	r = FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_wait_fd(fiber_queue_fd(q), POLLIN));
	cr_expect(r == -ETIMEDOUT);
	f = spawned(waits_on, q);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_queue_wake(q) == 0);
	cr_expect(result_of(f) == POLLIN, "a wake is seen by who polls, too");
	cr_expect(fiber_forget(fiber_queue_fd(q)) == 0);
	cr_expect(fiber_queue_destroy(q) == 0);
	return 0;
}

Test(queue_fiber, deadline_and_cancellation_end_the_wait_of_a_fiber, .timeout = 60)
{
	law_holds(is_interrupted, NULL);
}

/* The queue knows nothing of either: a fiber's sockets are its like any other's. */
static int tells_of_a_fibers_socket(void *unused)
{
	fiber_queue_t *q = queue_new();
	fiber_fd fds[2];
	char byte;

	(void)unused;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	cr_expect(fiber_queue_register(q, fds[0], 1, R) == 0);
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	cr_expect(SOON(q, 1) == R);
	cr_expect(fiber_read(fds[0], &byte, 1) == 1);
	cr_expect(NOW(q, 1) == 0);
	cr_expect(fiber_queue_deregister(q, fds[0]) == 0);
	fiber_close(fds[0]);
	fiber_close(fds[1]);
	cr_expect(fiber_queue_destroy(q) == 0);
	return 0;
}

Test(queue_fiber, a_descriptor_serves_fibers_and_a_queue_at_once, .timeout = 60)
{
	law_holds(tells_of_a_fibers_socket, NULL);
}
