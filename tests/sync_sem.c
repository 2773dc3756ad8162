/* Semaphores: every unit that was posted is taken once, in order, and by nobody who was
 * interrupted. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/sync.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "on_a_thread.h"
#include "worlds.h"

static int wait_once(void *s)
{
	return fiber_sem_wait(s);
}

/* How many it holds; takes them all. */
static unsigned drain(fiber_sem_t *s)
{
	unsigned n = 0;

	while (fiber_sem_trywait(s) == 0)
		n++;
	return n;
}

/* ---- counting ---------------------------------------------------------------------------------*/
static fiber_sem_t three = FIBER_SEM_INIT(3);

static int counts(void *arg)
{
	fiber_sem_t s;

	(void)arg;
	cr_expect(drain(&three) == 3);
	cr_expect(fiber_sem_wait_until(&three, 0) == -ETIMEDOUT);
	for (int i = 0; i < 3; i++)
		cr_expect(fiber_sem_post(&three) == 0);
	memset(&s, 0xff, sizeof s);
	cr_expect(fiber_sem_init(&s, 5) == 0);
	cr_expect(fiber_sem_wait(&s) == 0);
	cr_expect(fiber_sem_wait_until(&s, 0) == 0, "what is there is taken at once");
	cr_expect(drain(&s) == 3);
	cr_expect(fiber_sem_destroy(&s) == 0);
	return 0;
}

Test(sem, it_counts, .timeout = 20)
{
	on_a_thread(counts, NULL);
	law_holds(counts, NULL);
}

static int misuse(void *arg)
{
	fiber_sem_t s;

	(void)arg;
	cr_expect(fiber_sem_init(&s, (unsigned)INT_MAX + 1) == -EINVAL);
	cr_expect(fiber_sem_init(&s, INT_MAX) == 0);
	cr_expect(fiber_sem_post(&s) == -EOVERFLOW);
	cr_expect(fiber_sem_trywait(&s) == 0);
	cr_expect(fiber_sem_post(&s) == 0);
	cr_expect(fiber_sem_init(NULL, 0) == -EINVAL);
	cr_expect(fiber_sem_destroy(NULL) == -EINVAL);
	cr_expect(fiber_sem_wait(NULL) == -EINVAL);
	cr_expect(fiber_sem_wait_until(NULL, 0) == -EINVAL);
	cr_expect(fiber_sem_trywait(NULL) == -EINVAL);
	cr_expect(fiber_sem_post(NULL) == -EINVAL);
	return 0;
}

Test(sem, misuse_and_too_many_posts_have_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}

/*	poster 1, 2, 3          waiter 1, 2, 3
 *	post        ------>     wait        <- the sums agree, and nobody waits in the end */
struct flow {
	fiber_sem_t sem;
	unsigned rounds;
	atomic_uint taken;
};

static int post_many(void *arg)
{
	struct flow *f = arg;
	int r = 0;

	for (unsigned i = 0; i < f->rounds && r == 0; i++)
		r = fiber_sem_post(&f->sem);
	return r;
}

static int take_many(void *arg)
{
	struct flow *f = arg;

	for (unsigned i = 0; i < f->rounds; i++)
		if (fiber_sem_wait(&f->sem) == 0)
			atomic_fetch_add(&f->taken, 1);
	return 0;
}

static int flows(void *world)
{
	struct flow f = { .rounds = law_rounds(3000) };
	struct actor actors[6];

	for (unsigned i = 0; i < 6; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i,
			    i < 3 ? take_many : post_many, &f);
	cr_expect(actors_end(actors, 6) == 0);
	cr_expect(f.taken == 3 * f.rounds);
	cr_expect(drain(&f.sem) == 0);
	cr_expect(fiber_sem_destroy(&f.sem) == 0);
	return 0;
}

Test(sem, what_is_posted_is_taken_once, .timeout = 60)
{
	law_holds_in_all_worlds(flows);
}

/* ---- from hand to hand ------------------------------------------------------------------------*/
static fiber_sem_t queue;
static atomic_uint served;

static int take_in_turn(void *arg)
{
	int r = fiber_sem_wait(&queue);

	return r != 0 ? r : atomic_fetch_add(&served, 1) == (uintptr_t)arg ? 0 : -1;
}

static int in_order(void *world)
{
	struct actor actors[5];

	atomic_store(&served, 0);
	for (uintptr_t i = 0; i < 5; i++) {
		actor_start(&actors[i], (enum world)(intptr_t)world, (unsigned)i, take_in_turn,
			    (void *)i);
		until_waiting(&queue, (unsigned)i + 1);
	}
	cr_expect(fiber_sem_destroy(&queue) == -EBUSY);
	for (unsigned i = 0; i < 5; i++) {
		cr_expect(fiber_sem_post(&queue) == 0);
		cr_expect(waiting_for(&queue) == 4 - i);
		cr_expect(fiber_sem_trywait(&queue) == -EBUSY, "it was given to a waiter");
		UNTIL(atomic_load(&served) == i + 1);
	}
	cr_expect(actors_end(actors, 5) == 0, "out of order");
	return 0;
}

Test(sem, a_post_goes_to_the_oldest_waiter_and_nobody_takes_it_away, .timeout = 60)
{
	law_holds_in_all_worlds(in_order);
}

/*	poster               waiter
 *	                     on its stack: sem = 0
 *	                     wait
 *	post                 goes on; its frame is gone     <- perhaps before post has returned */
static int post_it(void *s)
{
	return fiber_sem_post(s);
}

static int on_the_heap(void *world)
{
	for (unsigned i = law_rounds(500); i > 0; i--) {
		fiber_sem_t *s = calloc(1, sizeof *s);
		struct actor poster;

		actor_start(&poster, (enum world)(intptr_t)world, 1, post_it, s);
		cr_expect(fiber_sem_wait(s) == 0);
		memset(s, 0xa5, sizeof *s);
		free(s);
		cr_expect(actor_end(&poster) == 0);
	}
	return 0;
}

Test(sem, its_memory_may_go_after_the_wait, .timeout = 60)
{
	law_holds_in_all_worlds(on_the_heap);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int wait_a_little(void *s)
{
	return fiber_sem_wait_until(s, fiber_after(FIBER_MILLISECOND));
}

static int wait_under_a_deadline(void *s)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_sem_wait(s));
}

static int interrupted(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_sem_t s = FIBER_SEM_INIT(0);
	struct actor a;

	actor_start(&a, w, 1, wait_a_little, &s);
	cr_expect(actor_end(&a) == -ETIMEDOUT);
	actor_start(&a, w, 1, wait_under_a_deadline, &s);
	cr_expect(actor_end(&a) == -ETIMEDOUT, "by its scope");
	if (w == FIBERS) {
		actor_start(&a, w, 0, wait_once, &s);
		until_waiting(&s, 1);
		fiber_cancel(a.fiber);
		cr_expect(actor_end(&a) == -ECANCELED);
	}
	cr_expect(waiting_for(&s) == 0);
	fiber_sem_post(&s);
	cr_expect(drain(&s) == 1, "an interrupted wait took one");
	return 0;
}

Test(sem, an_interrupted_wait_takes_nothing, .timeout = 60)
{
	law_holds_in_all_worlds(interrupted);
}

static int wait_though_canceled(void *s)
{
	fiber_cancel(fiber_self());
	return fiber_sem_wait(s);
}

static int known_before(void *arg)
{
	fiber_sem_t s = FIBER_SEM_INIT(1);

	(void)arg;
	cr_expect(result_of(spawned(wait_though_canceled, &s)) == -ECANCELED);
	cr_expect(drain(&s) == 1);
	return 0;
}

Test(sem, a_known_interruption_fails_before_anything_is_taken, .timeout = 20)
{
	law_holds(known_before, NULL);
}

/*	poster               first               second
 *	                     wait                wait
 *	cancel first                                        <- its wait has ended, it has not run
 *	post                                                <- must not be lost with the first
 *	destroy: -EBUSY
 *	yield                -ECANCELED          has it */
static int none_is_lost(void *arg)
{
	fiber_sem_t s = FIBER_SEM_INIT(0);
	fiber_t first, second;

	(void)arg;
	first = spawned(wait_once, &s);
	until_waiting(&s, 1);
	second = spawned(wait_once, &s);
	until_waiting(&s, 2);
	fiber_cancel(first);
	fiber_sem_post(&s);
	cr_expect(waiting_for(&s) == 0);
	cr_expect(fiber_sem_destroy(&s) == -EBUSY, "the first looks once more");
	cr_expect(result_of(first) == -ECANCELED);
	cr_expect(result_of(second) == 0);
	cr_expect(fiber_sem_destroy(&s) == 0);
	return 0;
}

Test(sem, a_post_is_not_lost_to_a_waiter_whose_wait_has_ended, .timeout = 20)
{
	cr_expect(law_run(1, none_is_lost, NULL) == 0);
}

/* Law 4: the other fiber of this worker gets its turn. */
static int try_until_posted(void *arg)
{
	fiber_sem_t s = FIBER_SEM_INIT(0);
	fiber_t f = spawned(post_it, &s);

	(void)arg;
	while (fiber_sem_trywait(&s) == -EBUSY)
		;
	cr_expect(result_of(f) == 0);
	return 0;
}

Test(sem, a_loop_of_trywait_lets_the_poster_run, .timeout = 20)
{
	cr_expect(law_run(1, try_until_posted, NULL) == 0);
}
