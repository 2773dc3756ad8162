/* Channels: what each call returns, order, close, item sizes, interruptions, misuse. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <string.h>

#include "law.h"
#include "waits.h"

static fiber_chan_t *chan_of(size_t item_bytes, size_t capacity)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_chan_create(&c, item_bytes, capacity) == 0);
	return c;
}

/* What a fiber does with a channel. */
struct job {
	fiber_chan_t *chan;
	int value;
	int64_t until;
};

static int send_value(void *arg)
{
	struct job *job = arg;

	return fiber_chan_send(job->chan, &job->value);
}

static int recv_value(void *arg)
{
	struct job *job = arg;

	return fiber_chan_recv(job->chan, &job->value);
}

/* ---- order ------------------------------------------------------------------------------------*/
enum { MANY = 1000 };

static int send_many(void *chan)
{
	int r = 0;

	for (int i = 0; i < MANY && r == 0; i++)
		r = fiber_chan_send(chan, &i);
	return r;
}

static int in_order(void *capacity)
{
	fiber_chan_t *c = chan_of(sizeof(int), (size_t)(uintptr_t)capacity);
	fiber_t sender = spawned(send_many, c);
	int got = -1;

	for (int i = 0; i < MANY; i++)
		cr_expect(fiber_chan_recv(c, &got) == 0 && got == i, "%d, not %d", got, i);
	cr_expect(result_of(sender) == 0);
	cr_expect(fiber_chan_try_recv(c, &got) == -EAGAIN);
	fiber_chan_free(c);
	return 0;
}

Test(chan, items_come_in_the_order_they_were_sent, .timeout = 20)
{
	for (uintptr_t capacity = 0; capacity < 5; capacity++)
		law_holds(in_order, (void *)capacity);
}

/*	main            first           second          third
 *	                send 1: waits
 *	                                send 2: waits
 *	                                                send 3: waits
 *	recv, recv, recv                                        <- and so come their items
 */
static int oldest_first(void *capacity)
{
	fiber_chan_t *c = chan_of(sizeof(int), (size_t)(uintptr_t)capacity);
	struct job jobs[6];
	fiber_t senders[6];
	int got;

	for (int i = 0; i < 6; i++) {
		jobs[i] = (struct job){.chan = c, .value = i};
		senders[i] = spawned(send_value, &jobs[i]);
		if (i >= (int)(uintptr_t)capacity)
			until_it_waits_for(senders[i], "chan send");
		else
			cr_expect(result_of(senders[i]) == 0, "there was room");
	}
	for (int i = 0; i < 6; i++)
		cr_expect(fiber_chan_recv(c, &got) == 0 && got == i, "%d, not %d", got, i);
	for (int i = (int)(uintptr_t)capacity; i < 6; i++)
		cr_expect(result_of(senders[i]) == 0);
	fiber_chan_free(c);
	return 0;
}

Test(chan, the_sender_that_waits_longest_is_served_first, .timeout = 20)
{
	law_holds(oldest_first, (void *)0);
	law_holds(oldest_first, (void *)2);
}

static int receivers_in_order(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 0);
	struct job jobs[4];
	fiber_t receivers[4];

	(void)arg;
	for (int i = 0; i < 4; i++) {
		jobs[i] = (struct job){.chan = c, .value = -1};
		receivers[i] = spawned(recv_value, &jobs[i]);
		until_it_waits_for(receivers[i], "chan recv");
	}
	for (int i = 0; i < 4; i++)
		cr_expect(fiber_chan_try_send(c, &i) == 0, "somebody waits");
	for (int i = 0; i < 4; i++)
		cr_expect(result_of(receivers[i]) == 0 && jobs[i].value == i);
	fiber_chan_free(c);
	return 0;
}

Test(chan, the_receiver_that_waits_longest_is_served_first, .timeout = 20)
{
	law_holds(receivers_in_order, NULL);
}

/* ---- room -------------------------------------------------------------------------------------*/
static int capacity_exact(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 3), *meeting = chan_of(sizeof(int), 0);
	int got, sent = 0, received = 0;

	(void)arg;
	cr_expect(fiber_chan_try_send(meeting, &sent) == -EAGAIN, "a meeting needs two");
	cr_expect(fiber_chan_count(meeting) == 0);
	for (int round = 0; round < 10; round++) { /* round the ring, from each beginning */
		for (int i = 0; i < 3; i++, sent++) {
			cr_expect(fiber_chan_count(c) == (size_t)i);
			cr_expect(fiber_chan_try_send(c, &sent) == 0);
		}
		cr_expect(fiber_chan_try_send(c, &sent) == -EAGAIN);
		for (int i = 0; i < 2 + (round == 9); i++, received++)
			cr_expect(fiber_chan_recv(c, &got) == 0 && got == received);
		if (round < 9) {
			cr_expect(fiber_chan_recv(c, &got) == 0 && got == received);
			received++;
			cr_expect(fiber_chan_try_send(c, &sent) == 0);
			sent++;
			cr_expect(fiber_chan_recv(c, &got) == 0 && got == received);
			received++;
		}
		cr_expect(fiber_chan_try_recv(c, &got) == -EAGAIN);
	}
	fiber_chan_free(meeting);
	fiber_chan_free(c);
	return 0;
}

Test(chan, it_holds_its_capacity_and_no_more, .timeout = 20)
{
	law_holds(capacity_exact, NULL);
}

/* ---- close ------------------------------------------------------------------------------------*/
static int drains(void *arg)
{
	fiber_chan_t *c = chan_of(sizeof(int), 4);
	int got;

	(void)arg;
	for (int i = 0; i < 3; i++)
		cr_expect(fiber_chan_send(c, &i) == 0);
	cr_expect(fiber_chan_close(c) == 0);
	cr_expect(fiber_chan_close(c) == -EALREADY);
	cr_expect(fiber_chan_send(c, &got) == -EPIPE);
	cr_expect(fiber_chan_try_send(c, &got) == -EPIPE);
	cr_expect(fiber_chan_count(c) == 3);
	for (int i = 0; i < 3; i++)
		cr_expect(fiber_chan_recv(c, &got) == 0 && got == i);
	got = 17;
	cr_expect(fiber_chan_recv(c, &got) == -EPIPE && got == 17);
	cr_expect(fiber_chan_try_recv(c, &got) == -EPIPE && got == 17);
	cr_expect(fiber_chan_recv_until(c, &got, 0) == -EPIPE, "before its time is looked at");
	fiber_chan_free(c);
	return 0;
}

Test(chan, a_closed_channel_is_drained_and_then_at_its_end, .timeout = 20)
{
	law_holds(drains, NULL);
}

static int close_wakes(void *arg)
{
	fiber_chan_t *full = chan_of(sizeof(int), 1), *empty = chan_of(sizeof(int), 1);
	struct job send = {.chan = full, .value = 2}, recv = {.chan = empty, .value = 17};
	fiber_t f[8];
	int got;

	(void)arg;
	cr_expect(fiber_chan_send(full, &(int){1}) == 0);
	for (int i = 0; i < 8; i++) {
		f[i] = i & 1 ? spawned(send_value, &send) : spawned(recv_value, &recv);
		until_it_waits_for(f[i], i & 1 ? "chan send" : "chan recv");
	}
	cr_expect(fiber_chan_close(full) == 0 && fiber_chan_close(empty) == 0);
	for (int i = 0; i < 8; i++)
		cr_expect(result_of(f[i]) == -EPIPE);
	cr_expect(recv.value == 17);
	cr_expect(fiber_chan_recv(full, &got) == 0 && got == 1);
	cr_expect(fiber_chan_recv(full, &got) == -EPIPE, "those who were refused sent nothing");
	fiber_chan_free(full);
	fiber_chan_free(empty);
	return 0;
}

Test(chan, closing_wakes_all_who_wait, .timeout = 20)
{
	law_holds(close_wakes, NULL);
}

/* ---- items ------------------------------------------------------------------------------------*/
struct framed {
	unsigned char before, item[100], after;
};

static int recv_framed(void *arg)
{
	struct { fiber_chan_t *chan; struct framed to; } *job = arg;

	return fiber_chan_recv(job->chan, job->to.item);
}

/* The four ways an item goes: into the ring and out of it, to a receiver that waits, from a sender
 * that waits, from one into the ring. */
static void sizes(size_t bytes, size_t capacity)
{
	struct { fiber_chan_t *chan; struct framed to; } job = {.chan = chan_of(bytes, capacity)};
	unsigned char item[100];
	fiber_t receiver;

	for (int i = 0; i < 100; i++)
		item[i] = (unsigned char)(i + 1);
	receiver = spawned(recv_framed, &job);
	until_it_waits_for(receiver, "chan recv");
	cr_expect(fiber_chan_send(job.chan, bytes ? item : NULL) == 0);
	cr_expect(result_of(receiver) == 0);
	cr_expect(memcmp(job.to.item, item, bytes) == 0);
	for (size_t i = bytes; i < 100; i++)
		cr_expect(job.to.item[i] == 0, "byte %zu of an item of %zu", i, bytes);
	cr_expect(job.to.before == 0 && job.to.after == 0);
	for (size_t i = 0; i < capacity; i++) {
		item[0] = (unsigned char)i;
		cr_expect(fiber_chan_send(job.chan, bytes ? item : NULL) == 0);
	}
	for (size_t i = 0; i < capacity; i++) {
		item[0] = (unsigned char)i;
		cr_expect(fiber_chan_recv(job.chan, job.to.item) == 0);
		cr_expect(memcmp(job.to.item, item, bytes) == 0);
	}
	fiber_chan_free(job.chan);
}

static int all_sizes(void *arg)
{
	static const size_t bytes[] = {0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 100};

	(void)arg;
	for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
		for (size_t capacity = 0; capacity < 4; capacity++)
			sizes(bytes[i], capacity);
	return 0;
}

Test(chan, items_of_any_size_arrive_whole, .timeout = 20)
{
	law_holds(all_sizes, NULL);
}

static int send_nothing(void *chan)
{
	return fiber_chan_send(chan, NULL);
}

static int recv_nothing(void *chan)
{
	return fiber_chan_recv(chan, NULL);
}

/* With NULL on both sides; copying no bytes from nowhere is still undefined for memcpy. */
static int events_only(void *arg)
{
	fiber_chan_t *chans[] = {chan_of(0, 0), chan_of(0, 1), chan_of(0, SIZE_MAX)};
	char item[1];

	(void)arg;
	for (int i = 0; i < 2; i++) {
		fiber_t f = spawned(recv_nothing, chans[i]);

		until_it_waits_for(f, "chan recv");
		cr_expect(fiber_chan_send(chans[i], NULL) == 0 && result_of(f) == 0);
		if (i == 1)
			cr_expect(fiber_chan_send(chans[i], NULL) == 0);
		f = spawned(send_nothing, chans[i]);
		until_it_waits_for(f, "chan send");
		cr_expect(fiber_chan_recv(chans[i], item) == 0 && result_of(f) == 0);
	}
	for (size_t i = 0; i < 1000; i++)
		cr_expect(fiber_chan_send(chans[2], NULL) == 0);
	cr_expect(fiber_chan_count(chans[2]) == 1000);
	for (int i = 0; i < 3; i++)
		fiber_chan_free(chans[i]);
	return 0;
}

Test(chan, of_items_without_bytes_only_the_event_counts, .timeout = 20)
{
	law_holds(events_only, NULL);
}

static int dropped(void *arg)
{
	fiber_chan_t *meeting = chan_of(sizeof(int), 0), *ring = chan_of(sizeof(int), 2);
	struct job job = {.chan = meeting, .value = 5};
	fiber_t f = spawned(send_value, &job);
	int got;

	(void)arg;
	until_it_waits_for(f, "chan send");
	cr_expect(fiber_chan_recv(meeting, NULL) == 0 && result_of(f) == 0);
	f = spawned(recv_nothing, meeting);
	until_it_waits_for(f, "chan recv");
	cr_expect(fiber_chan_send(meeting, &(int){6}) == 0 && result_of(f) == 0);
	cr_expect(fiber_chan_send(ring, &(int){7}) == 0 && fiber_chan_send(ring, &(int){8}) == 0);
	cr_expect(fiber_chan_try_recv(ring, NULL) == 0);
	cr_expect(fiber_chan_recv(ring, &got) == 0 && got == 8);
	fiber_chan_free(meeting);
	fiber_chan_free(ring);
	return 0;
}

Test(chan, an_item_that_nobody_wants_is_dropped, .timeout = 20)
{
	law_holds(dropped, NULL);
}

/* ---- misuse and life --------------------------------------------------------------------------*/
static int misused(void *arg)
{
	fiber_chan_t *c = NULL;
	int item = 0;

	(void)arg;
	cr_expect(fiber_chan_create(NULL, 4, 4) == -EINVAL);
	cr_expect(fiber_chan_create(&c, SIZE_MAX, 2) == -ENOMEM && c == NULL);
	cr_expect(fiber_chan_create(&c, SIZE_MAX, 1) == -ENOMEM && c == NULL);
	cr_expect(fiber_chan_send(NULL, &item) == -EINVAL);
	cr_expect(fiber_chan_send_until(NULL, &item, 0) == -EINVAL);
	cr_expect(fiber_chan_try_send(NULL, &item) == -EINVAL);
	cr_expect(fiber_chan_recv(NULL, &item) == -EINVAL);
	cr_expect(fiber_chan_recv_until(NULL, &item, 0) == -EINVAL);
	cr_expect(fiber_chan_try_recv(NULL, &item) == -EINVAL);
	cr_expect(fiber_chan_close(NULL) == -EINVAL);
	cr_expect(fiber_chan_count(NULL) == 0);
	cr_expect(fiber_chan_ref(NULL) == NULL);
	fiber_chan_free(NULL);
	c = chan_of(4, 4);
	cr_expect(fiber_chan_send(c, NULL) == -EINVAL && fiber_chan_try_send(c, NULL) == -EINVAL);
	cr_expect(fiber_chan_send_until(c, NULL, FIBER_NEVER) == -EINVAL);
	cr_expect(fiber_chan_count(c) == 0);
	cr_expect(fiber_chan_send(c, &item) == 0); /* and is dropped with the channel */
	cr_expect(fiber_chan_ref(c) == c);
	fiber_chan_free(c);
	cr_expect(fiber_chan_count(c) == 1, "one of two owners has gone");
	fiber_chan_free(c);
	return 0;
}

Test(chan, misuse_is_answered, .timeout = 20)
{
	law_holds(misused, NULL);
}
