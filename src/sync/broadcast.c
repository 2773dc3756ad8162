/* broadcast.c - every subscriber sees every message.
 *
 * Messages are numbered from 0; number k lies in slot k % capacity of the ring until k + capacity
 * takes its place. A subscriber is the number of its next message, so senders need no list of
 * subscribers, only of those who wait; and a slow one costs nobody anything.
 *
 * `guard` guards all but refs, and the subscribers' fields too. The invariants:
 *  - a subscriber waits only for number `sent`, the next one; so who sends it hands it to all who
 *    wait, straight from its own memory, and afterwards they miss nothing however late they run.
 *  - `waiting` lasts until a sender has claimed the wait, or the waiter has come by because nobody
 *    did: until then the subscription cannot end, and the broadcast cannot go.
 *  - after close nobody begins to wait. */
#include <errno.h>
#include <fiber/broadcast.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "os/spin.h"
#include "sched/wait.h"

struct fiber_broadcast {
	struct spin guard;
	_Atomic uint32_t refs;
	bool closed;
	size_t message_bytes, capacity;
	uint64_t sent;                  /* the next message's number */
	struct list waiters;            /* struct listener */
	_Alignas(16) unsigned char messages[];
};

/* What a fiber_subscriber_t is inside. */
struct subscriber {
	struct fiber_broadcast *from;   /* NULL: subscribed to nothing */
	uint64_t next;                  /* the next message for it */
	bool waiting;
};
_Static_assert(sizeof(struct subscriber) <= sizeof(fiber_subscriber_t), "private_");

struct listener {
	struct waiter base;             /* data: where the message goes, or NULL */
	struct subscriber *subscriber;
	int result;                     /* set by whoever claims it: 0 or -EPIPE */
};

static void copy(void *to, const void *from, size_t bytes)
{
	if (bytes > 0) /* of no bytes the pointers may be NULL, which memcpy forbids */
		memcpy(to, from, bytes);
}

static unsigned char *slot(struct fiber_broadcast *b, uint64_t number)
{
	return b->messages + number % b->capacity * b->message_bytes;
}

/* ---- sending ---------------------------------------------------------------------------------*/
/* Guard held: moves all who can still be had to `claimed`. */
static void claim_all(struct fiber_broadcast *b, int result, struct list *claimed)
{
	struct list *node;

	list_init(claimed);
	while ((node = list_pop(&b->waiters))) {
		struct listener *l = container_of(node, struct listener, base.link);

		if (!wait_claim(l->base.fiber, l->base.ticket, l->base.index))
			continue; /* interrupted; it misses nothing, for its number stays */
		l->result = result;
		l->subscriber->waiting = false;
		l->subscriber->next = b->sent;
		list_append(claimed, &l->base.link);
	}
}

/* No guard held: who is claimed waits for this, and nobody else comes near its memory. */
static void wake_all(struct list *claimed, const void *message, size_t bytes)
{
	struct list *node;

	while ((node = list_pop(claimed))) {
		struct listener *l = container_of(node, struct listener, base.link);

		if (l->base.data)
			copy(l->base.data, message, bytes);
		wait_wake(l->base.fiber);
	}
}

PUBLIC int fiber_broadcast_send(fiber_broadcast_t *b, const void *message)
{
	struct list claimed;

	if (!b || (!message && b->message_bytes))
		return -EINVAL;
	spin_lock(&b->guard);
	if (b->closed) {
		spin_unlock(&b->guard);
		return -EPIPE;
	}
	copy(slot(b, b->sent), message, b->message_bytes);
	b->sent++;
	claim_all(b, 0, &claimed);
	spin_unlock(&b->guard);
	wake_all(&claimed, message, b->message_bytes);
	return 0;
}

PUBLIC int fiber_broadcast_close(fiber_broadcast_t *b)
{
	struct list claimed;
	bool was;

	if (!b)
		return -EINVAL;
	spin_lock(&b->guard);
	was = b->closed;
	b->closed = true;
	claim_all(b, -EPIPE, &claimed);
	spin_unlock(&b->guard);
	wake_all(&claimed, NULL, 0);
	return was ? -EALREADY : 0;
}

/* ---- receiving -------------------------------------------------------------------------------*/
/* Guard held. What was missed, -EPIPE, or -EAGAIN: would have to wait. */
static int take(struct fiber_broadcast *b, struct subscriber *s, void *message)
{
	uint64_t oldest = b->sent > b->capacity ? b->sent - b->capacity : 0, missed = 0;

	if (s->waiting)
		return -EBUSY;
	if (s->next < oldest) {
		missed = oldest - s->next;
		s->next = oldest;
	}
	if (s->next == b->sent)
		return b->closed ? -EPIPE : -EAGAIN;
	if (message)
		copy(message, slot(b, s->next), b->message_bytes);
	s->next++;
	return missed < INT_MAX ? (int)missed : INT_MAX;
}

/* Guard held; lets go of it. */
static int wait_for_next(struct fiber_broadcast *b, struct subscriber *s, void *message,
			 int64_t until)
{
	struct fiber *self = wait_self();
	struct listener l = { .base = { .fiber = self, .data = message }, .subscriber = s };
	int r;

	if (!self) {
		spin_unlock(&b->guard);
		return wait_why();
	}
	l.base.ticket = wait_begin(self, WAIT_RECV, b, WAIT_INTERRUPTIBLE);
	list_append(&b->waiters, &l.base.link);
	s->waiting = true;
	spin_unlock(&b->guard);
	r = wait_park(self, until);
	if (r >= 0)
		return l.result;
	spin_lock(&b->guard);
	if (list_linked(&l.base.link))
		list_remove(&l.base.link);
	s->waiting = false;
	spin_unlock(&b->guard);
	return r;
}

static int recv_until(struct subscriber *s, void *message, int64_t until)
{
	struct fiber_broadcast *b;
	int r;

	if (!s || !s->from)
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	b = s->from;
	spin_lock(&b->guard);
	r = take(b, s, message);
	if (r == -EAGAIN)
		return wait_for_next(b, s, message, until);
	spin_unlock(&b->guard);
	wait_done();
	return r;
}

PUBLIC int fiber_broadcast_recv(fiber_subscriber_t *s, void *message)
{
	return recv_until((struct subscriber *)s, message, FIBER_NEVER);
}

PUBLIC int fiber_broadcast_recv_until(fiber_subscriber_t *s, void *message, int64_t when)
{
	return recv_until((struct subscriber *)s, message, when);
}

PUBLIC int fiber_broadcast_try_recv(fiber_subscriber_t *subscriber, void *message)
{
	struct subscriber *s = (struct subscriber *)subscriber;
	int r;

	if (!s || !s->from)
		return -EINVAL;
	spin_lock(&s->from->guard);
	r = take(s->from, s, message);
	spin_unlock(&s->from->guard);
	return r;
}

/* ---- life ------------------------------------------------------------------------------------*/
PUBLIC int fiber_broadcast_create(fiber_broadcast_t **out, size_t message_bytes, size_t capacity)
{
	struct fiber_broadcast *b;
	size_t bytes;

	if (!out || capacity == 0)
		return -EINVAL;
	if (__builtin_mul_overflow(message_bytes, capacity, &bytes) ||
	    __builtin_add_overflow(bytes, sizeof *b, &bytes))
		return -ENOMEM;
	b = malloc(bytes);
	if (!b)
		return -ENOMEM;
	memset(b, 0, sizeof *b);
	atomic_init(&b->refs, 1);
	b->message_bytes = message_bytes;
	b->capacity = capacity;
	list_init(&b->waiters);
	*out = b;
	return 0;
}

PUBLIC fiber_broadcast_t *fiber_broadcast_ref(fiber_broadcast_t *b)
{
	if (b)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

PUBLIC void fiber_broadcast_free(fiber_broadcast_t *b)
{
	/* Release and acquire: what every owner did comes before the end. */
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	must(list_empty(&b->waiters));
	free(b);
}

PUBLIC int fiber_subscribe(fiber_subscriber_t *out, fiber_broadcast_t *b)
{
	struct subscriber *s = (struct subscriber *)out;

	if (!s || !b)
		return -EINVAL;
	spin_lock(&b->guard);
	*s = (struct subscriber){ .from = fiber_broadcast_ref(b), .next = b->sent };
	spin_unlock(&b->guard);
	return 0;
}

PUBLIC int fiber_unsubscribe(fiber_subscriber_t *subscriber)
{
	struct subscriber *s = (struct subscriber *)subscriber;
	struct fiber_broadcast *b;
	bool waiting;

	if (!s || !s->from)
		return -EINVAL;
	b = s->from;
	spin_lock(&b->guard);
	waiting = s->waiting;
	if (!waiting)
		s->from = NULL;
	spin_unlock(&b->guard);
	if (waiting)
		return -EBUSY;
	fiber_broadcast_free(b);
	return 0;
}
