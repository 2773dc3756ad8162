/* The event queue: user events in every mode, wake-ups, and events that are void. */
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#include "queues.h"

enum { TOKEN = 21 };

static fiber_queue_user_t user_new(fiber_queue_t *q, uint64_t token, unsigned mode)
{
	fiber_queue_user_t user = {0};

	cr_expect(fiber_queue_user_add(q, &user, token, mode) == 0);
	return user;
}

static void raise_it(fiber_queue_t *q, fiber_queue_user_t user, unsigned ready)
{
	cr_expect(fiber_queue_user_raise(q, user, ready) == 0);
}

static void lower_it(fiber_queue_t *q, fiber_queue_user_t user, unsigned ready)
{
	cr_expect(fiber_queue_user_lower(q, user, ready) == 0);
}

/* ---- modes ------------------------------------------------------------------------------------*/
Test(queue_user, level_is_told_until_it_is_lowered, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, 0);

	cr_expect(NOW(q, TOKEN) == 0);
	raise_it(q, user, R);
	cr_expect(SOON(q, TOKEN) == R);
	cr_expect(SOON(q, TOKEN) == R);
	raise_it(q, user, W | RC);
	cr_expect(SOON(q, TOKEN) == (R | W | RC));
	lower_it(q, user, R | RC);
	cr_expect(SOON(q, TOKEN) == W);
	lower_it(q, user, W);
	cr_expect(NOW(q, TOKEN) == 0);
	queue_gone(q);
}

Test(queue_user, edge_is_told_once_for_each_raise, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, EDGE);

	for (int i = 0; i < 3; i++) {
		raise_it(q, user, R);
		cr_expect(SOON(q, TOKEN) == R);
		cr_expect(NOW(q, TOKEN) == 0);
	}
	raise_it(q, user, ERR);
	cr_expect(SOON(q, TOKEN) == (R | ERR), "what it is ready for, all of it");
	cr_expect(fiber_queue_user_change(q, user, TOKEN + 1, EDGE) == 0);
	cr_expect(SOON(q, TOKEN + 1) == (R | ERR), "armed anew");
	cr_expect(NOW(q, TOKEN + 1) == 0);
	lower_it(q, user, R | ERR);
	cr_expect(fiber_queue_user_change(q, user, TOKEN, EDGE) == 0);
	cr_expect(NOW(q, TOKEN) == 0, "nothing to tell");
	queue_gone(q);
}

Test(queue_user, one_shot_is_told_once_until_changed, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, ONCE);

	raise_it(q, user, P);
	cr_expect(SOON(q, TOKEN) == P);
	raise_it(q, user, P);
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(fiber_queue_user_change(q, user, TOKEN, ONCE) == 0);
	cr_expect(SOON(q, TOKEN) == P, "still raised");
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(fiber_queue_user_change(q, user, TOKEN, 0) == 0);
	cr_expect(SOON(q, TOKEN) == P);
	cr_expect(SOON(q, TOKEN) == P, "level by now");
	queue_gone(q);
}

Test(queue_user, raises_before_the_event_are_one_event, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, EDGE);

	for (int i = 0; i < 1000; i++)
		raise_it(q, user, i % 2 ? R : W);
	cr_expect(SOON(q, TOKEN) == (R | W));
	cr_expect(NOW(q, TOKEN) == 0);
	queue_gone(q);
}

Test(queue_user, what_is_lowered_in_time_is_not_told, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, EDGE);

	raise_it(q, user, R | W);
	lower_it(q, user, W);
	cr_expect(SOON(q, TOKEN) == R);
	raise_it(q, user, R);
	lower_it(q, user, R);
	cr_expect(NOW(q, TOKEN) == 0);
	queue_gone(q);
}

Test(queue_user, what_was_removed_is_unknown_and_not_told, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, 0), other;

	raise_it(q, user, R);
	cr_expect(fiber_queue_user_remove(q, user) == 0);
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(fiber_queue_user_remove(q, user) == -ENOENT);
	cr_expect(fiber_queue_user_raise(q, user, R) == -ENOENT);
	cr_expect(fiber_queue_user_lower(q, user, R) == -ENOENT);
	cr_expect(fiber_queue_user_change(q, user, TOKEN, 0) == -ENOENT);
	other = user_new(q, TOKEN + 1, 0);
	cr_expect(fiber_queue_user_raise(q, user, R) == -ENOENT, "its place is another's");
	cr_expect(NOW(q, TOKEN + 1) == 0);
	raise_it(q, other, W);
	cr_expect(SOON(q, TOKEN + 1) == W);
	queue_gone(q);
}

/* A descriptor's id is no user event's, and has one of its own. */
Test(queue_user, descriptors_and_user_events_do_not_mix, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, EDGE), forged;
	fiber_queue_event_t events[4];
	int fd = eventfd(1, 0), n;

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	raise_it(q, user, W);
	n = fiber_queue_wait(q, events, 4, 0);
	cr_expect(n == 2);
	for (int i = 0; i < n; i++)
		if (events[i].ready == R) {
			forged.private_ = events[i].source_;
			cr_expect(fiber_queue_user_raise(q, forged, W) == -ENOENT);
			cr_expect(fiber_queue_user_remove(q, forged) == -ENOENT);
		}
	cr_expect(NOW(q, TOKEN) == R);
	close(fd);
	queue_gone(q);
}

/* ---- void events ------------------------------------------------------------------------------*/
/* All three are told in one batch; then, as a callback would, the first ends or changes others. */
Test(queue_user, events_of_a_batch_are_void_once_their_source_ended_or_changed, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, 3, EDGE);
	fiber_queue_event_t events[8];
	int fds[3], n;

	for (uint64_t i = 0; i < 3; i++) {
		fds[i] = eventfd(1, 0);
		cr_expect(fiber_queue_register(q, fds[i], i, R) == 0);
	}
	raise_it(q, user, R);
	n = fiber_queue_wait(q, events, 8, PATIENCE);
	cr_expect(n == 4);
	cr_expect(fiber_queue_deregister(q, fds[0]) == 0);
	cr_expect(fiber_queue_register(q, fds[0], 0, R) == 0, "the same number, the same place");
	cr_expect(fiber_queue_reregister(q, fds[1], 1, W) == 0);
	cr_expect(fiber_queue_user_remove(q, user) == 0);
	for (int i = 0; i < n; i++)
		cr_expect(fiber_queue_current(q, &events[i]) == (events[i].token == 2));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	queue_gone(q);
}

Test(queue_user, what_was_deregistered_is_never_told, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(1, 0);

	for (uint64_t i = 0; i < 1000; i++) {
		cr_expect(fiber_queue_register(q, fd, i, R | (i % 2 ? EDGE : 0)) == 0);
		if (i % 3 == 0)
			cr_expect(NOW(q, i) == R);
		cr_expect(fiber_queue_deregister(q, fd) == 0);
		cr_expect(NOW(q, i) == 0);
	}
	close(fd);
	queue_gone(q);
}

/* ---- wake -------------------------------------------------------------------------------------*/
Test(queue_user, a_wake_ends_one_wait_with_no_event, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_event_t event;

	for (int i = 0; i < 100; i++) {
		for (int j = 0; j <= i % 3; j++)
			cr_expect(fiber_queue_wake(q) == 0);
		cr_expect(fiber_queue_wait(q, &event, 1, PATIENCE) == 0);
	}
	cr_expect(fiber_queue_wait(q, &event, 1, FIBER_MILLISECOND) == 0, "the time ends it");
	queue_gone(q);
}

Test(queue_user, a_wake_takes_no_room_from_events, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, EDGE);
	fiber_queue_event_t event;
	int fd = eventfd(1, 0);

	cr_expect(fiber_queue_fd(q) >= 0, "every raise rings");
	raise_it(q, user, R);
	lower_it(q, user, R);
	cr_expect(fiber_queue_register(q, fd, TOKEN, R | EDGE) == 0, "behind the bell");
	cr_expect(fiber_queue_wait(q, &event, 1, 0) == 1, "not even the last one");
	close(fd);
	queue_gone(q);
}

static fiber_queue_t *rings;

static void ring(int number)
{
	(void)number;
	fiber_queue_wake(rings);
}

static void nothing(int number)
{
	(void)number;
}

/* There only with the stand-in, which takes locks where a kernel takes none. */
int kqueue(void) __attribute__((__weak__));

/* The alarm comes in the middle of the wait, or before it: either ends it. */
Test(queue_user, a_signal_handler_wakes_a_wait, .timeout = 60)
{
	struct sigaction a = {.sa_handler = ring};
	struct itimerval soon = {.it_value.tv_usec = 1000};
	fiber_queue_event_t event;

	if (kqueue)
		cr_skip_test("the stand-in for kqueue is not for signal handlers");
	rings = queue_new();
	cr_expect(sigaction(SIGALRM, &a, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		cr_expect(setitimer(ITIMER_REAL, &soon, NULL) == 0);
		cr_expect(fiber_queue_wait(rings, &event, 1, FIBER_NEVER) == 0);
	}
	queue_gone(rings);
}

Test(queue_user, a_signal_alone_ends_no_wait, .timeout = 60)
{
	struct sigaction a = {.sa_handler = nothing};
	struct itimerval often = {.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000};
	fiber_queue_t *q = queue_new();
	fiber_queue_event_t event;
	int64_t began = fiber_now();

	cr_expect(sigaction(SIGALRM, &a, NULL) == 0);
	cr_expect(setitimer(ITIMER_REAL, &often, NULL) == 0);
	cr_expect(fiber_queue_wait(q, &event, 1, 30 * FIBER_MILLISECOND) == 0);
	cr_expect(fiber_now() - began >= 30 * FIBER_MILLISECOND);
	often = (struct itimerval){0};
	setitimer(ITIMER_REAL, &often, NULL);
	queue_gone(q);
}

/* ---- the queue's own descriptor ---------------------------------------------------------------*/
static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

Test(queue_user, the_queues_descriptor_is_readable_when_something_is_to_be_told, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	fiber_queue_user_t user = user_new(q, TOKEN, 0), early = user_new(q, TOKEN, EDGE);
	fiber_queue_event_t events[2];
	int fd, source = eventfd(0, EFD_NONBLOCK);

	raise_it(q, early, R);
	fd = fiber_queue_fd(q);
	cr_expect(readable(fd), "raised before it was asked for");
	cr_expect(NOW(q, TOKEN) == R);
	cr_expect(!readable(fd));
	raise_it(q, user, W);
	cr_expect(readable(fd));
	for (int i = 0; i < 3; i++) {
		cr_expect(NOW(q, TOKEN) == W);
		cr_expect(readable(fd), "level: still raised");
	}
	raise_it(q, early, R);
	cr_expect(fiber_queue_wait(q, events, 1, 0) == 1);
	cr_expect(readable(fd), "the other one is left");
	lower_it(q, user, W);
	while (fiber_queue_wait(q, events, 2, 0) > 0)
		;
	cr_expect(!readable(fd));
	cr_expect(fiber_queue_register(q, source, TOKEN, R) == 0);
	cr_expect(!readable(fd));
	cr_expect(eventfd_write(source, 1) == 0);
	cr_expect(readable(fd), "a descriptor is ready");
	drain(source);
	cr_expect(fiber_queue_wake(q) == 0);
	cr_expect(readable(fd), "a wake would end a wait");
	cr_expect(fiber_queue_wait(q, events, 2, 0) == 0);
	cr_expect(!readable(fd));
	close(source);
	queue_gone(q);
}
