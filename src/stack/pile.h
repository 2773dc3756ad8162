/* pile.h - warm stacks, hottest on top: the list operations on a struct stack_cache. Whoever calls
 * them owns the cache, or holds the store's lock if it is one of the store's. */
#ifndef FB_STACK_PILE_H
#define FB_STACK_PILE_H

#include "stack/stack.h"

static inline void stack_pile_push(struct stack_cache *pile, struct stack *s)
{
	list_prepend(&pile->free, &s->link);
	pile->count++;
}

/* Under all that are there. */
static inline void stack_pile_push_coldest(struct stack_cache *pile, struct stack *s)
{
	list_append(&pile->free, &s->link);
	pile->count++;
}

static inline struct stack *stack_pile_take(struct stack_cache *pile, struct list *node)
{
	list_remove(node);
	if (--pile->count < pile->low)
		pile->low = pile->count;
	return container_of(node, struct stack, link);
}

/* NULL: empty. */
static inline struct stack *stack_pile_hottest(struct stack_cache *pile)
{
	return pile->count ? stack_pile_take(pile, pile->free.next) : NULL;
}

static inline struct stack *stack_pile_coldest(struct stack_cache *pile)
{
	return pile->count ? stack_pile_take(pile, pile->free.prev) : NULL;
}

#endif
