/* Reader-writer locks: who excludes whom, and nobody is starved. Among writers it is as with a
 * mutex (sync_next.c); here is what readers add. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <stdlib.h>
#include <string.h>

#include "worlds.h"

static int read_and_leave(void *l)
{
	int r = fiber_rwlock_rdlock(l);

	return r != 0 ? r : fiber_rwlock_unlock(l);
}

static int write_and_leave(void *l)
{
	int r = fiber_rwlock_wrlock(l);

	return r != 0 ? r : fiber_rwlock_unlock(l);
}

static int write_until_and_leave(void *l)
{
	int r = fiber_rwlock_wrlock_until(l, FIBER_NEVER);

	return r != 0 ? r : fiber_rwlock_unlock(l);
}

static int read_until_and_leave(void *l)
{
	int r = fiber_rwlock_rdlock_until(l, FIBER_NEVER);

	return r != 0 ? r : fiber_rwlock_unlock(l);
}

/* ---- exclusion --------------------------------------------------------------------------------*/
struct shared {
	fiber_rwlock_t lock;
	long a, b;              /* equal, whenever nobody writes */
	unsigned rounds;
	atomic_uint wrong, readers, most;
};

static int write_both(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < s->rounds; i++) {
		s->wrong += fiber_rwlock_wrlock(&s->lock) != 0;
		s->a++;
		if (i % 8 == 0)
			fiber_yield();
		s->b++;
		s->wrong += fiber_rwlock_unlock(&s->lock) != 0;
	}
	return 0;
}

static int read_both(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < s->rounds; i++) {
		s->wrong += fiber_rwlock_rdlock(&s->lock) != 0;
		long a = s->a;

		if (i % 8 == 0)
			fiber_yield();
		s->wrong += a != s->b;
		s->wrong += fiber_rwlock_unlock(&s->lock) != 0;
	}
	return 0;
}

static int writers_and_readers(void *world)
{
	struct shared s = { .rounds = law_rounds(1500) };
	struct actor actors[7];

	for (unsigned i = 0; i < 7; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i,
			    i % 3 == 0 ? write_both : read_both, &s);
	cr_expect(actors_end(actors, 7) == 0);
	cr_expect(s.wrong == 0);
	cr_expect(s.a == 3 * (long)s.rounds && s.b == s.a);
	cr_expect(fiber_rwlock_destroy(&s.lock) == 0);
	return 0;
}

Test(rwlock, a_writer_is_alone_and_readers_see_nothing_half_done, .timeout = 60)
{
	law_holds_in_all_worlds(writers_and_readers);
}

/* Each reader stays until all are in. */
static int meet_inside(void *arg)
{
	struct shared *s = arg;

	s->wrong += fiber_rwlock_rdlock(&s->lock) != 0;
	atomic_fetch_add(&s->readers, 1);
	UNTIL(atomic_load(&s->readers) == 5);
	return fiber_rwlock_unlock(&s->lock);
}

static int together(void *world)
{
	struct shared s = { .rounds = 1 };
	struct actor actors[5];

	for (unsigned i = 0; i < 5; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, meet_inside, &s);
	cr_expect(actors_end(actors, 5) == 0 && s.wrong == 0);
	return 0;
}

Test(rwlock, readers_share_it, .timeout = 60)
{
	law_holds_in_all_worlds(together);
}

/* ---- who is next ------------------------------------------------------------------------------*/
/*	reader 1       writer          reader 2
 *	rdlock
 *	               wrlock: waits
 *	                               rdlock: waits, though readers hold it
 *	unlock         has it
 *	               unlock          has it */
static int writer_first(void *arg)
{
	fiber_rwlock_t l = FIBER_RWLOCK_INIT;
	fiber_t writer, reader;

	(void)arg;
	fiber_rwlock_rdlock(&l);
	cr_expect(fiber_rwlock_tryrdlock(&l) == 0);
	writer = spawned(write_and_leave, &l);
	until_waiting(&l, 1);
	cr_expect(fiber_rwlock_tryrdlock(&l) == -EBUSY, "past a writer who waits");
	reader = spawned(read_and_leave, &l);
	until_waiting(&l, 2);
	fiber_rwlock_unlock(&l);
	cr_expect(waiting_for(&l) == 2, "one reader is still there");
	fiber_rwlock_unlock(&l);
	cr_expect(fiber_rwlock_tryrdlock(&l) == -EBUSY, "past a writer on its way");
	cr_expect(result_of(writer) == 0);
	cr_expect(result_of(reader) == 0);
	cr_expect(fiber_rwlock_destroy(&l) == 0);
	return 0;
}

Test(rwlock, a_reader_does_not_pass_a_writer_who_waits, .timeout = 20)
{
	cr_expect(law_run(1, writer_first, NULL) == 0);
}

/* Readers that come and go without a gap. */
static int keep_reading(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->most)) {
		fiber_rwlock_rdlock(&s->lock);
		fiber_yield();
		fiber_rwlock_unlock(&s->lock);
	}
	return 0;
}

static int keep_writing(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->most)) {
		fiber_rwlock_wrlock(&s->lock);
		fiber_yield();
		fiber_rwlock_unlock(&s->lock);
	}
	return 0;
}

static int nobody_starves(void *world, fiber_fn *crowd, fiber_fn *lone)
{
	struct shared s = { .rounds = 1 };
	struct actor actors[5];

	for (unsigned i = 0; i < 4; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, crowd, &s);
	actor_start(&actors[4], (enum world)(intptr_t)world, 4, lone, &s.lock);
	cr_expect(actor_end(&actors[4]) == 0);
	atomic_store(&s.most, 1);
	cr_expect(actors_end(actors, 4) == 0);
	return 0;
}

static int a_writer_among_readers(void *world)
{
	return nobody_starves(world, keep_reading, write_and_leave);
}

static int a_reader_among_writers(void *world)
{
	return nobody_starves(world, keep_writing, read_and_leave);
}

Test(rwlock, readers_do_not_starve_a_writer, .timeout = 60)
{
	law_holds_in_all_worlds(a_writer_among_readers);
}

Test(rwlock, writers_do_not_starve_a_reader, .timeout = 60)
{
	law_holds_in_all_worlds(a_reader_among_writers);
}

/*	writer 1       readers 1, 2     writer 2      reader 3
 *	wrlock
 *	               wait             waits         waits
 *	unlock: the lock is theirs                                 <- before they run
 *	trylock: -EBUSY
 *	               unlock           has it
 *	                                unlock        has it */
static int handed_to_readers(void *arg)
{
	fiber_rwlock_t l = FIBER_RWLOCK_INIT;
	fiber_t f[4];

	(void)arg;
	fiber_rwlock_wrlock(&l);
	for (unsigned i = 0; i < 4; i++) {
		f[i] = spawned(i == 2 ? write_and_leave : read_and_leave, &l);
		until_waiting(&l, i + 1);
	}
	fiber_rwlock_unlock(&l);
	cr_expect(waiting_for(&l) == 2, "the readers before the next writer");
	cr_expect(fiber_rwlock_trywrlock(&l) == -EBUSY, "they have it already");
	for (unsigned i = 0; i < 4; i++)
		cr_expect(result_of(f[i]) == 0);
	cr_expect(fiber_rwlock_destroy(&l) == 0);
	return 0;
}

Test(rwlock, a_writer_hands_it_to_the_readers_before_the_next_writer, .timeout = 20)
{
	cr_expect(law_run(1, handed_to_readers, NULL) == 0);
}

/*	reader 1       writer                reader 2
 *	rdlock
 *	               wrlock_until: waits
 *	                                     rdlock: waits behind it
 *	               -ECANCELED            has it, at once        <- though nobody unlocked */
static int writer_gives_up(void *arg)
{
	fiber_rwlock_t l = FIBER_RWLOCK_INIT;
	fiber_t writer, readers[3];

	(void)arg;
	fiber_rwlock_rdlock(&l);
	writer = spawned(write_until_and_leave, &l);
	until_waiting(&l, 1);
	for (unsigned i = 0; i < 3; i++)
		readers[i] = spawned(i % 2 ? read_until_and_leave : read_and_leave, &l);
	until_waiting(&l, 4);
	fiber_cancel(writer);
	for (unsigned i = 0; i < 3; i++)
		cr_expect(result_of(readers[i]) == 0);
	cr_expect(result_of(writer) == -ECANCELED);
	cr_expect(fiber_rwlock_unlock(&l) == 0);
	cr_expect(fiber_rwlock_destroy(&l) == 0);
	return 0;
}

Test(rwlock, a_writer_that_gives_up_lets_the_readers_behind_it_in, .timeout = 20)
{
	law_holds(writer_gives_up, NULL);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int hard(void *arg)
{
	fiber_rwlock_t l = FIBER_RWLOCK_INIT;
	fiber_t f[2];

	(void)arg;
	fiber_rwlock_wrlock(&l);
	f[0] = spawned(read_and_leave, &l);
	f[1] = spawned(write_and_leave, &l);
	until_waiting(&l, 2);
	for (int i = 0; i < 2; i++)
		fiber_cancel(f[i]);
	for (int i = 0; i < 100; i++)
		fiber_yield();
	cr_expect(waiting_for(&l) == 2);
	fiber_rwlock_unlock(&l);
	for (int i = 0; i < 2; i++)
		cr_expect(result_of(f[i]) == 0);
	return 0;
}

Test(rwlock, a_cancellation_does_not_end_a_lock, .timeout = 20)
{
	law_holds(hard, NULL);
}

static int soft(void *arg)
{
	static int (*const lock[])(fiber_rwlock_t *, int64_t) = {
		fiber_rwlock_rdlock_until, fiber_rwlock_wrlock_until,
	};
	fiber_rwlock_t l = FIBER_RWLOCK_INIT;
	fiber_t reader;

	(void)arg;
	for (int i = 0; i < 2; i++) {
		cr_expect(lock[i](&l, 0) == 0, "it was free");
		cr_expect(fiber_rwlock_unlock(&l) == 0);
	}
	fiber_rwlock_rdlock(&l);
	cr_expect(lock[1](&l, fiber_after(FIBER_MILLISECOND)) == -ETIMEDOUT);
	cr_expect(lock[0](&l, 0) == 0, "the writer has left");
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, lock[1](&l, FIBER_NEVER)) == -ETIMEDOUT);
	fiber_rwlock_unlock(&l);
	fiber_rwlock_unlock(&l);
	fiber_rwlock_wrlock(&l);
	reader = spawned(read_until_and_leave, &l);
	until_waiting(&l, 1);
	fiber_cancel(reader);
	cr_expect(result_of(reader) == -ECANCELED);
	cr_expect(waiting_for(&l) == 0);
	fiber_rwlock_unlock(&l);
	cr_expect(fiber_rwlock_destroy(&l) == 0);
	return 0;
}

Test(rwlock, until_ends_by_time_deadline_and_cancellation, .timeout = 20)
{
	law_holds(soft, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int unlock_it(void *l)
{
	return fiber_rwlock_unlock(l);
}

static int misuse(void *arg)
{
	fiber_rwlock_t l;

	(void)arg;
	memset(&l, 0xff, sizeof l);
	cr_expect(fiber_rwlock_init(&l) == 0);
	cr_expect(fiber_rwlock_init(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_destroy(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_rdlock(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_wrlock(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_rdlock_until(NULL, 0) == -EINVAL);
	cr_expect(fiber_rwlock_wrlock_until(NULL, 0) == -EINVAL);
	cr_expect(fiber_rwlock_tryrdlock(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_trywrlock(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_unlock(NULL) == -EINVAL);
	cr_expect(fiber_rwlock_unlock(&l) == -EPERM, "nobody holds it");
	fiber_rwlock_rdlock(&l);
	cr_expect(fiber_rwlock_destroy(&l) == -EBUSY);
	cr_expect(fiber_rwlock_trywrlock(&l) == -EBUSY);
	cr_expect(fiber_rwlock_unlock(&l) == 0);
	cr_expect(fiber_rwlock_unlock(&l) == -EPERM, "as often as it was locked");
	cr_expect(fiber_rwlock_trywrlock(&l) == 0);
	cr_expect(fiber_rwlock_rdlock(&l) == -EDEADLK);
	cr_expect(fiber_rwlock_wrlock(&l) == -EDEADLK);
	cr_expect(fiber_rwlock_tryrdlock(&l) == -EBUSY);
	cr_expect(result_of(spawned(unlock_it, &l)) == -EPERM, "another one is the writer");
	cr_expect(fiber_rwlock_unlock(&l) == 0);
	cr_expect(fiber_rwlock_destroy(&l) == 0);
	return 0;
}

Test(rwlock, misuse_has_a_clear_answer, .timeout = 20)
{
	law_holds(misuse, NULL);
}
