/* worlds.c - see worlds.h. */
#include "worlds.h"

#include <criterion/criterion.h>

#include "sync/waitqueue.h"

void law_holds_in_all_worlds(fiber_fn *law)
{
	for (intptr_t world = FIBERS; world <= BOTH; world++)
		law_holds(law, (void *)world);
}

static int act(void *arg)
{
	struct actor *self = arg;

	self->result = self->run(self->arg);
	atomic_store(&self->over, true);
	return 0;
}

static void *act_on_a_thread(void *arg)
{
	act(arg);
	return NULL;
}

void actor_start(struct actor *self, enum world world, unsigned nth, fiber_fn *run, void *arg)
{
	self->run = run;
	self->arg = arg;
	self->fiber = (fiber_t){ 0 };
	self->result = -1;
	atomic_store(&self->over, false);
	if (world == THREADS || (world == BOTH && nth % 2))
		cr_expect(pthread_create(&self->thread, NULL, act_on_a_thread, self) == 0);
	else
		cr_expect(fiber_spawn(&self->fiber, NULL, act, self) == 0);
}

int actor_end(struct actor *self)
{
	UNTIL(atomic_load(&self->over));
	if (self->fiber.id)
		cr_expect(fiber_join(self->fiber, NULL) == 0);
	else
		cr_expect(pthread_join(self->thread, NULL) == 0);
	return self->result;
}

unsigned actors_end(struct actor *actors, unsigned n)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < n; i++)
		wrong += actor_end(&actors[i]) != 0;
	return wrong;
}

fiber_t spawned(fiber_fn *run, void *arg)
{
	fiber_t f = { 0 };

	cr_expect(fiber_spawn(&f, NULL, run, arg) == 0);
	return f;
}

int result_of(fiber_t f)
{
	int result = 0, r = fiber_join(f, &result);

	return r < 0 ? r : result;
}

unsigned waiting_for(void *object)
{
	struct waitqueue *q = object; /* every one of them begins with it */
	uint64_t word = word_guard(&q->word);
	unsigned n = 0;

	for (struct list *node = q->waiters.next; node && node != &q->waiters; node = node->next)
		n++;
	word_release(&q->word, word);
	return n;
}

void until_waiting(void *object, unsigned n)
{
	UNTIL(waiting_for(object) == n);
}
