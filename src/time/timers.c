/* timers.c - the 4-ary heap: half the levels of a binary one, four children on one cache line.
 * Sift-up and sift-down as in Knuth, TAOCP 3, 5.2.3, with a hole instead of exchanges. */
#include "time/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

enum { WAYS = 4, FIRST_CAPACITY = 64 };

static uint32_t parent(uint32_t i)
{
	return (i + WAYS - 2) / WAYS;
}

static uint32_t first_child(uint32_t i)
{
	return WAYS * (i - 1) + 2;
}

static void place(struct timers *h, uint32_t i, struct timer_entry e)
{
	h->heap[i] = e;
	e.timer->position = i;
}

static void sift_up(struct timers *h, uint32_t i, struct timer_entry e)
{
	while (i > 1 && e.when < h->heap[parent(i)].when) {
		place(h, i, h->heap[parent(i)]);
		i = parent(i);
	}
	place(h, i, e);
}

static uint32_t nearest_child(const struct timers *h, uint32_t i)
{
	uint32_t child = first_child(i);
	uint32_t last = child + WAYS - 1 < h->count ? child + WAYS - 1 : h->count;
	uint32_t best = child;

	for (uint32_t c = child + 1; c <= last; c++)
		if (h->heap[c].when < h->heap[best].when)
			best = c;
	return best;
}

static void sift_down(struct timers *h, uint32_t i, struct timer_entry e)
{
	while (first_child(i) <= h->count) {
		uint32_t child = nearest_child(h, i);

		if (e.when <= h->heap[child].when)
			break;
		place(h, i, h->heap[child]);
		i = child;
	}
	place(h, i, e);
}

static int grow(struct timers *h)
{
	uint32_t capacity = h->capacity ? h->capacity * 2 : FIRST_CAPACITY;
	struct timer_entry *heap;

	if (h->capacity > UINT32_MAX / 4)
		return -ENOMEM;
	heap = realloc(h->heap, (size_t)capacity * sizeof *heap);
	if (!heap)
		return -ENOMEM;
	h->heap = heap;
	h->capacity = capacity;
	return 0;
}

int timers_put(struct timers *h, struct timer *t, int64_t when)
{
	struct timer_entry e = { when, t };
	int r;

	if (timer_set(t)) {
		if (when < timer_when(h, t))
			sift_up(h, t->position, e);
		else
			sift_down(h, t->position, e);
		return 0;
	}
	if (h->count + 1 >= h->capacity && (r = grow(h)) < 0)
		return r;
	sift_up(h, ++h->count, e);
	return 0;
}

void timers_remove(struct timers *h, struct timer *t)
{
	uint32_t i = t->position;
	struct timer_entry last;

	if (!i)
		return;
	must(i <= h->count && h->heap[i].timer == t);
	last = h->heap[h->count--];
	t->position = 0;
	if (last.timer == t)
		return;
	if (i > 1 && last.when < h->heap[parent(i)].when)
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

struct timer *timers_due(struct timers *h, int64_t now)
{
	struct timer *t;

	if (timers_next(h) > now || !h->count)
		return NULL;
	t = h->heap[1].timer;
	timers_remove(h, t);
	return t;
}

void timers_destroy(struct timers *h)
{
	must(h->count == 0);
	free(h->heap);
	*h = (struct timers){0};
}
