/* fiber.c - the slab of control blocks: chunks that are mapped once and never again unmapped.
 *
 * The table of chunks is written under `guard`, and read without it: a chunk's pointer is published
 * with release, after its blocks were given their indices; fiber_at reads it with acquire. Free
 * blocks that no thread keeps for itself stand in `spare`, those that plain threads gave back in
 * `lendable`, under the same guard. */
#include "sched/fiber.h"

#include <string.h>

#include "os/os.h"
#include "os/spin.h"

enum { CHUNK_BLOCKS = FIBER_CHUNK_BLOCKS, CHUNKS = FIBER_CHUNKS, REFILL = 256 };

static struct spin guard;
_Atomic(struct fiber *) fiber_chunk[FIBER_CHUNKS];
static _Atomic uint32_t blocks = JOIN_CODES; /* handed out at least once */
static struct fiber *spare;
static struct fiber *lendable;

uint32_t fiber_blocks(void)
{
	return atomic_load_explicit(&blocks, memory_order_acquire);
}

static struct fiber *new_chunk(uint32_t which)
{
	struct fiber *base = os_pages_map(CHUNK_BLOCKS * sizeof *base);

	if (!base)
		return NULL;
	for (uint32_t i = 0; i < CHUNK_BLOCKS; i++)
		base[i].index = which * CHUNK_BLOCKS + i;
	atomic_store_explicit(&fiber_chunk[which], base, memory_order_release);
	return base;
}

/* One block that was never used; under guard. */
static struct fiber *fresh(void)
{
	uint32_t i = atomic_load_explicit(&blocks, memory_order_relaxed);
	struct fiber *base;

	if (i >= CHUNKS * CHUNK_BLOCKS)
		return NULL;
	base = atomic_load_explicit(&fiber_chunk[i / CHUNK_BLOCKS], memory_order_relaxed);
	if (!base && !(base = new_chunk(i / CHUNK_BLOCKS)))
		return NULL;
	atomic_store_explicit(&blocks, i + 1, memory_order_release);
	return &base[i % CHUNK_BLOCKS];
}

COLD struct fiber *fiber_block_cold(struct fiber_cache *cache)
{
	struct fiber *f = NULL;

	spin_lock(&guard);
	for (unsigned i = 0; i < REFILL; i++) {
		f = spare;
		if (f)
			spare = f->next;
		else if (!(f = fresh()))
			break;
		f->next = cache->free;
		cache->free = f;
		cache->count++;
	}
	spin_unlock(&guard);
	f = cache->free;
	if (f) {
		cache->free = f->next;
		cache->count--;
	}
	return f;
}

/* One thread spawns, another joins: what piles up at the joiner goes back, half of it. */
COLD void fiber_block_spill(struct fiber_cache *cache)
{
	struct fiber *first = cache->free, *last = first;
	unsigned n = cache->count / 2;

	for (unsigned i = 1; i < n; i++)
		last = last->next;
	cache->free = last->next;
	cache->count -= n;
	spin_lock(&guard);
	last->next = spare;
	spare = first;
	spin_unlock(&guard);
}

void fiber_cache_drain(struct fiber_cache *cache)
{
	struct fiber *last = cache->free;

	if (!last)
		return;
	while (last->next)
		last = last->next;
	spin_lock(&guard);
	last->next = spare;
	spare = cache->free;
	spin_unlock(&guard);
	*cache = (struct fiber_cache){0};
}

struct fiber *fiber_block_lend(void)
{
	struct fiber *f;

	spin_lock(&guard);
	f = lendable;
	if (f)
		lendable = f->next;
	else
		f = fresh();
	spin_unlock(&guard);
	return f;
}

void fiber_block_back(struct fiber *f)
{
	spin_lock(&guard);
	f->next = lendable;
	lendable = f;
	spin_unlock(&guard);
}

void fiber_slab_fork_prepare(void)
{
	spin_lock(&guard);
}

void fiber_slab_fork_done(void)
{
	spin_unlock(&guard);
}

/* Their memory stays: the child runs on in one of them. */
void fiber_slab_forget(void)
{
	uint32_t used = atomic_load_explicit(&blocks, memory_order_relaxed);
	uint32_t chunks = (used + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;

	for (uint32_t i = 0; i < chunks; i++)
		atomic_store_explicit(&fiber_chunk[i], NULL, memory_order_relaxed);
	atomic_store_explicit(&blocks, chunks * CHUNK_BLOCKS, memory_order_relaxed);
	spare = lendable = NULL;
}

void fiber_name_words(uint64_t words[2], const char *name)
{
	char text[16] = "";

	if (name)
		strncpy(text, name, sizeof text - 1);
	memcpy(words, text, sizeof text);
}
