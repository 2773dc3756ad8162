/* watch.c - which poller watches a number.
 *
 * A slot lives with the poller of those who wait on it. The acceptor that did a connection's
 * handshake would otherwise own it for ever, and each of its events would cross threads. Moving
 * loses nothing: the new home reports what is ready, and late events of the old one are ignored.
 *
 * It is watched for reading only until somebody has to wait for writing. A Unix socket makes an
 * edge each time its peer reads; watched for both, an echo over it takes 1.7 waits instead of one,
 * and a fifth more time. */
#include "poller/watch.h"

#include "poller/orphans.h"
#include "poller/waiters.h"

enum { VISITS = 4 }; /* waits in a row from another poller, after which the slot moves there */

static void set_home(struct slot *s, struct ready *r)
{
	struct ready *was = watch_home(s);

	if (was)
		atomic_fetch_sub_explicit(&was->watched, 1, memory_order_relaxed);
	if (r)
		atomic_fetch_add_explicit(&r->watched, 1, memory_order_relaxed);
	atomic_store_explicit(&s->home, r, memory_order_relaxed);
	s->visits = 0;
}

int watch_adopt(struct ready *r, struct slot *s, int fd)
{
	struct ready *was = watch_home(s);
	int e = r->kernel->add(r, fd, s->generation, s->bits & SLOT_WATCH_OUT);

	if (e < 0)
		return e;
	if (was)
		was->kernel->remove(was, fd);
	set_home(s, r);
	return 0;
}

static bool waits_for_out(const struct poller_op *op)
{
	if (op->kind == IO_POLL)
		return op->events & POLLOUT;
	return waiters_direction(op) == SLOT_OUT;
}

/* If the number means another file by now, the check of young waits will find out. */
static void watch_out(struct ready *r, struct slot *s, int fd)
{
	struct ready *home = watch_home(s);

	s->bits |= SLOT_WATCH_OUT;
	if (!home)
		return;
	count_up(&r->calls);
	home->kernel->check(home, fd, s->generation, true);
}

int watch_begin(struct ready *r, struct slot *s, const struct poller_op *op)
{
	struct ready *home = watch_home(s);
	int e;

	if (unlikely(waits_for_out(op) && !(s->bits & SLOT_WATCH_OUT)))
		watch_out(r, s, op->fd);
	if (likely(home == r)) {
		s->visits = 0;
		return 0;
	}
	if (home && ++s->visits < VISITS) {
		if (home->kernel->visit)
			home->kernel->visit(home);
		return 0;
	}
	s->visits = 0;
	count_up(&r->calls);
	e = watch_adopt(r, s, op->fd);
	return home ? 0 : e; /* or it stays where it is */
}

void watch_end(struct slot *s)
{
	set_home(s, NULL);
	/* Only what is watched can be known to be empty. */
	s->bits &= ~(SLOT_EMPTY_IN | SLOT_EMPTY_OUT | SLOT_WATCH_OUT);
}

/* ---- a poller that closes ---------------------------------------------------------------------*/
static struct poller_op *some_waiter(struct list *list, const struct ready *r)
{
	struct poller_op *found = NULL;

	for (struct list *node = list->next; node && node != list; node = node->next) {
		found = container_of(node, struct poller_op, link);
		must(found->poller != r); /* else it would never come back */
	}
	return found;
}

static void move_to(struct ready *other, struct slot *s, int fd)
{
	struct list stale = {0};
	int e = watch_adopt(other, s, fd);

	if (e == 0)
		return;
	watch_end(s);
	waiters_give_all(s, e, &stale);
	orphans_leave(&stale, other);
}

static void leave(struct slot *s, void *context)
{
	struct ready *r = context;
	struct poller_op *in, *out, *beside, *op;

	if (!watch_home(s))
		return;
	spin_lock(&s->guard);
	in = some_waiter(&s->waiters[SLOT_IN], r);
	out = some_waiter(&s->waiters[SLOT_OUT], r);
	beside = some_waiter(&s->beside, r);
	op = in ? in : out ? out : beside;
	if (watch_home(s) == r) {
		if (op)
			move_to(op->poller, s, op->fd);
		else
			watch_end(s);
	}
	spin_unlock(&s->guard);
}

void watch_close(struct ready *r)
{
	slot_each(leave, r);
}
