/* inbox.h - many threads put fibers in, one worker takes them all out; knows when it sleeps.
 *
 * Protocol "inbox": one word is the head of a singly linked stack, or EMPTY, SLEEPING, CLOSED.
 *   put:    push by CAS. Whoever replaced SLEEPING owes the owner one wake-up, nobody else does.
 *   rouse:  EMPTY for SLEEPING by CAS: the same debt, with nothing to hand over.
 *   sleep:  the owner moves EMPTY to SLEEPING by CAS; on failure there is something to take.
 *   take:   the owner exchanges the word with EMPTY, and turns the stack round: oldest first. If it
 *           slept and finds anything but SLEEPING, a wake-up is owed or on its way: a worker that
 *           ends waits until every debt was paid, because paying it touches the worker's poller.
 *   close:  the owner exchanges with CLOSED; a late putter is told and keeps its node.
 * There is no store-load race between "nothing there" and "put": both are the same word. With rouse
 * there is one, because what it is about lies elsewhere: the rouser writes that, then rouses; the
 * owner goes to sleep, then looks at it once more. Both do so behind a full barrier, which a CAS
 * that fails is not. The CAS of put (release) pairs with the exchange of take (acquire): the node's
 * contents. */
#ifndef FB_OS_INBOX_H
#define FB_OS_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inbox_node {
	struct inbox_node *next;
};

struct inbox {
	_Atomic uintptr_t head;
};

enum { INBOX_EMPTY, INBOX_SLEEPING, INBOX_CLOSED, INBOX_WORDS };
enum inbox_put { INBOX_PUT, INBOX_PUT_WAKE, INBOX_PUT_CLOSED };

static inline enum inbox_put inbox_put(struct inbox *box, struct inbox_node *node)
{
	uintptr_t head = atomic_load_explicit(&box->head, memory_order_relaxed);

	do {
		if (head == INBOX_CLOSED)
			return INBOX_PUT_CLOSED;
		node->next = head < INBOX_WORDS ? NULL : (struct inbox_node *)head;
	} while (!atomic_compare_exchange_weak_explicit(&box->head, &head, (uintptr_t)node,
							memory_order_acq_rel,
							memory_order_relaxed));
	return head == INBOX_SLEEPING ? INBOX_PUT_WAKE : INBOX_PUT;
}

/* True: the owner slept, and the caller must wake it. Acquire on failure too: an owner that ends
 * its own sleep by this and comes too late sees what its rouser did before. */
static inline bool inbox_rouse(struct inbox *box)
{
	uintptr_t head = INBOX_SLEEPING;

	return atomic_compare_exchange_strong_explicit(&box->head, &head, INBOX_EMPTY,
						       memory_order_acq_rel, memory_order_acquire);
}

static inline bool inbox_empty(const struct inbox *box)
{
	return atomic_load_explicit(&box->head, memory_order_relaxed) < INBOX_WORDS;
}

/* Owner. False: there is something in it, do not sleep. */
static inline bool inbox_sleep(struct inbox *box)
{
	uintptr_t head = INBOX_EMPTY;

	return atomic_compare_exchange_strong_explicit(&box->head, &head, INBOX_SLEEPING,
						       memory_order_acq_rel, memory_order_relaxed);
}

static inline struct inbox_node *inbox_oldest_first(uintptr_t head)
{
	struct inbox_node *node = head < INBOX_WORDS ? NULL : (struct inbox_node *)head;
	struct inbox_node *oldest = NULL;

	while (node) {
		struct inbox_node *next = node->next;

		node->next = oldest;
		oldest = node;
		node = next;
	}
	return oldest;
}

/* Owner. All of it, oldest first. */
static inline struct inbox_node *inbox_take(struct inbox *box)
{
	return inbox_oldest_first(
		atomic_exchange_explicit(&box->head, INBOX_EMPTY, memory_order_acq_rel));
}

/* Owner, after a sleep: ends it. True: somebody else had ended it already, and owes a wake-up. What
 * they put in stays in. */
static inline bool inbox_wake_up(struct inbox *box)
{
	return !inbox_rouse(box);
}

/* Owner, for good. What was still in it. */
static inline struct inbox_node *inbox_close(struct inbox *box)
{
	return inbox_oldest_first(
		atomic_exchange_explicit(&box->head, INBOX_CLOSED, memory_order_acq_rel));
}

#endif
