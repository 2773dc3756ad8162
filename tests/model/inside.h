/* inside.h - between the files of the explorer.
 *
 * memory.c    C11's memory: stores, the order of each location's, views
 * plain.c     accesses that are not atomic: data races
 * threads.c   the scenario's threads, coroutines that stop before each operation
 * operate.c   operations: what each can do now, and doing it
 * explore.c   every run, one after the other
 * sites.c     where atomics stand, and what is weakened
 * report.c    a run that broke a law
 * main.c      which scenarios, which weakenings */
#ifndef FB_MODEL_INSIDE_H
#define FB_MODEL_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "atomics.h"
#include "model.h"

enum {
	THREADS = MODEL_THREADS + 1, /* 0: setup and check */
	LOCATIONS = 120,
	STORES = 100,                /* of one location */
	EVENTS = 1500,
};

/* ---- memory.c ---------------------------------------------------------------------------------*/
enum { ACQUIRE = 1, RELEASE = 2, TOTAL = 4 }; /* of an order */

/* What somebody has seen of each location: nothing older can be read or overwritten. And what has
 * happened before, in each thread's clock. */
struct view {
	uint8_t store[LOCATIONS];
	uint16_t clock[THREADS];
};

struct store {
	uint64_t value;
	struct view view;            /* what its reader sees, if it acquires */
	uint16_t past[THREADS];      /* events it depends on, by each thread's count */
	uint8_t position;            /* in the order of the location's stores */
	uint8_t writer;
	bool taken;                  /* a read-modify-write has read it: nothing comes between */
	bool changes;                /* it is one itself */
};

struct location {
	volatile void *address;
	uint8_t bytes;
	uint8_t stores;
	const char *name;
	uint8_t order[STORES];       /* numbers of stores, oldest first */
	struct store store[STORES];
};

extern struct location memory[LOCATIONS];
extern int locations;

void memory_reset(void);
/* The location at an address; a new one begins with what the memory holds. */
int memory_find(const volatile void *, size_t bytes, const char *name);
bool memory_known(const volatile void *);
uint64_t memory_get(const volatile void *, size_t bytes);
void memory_put(volatile void *, size_t bytes, uint64_t value);
/* The memory itself says what was stored last, for whoever looks after the run. */
void memory_settle(void);
static inline unsigned memory_position(int location, unsigned store)
{
	return memory[location].store[store].position;
}
void view_join(struct view *, const struct view *);
void view_join_stores(struct view *, const struct view *);
/* A new store at this place in the location's order: its number. */
unsigned memory_insert(int location, unsigned position, uint64_t value);

/* ---- threads.c --------------------------------------------------------------------------------*/
enum op_kind {
	OP_NONE, OP_LOAD, OP_STORE, OP_CHANGE, OP_COMPARE, OP_FENCE,
	OP_RING, OP_WAIT, OP_HUSH,              /* bells */
	OP_ENTER, OP_SLEEP, OP_WAKE,            /* sleeping on a word; enter reads it first */
};

struct op {
	enum op_kind kind;
	enum model_change change;
	int location;                /* -1: none */
	void *object;                /* a bell, or the word slept on */
	unsigned order, failure;     /* ACQUIRE, RELEASE, TOTAL */
	uint64_t operand, expected;
	uint64_t was;                /* the result */
	bool changed;
	bool limited;                /* OP_SLEEP: ends by itself in the end */
	struct model_site *site;
};

struct thread {
	void *context;
	void (*run)(void);
	struct op op;                /* what it wants to do next; OP_NONE: it has ended */
	struct view now, acquired, released; /* seen; an acquire fence will see; since the last
	                                      * release fence */
	uint16_t past[THREADS];      /* what it depends on */
	/* Nothing new: a pause forbids to read `stale` of this location again. */
	int last_read, stale_at;
	uint8_t last_store, stale;
	/* Its next operation was done before, in all ways but with stores from this number on. */
	bool asleep;
	uint8_t seen;
	bool woken;
	struct model_site *at;
	unsigned char local[64];
};

extern struct thread thread[THREADS];
extern int running;                  /* which thread's code runs; -1: the explorer's */
extern const struct scenario *scenario;

/* The running thread's `op` says what it wants to do; returns when that is done. */
void thread_wants(void);
/* False: it broke a law. */
bool threads_setup(void);
bool threads_start(int number);
bool threads_resume(int number);
bool threads_check(void);
extern char failure[2048];

/* ---- operate.c --------------------------------------------------------------------------------*/
/* In how many ways can this thread do what it wants to? 0: it must wait. */
unsigned op_ways(int number);
/* The same for one that is not asleep. */
bool op_enabled(int number);
/* Does it in the way-th of them. */
void op_do(int number, unsigned way);
bool op_reads(const struct op *);
bool op_writes(const struct op *);
/* The order of these matters in itself, not only for what is read. */
bool op_clash(const struct op *, const struct op *);
void op_reset(void);

/* ---- system.c: bells, and sleeping on words ---------------------------------------------------*/
void bells_do(struct thread *);
/* Nothing else goes on: somebody's deadline passes. False: nobody has one. */
bool bells_time_out(void);
/* A run begins: no deadline has passed. */
void model_on_time(void);

/* ---- front.c: atomics as the scenarios call them ----------------------------------------------*/
/* Outside the threads, where nobody else is: at once, in the memory itself. */
void front_do_alone(struct op *, volatile void *, size_t bytes);

/* ---- plain.c ----------------------------------------------------------------------------------*/
void plain_reset(void);
/* An atomic access is one to plain code, too. */
void plain_atomic(const volatile void *);
void plain_initialises(const volatile void *, size_t bytes);
void plain_ignore(const void *, size_t bytes);
void plain_freed(const void *, size_t bytes);

/* ---- explore.c --------------------------------------------------------------------------------*/
struct event {
	struct op op;                /* as it was done */
	uint8_t thread;
	uint16_t number;             /* in its thread, from 1 */
	uint16_t node;
	int16_t read, written;       /* numbers of stores */
	uint64_t value;              /* written */
	bool stale;                  /* there were newer stores to read */
};
extern struct event event[EVENTS];
extern unsigned events;

struct totals {
	uint64_t runs, cut;
	bool failed;
};
/* Every run of the scenario, until one fails. If explore_blindly is set, every thread is tried at
 * every choice: the sleep sets still see to it that no run is made twice, so as many must come of
 * it. */
extern bool explore_blindly;
struct totals explore(const struct scenario *);
unsigned explore_choice(unsigned n);
/* From inside the explorer: the run ends here, with a failure. */
_Noreturn void explore_abort(void);

/* ---- sites.c ----------------------------------------------------------------------------------*/
enum { SITES = 600, NAME_BYTES = 160 };
enum weakening {
	WEAKEN_ACQUIRE, WEAKEN_RELEASE, WEAKEN_TOTAL, WEAKEN_FAILURE, WEAKEN_FENCE, WEAKENINGS
};
extern const char *const weakening_name[WEAKENINGS];

struct site {
	char name[NAME_BYTES];       /* file, function, what */
	uint8_t may;                 /* bits of weakenings that it can have */
	bool met;                    /* by the scenario that ran last */
	bool ships;                  /* it stands in the library, not in a scenario */
};
extern struct site site[SITES];
extern int sites;
void sites_forget_met(void);
/* From now on this one is weaker; -1: none. */
void sites_weaken(int number, enum weakening);
/* Order as C says it, as bits; less what is weakened. */
unsigned site_order(int order, struct model_site *, bool of_failure);

/* ---- report.c ---------------------------------------------------------------------------------*/
void report_run(void);
/* Where code stands, for addr2line. */
const char *report_code(const void *);
void outcomes_reset(void);
/* False: not all that may come out did. */
bool outcomes_complete(void);

#endif
