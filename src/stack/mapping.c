/* mapping.c - reserves ranges of slots, knows which slots are at home, and finds the slot of an
 * address.
 *
 * The table's writer holds the store's lock. Its readers need none (mapping.h). */
#include "stack/mapping.h"

#include <stdlib.h>

#include "os/os.h"

enum { MAPPINGS_MOST = 16384 }; /* of up to 4096 slots: more than there can be fibers */
_Static_assert(MAPPINGS_MOST <= UINT16_MAX + 1, "struct stack, mapping");

static struct stack_mapping *table[MAPPINGS_MOST];
_Atomic uint32_t stack_mapping_count;

static void all_at_home(struct stack_mapping *m)
{
	for (uint32_t slot = 0; slot < m->slots; slot++)
		m->home[slot / 64] |= UINT64_C(1) << slot % 64;
	m->available = m->slots;
}

struct stack_mapping *stack_mapping_create(int size, uint32_t slots)
{
	uint32_t id = atomic_load_explicit(&stack_mapping_count, memory_order_relaxed);
	size_t words = ((size_t)slots + 63) / 64;
	struct stack_mapping *m;

	if (id == MAPPINGS_MOST)
		return NULL;
	m = calloc(1, sizeof *m + words * sizeof m->home[0]);
	if (!m)
		return NULL;
	m->stride = stack_size_stride(size);
	m->guard = stack_guard_bytes();
	m->slots = slots;
	m->id = id;
	m->size = size;
	m->base = os_stacks_map(slots * m->stride);
	if (!m->base) {
		free(m);
		return NULL;
	}
	all_at_home(m);
	table[id] = m;
	/* Pairs with stack_mappings. */
	atomic_store_explicit(&stack_mapping_count, id + 1, memory_order_release);
	return m;
}

struct stack_mapping *stack_mapping_at(uint32_t id)
{
	must(id < stack_mappings());
	return table[id];
}

uint32_t stack_mapping_first(struct stack_mapping *m)
{
	must(m->available > 0);
	while (!m->home[m->hint])
		m->hint++;
	return m->hint * 64 + (uint32_t)__builtin_ctzll(m->home[m->hint]);
}

void stack_mapping_take(struct stack_mapping *m, uint32_t slot)
{
	must(m->home[slot / 64] >> slot % 64 & 1);
	m->home[slot / 64] &= ~(UINT64_C(1) << slot % 64);
	m->available--;
}

void stack_mapping_give(struct stack_mapping *m, uint32_t slot)
{
	must(slot < m->slots && !(m->home[slot / 64] >> slot % 64 & 1));
	m->home[slot / 64] |= UINT64_C(1) << slot % 64;
	m->available++;
	if (slot / 64 < m->hint)
		m->hint = slot / 64;
}

enum stack_place stack_locate(const void *address, struct stack **out)
{
	uint32_t mappings = stack_mappings();

	for (uint32_t id = 0; id < mappings; id++) {
		const struct stack_mapping *m = table[id];
		size_t offset = (uintptr_t)address - (uintptr_t)m->base;

		if (offset >= m->stride * m->slots)
			continue;
		*out = stack_mapping_header(m, (uint32_t)(offset / m->stride));
		return offset % m->stride < m->guard ? STACK_GUARD : STACK_INSIDE;
	}
	return STACK_NOT_OURS;
}
