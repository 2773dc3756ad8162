/* The event queue: the three modes, on descriptors of every kind. */
#include <sys/eventfd.h>

#include "queues.h"

enum { TOKEN = 77 };

/* law(queue, a pair) for every kind of pair. */
static void for_each_pair(void (*law)(fiber_queue_t *, int[2]))
{
	for (int kind = 0; kind < PAIR_KINDS; kind++) {
		fiber_queue_t *q = queue_new();
		int fds[2];

		if (!pair_open((enum pair_kind)kind, fds))
			continue;
		law(q, fds);
		pair_close(fds);
		queue_gone(q);
	}
}

/* ---- level ------------------------------------------------------------------------------------*/
static void level(fiber_queue_t *q, int fds[2])
{
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R) == 0);
	cr_expect(NOW(q, TOKEN) == 0, "nothing has come");
	put(fds[1], "ab");
	for (int i = 0; i < 5; i++)
		cr_expect(SOON(q, TOKEN) == R, "as long as it is so");
	drain(fds[0]);
	cr_expect(NOW(q, TOKEN) == 0, "it was read");
}

Test(queue, level_mode_tells_at_every_wait_what_is_so, .timeout = 60)
{
	for_each_pair(level);
}

static void level_writable(fiber_queue_t *q, int fds[2])
{
	cr_expect(fiber_queue_register(q, fds[1], TOKEN, W) == 0);
	for (int i = 0; i < 3; i++)
		cr_expect(NOW(q, TOKEN) == W);
	fill(fds[1]);
	cr_expect(NOW(q, TOKEN) == 0, "no room");
	while (drain(fds[0]) && NOW(q, TOKEN) == 0)
		;
	cr_expect(SOON(q, TOKEN) == W, "room again");
}

Test(queue, what_has_room_is_writable_and_what_is_full_is_not, .timeout = 60)
{
	for_each_pair(level_writable);
}

/* ---- edge -------------------------------------------------------------------------------------*/
static void edge(fiber_queue_t *q, int fds[2])
{
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | EDGE) == 0);
	put(fds[1], "a");
	cr_expect(SOON(q, TOKEN) == R);
	cr_expect(NOW(q, TOKEN) == 0, "told once");
	put(fds[1], "b");
	cr_expect(SOON(q, TOKEN) == R, "more has come");
	cr_expect(NOW(q, TOKEN) == 0);
	drain(fds[0]);
	cr_expect(NOW(q, TOKEN) == 0);
	put(fds[1], "c");
	cr_expect(SOON(q, TOKEN) == R);
}

Test(queue, edge_mode_tells_once_and_again_when_more_comes, .timeout = 60)
{
	for_each_pair(edge);
}

static void edge_at_first(fiber_queue_t *q, int fds[2])
{
	put(fds[1], "a");
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | EDGE) == 0);
	cr_expect(SOON(q, TOKEN) == R, "it was there before");
	cr_expect(NOW(q, TOKEN) == 0);
}

Test(queue, edge_mode_tells_what_was_ready_before, .timeout = 60)
{
	for_each_pair(edge_at_first);
}

static void edge_again(fiber_queue_t *q, int fds[2])
{
	put(fds[1], "a");
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | EDGE) == 0);
	for (uint64_t i = 0; i < 5; i++) {
		cr_expect(SOON(q, TOKEN + i) == R);
		cr_expect(NOW(q, TOKEN + i) == 0);
		cr_expect(fiber_queue_reregister(q, fds[0], TOKEN + i + 1, R | EDGE) == 0);
	}
	drain(fds[0]);
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, R | EDGE) == 0);
	cr_expect(NOW(q, TOKEN) == 0, "nothing is ready");
}

Test(queue, registering_again_arms_edge_mode, .timeout = 60)
{
	for_each_pair(edge_again);
}

static void edge_writable(fiber_queue_t *q, int fds[2])
{
	cr_expect(fiber_queue_register(q, fds[1], TOKEN, W | EDGE) == 0);
	cr_expect(SOON(q, TOKEN) == W);
	cr_expect(NOW(q, TOKEN) == 0);
	fill(fds[1]);
	cr_expect(NOW(q, TOKEN) == 0);
	/* TCP moves bytes from one end to the other while we look. */
	while (drain(fds[0]) > 0)
		;
	cr_expect(SOON(q, TOKEN) == W, "room again");
}

Test(queue, edge_mode_tells_when_there_is_room_again, .timeout = 60)
{
	for_each_pair(edge_writable);
}

/* ---- one-shot ---------------------------------------------------------------------------------*/
static void once(fiber_queue_t *q, int fds[2])
{
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | ONCE) == 0);
	cr_expect(NOW(q, TOKEN) == 0);
	put(fds[1], "a");
	cr_expect(SOON(q, TOKEN) == R);
	put(fds[1], "b");
	cr_expect(NOW(q, TOKEN) == 0, "told once, whatever comes");
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | ONCE) == -EEXIST, "still registered");
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN + 1, R | ONCE) == 0);
	cr_expect(SOON(q, TOKEN + 1) == R, "armed anew");
	cr_expect(NOW(q, TOKEN + 1) == 0);
	drain(fds[0]);
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, R | ONCE) == 0);
	cr_expect(NOW(q, TOKEN) == 0, "armed, but nothing is ready");
	put(fds[1], "c");
	cr_expect(SOON(q, TOKEN) == R);
	cr_expect(fiber_queue_deregister(q, fds[0]) == 0);
}

Test(queue, one_shot_mode_tells_once_until_registered_again, .timeout = 60)
{
	for_each_pair(once);
}

/* One event is one, whichever of the two it was for. */
Test(queue, one_shot_mode_falls_silent_for_everything_asked_for, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(UNIX, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | W | ONCE) == 0);
	cr_expect(NOW(q, TOKEN) == W);
	put(fds[1], "a");
	cr_expect(NOW(q, TOKEN) == 0, "readable too by now, but it was told");
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | W | ONCE) == -EEXIST);
	cr_expect(NOW(q, TOKEN) == 0, "a refusal arms nothing");
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, R | W | ONCE) == 0);
	cr_expect(NOW(q, TOKEN) == (R | W));
	cr_expect(NOW(q, TOKEN) == 0);
	pair_close(fds);
	queue_gone(q);
}

Test(queue, edge_mode_tells_each_of_several_interests, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fds[2];

	cr_assert(pair_open(UNIX, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, R | W | EDGE) == 0);
	cr_expect(NOW(q, TOKEN) == W);
	cr_expect(NOW(q, TOKEN) == 0);
	put(fds[1], "a");
	cr_expect(SOON(q, TOKEN) & R);
	cr_expect(NOW(q, TOKEN) == 0);
	fill(fds[0]);
	drain(fds[1]);
	cr_expect(SOON(q, TOKEN) & W, "room again");
	pair_close(fds);
	queue_gone(q);
}

/* ---- what is asked for ------------------------------------------------------------------------*/
static void interests(fiber_queue_t *q, int fds[2])
{
	int both[2];

	(void)fds;
	if (!pair_open(UNIX, both))
		return;
	put(both[1], "a");
	cr_expect(fiber_queue_register(q, both[0], TOKEN, W) == 0);
	cr_expect(NOW(q, TOKEN) == W, "what nobody asked for is not told");
	cr_expect(fiber_queue_reregister(q, both[0], TOKEN, R) == 0);
	cr_expect(NOW(q, TOKEN) == R);
	cr_expect(fiber_queue_reregister(q, both[0], TOKEN, R | W) == 0);
	cr_expect(NOW(q, TOKEN) == (R | W), "both in one event");
	cr_expect(fiber_queue_deregister(q, both[0]) == 0);
	cr_expect(NOW(q, TOKEN) == 0, "deregistered");
	pair_close(both);
}

Test(queue, only_what_was_asked_for_is_told, .timeout = 60)
{
	for_each_pair(interests);
}

Test(queue, urgent_data_is_a_priority, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fds[2];
	char byte;

	cr_assert(pair_open(TCP, fds));
	cr_expect(fiber_queue_register(q, fds[0], TOKEN, P) == 0);
	put(fds[1], "a");
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(send(fds[1], "!", 1, MSG_OOB) == 1);
	cr_expect(SOON(q, TOKEN) == P);
	cr_expect(recv(fds[0], &byte, 1, MSG_OOB) == 1 && byte == '!');
	cr_expect(fiber_queue_reregister(q, fds[0], TOKEN, R | P | EDGE) == 0);
	cr_expect(SOON(q, TOKEN) == R);
	pair_close(fds);
	queue_gone(q);
}

Test(queue, an_eventfd_is_readable_while_it_counts, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t value = 0;

	cr_expect(fiber_queue_register(q, fd, TOKEN, R) == 0);
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(eventfd_write(fd, 3) == 0 && eventfd_write(fd, 4) == 0);
	cr_expect(SOON(q, TOKEN) == R);
	cr_expect(eventfd_read(fd, &value) == 0 && value == 7);
	cr_expect(NOW(q, TOKEN) == 0);
	cr_expect(fiber_queue_reregister(q, fd, TOKEN, R | W) == 0);
	cr_expect(NOW(q, TOKEN) == W);
	close(fd);
	queue_gone(q);
}

/* A pointer comes back whole, and so does every bit of a number. */
Test(queue, tokens_come_back_as_they_were, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(1, 0);

	cr_expect(fiber_queue_register(q, fd, (uintptr_t)&fd, R) == 0);
	cr_expect(NOW(q, (uintptr_t)&fd) == R);
	cr_expect(fiber_queue_reregister(q, fd, UINT64_MAX, R) == 0);
	cr_expect(NOW(q, UINT64_MAX) == R);
	cr_expect(fiber_queue_reregister(q, fd, 0, R) == 0);
	cr_expect(NOW(q, 0) == R);
	close(fd);
	queue_gone(q);
}

static void count_all(fiber_queue_t *q, unsigned bits[2])
{
	fiber_queue_event_t events[8];
	int n = fiber_queue_wait(q, events, 8, 0);

	bits[0] = bits[1] = 0;
	for (int i = 0; i < n; i++)
		bits[events[i].token & 1] |= events[i].ready;
}

/* A duplicate is a source of its own. */
Test(queue, a_descriptor_and_its_duplicate_are_told_apart, .timeout = 60)
{
	fiber_queue_t *q = queue_new();
	int fd = eventfd(1, 0), copy = dup(fd);
	unsigned bits[2];

	cr_expect(fiber_queue_register(q, fd, 0, R) == 0);
	cr_expect(fiber_queue_register(q, copy, 1, W) == 0);
	count_all(q, bits);
	cr_expect(bits[0] == R && bits[1] == W);
	cr_expect(fiber_queue_deregister(q, fd) == 0);
	cr_expect(NOW(q, 1) == W);
	close(fd);
	close(copy);
	queue_gone(q);
}
