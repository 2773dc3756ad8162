/* guard.h - what makes the bottom of a slot fault. */
#ifndef FB_STACK_GUARD_H
#define FB_STACK_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/mapping.h"

/* Sees to it that `slot`, and so every slot before it, has its guard; with guard advice also a
 * number of slots after it. -ENOMEM: it can't be guarded, and so must not be used. Under the
 * store's lock. */
int stack_guard(struct stack_mapping *, uint32_t slot);

/* The lowest address that a slot, once guarded, has memory at; NULL where all of it has. */
char *stack_first_limit(const struct stack_mapping *, uint32_t slot);
/* Gives back the memory below `end`, on a page's start, of a stack that nobody runs on. */
void stack_discard(struct stack *, char *end);
/* Windows only: the stack, which nobody runs on, has memory from `low` up. -ENOMEM. */
int stack_commit(struct stack *, const void *low);

/* False: guards are mprotected, and the kernel limits how many there can be. */
bool stack_guard_advice(void);

#endif
