/* stack.h - stacks that grow: address space reserved, memory committed as it is touched, the
 * bottom guarded; many to a mapping; finished ones cached.
 *
 * A slot is [guard | usable ... | struct stack | colour], lowest address first. struct stack
 * stands at the very top of what is usable, on the page that the first frame touches anyway; the
 * colour (a few cache lines, by slot number) and a stride of an odd number of pages keep
 * thousands of tops from fighting over the same cache and TLB sets.
 *
 * Three places hold a stack that nobody uses, from warm to cold:
 *
 *	a thread's cache     struct stack_cache, that thread's own: no lock, no system call
 *	the store's piles    a bounded number for all threads, one pile for each size (store.c)
 *	the store's slots    a bit in a mapping: the memory is given back, the guard stays */
#ifndef FB_STACK_H
#define FB_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/must.h"
#include "os/os.h"
#include "os/sanitize.h"

enum {
	STACK_GUARD_LEAST = 32 * 1024,
	STACK_GUARD_BYTES = (int)OS_UNTOUCHED_BYTES > (int)STACK_GUARD_LEAST
				    ? (int)OS_UNTOUCHED_BYTES
				    : (int)STACK_GUARD_LEAST,
	STACK_DEFAULT_BYTES = 96 * 1024, /* 128 KiB a slot with the smaller guard */
};

struct fiber_gen;

struct stack {
	struct list link;   /* in a cache while nobody uses it */
	char *bottom;       /* lowest usable address: the guard ends here */
	char *limit;        /* Windows: lowest that has memory; guard_windows.c. After bottom */
	size_t bytes;       /* usable, from bottom up to this struct */
	void *owner;        /* whoever holds it, for the overflow report: a fiber, or a generator
	                     * (gen/gen.h); NULL: nobody */
	uint16_t mapping;   /* which mapping, and which slot of it */
	uint16_t slot;
	bool odd;           /* of another size than the default: never in a thread's cache */
	struct fiber_gen *inner; /* the generator that whoever runs here has resumed, and that
	                     * has not come back (gen/gen.h); NULL: none */
};

/* Where the first frame goes: right below the header. */
static inline void *stack_top(const struct stack *s)
{
	return (void *)((uintptr_t)s & ~(uintptr_t)63);
}

/* Default-sized stacks that one thread uses again, hottest first. Owned by that thread. Zero bytes
 * are an empty cache. */
struct stack_cache {
	struct list free;
	size_t count;       /* in `free` */
	size_t low;         /* the smallest count since the last trim: so many were not needed */
	unsigned puts;      /* left until one takes the slow way and gives back its deep pages */
};

/* Slow halves, behind stack_get and stack_put. -ENOMEM: no address space, mappings or memory. */
int stack_get_cold(struct stack_cache *, size_t bytes, struct stack **out);
void stack_put_cold(struct stack_cache *, struct stack *);

/* A stack of at least `bytes` usable (rounded up to a size; up to STACK_DEFAULT_BYTES: the
 * default). Its owner is NULL. -ENOMEM: there is no room for it; nothing has changed, and a
 * later call may succeed. */
static inline int stack_get(struct stack_cache *cache, size_t bytes, struct stack **out)
{
	struct list *node = cache->free.next;

	if (unlikely(bytes > STACK_DEFAULT_BYTES || !node || node == &cache->free))
		return stack_get_cold(cache, bytes, out);
	cache->free.next = node->next;
	node->next->prev = &cache->free;
	if (--cache->count < cache->low)
		cache->low = cache->count;
	*out = (struct stack *)node; /* link is the first member */
	sanitize_fresh((*out)->bottom, (*out)->bytes);
	return 0;
}

/* Nobody may run on it any more. The newest is handed out first. */
static inline void stack_put(struct stack_cache *cache, struct stack *s)
{
	struct list *first = cache->free.next;

	s->owner = NULL;
	/* An empty cache of zero bytes has no puts left, so `first` is a node below. */
	if (unlikely(s->odd || cache->puts == 0)) {
		stack_put_cold(cache, s);
		return;
	}
	cache->puts--;
	s->link.next = first;
	s->link.prev = &cache->free;
	first->prev = &s->link;
	cache->free.next = &s->link;
	cache->count++;
}

/* The same with the calling thread's cache, if it has lent one, else with the process-wide
 * store. */
int stack_get_here(size_t bytes, struct stack **out);
void stack_put_here(struct stack *);
/* From here on, for the calling thread; NULL: no longer. */
void stack_cache_lend(struct stack_cache *);

/* Gives memory of stacks that were not needed since the last call back to the kernel; at most
 * `most` of them, coldest first: of this cache, then of the process-wide store. Returns how many.
 * Called about once a second by an idle worker. */
size_t stack_cache_trim(struct stack_cache *, size_t most);
/* The thread ends: its stacks go to the process-wide store. */
void stack_cache_drain(struct stack_cache *);

/* High-water mark in bytes, page-grained: what was touched of s since its memory was last given
 * back. Pages that were swapped out count as never touched. */
size_t stack_used(const struct stack *);

enum stack_place {
	STACK_NOT_OURS,  /* no stack of the library */
	STACK_GUARD,     /* in the guard of *out: an overflow */
	STACK_INSIDE,    /* in the rest of the slot of *out */
};
/* Whose stack is this address? Callable in a signal handler: reads an append-only table of
 * mappings only, and touches no guard. *out is the slot's header; of a slot that nobody uses now
 * its owner is NULL, and it may be all zeros. */
enum stack_place stack_locate(const void *address, struct stack **out);

struct stack_stats {
	uint64_t resident_bytes; /* estimate: each of `slots` with its top page touched */
	uint64_t slots;          /* in use or in a cache: not known to be given back */
	uint64_t mappings;       /* that hold them and all others */
	bool guard_advice;       /* false: the mprotect fall-back, which the kernel limits */
};
void stack_stats(struct stack_stats *);

/* Around fork(): the process-wide store must not be mid-change in the child. */
void stack_fork_prepare(void);
void stack_fork_done(void);

#endif
