/* held.c - operations that the kernel itself performs: see held.h. */
#include "poller/held.h"

static __thread char self;

NOINLINE const void *held_thread(void)
{
	return &self;
}

static struct poller_op *op_of(struct list *node)
{
	return container_of(node, struct poller_op, link);
}

struct held *held_give_up(struct slot *s)
{
	struct held *own = NULL;

	for (struct list *node = s->held.next; node && node != &s->held; node = node->next) {
		struct poller_op *op = op_of(node);
		struct held *h = op->poller;
		const void *thread = atomic_load_explicit(&h->thread, memory_order_relaxed);

		if (op->given_up)
			continue;
		op->given_up = true;
		h->ask(h, s);
		if (thread == held_thread())
			own = h;
	}
	return own;
}

unsigned held_left(const struct slot *s)
{
	unsigned n = 0;

	for (struct list *node = s->held.next; node && node != &s->held; node = node->next)
		n += op_of(node)->given_up;
	return n;
}
