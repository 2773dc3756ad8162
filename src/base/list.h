/* list.h - an intrusive doubly linked list: a ring through a head that is itself a node.
 * A node that is in no list has next == NULL, so that "is it queued?" can be asked of the node. */
#ifndef FB_LIST_H
#define FB_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

/* Zero bytes are an empty list too: static objects need no initialiser. */
static inline bool list_empty(const struct list *head)
{
	return head->next == head || !head->next;
}

static inline bool list_linked(const struct list *node)
{
	return node->next != NULL;
}

static inline void list_append(struct list *head, struct list *node)
{
	if (!head->next)
		list_init(head);
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_prepend(struct list *head, struct list *node)
{
	if (!head->next)
		list_init(head);
	node->next = head->next;
	node->prev = head;
	head->next->prev = node;
	head->next = node;
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = NULL;
}

/* The oldest node, taken out; NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
	struct list *node = head->next;

	if (!node || node == head)
		return NULL;
	list_remove(node);
	return node;
}

#endif
