/* cache.c - the slow halves of getting and putting a stack, and what happens now and then.
 *
 * Deep pages. A fiber that once went deep leaves its pages to a stack that may serve shallow
 * ones for years. To give them back at every put would cost a system call each time, 450 ns
 * where a get and a put together take 3; so one put in about 256 gives back what lies deeper
 * than 16 KiB. Not exactly every 256th: fibers that come and go in batches of a power of two
 * would always hit the same stack. A stack much used is soon hit, and one that is not used is
 * trimmed.
 *
 * Trimming is by low water: as many as were in the cache at every moment since the last time. */
#include <errno.h>
#include <stdatomic.h>

#include "os/memory.h"
#include "os/os.h"
#include "stack/guard.h"
#include "stack/pile.h"
#include "stack/size.h"
#include "stack/store.h"

enum {
	PUTS_LEAST = 240,       /* between two that give back deep pages; 31 more at most */
	KEEP_BYTES = 16 * 1024, /* at the top of a stack, whatever happens */
	SPARE = 256,            /* what a cache has beyond goes to the store while that has room */
	ODD_DEEP = 1 << 20,     /* from this size on every stack's deep pages are given back */
};

int stack_get_cold(struct stack_cache *cache, size_t bytes, struct stack **out)
{
	int size = stack_size_of(bytes);
	int r = size < 0 ? size : stack_store_get(size, cache, out);

	if (r == 0)
		sanitize_fresh((*out)->bottom, (*out)->bytes);
	return r;
}

static void give_back_deep(struct stack *s)
{
	size_t page = os_page_bytes();
	uintptr_t top_page = (uintptr_t)s & ~(uintptr_t)(page - 1);
	uintptr_t deep = (top_page + page - KEEP_BYTES) & ~(uintptr_t)(page - 1);

	if (deep > (uintptr_t)s->bottom)
		stack_discard(s, (char *)deep);
}

/* Spread by the slot's number, which is as good as by chance and needs no state. */
static unsigned puts_until_next(const struct stack *s)
{
	return PUTS_LEAST + (s->slot * 7 + s->mapping) % 32;
}

void stack_put_cold(struct stack_cache *cache, struct stack *s)
{
	bool due = cache->puts == 0;

	if (!cache->free.next)
		list_init(&cache->free); /* stack_put relies on it once there are puts left */
	cache->puts = due ? puts_until_next(s) : cache->puts - 1;
	if (due || (s->odd && s->bytes >= ODD_DEEP))
		give_back_deep(s);
	if (s->odd) {
		stack_store_put(s);
		return;
	}
	stack_pile_push(cache, s);
	if (cache->count > SPARE && stack_store_wants())
		stack_store_fill(cache, cache->count - SPARE);
}

/* ---- whose cache? -----------------------------------------------------------------------------*/
static __thread struct stack_cache *lent;

void stack_cache_lend(struct stack_cache *cache)
{
	lent = cache;
}

NOINLINE int stack_get_here(size_t bytes, struct stack **out)
{
	int size = stack_size_of(bytes), r;

	if (lent)
		return stack_get(lent, bytes, out);
	r = size < 0 ? size : stack_store_get(size, NULL, out);
	if (r == 0)
		sanitize_fresh((*out)->bottom, (*out)->bytes);
	return r;
}

/* Without a cache there is none to count in, nor a worker that trims when it is idle. */
static bool is_due(void)
{
	static _Atomic unsigned puts;

	return atomic_fetch_add_explicit(&puts, 1, memory_order_relaxed) % PUTS_LEAST == 0;
}

NOINLINE void stack_put_here(struct stack *s)
{
	if (lent) {
		stack_put(lent, s);
		return;
	}
	s->owner = NULL;
	if (s->bytes >= ODD_DEEP || is_due())
		give_back_deep(s);
	stack_store_put(s);
}

size_t stack_cache_trim(struct stack_cache *cache, size_t most)
{
	size_t spare = cache->low < most ? cache->low : most;
	size_t released = stack_store_release(cache, spare);

	cache->low = cache->count;
	return released + stack_store_trim(most - released);
}

void stack_cache_drain(struct stack_cache *cache)
{
	stack_store_fill(cache, cache->count);
	stack_store_release(cache, cache->count);
	*cache = (struct stack_cache){ .count = 0 };
}

size_t stack_used(const struct stack *s)
{
	return os_pages_depth(s->bottom, s->bytes);
}
