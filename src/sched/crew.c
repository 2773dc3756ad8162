/* crew.c - the workers of a runtime: their memory, their queues, timers and poller.
 *
 * Workers are never freed: a late word to a fiber that ended long ago may still look at its home's
 * inbox, and finds it closed. Retired arrays are used again; `guard` guards the list of them. */
#include "sched/crew.h"

#include <stdlib.h>
#include <string.h>

#include "os/os.h"

struct retired {
	struct retired *next;
	struct worker *worker;
	unsigned workers;
};

static struct spin guard;
static struct retired *retired;

struct worker *crew_get(unsigned n)
{
	struct worker *w = NULL;
	struct retired *r;

	spin_lock(&guard);
	for (struct retired **at = &retired; (r = *at); at = &r->next)
		if (r->workers == n) {
			*at = r->next;
			w = r->worker;
			break;
		}
	spin_unlock(&guard);
	free(r);
	if (w)
		return w;
	w = os_pages_map(n * sizeof *w);
	for (unsigned i = 0; w && i < n; i++)
		atomic_store_explicit(&w[i].inbox.head, INBOX_CLOSED, memory_order_relaxed);
	return w;
}

void crew_put(struct worker *w, unsigned n)
{
	struct retired *r = malloc(sizeof *r);

	if (!r)
		return; /* not used again; still there for late words */
	*r = (struct retired){ NULL, w, n };
	spin_lock(&guard);
	r->next = retired;
	retired = r;
	spin_unlock(&guard);
}

int crew_open(struct worker *w, struct runtime *rt, unsigned number)
{
	bool careful;
	int r;

	memset(w, 0, offsetof(struct worker, inbox));
	w->runtime = rt;
	w->number = number;
	w->victim = number % rt->workers;
	w->control_words = rt->control_words;
	w->fiber_flags = rt->fiber_flags;
	careful = rt->options.fibers_max || rt->options.stack_bytes > STACK_DEFAULT_BYTES;
	atomic_store_explicit(&w->careful, careful, memory_order_relaxed);
	w->loop.flags = F_LOOP | F_STARTED | (rt->fiber_flags & F_EXCEPTIONS);
	w->loop.sp = NULL;
	atomic_store_explicit(&w->loop.cold, &w->loop_cold, memory_order_relaxed);
	atomic_store_explicit(&w->loop.deadline, OS_NEVER, memory_order_relaxed);
	atomic_store_explicit(&w->loop.home, w, memory_order_relaxed);
	w->next_left = NEXT_IN_A_ROW;
	w->roam = (struct queue){0};
	w->idle = (struct list){0};
	w->wakes_owed = 0;
	atomic_store_explicit(&w->wakes_paid, 0, memory_order_relaxed);
	w->ops = rt->ops;
	if ((r = deque_init(&w->unstarted)) < 0)
		return r;
	if ((r = rt->ops->open(&w->poller)) < 0) {
		deque_destroy(&w->unstarted);
		return r;
	}
	/* Release: everything above, for whoever posts. */
	atomic_store_explicit(&w->inbox.head, INBOX_EMPTY, memory_order_release);
	return 0;
}

void crew_close(struct worker *w)
{
	atomic_store_explicit(&w->inbox.head, INBOX_CLOSED, memory_order_relaxed);
	if (!w->runtime->deadlocked) { /* else fibers were left behind, with all they hold */
		w->ops->close(w->poller);
		timers_destroy(&w->timers);
	}
	deque_destroy(&w->unstarted);
	fiber_cache_drain(&w->blocks);
	stack_cache_drain(&w->stacks);
}

void crew_guard(bool take)
{
	if (take)
		spin_lock(&guard);
	else
		spin_unlock(&guard);
}
