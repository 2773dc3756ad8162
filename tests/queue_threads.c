/* The event queue: what other threads do while one waits, and how long a wait lasts. */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "queues.h"

enum { TOKEN = 40 };

/* A thread that waits once, for as long as it takes. */
struct waiter {
	fiber_queue_t *q;
	pthread_t thread;
	fiber_queue_event_t events[8];
	int n;
};

/* Who looks whether it waits may be in its way for a moment. */
static void *waits(void *arg)
{
	struct waiter *w = arg;

	do
		w->n = fiber_queue_wait(w->q, w->events, 8, FIBER_NEVER);
	while (w->n == -EBUSY);
	return NULL;
}

static bool started(struct waiter *w, fiber_queue_t *q)
{
	fiber_queue_event_t event;
	int r;

	w->q = q;
	r = pthread_create(&w->thread, NULL, waits, w);
	cr_expect(r == 0);
	if (r != 0)
		return false;
	while (fiber_queue_wait(q, &event, 1, 0) != -EBUSY)
		sched_yield();
	return true;
}

static void ends_with(struct waiter *w, int n, uint64_t token, unsigned ready)
{
	pthread_join(w->thread, NULL);
	cr_expect(w->n == n, "%d events, not %d", w->n, n);
	if (n == 1 && w->n == 1)
		cr_expect(w->events[0].token == token && w->events[0].ready == ready);
}

/* ---- one waiter -------------------------------------------------------------------------------*/
Test(queue_threads, one_thread_waits_at_a_time, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	struct waiter w;
	fiber_queue_event_t event;

	cr_assert(started(&w, q));
	cr_expect(fiber_queue_wait(q, &event, 1, FIBER_NEVER) == -EBUSY);
	cr_expect(fiber_queue_destroy(q) == -EBUSY, "not while somebody waits");
	cr_expect(fiber_queue_wake(q) == 0);
	ends_with(&w, 0, 0, 0);
	cr_expect(fiber_queue_wait(q, &event, 1, 0) == 0, "the next may");
	queue_gone(q);
}

/* ---- while it waits ---------------------------------------------------------------------------*/
Test(queue_threads, what_is_registered_while_one_waits_is_told_by_that_wait, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(1, 0);
	struct waiter w;

	cr_assert(started(&w, q));
	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	ends_with(&w, 1, TOKEN, R);
	close(fd);
	queue_gone(q);
}

Test(queue_threads, what_is_changed_while_one_waits_is_told_as_changed, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(0, 0);
	struct waiter w;

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_assert(started(&w, q));
	cr_expect(fiber_queue_reregister(q, fd, TOKEN + 1, W | EDGE) == 0);
	ends_with(&w, 1, TOKEN + 1, W);
	close(fd);
	queue_gone(q);
}

Test(queue_threads, what_is_deregistered_while_one_waits_is_not_told, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(0, 0);
	struct waiter w;

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_assert(started(&w, q));
	cr_expect(fiber_queue_deregister(q, fd) == 0);
	cr_expect(eventfd_write(fd, 1) == 0);
	cr_expect(fiber_queue_wake(q) == 0);
	ends_with(&w, 0, 0, 0);
	close(fd);
	queue_gone(q);
}

Test(queue_threads, a_user_event_ends_the_wait_of_another_thread, .timeout = 60)
{
	static const unsigned modes[] = {0, EDGE, ONCE};
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user;
	struct waiter w;

	for (size_t i = 0; i < 3; i++) {
		cr_expect(fiber_queue_user_add(q, &user, TOKEN + i, modes[i]) == 0);
		cr_assert(started(&w, q));
		cr_expect(fiber_queue_user_raise(q, user, R) == 0);
		ends_with(&w, 1, TOKEN + i, R);
		cr_expect(fiber_queue_user_lower(q, user, R) == 0);
		cr_assert(started(&w, q));
		cr_expect(fiber_queue_user_change(q, user, TOKEN, modes[i]) == 0);
		cr_expect(fiber_queue_user_raise(q, user, W) == 0);
		ends_with(&w, 1, TOKEN, W);
		cr_expect(fiber_queue_user_remove(q, user) == 0);
	}
	queue_gone(q);
}

/* The wait may have begun by then or not. */
Test(queue_threads, arming_again_ends_the_wait_of_another_thread, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user;
	struct waiter w;

	cr_expect(fiber_queue_user_add(q, &user, TOKEN, ONCE) == 0);
	cr_expect(fiber_queue_user_raise(q, user, R) == 0);
	cr_expect(NOW(q, TOKEN) == R);
	cr_assert(started(&w, q));
	cr_expect(fiber_queue_user_change(q, user, TOKEN + 1, ONCE) == 0);
	ends_with(&w, 1, TOKEN + 1, R);
	queue_gone(q);
}

/* ---- how long ---------------------------------------------------------------------------------*/
static int64_t lasted(fiber_queue_t *q, int64_t timeout_ns)
{
	fiber_queue_event_t event;
	int64_t began = fiber_now();

	cr_expect(fiber_queue_wait(q, &event, 1, timeout_ns) == 0);
	return fiber_now() - began;
}

Test(queue_threads, a_wait_ends_on_time_and_never_early, .timeout = 60)
{
	static const int64_t times[] = {INT64_MIN, -1, 0, 1, 50 * FIBER_MICROSECOND,
					FIBER_MILLISECOND, 1500 * FIBER_MICROSECOND,
					20 * FIBER_MILLISECOND, 100 * FIBER_MILLISECOND};
	fiber_queue_t *q = queue_new();
	int64_t took;

	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		took = lasted(q, times[i]);
		cr_expect(took >= times[i], "%lld ns, not %lld", (long long)took,
			  (long long)times[i]);
		cr_expect(took < 10 * FIBER_SECOND, "some day is too late");
	}
	queue_gone(q);
}

Test(queue_threads, a_wait_for_a_very_long_time_is_one_for_ever, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_event_t event;

	for (int i = 0; i < 3; i++) {
		cr_expect(fiber_queue_wake(q) == 0);
		cr_expect(fiber_queue_wait(q, &event, 1, FIBER_NEVER - i) == 0, "woken");
	}
	queue_gone(q);
}

/* Threads take turns at waiting; what one of them left the next one gets. */
static void *one_look(void *arg)
{
	struct waiter *w = arg;

	w->n = fiber_queue_wait(w->q, w->events, 1, PATIENCE);
	return NULL;
}

Test(queue_threads, threads_may_wait_in_turns, .timeout = 60)
{
	struct waiter w = {.q = queue_new()};
	int fds[10];
	uint64_t seen = 0;

	for (uint64_t i = 0; i < 10; i++) {
		fds[i] = eventfd(1, 0);
		cr_expect(fiber_queue_register(w.q, fds[i], i, R | EDGE) == 0);
	}
	for (int i = 0; i < 10; i++) {
		cr_expect(pthread_create(&w.thread, NULL, one_look, &w) == 0);
		pthread_join(w.thread, NULL);
		cr_expect(w.n == 1);
		seen |= 1u << w.events[0].token;
	}
	cr_expect(seen == 1023, "each once: %llx", (unsigned long long)seen);
	for (int i = 0; i < 10; i++)
		close(fds[i]);
	queue_gone(w.q);
}
