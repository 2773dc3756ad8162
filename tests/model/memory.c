/* memory.c - the memory of C11, as an operational model: RC11 without load buffering.
 *
 * Each location has the stores that were made to it, in an order (C's modification order), and each
 * thread a view: per location, the newest store that it knows of. It may read any store from there
 * on. A store may take any place after what its thread knows of, so also before stores that were
 * made earlier: that is how one becomes visible late. A release store carries its thread's view,
 * and whoever reads it with acquire sees at least that from then on.
 *
 * A read-modify-write takes the place right after the store that it read, and nothing ever comes
 * between. It carries the view of what it read too (a release sequence; as in C20, a plain store by
 * the same thread does not). */
#include "inside.h"

#include <string.h>

struct location memory[LOCATIONS];
int locations;

void memory_reset(void)
{
	locations = 0;
}

uint64_t memory_get(const volatile void *p, size_t bytes)
{
	switch (bytes) {
	case 1: return *(const volatile uint8_t *)p;
	case 2: return *(const volatile uint16_t *)p;
	case 4: return *(const volatile uint32_t *)p;
	default: return *(const volatile uint64_t *)p;
	}
}

void memory_put(volatile void *p, size_t bytes, uint64_t value)
{
	switch (bytes) {
	case 1: *(volatile uint8_t *)p = (uint8_t)value; break;
	case 2: *(volatile uint16_t *)p = (uint16_t)value; break;
	case 4: *(volatile uint32_t *)p = (uint32_t)value; break;
	default: *(volatile uint64_t *)p = value; break;
	}
}

static int find(const volatile void *p)
{
	for (int i = 0; i < locations; i++)
		if (memory[i].address == p)
			return i;
	return -1;
}

bool memory_known(const volatile void *p)
{
	return find(p) >= 0;
}

int memory_find(const volatile void *p, size_t bytes, const char *name)
{
	int i = find(p);
	struct location *l;

	if (i >= 0) {
		if (bytes && memory[i].bytes != bytes)
			model_fail("%s is read as %zu bytes, and was as %d", name, bytes,
				   memory[i].bytes);
		return i;
	}
	if (locations == LOCATIONS)
		model_fail("more than %d locations", LOCATIONS);
	l = &memory[locations];
	l->address = (volatile void *)p;
	l->bytes = (uint8_t)bytes;
	l->name = name;
	l->stores = 0;
	memory_insert(locations, 0, memory_get(p, bytes));
	memset(&l->store[0].view, 0, sizeof l->store[0].view);
	memset(l->store[0].past, 0, sizeof l->store[0].past);
	return locations++;
}

unsigned memory_insert(int location, unsigned position, uint64_t value)
{
	struct location *l = &memory[location];
	unsigned number = l->stores;

	if (number == STORES)
		model_fail("more than %d stores to %s", STORES, l->name);
	for (unsigned i = number; i > position; i--) {
		l->order[i] = l->order[i - 1];
		l->store[l->order[i]].position = (uint8_t)i;
	}
	l->order[position] = (uint8_t)number;
	l->store[number].value = value;
	l->store[number].position = (uint8_t)position;
	l->store[number].taken = l->store[number].changes = false;
	l->store[number].writer = 0;
	l->stores++;
	return number;
}

void memory_settle(void)
{
	for (int i = 0; i < locations; i++) {
		struct location *l = &memory[i];

		memory_put(l->address, l->bytes, l->store[l->order[l->stores - 1]].value);
	}
}

void view_join_stores(struct view *to, const struct view *from)
{
	for (int i = 0; i < locations; i++)
		if (from->store[i] != to->store[i] &&
		    memory_position(i, from->store[i]) > memory_position(i, to->store[i]))
			to->store[i] = from->store[i];
}

void view_join(struct view *to, const struct view *from)
{
	view_join_stores(to, from);
	for (int i = 0; i < THREADS; i++)
		if (from->clock[i] > to->clock[i])
			to->clock[i] = from->clock[i];
}
