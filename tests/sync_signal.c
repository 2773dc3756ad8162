/* Condition variables between two who run at the same time: no signal is missed. */
#include <criterion/criterion.h>
#include <fiber/sync.h>

#include "worlds.h"

/*	consumer             producer
 *	lock
 *	tokens == 0
 *	wait: is queued
 *	  unlocks
 *	                     lock; tokens 1; unlock; signal    <- finds it, though not parked yet
 *	  parks */
struct pipe {
	fiber_mutex_t mutex;
	fiber_cond_t full, empty;
	unsigned in, out, rounds; /* at most one is in it */
};

static int produce(void *arg)
{
	struct pipe *p = arg;
	int r = 0;

	for (unsigned i = 0; i < p->rounds && r == 0; i++) {
		fiber_mutex_lock(&p->mutex);
		while (r == 0 && p->in != p->out)
			r = fiber_cond_wait(&p->empty, &p->mutex);
		p->in++;
		fiber_mutex_unlock(&p->mutex);
		fiber_cond_signal(&p->full);
	}
	return r;
}

static int consume(void *arg)
{
	struct pipe *p = arg;
	int r = 0;

	for (unsigned i = 0; i < p->rounds && r == 0; i++) {
		fiber_mutex_lock(&p->mutex);
		while (r == 0 && p->in == p->out)
			r = fiber_cond_wait(&p->full, &p->mutex);
		p->out++;
		fiber_cond_signal(&p->empty); /* with the mutex in hand is as good */
		fiber_mutex_unlock(&p->mutex);
	}
	return r;
}

static int none_is_missed(void *world)
{
	struct pipe p = { .rounds = law_rounds(1000) };
	struct actor actors[6];

	for (unsigned i = 0; i < 3; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, produce, &p);
	for (unsigned i = 3; i < 6; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, consume, &p);
	cr_expect(actors_end(actors, 6) == 0);
	cr_expect(p.in == 3 * p.rounds && p.out == p.in);
	return 0;
}

Test(signal, no_signal_after_the_unlock_is_missed, .timeout = 60)
{
	law_holds_in_all_worlds(none_is_missed);
}

/*	waiter                       signaler
 *	                             trylock: -EBUSY, and again
 *	wait: lets go of the mutex
 *	                             trylock: 0; turn++; unlock
 *	                             signal              <- finds it, however soon that is
 *	  parks */
struct turns {
	fiber_mutex_t mutex;
	fiber_cond_t cond;
	unsigned turn, rounds;
};

static int signal_at_once(void *arg)
{
	struct turns *t = arg;

	for (unsigned i = 0; i < t->rounds; i++) {
		bool ready = false;

		while (!ready) {
			if (fiber_mutex_trylock(&t->mutex) != 0)
				continue;
			ready = t->turn == 2 * i + 1;
			t->turn += ready;
			fiber_mutex_unlock(&t->mutex);
		}
		fiber_cond_signal(&t->cond);
	}
	return 0;
}

static int wait_turns(void *arg)
{
	struct turns *t = arg;
	int r = 0;

	for (unsigned i = 0; i < t->rounds && r == 0; i++) {
		fiber_mutex_lock(&t->mutex);
		t->turn++;
		while (r == 0 && t->turn == 2 * i + 1)
			r = fiber_cond_wait(&t->cond, &t->mutex);
		fiber_mutex_unlock(&t->mutex);
	}
	return r;
}

static int found_at_once(void *arg)
{
	struct turns t = { .rounds = law_rounds(3000) };
	struct actor actors[2];

	(void)arg;
	actor_start(&actors[0], BOTH, 0, wait_turns, &t);
	actor_start(&actors[1], BOTH, 1, signal_at_once, &t);
	cr_expect(actors_end(actors, 2) == 0);
	return 0;
}

Test(signal, a_signal_finds_whoever_has_let_go_of_the_mutex, .timeout = 60)
{
	law_holds(found_at_once, NULL);
}
