/* model.h - scenarios: what a protocol is put through by the explorer.
 *
 * A scenario's threads are run in every order, and each of their atomic loads reads every store
 * that C11 lets it read. Whatever lies in memory at the beginning must be made again by `setup`:
 * the same scenario runs many thousand times. Nothing may depend on what is not the explorer's:
 * time, addresses, chance. */
#ifndef FB_MODEL_H
#define FB_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum { MODEL_THREADS = 4 };

struct scenario {
	const char *name;                       /* the law it proves, in words */
	void (*setup)(void);
	void (*thread[MODEL_THREADS])(void);
	void (*check)(void);                    /* when all have ended or sleep for good */
	bool may_sleep;                         /* threads may sleep for good */
	/* Litmus tests: all that may be reported, and all of it must be, sorted, each with a blank
	 * after it. */
	const char *outcomes;
};

/* A law of the scenario: what is not true ends the exploration, and the whole run is printed. */
#define law(x) ((x) ? (void)0 : model_fail("%s:%d: law(%s)", __FILE__, __LINE__, #x))
_Noreturn void model_fail(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));

/* Which thread runs, from 0; -1 in setup and check. */
int model_thread(void);
/* The clock may pass the running thread's deadline from now on, at any look at it. */
void model_has_deadline(void);
/* In check: has it ended? */
bool model_ended(int thread);
/* One of n, and all of them sooner or later. */
unsigned model_choose(unsigned n);
/* In check, of a litmus test: what came out. */
void model_report(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
/* Memory that lasts until the run ends; never used twice. In place of malloc and free: */
void *model_get(size_t bytes);
void *model_get_zeroed(size_t n, size_t bytes);
void model_put(void *);
/* In setup: a variable that each thread has its own of; they all begin with what it holds now. */
void model_local(void *address, size_t bytes);

/* A bell: whoever waits sleeps until it was rung. One ring is kept. It carries nothing else: what
 * the ringer wrote is not seen for having heard it. Zero bytes: silent. */
struct bell {
	unsigned char rung;
};
void bell_ring(struct bell *);
void bell_wait(struct bell *);
/* ... or until nothing else can happen. */
void bell_wait_limited(struct bell *);
/* Silent again, whether or not it was rung. True: it was. */
bool bell_hush(struct bell *);

#endif
