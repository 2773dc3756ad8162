/* slot.c - the table of slots: see slot.h. */
#include "poller/slot.h"

_Atomic(struct slot *) slot_chunks[SLOT_CHUNKS];

COLD struct slot *slot_make(int fd)
{
	unsigned index = (unsigned)fd / SLOT_CHUNK;
	struct slot *chunk, *other = NULL;

	if (fd < 0 || fd >= SLOT_NUMBERS)
		return NULL;
	chunk = os_pages_map(SLOT_CHUNK * sizeof *chunk);
	if (!chunk)
		return NULL;
	/* Release: pairs with the acquire of slot_find. */
	if (!atomic_compare_exchange_strong_explicit(&slot_chunks[index], &other, chunk,
						     memory_order_acq_rel, memory_order_acquire)) {
		os_pages_unmap(chunk, SLOT_CHUNK * sizeof *chunk);
		chunk = other; /* another thread was faster */
	}
	return &chunk[(unsigned)fd % SLOT_CHUNK];
}

void slot_each(void (*visit)(struct slot *, void *context), void *context)
{
	for (unsigned i = 0; i < SLOT_CHUNKS; i++) {
		struct slot *chunk = atomic_load_explicit(&slot_chunks[i], memory_order_acquire);

		for (unsigned j = 0; chunk && j < SLOT_CHUNK; j++)
			visit(&chunk[j], context);
	}
}

void slot_forget_all(void)
{
	for (unsigned i = 0; i < SLOT_CHUNKS; i++)
		if (atomic_load_explicit(&slot_chunks[i], memory_order_relaxed))
			atomic_store_explicit(&slot_chunks[i], NULL, memory_order_relaxed);
}
