/* number.c - the life of a descriptor's number.
 *
 * forget() comes before close(2). Whoever is between its check and its system call has its use
 * counted, under the guard, since before the generation changed; forget waits until those are gone.
 * Who comes later counts for the new generation and is not waited for. Nor are operations that the
 * kernel performs (held.h): whoever closes the number then waits for those, when it may park. */
#include "poller/number.h"

#include <errno.h>
#include <sys/socket.h>

#include "os/os.h"
#include "poller/ahead.h"
#include "poller/held.h"
#include "poller/orphans.h"
#include "poller/waiters.h"
#include "poller/watch.h"

static void await_leaving(struct slot *s)
{
	while (s->leaving) {
		spin_unlock(&s->guard);
		os_yield();
		spin_lock(&s->guard);
	}
}

static COLD void take_back_held(struct slot *s, struct list *back)
{
	struct held *own;

	for (;;) {
		spin_lock(&s->guard);
		own = held_give_up(s);
		spin_unlock(&s->guard);
		if (!own)
			return;
		own->settle(own, back);
	}
}

unsigned poller_leaving(fiber_fd fd)
{
	struct slot *s = slot_find(fd);
	unsigned n;

	if (!s)
		return 0;
	spin_lock(&s->guard);
	n = held_left(s);
	spin_unlock(&s->guard);
	return n;
}

void number_forget(int fd, struct list *back)
{
	struct slot *s = slot_find(fd);
	struct ready *home;
	bool held;

	if (!s)
		return;
	spin_lock(&s->guard);
	home = watch_home(s);
	if (home)
		home->kernel->remove(home, fd); /* closing is not enough if a dup lives on */
	watch_end(s);
	waiters_give_all(s, -EBADF, back);
	ahead_end(s, back);
	s->forgets++;
	slot_renew(s);
	await_leaving(s);
	held = !list_empty(&s->held);
	spin_unlock(&s->guard);
	if (held)
		take_back_held(s, back);
}

/* Watched, although the kernel has just given the number out: it was closed with plain close(2).
 * Who still waits waits for a file that is gone, and must not be woken by the events of the new
 * one. */
static COLD void end_previous(struct slot *s, struct ready *home)
{
	struct list stale = {0};

	if (waiters_give_all(s, -EBADF, &stale))
		orphans_leave(&stale, home);
	watch_end(s);
}

/* The same, of operations that the kernel performs. */
static COLD void end_held(struct slot *s)
{
	struct list stale = {0};

	ahead_end(s, &stale);
	if (!list_empty(&stale))
		orphans_leave(&stale, NULL);
	held_give_up(s); /* and so their pollers are woken */
}

void number_born(int fd, unsigned nature)
{
	struct slot *s = slot_get(fd);
	struct ready *home;

	if (unlikely(!s))
		return;
	spin_lock(&s->guard);
	home = watch_home(s);
	if (unlikely(home != NULL))
		end_previous(s, home);
	if (unlikely(!list_empty(&s->held) || s->ahead))
		end_held(s);
	s->forgets++;
	slot_renew(s);
	s->nature = (uint16_t)nature;
	spin_unlock(&s->guard);
}

/* ---- streams of the library's own -------------------------------------------------------------*/
int poller_own(fiber_fd fd)
{
	struct slot *s = slot_get(fd);
	int type = 0, e;
	socklen_t bytes = sizeof type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -EOPNOTSUPP;
	if (!s)
		return 0; /* nothing is known of it, and nothing is done ahead */
	spin_lock(&s->guard);
	/* Who waits already would not hear of what is taken ahead. */
	e = !s->owned && (!list_empty(&s->held) || !waiters_none(s)) ? -EBUSY : 0;
	s->owned |= e == 0;
	spin_unlock(&s->guard);
	return e;
}

bool poller_stop_ahead(fiber_fd fd, struct list *back)
{
	struct slot *s = slot_find(fd);
	struct held *h = NULL;
	bool any = false;

	if (!s)
		return false;
	spin_lock(&s->guard);
	if (s->ahead) {
		any = true;
		h = s->ahead->stop(s);
		if (h && atomic_load_explicit(&h->thread, memory_order_relaxed) != held_thread())
			h = NULL; /* it does so by itself */
	}
	spin_unlock(&s->guard);
	if (h)
		h->settle(h, back);
	return any;
}

size_t poller_ahead(fiber_fd fd)
{
	struct slot *s = slot_find(fd);
	size_t bytes;

	if (!s)
		return 0;
	spin_lock(&s->guard);
	bytes = s->ahead ? s->ahead->bytes : 0;
	spin_unlock(&s->guard);
	return bytes;
}
