/* hands.c - see hands.h. */
#include "hands.h"

#include "base/must.h"

static _Atomic int active; /* hands that have not retired */

void hands_open(struct stage *st, struct hand *hands, unsigned n, uint64_t seed)
{
	for (unsigned i = 0; i < n; i++) {
		hands[i] = (struct hand){.ops = st->ops, .seed = seed + i};
		cr_assert(st->ops->open(&hands[i].poller) == 0);
	}
}

void hands_start(struct hand *hands, unsigned n, void *(*run)(void *))
{
	atomic_store(&active, (int)n);
	for (unsigned i = 0; i < n; i++)
		pthread_create(&hands[i].thread, NULL, run, &hands[i]);
}

void hands_join(struct hand *hands, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pthread_join(hands[i].thread, NULL);
}

void hands_close(struct hand *hands, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		hands[i].ops->close(hands[i].poller);
}

void hand_deliver(struct hand *self, struct list *back)
{
	struct list *node;

	while ((node = list_pop(back))) {
		struct poller_op *op = container_of(node, struct poller_op, link);
		struct hand *owner = op->owner;
		const struct poller_ops *ops = owner->ops;
		struct poller *poller = owner->poller;

		/* Release: pairs with the acquire in await; the owner may go on from here. */
		atomic_store_explicit(&op->back, 1, memory_order_release);
		if (owner != self)
			ops->wake(poller);
	}
}

static int submit(struct hand *self)
{
	struct list back = {0};
	int r;

	self->op.owner = self;
	atomic_store_explicit(&self->op.back, 0, memory_order_relaxed);
	r = self->ops->submit(self->poller, &self->op, &back);
	hand_deliver(self, &back);
	return r;
}

void hand_look(struct hand *self, int64_t until)
{
	struct list back = {0};

	self->ops->wait(self->poller, until, &back);
	hand_deliver(self, &back);
}

static void await(struct hand *self)
{
	while (!atomic_load_explicit(&self->op.back, memory_order_acquire))
		hand_look(self, OS_NEVER);
}

void *hand_retire(struct hand *self)
{
	atomic_fetch_sub(&active, 1);
	while (atomic_load(&active))
		hand_look(self, os_now() + 1000000);
	return NULL;
}

ssize_t hand_perform(struct hand *self, unsigned cancel_one_in)
{
	for (;;) {
		if (submit(self) != POLLER_IN_FLIGHT)
			return self->op.result;
		if (cancel_one_in && law_random(&self->seed) % cancel_one_in == 0) {
			for (uint64_t spin = law_random(&self->seed) % 64; spin; spin--)
				sched_yield();
			if (self->ops->cancel(self->poller, &self->op))
				return self->op.result;
		}
		await(self);
		if (self->op.result != POLLER_RETRY)
			return self->op.result;
	}
}
