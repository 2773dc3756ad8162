/* store.h - the stacks that no thread has: warm ones in bounded piles, cold ones as bits of
 * mappings. Callable from any thread. */
#ifndef FB_STACK_STORE_H
#define FB_STACK_STORE_H

#include "stack/stack.h"

/* A stack of this size (size.h). A warm one if there is; then of the default size a few more go to
 * `cache`, unless that is NULL. -ENOMEM. */
int stack_store_get(int size, struct stack_cache *cache, struct stack **out);

/* A warm one. */
void stack_store_put(struct stack *);

/* Does the pile of default-sized stacks ask for some? A glance without the lock. */
bool stack_store_wants(void);
/* Moves up to n of the coldest of `cache` to that pile, no more than it has room for. */
void stack_store_fill(struct stack_cache *cache, size_t n);

/* Gives back the memory of up to n of the coldest of `cache`: how many. */
size_t stack_store_release(struct stack_cache *cache, size_t n);
/* The same for those in the piles that were not needed since the last call; up to `most`. */
size_t stack_store_trim(size_t most);

#endif
