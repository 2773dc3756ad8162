/* store.c - the process-wide store of stacks.
 *
 * One pile of warm stacks for each size serves two needs: odd sizes are not worth a place in
 * every thread's cache, and where one thread starts fibers and another ends them (roaming ones),
 * the second hands back through the pile what the first lacks, with no system call and no page
 * fault. A pile is bounded, so that memory that nobody asks for is not kept.
 *
 * Everything else is at home in its mapping: a bit says that nobody holds the slot and that it
 * has no memory. The lowest slots of the oldest mappings are handed out first, which keeps what
 * is in use close together. Mappings of a size double from a handful of slots, so that a program
 * of ten fibers reserves two megabytes and one of a hundred thousand needs some thirty mappings.
 *
 * The lock guards all of this and stack_mapping_create. It is a mutex and not a spinlock,
 * because it is held across mmap and the installation of a batch of guards; who comes here is
 * about to take a page fault anyway. Memory is given back outside the lock, by the only one who
 * knows the stack. */
#include "stack/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "os/os.h"
#include "stack/guard.h"
#include "stack/mapping.h"
#include "stack/pile.h"

enum {
	PILE_MOST = 1024,
	REFILL = 32,               /* warm stacks that go to a thread's cache at once */
	RELEASE = 64,              /* stacks whose memory is given back by one system call */
	FIRST_BYTES = 2 << 20,     /* of a size's first mapping, or one slot */
	SLOTS_MOST = 4096,         /* in one mapping */
};
_Static_assert(SLOTS_MOST <= UINT16_MAX + 1, "struct stack, slot");
static const size_t mapping_bytes_most = (size_t)64 << 30; /* or one slot */

struct shelf { /* of one size */
	struct list giving;        /* mappings with slots at home; never used ones come last */
	uint32_t next_slots;       /* of the next mapping; 0: there is none yet */
	struct stack_cache pile;
	_Atomic size_t piled;      /* pile.count, for a glance without the lock */
	uint64_t out;              /* slots that are not at home */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shelf shelves[STACK_SIZES];

static void note_piled(struct shelf *shelf)
{
	atomic_store_explicit(&shelf->piled, shelf->pile.count, memory_order_relaxed);
}

/* ---- slots at home ----------------------------------------------------------------------------*/
static uint32_t slots_within(size_t bytes, size_t stride)
{
	size_t slots = bytes / stride;

	return slots == 0 ? 1 : slots > SLOTS_MOST ? SLOTS_MOST : (uint32_t)slots;
}

/* Address space may be short (RLIMIT_AS): half as much may still be there. */
static struct stack_mapping *grow(int size)
{
	struct shelf *shelf = &shelves[size];
	size_t stride = stack_size_stride(size);
	uint32_t most = slots_within(mapping_bytes_most, stride);
	uint32_t slots = shelf->next_slots ? shelf->next_slots : slots_within(FIRST_BYTES, stride);
	struct stack_mapping *m = stack_mapping_create(size, slots);

	while (!m && slots > 1)
		m = stack_mapping_create(size, slots /= 2);
	if (!m)
		return NULL;
	shelf->next_slots = slots * 2 < most ? slots * 2 : most;
	list_append(&shelf->giving, &m->link);
	return m;
}

static int take_slot(int size, struct stack_mapping **from, uint32_t *slot)
{
	struct shelf *shelf = &shelves[size];
	struct stack_mapping *m;
	int r;

	if (list_empty(&shelf->giving) && !grow(size))
		return -ENOMEM;
	m = container_of(shelf->giving.next, struct stack_mapping, link);
	*slot = stack_mapping_first(m);
	r = stack_guard(m, *slot);
	if (r < 0)
		return r;
	stack_mapping_take(m, *slot);
	if (m->available == 0)
		list_remove(&m->link);
	shelf->out++;
	*from = m;
	return 0;
}

static void give_slot(uint32_t mapping, uint32_t slot)
{
	struct stack_mapping *m = stack_mapping_at(mapping);
	struct shelf *shelf = &shelves[m->size];

	/* In front of mappings with slots that were never used and still cost a guard. */
	if (m->available == 0)
		list_prepend(&shelf->giving, &m->link);
	stack_mapping_give(m, slot);
	shelf->out--;
}

/* The header is the first touch of the slot's memory. */
static struct stack *lay_out(const struct stack_mapping *m, uint32_t slot)
{
	struct stack *s = stack_mapping_header(m, slot);
	char *bottom = stack_mapping_slot(m, slot) + m->guard;

	*s = (struct stack){
		.bottom = bottom,
		.limit = stack_first_limit(m, slot),
		.bytes = (size_t)((char *)s - bottom),
		.mapping = (uint16_t)m->id,
		.slot = (uint16_t)slot,
		.odd = m->size != 0,
	};
	return s;
}

static struct stack *take_warm(int size, struct stack_cache *cache)
{
	struct shelf *shelf = &shelves[size];
	struct stack *s = stack_pile_hottest(&shelf->pile);

	for (int i = 0; cache && size == 0 && i < REFILL && shelf->pile.count; i++)
		stack_pile_push_coldest(cache, stack_pile_hottest(&shelf->pile));
	note_piled(shelf);
	return s;
}

int stack_store_get(int size, struct stack_cache *cache, struct stack **out)
{
	struct stack_mapping *m = NULL;
	uint32_t slot = 0;
	struct stack *s;
	int r = 0;

	pthread_mutex_lock(&lock);
	s = take_warm(size, cache);
	if (!s)
		r = take_slot(size, &m, &slot);
	pthread_mutex_unlock(&lock);
	if (r < 0)
		return r;
	*out = s ? s : lay_out(m, slot);
	return 0;
}

/* ---- memory given back ------------------------------------------------------------------------*/
struct batch {
	size_t n;
	struct os_range range[RELEASE];
	uint32_t mapping[RELEASE], slot[RELEASE];
};

/* The header is part of what is given back, so what it says is kept here. */
static void batch_add(struct batch *b, const struct stack *s)
{
	const struct stack_mapping *m = stack_mapping_at(s->mapping);

	b->mapping[b->n] = s->mapping;
	b->slot[b->n] = s->slot;
	b->range[b->n].address = s->bottom;
	b->range[b->n].bytes = m->stride - m->guard;
	b->n++;
}

/* First the memory, then the bit: from then on the slot may be somebody else's. */
static void batch_release(struct batch *b)
{
	/* An error leaves memory where it is; the next user overwrites the header in any case. */
	os_pages_discard_batch(b->range, b->n);
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < b->n; i++)
		give_slot(b->mapping[i], b->slot[i]);
	pthread_mutex_unlock(&lock);
}

size_t stack_store_release(struct stack_cache *cache, size_t n)
{
	size_t released = 0;

	while (released < n && cache->count) {
		struct batch b = { .n = 0 };

		while (b.n < RELEASE && released + b.n < n && cache->count)
			batch_add(&b, stack_pile_coldest(cache));
		released += b.n;
		batch_release(&b);
	}
	return released;
}

size_t stack_store_trim(size_t most)
{
	struct stack_cache spare = { .count = 0 };

	pthread_mutex_lock(&lock);
	for (int size = 0; size < STACK_SIZES; size++) {
		struct stack_cache *pile = &shelves[size].pile;

		for (size_t n = pile->low; n > 0 && spare.count < most; n--)
			stack_pile_push(&spare, stack_pile_coldest(pile));
		pile->low = pile->count;
		note_piled(&shelves[size]);
	}
	pthread_mutex_unlock(&lock);
	return stack_store_release(&spare, spare.count);
}

/* ---- warm ones --------------------------------------------------------------------------------*/
bool stack_store_wants(void)
{
	return atomic_load_explicit(&shelves[0].piled, memory_order_relaxed) < PILE_MOST;
}

void stack_store_fill(struct stack_cache *cache, size_t n)
{
	struct shelf *shelf = &shelves[0];

	pthread_mutex_lock(&lock);
	for (; n > 0 && cache->count && shelf->pile.count < PILE_MOST; n--)
		stack_pile_push(&shelf->pile, stack_pile_coldest(cache));
	note_piled(shelf);
	pthread_mutex_unlock(&lock);
}

void stack_store_put(struct stack *s)
{
	struct shelf *shelf = &shelves[stack_mapping_at(s->mapping)->size];
	struct stack_cache surplus = { .count = 0 };

	pthread_mutex_lock(&lock);
	stack_pile_push(&shelf->pile, s);
	if (shelf->pile.count > PILE_MOST)
		stack_pile_push(&surplus, stack_pile_coldest(&shelf->pile));
	note_piled(shelf);
	pthread_mutex_unlock(&lock);
	stack_store_release(&surplus, surplus.count);
}

/* ---- the rest ---------------------------------------------------------------------------------*/
/* A page at the top, and what maps it: eight bytes of page table a page of slot, of which a slot of
 * more than two megabytes needs two pages, one at each end. */
static uint64_t touched_bytes(int size)
{
	uint64_t page = os_page_bytes();
	uint64_t tables = stack_size_stride(size) / page * 8;

	return page + (tables < 2 * page ? tables : 2 * page);
}

void stack_stats(struct stack_stats *out)
{
	*out = (struct stack_stats){
		.mappings = stack_mappings(),
		.guard_advice = stack_guard_advice(),
	};
	pthread_mutex_lock(&lock);
	for (int size = 0; size < STACK_SIZES; size++) {
		out->slots += shelves[size].out;
		out->resident_bytes += shelves[size].out * touched_bytes(size);
	}
	pthread_mutex_unlock(&lock);
}

void stack_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

void stack_fork_done(void)
{
	pthread_mutex_unlock(&lock);
}
