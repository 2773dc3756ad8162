/* inbox.h - many threads put fibers in, one worker takes them all out; knows when it sleeps.
 *
 * Protocol "inbox": one word is the head of a singly linked stack, or EMPTY, or SLEEPING.
 *   put:    push by CAS. Whoever replaced SLEEPING owes the owner one wake-up, nobody else does.
 *   sleep:  the owner moves EMPTY to SLEEPING by CAS; on failure there is something to take.
 *   take:   the owner exchanges the word with EMPTY, and turns the stack round: oldest first.
 * There is no store-load race between "nothing there" and "put": both are the same word.
 * The CAS of put (release) pairs with the exchange of take (acquire): the node's contents. */
#ifndef FB_OS_INBOX_H
#define FB_OS_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct inbox_node {
	struct inbox_node *next;
};

struct inbox {
	_Atomic uintptr_t head;
};

enum { INBOX_EMPTY = 0, INBOX_SLEEPING = 1 };

/* True: the owner sleeps, and it is the caller who must wake it. */
static inline bool inbox_put(struct inbox *box, struct inbox_node *node)
{
	uintptr_t head = atomic_load_explicit(&box->head, memory_order_relaxed);

	do
		node->next = head == INBOX_SLEEPING ? NULL : (struct inbox_node *)head;
	while (!atomic_compare_exchange_weak_explicit(&box->head, &head, (uintptr_t)node,
						      memory_order_acq_rel, memory_order_relaxed));
	return head == INBOX_SLEEPING;
}

/* Wake the owner with nothing to hand over. True: the caller must wake it. */
static inline bool inbox_rouse(struct inbox *box)
{
	uintptr_t head = INBOX_SLEEPING;

	return atomic_compare_exchange_strong_explicit(&box->head, &head, INBOX_EMPTY,
						       memory_order_acq_rel, memory_order_relaxed);
}

static inline bool inbox_empty(const struct inbox *box)
{
	return atomic_load_explicit(&box->head, memory_order_relaxed) <= INBOX_SLEEPING;
}

/* Owner. False: there is something in it, do not sleep. */
static inline bool inbox_sleep(struct inbox *box)
{
	uintptr_t head = INBOX_EMPTY;

	return atomic_compare_exchange_strong_explicit(&box->head, &head, INBOX_SLEEPING,
						       memory_order_acq_rel, memory_order_relaxed);
}

/* Owner. All of it, oldest first; also ends a sleep. */
static inline struct inbox_node *inbox_take(struct inbox *box)
{
	uintptr_t head = atomic_exchange_explicit(&box->head, INBOX_EMPTY, memory_order_acq_rel);
	struct inbox_node *node = head == INBOX_SLEEPING ? NULL : (struct inbox_node *)head;
	struct inbox_node *oldest = NULL;

	while (node) {
		struct inbox_node *next = node->next;

		node->next = oldest;
		oldest = node;
		node = next;
	}
	return oldest;
}

#endif
