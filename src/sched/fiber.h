/* fiber.h - the control block of a fiber, and handles. Private to src/sched/.
 *
 * A fiber is 128 bytes, two cache lines, in a process-wide slab that is never unmapped, and, from
 * its first run to its end, a stack. Line 0 belongs to whoever runs or queues the fiber. Line 1 is
 * written by other threads too, by atomics only. Blocks are type-stable: a late look at one that is
 * in use again finds a valid block, and its generation or ticket no longer matches.
 *
 * The words that several threads write, and their protocols:
 *
 *  state   generation:40 | flags:24. The generation is odd while the block is in use. Every change
 *          is a CAS or an RMW that keeps the generation, so a request by handle never reaches the
 *          block's next life.
 *            CANCEL   sticky; set by anybody. Protocol "request": set the bit, then post the fiber
 *                     to its home worker's inbox. Only the home worker ends waits for it, so
 *                     nothing can come between a wait's begin and its park; and it sees the bit,
 *                     whether the fiber waits, runs or has not begun.
 *            PERMIT   the token of fiber_park; set by fiber_unpark, the same protocol.
 *            MOVED    set (RMW) by a worker that made itself `home` of a fiber that was another's:
 *                     a thief before the first run, or of one that roams. Pairs with the CAS of a
 *                     request: either the requester sees the new home, and posts there, or the
 *                     new home's thread sees the request at the fiber's next check. Nobody reads
 *                     the bit.
 *
 *  join    what:24 low bits say: NONE, DETACHED, DONE, TAKEN with the generation in the high bits;
 *          or a joiner: its block's index, with its ticket in the high bits.
 *            NONE -> joiner     a joiner registers (CAS; the generation is checked by the same
 *                               word)
 *            joiner -> NONE     it withdraws after an interruption (CAS)
 *            NONE -> DONE       the fiber ended, nobody waits: whoever moves DONE to TAKEN reaps it
 *            joiner -> TAKEN    the fiber ended: the joiner alone reaps it; it is claimed and
 *                               woken. If its claim had gone to an interruption it puts DONE back.
 *            NONE -> DETACHED   nobody will join: the fiber's end frees the block
 *          After the end's move to DONE or TAKEN the fiber touches nothing of its own block.
 *
 *  claim   see wait.h. ticket:40 | index:20 | status:4.
 *
 *  reasons WHY it was posted. Protocol "post": OR a reason in; whoever found 0 puts the block into
 *          the inbox of its home. The drainer takes the block out, exchanges reasons with 0, and
 *          acts, or posts on if home has changed. A block may thus stay in an inbox beyond its
 *          life: the drainer looks at state and claim and finds nothing to do. */
#ifndef FB_SCHED_FIBER_H
#define FB_SCHED_FIBER_H

#include <fiber.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/must.h"
#include "os/atomic.h"
#include "os/inbox.h"
#include "stack/stack.h"
#include "time/timers.h"

struct worker;
struct runtime;
struct group_member;
struct locals;

/* Bits of state, below the generation. */
enum {
	STATE_CANCEL = 1u << 0,
	STATE_PERMIT = 1u << 1,
	STATE_MOVED = 1u << 2,
};
#define STATE_GENERATION(word) ((word) >> 24)

/* Low bits of join that are no block's index. */
enum { JOIN_NONE, JOIN_DETACHED, JOIN_DONE, JOIN_TAKEN, JOIN_CODES = 16 };
#define JOIN_WORD(high, low) ((uint64_t)(high) << 24 | (low))
#define JOIN_LOW(word) ((uint32_t)(word) & 0xffffffu)

/* Status of claim. */
enum claim_status {
	CLAIM_IDLE,
	CLAIM_WAITING,      /* interruptible */
	CLAIM_HARD,         /* waiting; only its own `until` and events end it */
	CLAIM_IN_FLIGHT,    /* an operation is in a poller */
	CLAIM_GRANTED,      /* by an event: index says which */
	CLAIM_CANCELLED,
	CLAIM_TIMED_OUT,
};
#define CLAIM_TICKET(word) ((word) >> 24)
#define CLAIM_STATUS(word) ((enum claim_status)((word) & 15))
#define CLAIM_INDEX(word) ((unsigned)((word) >> 4) & 0xfffffu)
#define CLAIM_WORD(ticket, index, status)                                                          \
	((uint64_t)(ticket) << 24 | (uint64_t)(index) << 4 | (unsigned)(status))

/* Bits of reasons. */
enum {
	POST_WAKE = 1u << 0,    /* claimed: make it runnable */
	POST_REQUEST = 1u << 1, /* look at state: CANCEL, PERMIT */
	POST_START = 1u << 2,   /* spawned from elsewhere: queue it here */
};

/* Bits of flags; the fiber's own, written by its thread (or its spawner) only. */
enum {
	F_ROAM = 1u << 0,       /* may change thread */
	F_NO_FPU = 1u << 1,
	F_PLACED = 1u << 2,     /* on this worker and nowhere else */
	F_STARTED = 1u << 3,
	F_THREAD = 1u << 4,     /* a plain thread's borrowed block */
	F_SHIELDED = 1u << 5,   /* cancellation waits outside */
	F_EXPIRED = 1u << 6,    /* the ruling deadline is known to have passed */
	F_PINNED = 1u << 7,     /* roaming, but fiber_pin */
	F_MAIN = 1u << 8,       /* the runtime ends with it */
	F_LOOP = 1u << 9,       /* no fiber: a worker's own context */
	F_ARMED = 1u << 10,     /* its timer is in its home's heap, perhaps */
	F_EXCEPTIONS = 1u << 11, /* a program with C++: its exceptions' state goes with it */
	F_DORMANT = 1u << 12,   /* unstarted, and waits for a descriptor first (dormant.c) */
	F_WAS_DORMANT = 1u << 13, /* cold->woken says why it runs */
};

struct fiber {
	/* Line 0: of whoever runs or queues it. */
	void *sp;                        /* saved context; valid while it is neither new nor
	                                  * running */
	struct fiber *next;              /* in a run queue or a free list */
	_Atomic(struct worker *) home;   /* who runs it; stable while it waits, unless it roams */
	/* Two of the unions are atomic on both sides, because others look at them (info.c), and
	 * find out afterwards that the fiber was not the one they meant. */
	union {
		_Atomic(fiber_fn *) function; /* until it starts */
		_Atomic(struct cold *) cold;  /* afterwards */
	};
	union {
		void *argument;          /* until it starts */
		int64_t wake_at;         /* afterwards: when the present wait times out; OS_NEVER */
	};
	union {
		_Atomic(const void *) spawned_at; /* until it starts */
		_Atomic int64_t deadline; /* afterwards: the ruling one */
	};
	union {
		struct extra *extra;     /* until it starts: what attributes asked for, or NULL */
		fiber_scope_t *scope;    /* afterwards: the innermost */
	};
	struct timer timer;              /* in home's timers; may be set for earlier than wake_at */
	uint32_t index;                  /* which block this is; constant */

	/* Line 1: shared. */
	_Atomic uint64_t state;
	_Atomic uint64_t join;
	_Atomic uint64_t claim;
	struct inbox_node inbox;
	_Atomic uint32_t reasons;
	int32_t result;                  /* published by join */
	_Atomic(const void *) object;    /* what it waits for; in flight: its struct poller_op */
	_Atomic int64_t since;           /* when its wait began, by its worker's coarse clock */
	uint32_t flags;
	_Atomic uint8_t what;            /* enum wait_what */
	_Atomic uint8_t landed;          /* a roaming fiber's registers are saved */
	_Atomic uint8_t begun;           /* for others: the unions hold what they do afterwards */
	uint8_t spare;
};
_Static_assert(sizeof(struct fiber) == 128, "two cache lines");
_Static_assert(offsetof(struct fiber, state) == 64, "line 1");

/* What a fiber rarely needs: at the top of its stack, on a page that is touched anyway. */
struct cold {
	/* The first three are atomic because others may look (info.c), even when the stack is
	 * already another fiber's. */
	_Atomic(struct stack *) stack;   /* NULL: a thread's block or a worker's loop */
	_Atomic uint64_t name[2];        /* 15 bytes and a zero */
	_Atomic(const void *) spawned_at;
	fiber_fn *function;
	void *argument;
	struct locals *locals;
	struct group_member *member;     /* of the group it belongs to, or NULL */
	void *sanitizer;                 /* sanitizer builds only: ThreadSanitizer's context */
	const char *stack_bottom;        /* and where the stack is, for AddressSanitizer */
	size_t stack_bytes;
	int woken;                       /* F_WAS_DORMANT: fiber_became_ready */
};

/* What attributes asked for, or an earlier stack leaves, until the fiber starts. */
struct extra {
	struct stack *stack;             /* taken at spawn, because stacks are short; or NULL */
	size_t stack_bytes;
	uint64_t name[2];
	struct group_member *member;
	struct locals *locals;
	size_t copy_bytes;
	_Alignas(16) unsigned char copy[];
};

/* ---- the slab ---------------------------------------------------------------------------------*/
enum { FIBER_CACHE_MOST = 8192 };

/* A private list of free blocks, refilled from the slab. Belongs to one thread. */
struct fiber_cache {
	struct fiber *free;
	unsigned count;
};

struct fiber *fiber_block_cold(struct fiber_cache *);
void fiber_block_spill(struct fiber_cache *);
void fiber_cache_drain(struct fiber_cache *);
/* A plain thread's block. It never was a fiber's and never will be: a late word to a fiber, posted
 * to an inbox, must not reach a thread. Its generation stays even, so no handle means it. */
struct fiber *fiber_block_lend(void);
void fiber_block_back(struct fiber *);

/* A free block; NULL: no memory, or 16 million in use. */
INLINE struct fiber *fiber_block_get(struct fiber_cache *cache)
{
	struct fiber *f = cache->free;

	if (unlikely(!f))
		return fiber_block_cold(cache);
	cache->free = f->next;
	cache->count--;
	return f;
}

/* The block's next life begins: whoever gets its handle from now on means this one. */
INLINE void fiber_block_open(struct fiber *f)
{
	uint64_t state = atomic_load_explicit(&f->state, memory_order_relaxed) + (1u << 24);

	atomic_store_explicit(&f->begun, 0, memory_order_relaxed);
	/* Release: whoever sees this life does not see its predecessor's `begun`. */
	atomic_store_explicit(&f->state, state, memory_order_release);
	atomic_store_explicit(&f->join, state | JOIN_NONE, memory_order_relaxed);
}

/* Its life is over: no handle matches any more. */
INLINE void fiber_block_put(struct fiber_cache *cache, struct fiber *f)
{
	uint64_t state = atomic_load_explicit(&f->state, memory_order_relaxed);
	uint64_t generation = STATE_GENERATION(state);

	atomic_store_explicit(&f->state, (generation + 1) << 24, memory_order_release);
	f->next = cache->free;
	cache->free = f;
	if (unlikely(++cache->count > FIBER_CACHE_MOST))
		fiber_block_spill(cache);
}

enum { FIBER_CHUNK_BLOCKS = 4096, FIBER_CHUNKS = (1 << 24) / FIBER_CHUNK_BLOCKS };
extern _Atomic(struct fiber *) fiber_chunk[FIBER_CHUNKS];

/* The block that a handle or a join word means; NULL: there never was one. */
INLINE struct fiber *fiber_at(uint32_t index)
{
	struct fiber *base;

	index &= FIBER_CHUNKS * FIBER_CHUNK_BLOCKS - 1;
	base = atomic_load_explicit(&fiber_chunk[index / FIBER_CHUNK_BLOCKS], memory_order_acquire);
	if (unlikely(!base) || unlikely(index < JOIN_CODES))
		return NULL;
	return &base[index % FIBER_CHUNK_BLOCKS];
}

/* Blocks that exist: indices JOIN_CODES up to this. */
uint32_t fiber_blocks(void);
void fiber_slab_fork_prepare(void);
void fiber_slab_fork_done(void);
/* In the child: no handle of the parent's means anybody. */
void fiber_slab_forget(void);

static inline fiber_t fiber_handle(const struct fiber *f)
{
	uint64_t state = atomic_load_explicit(&f->state, memory_order_relaxed);

	return (fiber_t){ STATE_GENERATION(state) << 24 | f->index };
}

static inline uint64_t handle_generation(fiber_t h)
{
	return h.id >> 24;
}

/* The block of a handle whose generation matches at this moment; NULL: long gone, or never was. */
static inline struct fiber *fiber_find(fiber_t h)
{
	struct fiber *f = fiber_at((uint32_t)h.id & 0xffffffu);

	if (!f || !(handle_generation(h) & 1) ||
	    STATE_GENERATION(atomic_load_explicit(&f->state, memory_order_acquire)) !=
		    handle_generation(h))
		return NULL;
	return f;
}

/* Acquire: pairs with the release in life_begin. Ask after the generation, and ask for that again
 * after using what it promises. */
static inline bool fiber_has_begun(const struct fiber *f)
{
	return atomic_load_explicit(&f->begun, memory_order_acquire);
}

/* The caller's worker takes a fiber that was another's; "request" above. */
INLINE void fiber_moves_to(struct fiber *f, struct worker *home)
{
	atomic_store_explicit(&f->home, home, memory_order_relaxed);
	atomic_or64(&f->state, STATE_MOVED);
}

static inline struct cold *fiber_cold(struct fiber *f)
{
	return atomic_load_explicit(&f->cold, memory_order_relaxed);
}

static inline struct stack *cold_stack(struct cold *cold)
{
	return atomic_load_explicit(&cold->stack, memory_order_relaxed);
}

/* Its own thread changes flags, once it has started; plain stores to whoever reads the code, but a
 * home worker may look whether a fiber is shielded just when another thread adopts and runs it. It
 * finds out by the claim that it asked too late (wait_request), so no order is needed. */
INLINE void fiber_change_flags(struct fiber *f, uint32_t clear, uint32_t set)
{
	__atomic_store_n(&f->flags, (f->flags & ~clear) | set, __ATOMIC_RELAXED);
}

static inline bool fiber_is_shielded(const struct fiber *f)
{
	return __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & F_SHIELDED;
}

/* Asked of a fiber that may be running elsewhere; the bit never changes, others beside it do. */
static inline bool fiber_roams(const struct fiber *f)
{
	return __atomic_load_n(&f->flags, __ATOMIC_RELAXED) & F_ROAM;
}

static inline bool fiber_may_move(const struct fiber *f)
{
	return (f->flags & (F_ROAM | F_PINNED)) == F_ROAM;
}

/* A name into two words, cut after 15 bytes. */
void fiber_name_words(uint64_t words[2], const char *name);

#endif
