/* mapping.h - a reserved range of many equal slots, and the table of all such ranges.
 *
 * Mappings are never unmapped and the table only grows, so a signal handler may read it at any
 * time: the first part of a mapping is constant once the table shows it. The second part, which
 * says which slots are at home, is guarded by the store's lock. */
#ifndef FB_STACK_MAPPING_H
#define FB_STACK_MAPPING_H

#include <stdatomic.h>

#include "base/list.h"
#include "stack/size.h"
#include "stack/stack.h"

struct stack_mapping {
	char *base;
	size_t stride;       /* from slot to slot */
	size_t guard;        /* bytes of it, at the low end */
	uint32_t slots;
	uint32_t id;         /* its place in the table */
	int size;            /* size.h */

	struct list link;    /* among those of its size that have slots to give */
	uint32_t guarded;    /* the first so many slots have their guard */
	uint32_t available;  /* bits set in `home` */
	uint32_t hint;       /* no bit is set in words before this one */
	uint64_t home[];     /* a bit for each slot: nobody holds it, and it has no memory */
};

/* Reserves the range and shows it in the table; all its slots are at home, none guarded. NULL: no
 * memory, or the table is full. Under the store's lock. */
struct stack_mapping *stack_mapping_create(int size, uint32_t slots);
struct stack_mapping *stack_mapping_at(uint32_t id);

/* How many there are. An entry is written before the count that covers it (release), and a reader
 * looks at the count first (acquire). */
extern _Atomic uint32_t stack_mapping_count;
static inline uint32_t stack_mappings(void)
{
	return atomic_load_explicit(&stack_mapping_count, memory_order_acquire);
}

/* The lowest slot at home; there must be one. It stays at home until it is taken. */
uint32_t stack_mapping_first(struct stack_mapping *);
void stack_mapping_take(struct stack_mapping *, uint32_t slot);
void stack_mapping_give(struct stack_mapping *, uint32_t slot);

static inline char *stack_mapping_slot(const struct stack_mapping *m, uint32_t slot)
{
	return m->base + (size_t)slot * m->stride;
}

static inline struct stack *stack_mapping_header(const struct stack_mapping *m, uint32_t slot)
{
	size_t colour = (size_t)(slot % STACK_COLOURS) * STACK_HEADER_BYTES;

	return (struct stack *)(stack_mapping_slot(m, slot + 1) - STACK_HEADER_BYTES - colour);
}

#endif
