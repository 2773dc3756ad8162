/* roster.c - the runtimes of the process: which there are, and who from outside is using one.
 *
 * A plain thread, or a fiber of another runtime, that was given a runtime's pointer holds it while
 * it works on it: a runtime does not end while it is held, and is not freed. When it is about to
 * end, or waits only for those who hold it, it is closed to others. `guard` guards the list, `held`
 * and `closed`. */
#include "sched/forked.h"
#include "sched/worker.h"

#include "os/os.h"

static struct spin guard;
static struct list running;
static unsigned count;

/* Under guard. */
static bool is_listed(const struct runtime *rt)
{
	for (struct list *n = running.next; n && n != &running; n = n->next)
		if (container_of(n, struct runtime, link) == rt)
			return true;
	return false;
}

bool runtime_known(const struct runtime *rt)
{
	bool known;

	spin_lock(&guard);
	known = is_listed(rt);
	spin_unlock(&guard);
	return known;
}

unsigned runtime_count(void)
{
	unsigned n;

	spin_lock(&guard);
	n = count;
	spin_unlock(&guard);
	return n;
}

void runtime_enlist(struct runtime *rt)
{
	spin_lock(&guard);
	list_append(&running, &rt->link);
	count++;
	spin_unlock(&guard);
}

bool runtime_delist(struct runtime *rt)
{
	bool last;

	spin_lock(&guard);
	rt->closed = true;
	while (rt->held > 0) {
		spin_unlock(&guard);
		os_yield();
		spin_lock(&guard);
	}
	list_remove(&rt->link);
	last = --count == 0;
	spin_unlock(&guard);
	return last;
}

/* ---- holding one ------------------------------------------------------------------------------*/
static bool is_own(const struct runtime *rt)
{
	struct worker *w = worker_self();

	return w && w->runtime == rt;
}

bool runtime_hold(struct runtime *rt)
{
	bool found;

	if (is_own(rt)) /* the caller keeps it from ending */
		return true;
	spin_lock(&guard);
	found = is_listed(rt) && !rt->closed;
	if (found)
		rt->held++;
	spin_unlock(&guard);
	return found;
}

/* Under guard, or it might end before it is roused: it may have been about to. */
static void let_go(struct runtime *rt)
{
	if (--rt->held == 0 && atomic_load_explicit(&rt->ending, memory_order_acquire))
		worker_rouse(&rt->worker[0]);
}

void runtime_let_go(struct runtime *rt)
{
	if (is_own(rt))
		return;
	spin_lock(&guard);
	let_go(rt);
	spin_unlock(&guard);
}

struct runtime *runtime_after(struct runtime *rt)
{
	struct runtime *after = NULL;
	struct list *node;

	spin_lock(&guard);
	node = rt ? rt->link.next : running.next;
	if (node && node != &running) {
		after = container_of(node, struct runtime, link);
		after->held++;
	}
	if (rt)
		let_go(rt);
	spin_unlock(&guard);
	return after;
}

bool runtime_close(struct runtime *rt)
{
	bool free;

	spin_lock(&guard);
	rt->closed = true;
	free = rt->held == 0;
	spin_unlock(&guard);
	return free;
}

/* ---- fork -------------------------------------------------------------------------------------*/
void runtime_guard(bool take)
{
	if (take)
		spin_lock(&guard);
	else
		spin_unlock(&guard);
}

unsigned runtime_forget_all(void)
{
	unsigned n = count;

	list_init(&running);
	count = 0;
	return n;
}
