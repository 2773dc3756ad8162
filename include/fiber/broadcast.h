/* fiber/broadcast.h - a channel whose every message every subscriber sees.
 * SPDX-License-Identifier: MIT
 *
 * Senders never wait: the last `capacity` messages are kept, and the oldest gives way to the
 * newest. A subscriber reads at its own pace what was sent since it subscribed; one that fell
 * behind further than that goes on with the oldest that is kept, and is told how many it missed.
 * Senders and subscribers are fibers, plain threads, or both.
 *
 *	fiber_subscriber_t me;
 *	int r = fiber_subscribe(&me, news);
 *
 *	while (r == 0 && (r = fiber_broadcast_recv(&me, &line)) >= 0) {
 *		if (r > 0)
 *			printf("(%d lines left out)\n", r);
 *		puts(line.text);
 *		r = 0;
 *	}
 *	fiber_unsubscribe(&me); */
#ifndef FIBER_BROADCAST_H
#define FIBER_BROADCAST_H
#include <fiber.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct fiber_broadcast fiber_broadcast_t;

/* Lives in its owner's memory, and must not be moved while it is subscribed. Zero bytes are
 * subscribed to nothing. One fiber or thread at a time receives by it. */
typedef struct fiber_subscriber { uintptr_t private_[4]; } fiber_subscriber_t;
#define FIBER_SUBSCRIBER_INIT {{0, 0, 0, 0}}

/* A broadcast of messages of message_bytes (0: only the event counts), which keeps the last
 * `capacity` of them. The caller owns one reference. Never parks. Returns 0, or
 *	-EINVAL         out is NULL, or capacity is 0
 *	-ENOMEM         no memory; also where the size of all messages overflows */
FIBER_CHECKED int fiber_broadcast_create(fiber_broadcast_t **out, size_t message_bytes,
					 size_t capacity);

/* One more reference, for one more owner; returns its argument. Each subscriber has one of its
 * own. */
fiber_broadcast_t *fiber_broadcast_ref(fiber_broadcast_t *broadcast);

/* Drops one reference; with the last one the broadcast is gone. NULL: nothing happens. */
void fiber_broadcast_free(fiber_broadcast_t *broadcast);

/* Sends the message_bytes at `message` to all who are subscribed at this moment, and wakes those
 * who wait. Without subscribers it is kept nevertheless, for nobody. Never parks. Returns 0, or
 *	-EPIPE          it is closed
 *	-EINVAL         broadcast is NULL, or message is, though messages have a size */
int fiber_broadcast_send(fiber_broadcast_t *broadcast, const void *message);

/* No more will be sent. Wakes all who wait; subscribers get what they have not read yet, and then
 * -EPIPE. Never parks. Returns 0, -EALREADY (it is closed) or -EINVAL (NULL). */
int fiber_broadcast_close(fiber_broadcast_t *broadcast);

/* From here on *out sees every message. Subscribing to a closed broadcast is no error: the first
 * receive says so. Never parks. Returns 0, or -EINVAL: one of them is NULL. */
FIBER_CHECKED int fiber_subscribe(fiber_subscriber_t *out, fiber_broadcast_t *broadcast);

/* Ends the subscription; the memory may go. Never parks. Returns 0, or
 *	-EBUSY          somebody waits by it
 *	-EINVAL         NULL, or subscribed to nothing */
int fiber_unsubscribe(fiber_subscriber_t *subscriber);

/* Receives the next message into the message_bytes at `message`; NULL: it is dropped. Parks while
 * there is none. A cancellation point; interrupted, none was taken.
 *
 * Returns how many messages before this one were missed (mostly 0; at most INT_MAX), or
 *	-EPIPE          closed, and all was read
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EAGAIN         (try) there is none; never parks, and is no cancellation point
 *	-EBUSY          somebody else waits by this subscriber
 *	-EINVAL         subscriber is NULL, or subscribed to nothing */
FIBER_CHECKED int fiber_broadcast_recv(fiber_subscriber_t *subscriber, void *message);
FIBER_CHECKED int fiber_broadcast_recv_until(fiber_subscriber_t *subscriber, void *message,
					     int64_t when);
int fiber_broadcast_try_recv(fiber_subscriber_t *subscriber, void *message);
#ifdef __cplusplus
}
#endif
#endif
