/* All primitives under pressure: fibers, plain threads, and both; random operations, deadlines and
 * cancellations, from a seed, against exact counts. What was granted is what was given, less what
 * is left; nobody is inside with another; and in the end nobody waits, or has yet to leave. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <stdlib.h>
#include <string.h>

#include "worlds.h"

enum { ACTORS = 12, OPERATIONS = 2000 };

/* How calls ended. */
enum outcome { GRANTED, BUSY, TIMED_OUT, CANCELED, OUTCOMES };

static struct {
	fiber_mutex_t mutex, recursive;
	fiber_rwlock_t rwlock;
	fiber_sem_t sem;
	fiber_cond_t cond;
	fiber_event_t event;
	fiber_waitgroup_t group;

	/* Under mutex, recursive, rwlock. */
	long inside, deep, tokens, given, taken;
	long written_a, written_b;
	atomic_uint readers;

	atomic_ulong operations, ended[OUTCOMES];
	atomic_ulong posted, acquired;
	atomic_uint wrong;
} arena;

struct player {
	struct actor actor;
	uint64_t random;
};

#define EXPECT(x) expect(x, #x)

static void expect(bool true_, const char *what)
{
	if (!true_ && atomic_fetch_add(&arena.wrong, 1) < 10)
		cr_expect(false, "%s", what);
}

static unsigned dice(struct player *p, unsigned sides)
{
	return (unsigned)(law_random(&p->random) % sides);
}

/* Already over, soon, or (one in ten) never: the referee sees to it that something comes. */
static int64_t some_time(struct player *p)
{
	switch (dice(p, 10)) {
	case 0:
		return 0;
	case 1:
		return FIBER_NEVER;
	default:
		return fiber_after(dice(p, 100) * FIBER_MICROSECOND);
	}
}

static bool granted(int r)
{
	switch (r) {
	case 0:
		atomic_fetch_add(&arena.ended[GRANTED], 1);
		return true;
	case -EBUSY:
		atomic_fetch_add(&arena.ended[BUSY], 1);
		return false;
	case -ETIMEDOUT:
		atomic_fetch_add(&arena.ended[TIMED_OUT], 1);
		return false;
	case -ECANCELED:
		atomic_fetch_add(&arena.ended[CANCELED], 1);
		return false;
	default:
		EXPECT(!"a result that nobody promised");
		return false;
	}
}

static void maybe_yield(struct player *p)
{
	if (dice(p, 4) == 0)
		fiber_yield();
}

/* ---- operations -------------------------------------------------------------------------------*/
static int lock_somehow(struct player *p, fiber_mutex_t *m)
{
	switch (dice(p, 3)) {
	case 0:
		return fiber_mutex_lock(m);
	case 1:
		return fiber_mutex_trylock(m);
	default:
		return fiber_mutex_lock_until(m, some_time(p));
	}
}

static void use_mutex(struct player *p)
{
	if (!granted(lock_somehow(p, &arena.mutex)))
		return;
	EXPECT(arena.inside++ == 0);
	maybe_yield(p);
	EXPECT(--arena.inside == 0);
	EXPECT(fiber_mutex_unlock(&arena.mutex) == 0);
}

static void use_recursive(struct player *p)
{
	int depth = 0;

	if (!granted(lock_somehow(p, &arena.recursive)))
		return;
	EXPECT(arena.deep == 0);
	for (arena.deep = ++depth; depth < 3 && dice(p, 2); arena.deep = ++depth)
		EXPECT(fiber_mutex_lock(&arena.recursive) == 0);
	maybe_yield(p);
	EXPECT(arena.deep == depth);
	for (; depth > 0; depth--) {
		arena.deep = depth - 1;
		EXPECT(fiber_mutex_unlock(&arena.recursive) == 0);
	}
}

static int read_lock_somehow(struct player *p)
{
	switch (dice(p, 3)) {
	case 0:
		return fiber_rwlock_rdlock(&arena.rwlock);
	case 1:
		return fiber_rwlock_tryrdlock(&arena.rwlock);
	default:
		return fiber_rwlock_rdlock_until(&arena.rwlock, some_time(p));
	}
}

static int write_lock_somehow(struct player *p)
{
	switch (dice(p, 3)) {
	case 0:
		return fiber_rwlock_wrlock(&arena.rwlock);
	case 1:
		return fiber_rwlock_trywrlock(&arena.rwlock);
	default:
		return fiber_rwlock_wrlock_until(&arena.rwlock, some_time(p));
	}
}

static void use_to_read(struct player *p)
{
	long a;

	if (!granted(read_lock_somehow(p)))
		return;
	atomic_fetch_add(&arena.readers, 1);
	a = arena.written_a;
	maybe_yield(p);
	EXPECT(a == arena.written_b);
	atomic_fetch_sub(&arena.readers, 1);
	EXPECT(fiber_rwlock_unlock(&arena.rwlock) == 0);
}

static void use_to_write(struct player *p)
{
	if (!granted(write_lock_somehow(p)))
		return;
	arena.written_a++;
	EXPECT(atomic_load(&arena.readers) == 0);
	maybe_yield(p);
	arena.written_b++;
	EXPECT(fiber_rwlock_unlock(&arena.rwlock) == 0);
}

static void acquire(struct player *p)
{
	int r = dice(p, 3) ? fiber_sem_wait_until(&arena.sem, some_time(p))
			   : fiber_sem_trywait(&arena.sem);

	if (granted(r))
		atomic_fetch_add(&arena.acquired, 1);
}

static void post(struct player *p)
{
	(void)p;
	atomic_fetch_add(&arena.posted, 1);
	EXPECT(granted(fiber_sem_post(&arena.sem)));
}

static void take(struct player *p)
{
	int64_t until = some_time(p);
	int r = 0;

	EXPECT(fiber_mutex_lock(&arena.mutex) == 0);
	EXPECT(arena.inside++ == 0);
	while (r == 0 && arena.tokens == 0) {
		arena.inside--;
		r = fiber_cond_wait_until(&arena.cond, &arena.mutex, until);
		EXPECT(arena.inside++ == 0);
	}
	if (granted(r)) {
		arena.tokens--;
		arena.taken++;
	}
	arena.inside--;
	EXPECT(fiber_mutex_unlock(&arena.mutex) == 0);
}

static void give(struct player *p)
{
	EXPECT(fiber_mutex_lock(&arena.mutex) == 0);
	EXPECT(arena.inside++ == 0);
	arena.tokens++;
	arena.given++;
	arena.inside--;
	EXPECT(fiber_mutex_unlock(&arena.mutex) == 0);
	EXPECT(granted(dice(p, 8) ? fiber_cond_signal(&arena.cond)
				  : fiber_cond_broadcast(&arena.cond)));
}

static void use_event(struct player *p)
{
	int r = 0;

	if (dice(p, 2))
		r = fiber_event_wait_until(&arena.event, some_time(p));
	else if (dice(p, 2))
		fiber_event_set(&arena.event);
	else
		fiber_event_reset(&arena.event);
	granted(r);
}

static void use_group(struct player *p)
{
	if (dice(p, 2)) {
		granted(fiber_waitgroup_wait_until(&arena.group, some_time(p)));
		return;
	}
	EXPECT(fiber_waitgroup_add(&arena.group, 1) == 0);
	maybe_yield(p);
	EXPECT(granted(fiber_waitgroup_done(&arena.group)));
}

static void (*const operations[])(struct player *) = {
	use_mutex, use_recursive, use_to_read, use_to_read, use_to_write, acquire, post, take, give,
	use_event, use_group,
};

/* Until it is canceled; sometimes under a deadline. */
static int play(void *arg)
{
	struct player *p = arg;
	fiber_scope_t scope;

	for (unsigned i = 0; i < OPERATIONS && fiber_check() == 0; i++) {
		bool hurried = dice(p, 8) == 0;

		if (hurried)
			fiber_within(&scope, fiber_after(dice(p, 50) * FIBER_MICROSECOND));
		operations[dice(p, sizeof operations / sizeof *operations)](p);
		atomic_fetch_add(&arena.operations, 1);
		if (hurried)
			fiber_scope_end(&scope, 0);
	}
	return 0;
}

/* ---- the referee ------------------------------------------------------------------------------*/
static unsigned at_play(struct player *players)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ACTORS; i++)
		n += !atomic_load(&players[i].actor.over);
	return n;
}

/* Whoever waits without an end gets what it waits for; some are canceled. */
static void keep_it_going(struct player *players, uint64_t *random)
{
	struct player self = { .random = *random };

	for (unsigned turn = 0; at_play(players); turn++) {
		fiber_t f = players[dice(&self, ACTORS)].actor.fiber;

		if (f.id && dice(&self, 6) == 0)
			fiber_cancel(f);
		post(&self);
		give(&self);
		fiber_event_set(&arena.event);
		until_pause(turn % 40);
	}
	*random = self.random;
}

static void settle(void)
{
	long left = 0;

	while (fiber_sem_trywait(&arena.sem) == 0)
		left++;
	cr_expect(arena.posted - arena.acquired == (unsigned long)left,
		  "%lu posted, %lu acquired, %ld left", arena.posted, arena.acquired, left);
	cr_expect(arena.given - arena.taken == arena.tokens);
	cr_expect(arena.written_a == arena.written_b && arena.readers == 0);
	cr_expect(fiber_mutex_destroy(&arena.mutex) == 0);
	cr_expect(fiber_mutex_destroy(&arena.recursive) == 0);
	cr_expect(fiber_rwlock_destroy(&arena.rwlock) == 0);
	cr_expect(fiber_sem_destroy(&arena.sem) == 0);
	cr_expect(fiber_cond_destroy(&arena.cond) == 0);
	cr_expect(fiber_event_destroy(&arena.event) == 0);
	cr_expect(fiber_waitgroup_destroy(&arena.group) == 0);
	cr_expect(fiber_waitgroup_wait_until(&arena.group, 0) == 0);
	cr_expect(arena.wrong == 0, "%u were wrong", arena.wrong);
}

static int rounds(void *world)
{
	uint64_t random = law_seed();

	memset(&arena, 0, sizeof arena);
	fiber_mutex_init(&arena.recursive, FIBER_RECURSIVE);
	/* Among fibers most of all: a wait of a plain thread costs a hundred times as much. */
	for (unsigned round = law_rounds(world ? 40 : 150); round > 0; round--) {
		struct player players[ACTORS];

		for (unsigned i = 0; i < ACTORS; i++) {
			players[i].random = law_random(&random);
			actor_start(&players[i].actor, (enum world)(intptr_t)world, i, play,
				    &players[i]);
		}
		keep_it_going(players, &random);
		for (unsigned i = 0; i < ACTORS; i++)
			actor_end(&players[i].actor);
	}
	settle();
	fprintf(stderr, "%lu operations: %lu granted, %lu busy, %lu timed out, %lu canceled\n",
		arena.operations, arena.ended[GRANTED], arena.ended[BUSY], arena.ended[TIMED_OUT],
		arena.ended[CANCELED]);
	return 0;
}

Test(sync_stress, what_was_granted_is_what_was_given, .timeout = 300)
{
	law_holds_in_all_worlds(rounds);
}

Test(sync_stress, the_same_for_fibers_that_roam, .timeout = 300)
{
	law_holds_with(&(fiber_options_t){ .flags = FIBER_ALL_ROAM }, rounds, NULL);
}
