/* worlds.h - laws of what works between fibers, between plain threads, and between the two. Uses
 * cr_expect only. */
#ifndef TESTS_WORLDS_H
#define TESTS_WORLDS_H

#include <fiber.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

enum world { FIBERS, THREADS, BOTH };

/* Runs law(world) for each, as main fiber of runtimes with 1, 2 and 8 workers. */
void law_holds_in_all_worlds(fiber_fn *law);

/* One who takes part: a fiber, or a plain thread. */
struct actor {
	fiber_fn *run;
	void *arg;
	fiber_t fiber;          /* id 0: a thread */
	pthread_t thread;
	int result;
	atomic_bool over;
};

/* Starts run(arg) as the nth of that world: in BOTH the odd ones are threads. */
void actor_start(struct actor *, enum world, unsigned nth, fiber_fn *run, void *arg);
/* Waits for its end: its result. On any worker, without keeping that from its other fibers. */
int actor_end(struct actor *);
/* Ends n of them; how many results were not 0. */
unsigned actors_end(struct actor *, unsigned n);

/* A fiber, and what it returned (or why it could not be joined). */
fiber_t spawned(fiber_fn *run, void *arg);
int result_of(fiber_t);

/* How many wait for an object of fiber/sync.h (not a once), fibers and threads alike. */
unsigned waiting_for(void *object);
/* Until it is so many. */
void until_waiting(void *object, unsigned n);

#endif
