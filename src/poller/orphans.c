/* orphans.c - operations that the next `wait` gives back: see orphans.h. Its guard is taken under a
 * slot's, never the other way round. */
#include "poller/orphans.h"

#include "os/spin.h"

static struct spin guard;
static struct list orphans;
static _Atomic uint32_t any;

void orphans_leave(struct list *list, struct ready *r)
{
	struct list *node;

	spin_lock(&guard);
	while ((node = list_pop(list)))
		list_append(&orphans, node);
	atomic_store_explicit(&any, 1, memory_order_relaxed);
	spin_unlock(&guard);
	if (r)
		r->kernel->wake(r);
}

unsigned orphans_take(struct list *back)
{
	struct list *node;
	unsigned n = 0;

	/* Relaxed: who left some has rung the bell of a poller, and it sees this by that. */
	if (likely(!atomic_load_explicit(&any, memory_order_relaxed)))
		return 0;
	spin_lock(&guard);
	atomic_store_explicit(&any, 0, memory_order_relaxed);
	while ((node = list_pop(&orphans))) {
		list_append(back, node);
		n++;
	}
	spin_unlock(&guard);
	return n;
}

void orphans_forget_all(void)
{
	atomic_store_explicit(&guard.word, 0, memory_order_relaxed);
	atomic_store_explicit(&any, 0, memory_order_relaxed);
	list_init(&orphans);
}
