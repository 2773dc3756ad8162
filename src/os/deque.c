/* deque.c - the rarer half of the deque: growing, the last item, stealing. The protocol is told in
 * deque.h. */
#include "os/deque.h"

#include <errno.h>
#include <stdlib.h>

#ifndef DEQUE_FIRST_SLOTS
#define DEQUE_FIRST_SLOTS 256 /* the model check (tests/model) has 2, to see it grow */
#endif

enum {
	FIRST_SLOTS = DEQUE_FIRST_SLOTS,
	LOST_RACES = 16, /* each was won by somebody else: there are other deques to look at */
};

static struct deque_array *array_create(int64_t slots, struct deque_array *older)
{
	struct deque_array *array;

	if ((uint64_t)slots > (SIZE_MAX - sizeof *array) / sizeof array->slots[0])
		return NULL;
	array = malloc(sizeof *array + (size_t)slots * sizeof array->slots[0]);
	if (!array)
		return NULL;
	array->mask = slots - 1;
	array->older = older;
	return array;
}

int deque_init(struct deque *d)
{
	struct deque_array *array = array_create(FIRST_SLOTS, NULL);

	if (!array)
		return -ENOMEM;
	atomic_init(&d->bottom, 0);
	atomic_init(&d->top, 0);
	atomic_init(&d->array, array);
	return 0;
}

void deque_destroy(struct deque *d)
{
	struct deque_array *array = atomic_load_explicit(&d->array, memory_order_relaxed);

	while (array) {
		struct deque_array *older = array->older;

		free(array);
		array = older;
	}
	atomic_store_explicit(&d->array, NULL, memory_order_relaxed);
}

/* Owner. A thief that reads from the old array meanwhile finds what it looks for there too: slots
 * in [top, bottom) are not written again, and one below top fails at the CAS. */
static int grow(struct deque *d)
{
	int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
	int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);
	struct deque_array *old = atomic_load_explicit(&d->array, memory_order_relaxed);
	struct deque_array *array = array_create((old->mask + 1) * 2, old);

	if (!array)
		return -ENOMEM;
	for (int64_t i = top; i < bottom; i++)
		atomic_init(deque_slot(array, i),
			    atomic_load_explicit(deque_slot(old, i), memory_order_relaxed));
	atomic_store_explicit(&d->array, array, memory_order_release); /* pairs with steal */
	return 0;
}

COLD int deque_push_full(struct deque *d, void *item)
{
	int r = grow(d);

	return r < 0 ? r : deque_push(d, item);
}

/* top goes from `top` to top + 1, unless somebody else moved it. seq_cst, as in the paper: the
 * total order of these and of the barriers is what its proof stands on. Release: whoever reads the
 * new top (push, acquire) may use the slot again. */
static bool top_moves(struct deque *d, int64_t top)
{
	return atomic_compare_exchange_strong_explicit(&d->top, &top, top + 1, memory_order_seq_cst,
						       memory_order_relaxed);
}

/* Owner; bottom is already lowered. The item at bottom is the last one (top == bottom: the thieves
 * want it as well), or gone (top > bottom). Either way nothing is left: bottom goes back to where
 * top is. */
void *deque_pop_last(struct deque *d, int64_t bottom, int64_t top)
{
	void *item = NULL;

	if (top == bottom) {
		item = atomic_load_explicit(
			deque_slot(atomic_load_explicit(&d->array, memory_order_relaxed), bottom),
			memory_order_relaxed);
		if (os_alone())
			atomic_store_explicit(&d->top, top + 1, memory_order_relaxed);
		else if (!top_moves(d, top))
			item = NULL;
	}
	atomic_store_explicit(&d->bottom, bottom + 1, memory_order_release);
	return item;
}

void *deque_steal(struct deque *d)
{
	for (int tries = 0; tries < LOST_RACES; tries++) {
		int64_t top, bottom;
		void *item;

		if (deque_empty(d)) /* most look in vain, and need not pay for the barrier */
			return NULL;
		top = atomic_load_explicit(&d->top, memory_order_acquire);
		os_barrier(); /* pairs with the one in pop: "last item" */
		/* Pairs with the release in push: what the item holds. */
		bottom = atomic_load_explicit(&d->bottom, memory_order_acquire);
		if (top >= bottom)
			return NULL;
		item = atomic_load_explicit(
			deque_slot(atomic_load_explicit(&d->array, memory_order_acquire), top),
			memory_order_relaxed);
		if (top_moves(d, top))
			return item;
	}
	return NULL;
}
