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

/* False: guards are mprotected, and the kernel limits how many there can be. */
bool stack_guard_advice(void);

#endif
