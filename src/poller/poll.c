/* poll.c - the poller of last resort: ready.c over poll(2).
 *
 * For kernels and sandboxes that refuse the better ones, and the reference that those are compared
 * with: poll(2) holds no state between two waits, so there is none to be wrong. It costs what
 * poll(2) costs: each wait looks at every number that is watched.
 *
 * The edges that ready.c lives on are made of levels: a direction is asked about only while it is
 * known to be empty (ready.c), so once an event has come for it, poll(2) is not asked again before
 * somebody has seen EAGAIN. What the kernel reports unasked can't be turned off: an error queue
 * that nobody reads keeps a poller awake whose fiber waits for data of the same socket.
 *
 * What is watched is a list of the owner's; who adds to it puts the entry into `added`, under
 * `guard`, which is taken under a slot's guard and never the other way round. Entries may be out of
 * date: the owner drops those whose slot has another generation or home.
 *
 * Protocol "asking": the owner sets `asking` to LOOKING, and then looks at `added` and at each
 * slot, under their guards. Who changes one of these under the same guard and then finds BUSY was
 * before that look, or else rings. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "poller/backends.h"
#include "poller/orphans.h"
#include "poller/ready_table.h"
#include "poller/waiters.h"
#include "poller/watch.h"
#include "poller/young.h"

enum { ROOM = 64 };

enum asking { BUSY, LOOKING, ASKING };

struct watched {
	struct list link;
	int fd;
	uint32_t generation;
};

struct poller {
	struct ready ready;
	int bell;
	_Atomic uint32_t rung;     /* the bell was written to, and not yet read */
	_Atomic uint32_t asking;   /* enum asking */
	_Atomic uint32_t asked;    /* questions that are over; see drop */
	struct spin guard;
	struct list added;
	struct list watched;       /* from here on the owner's */
	struct pollfd *set;        /* the bell, then those that poll(2) is asked about */
	struct watched **meant;    /* what each of them means */
	unsigned room;
};
_Static_assert(offsetof(struct poller, ready) == 0, "ready_table.h counts on it");

static struct poller *poller_of(struct ready *r)
{
	return container_of(r, struct poller, ready);
}

/* ---- what ready.c asks ------------------------------------------------------------------------*/
static void ring(struct ready *r)
{
	struct poller *p = poller_of(r);
	uint64_t one = 1;

	if (atomic_swap32(&p->rung, 1) == 0)
		must(write(p->bell, &one, sizeof one) == sizeof one);
}

static void ring_if_asking(struct ready *r)
{
	if (atomic_load_explicit(&poller_of(r)->asking, memory_order_relaxed))
		ring(r);
}

static int check(struct ready *r, int fd, uint32_t generation, bool both)
{
	(void)generation;
	(void)both;
	ring_if_asking(r);
	return fcntl(fd, F_GETFD) < 0 ? -errno : 0;
}

static int add(struct ready *r, int fd, uint32_t generation, bool both)
{
	struct poller *p = poller_of(r);
	int e = check(r, fd, generation, both);
	struct watched *w = e == 0 ? malloc(sizeof *w) : NULL;

	if (!w)
		return e < 0 ? e : -ENOMEM;
	w->fd = fd;
	w->generation = generation;
	spin_lock(&p->guard);
	list_append(&p->added, &w->link);
	spin_unlock(&p->guard);
	ring_if_asking(r);
	return 0;
}

/* The slot's entry is out of date from now on. But while poll(2) asks about the file it stays open,
 * whatever close(2) says, and its peer would hear of the end late: so it is waited for. Not while
 * the owner is LOOKING: it may want the guard that our caller has, and poll(2) will end at once. */
static void drop(struct ready *r, int fd)
{
	struct poller *p = poller_of(r);
	uint32_t asked = atomic_load_explicit(&p->asked, memory_order_acquire);

	(void)fd;
	ring_if_asking(r);
	/* Acquire: pairs with the release in ask. */
	while (atomic_load_explicit(&p->asking, memory_order_acquire) == ASKING &&
	       atomic_load_explicit(&p->asked, memory_order_acquire) == asked)
		os_yield();
}

static const struct ready_kernel kernel = {
	.add = add,
	.check = check,
	.remove = drop,
	.wake = ring,
	.visit = ring_if_asking,
};

/* ---- life -------------------------------------------------------------------------------------*/
static bool make_room(struct poller *p, unsigned room)
{
	struct pollfd *set = realloc(p->set, room * sizeof *set);
	struct watched **meant = realloc(p->meant, room * sizeof *meant);

	p->set = set ? set : p->set;
	p->meant = meant ? meant : p->meant;
	if (!set || !meant)
		return false;
	p->room = room;
	return true;
}

static void release(struct poller *p)
{
	struct list *node;

	while ((node = list_pop(&p->watched)) || (node = list_pop(&p->added)))
		free(container_of(node, struct watched, link));
	free(p->set);
	free(p->meant);
	free(p);
}

static int open_poller(struct poller **out)
{
	struct poller *p = calloc(1, sizeof *p);
	int e = -ENOMEM;

	if (!p)
		return e;
	ready_open(&p->ready, &kernel, os_now());
	if (!make_room(p, ROOM))
		goto failed;
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = -errno;
	if (p->bell < 0)
		goto failed;
	p->set[0] = (struct pollfd){.fd = p->bell, .events = POLLIN};
	*out = p;
	return 0;
failed:
	release(p);
	return e;
}

static void close_poller(struct poller *p)
{
	ready_close(&p->ready);
	close(p->bell);
	release(p);
}

/* ---- what to ask ------------------------------------------------------------------------------*/
/* False: nothing. Urgent data, once known of, stays, and then only who waits for it asks. */
static bool interest(const struct slot *s, short *events)
{
	bool any = s->bits & SLOT_BESIDE;

	*events = (short)waiters_wanted_beside(s);
	if (s->bits & SLOT_EMPTY_IN)
		*events |= POLLIN | POLLRDHUP | (s->bits & SLOT_URGENT ? 0 : POLLPRI);
	if (s->bits & SLOT_EMPTY_OUT && !(s->bits & SLOT_NO_EDGE))
		*events |= POLLOUT;
	return any || *events;
}

enum look { OUTDATED, NOTHING, ASK };

static enum look look_at(struct poller *p, const struct watched *w, short *events)
{
	struct slot *s = slot_find(w->fd);
	enum look look = OUTDATED;

	spin_lock(&s->guard);
	if (s->generation == w->generation && watch_home(s) == &p->ready)
		look = interest(s, events) ? ASK : NOTHING;
	spin_unlock(&s->guard);
	return look;
}

static void take_added(struct poller *p)
{
	struct list *node;

	spin_lock(&p->guard);
	while ((node = list_pop(&p->added)))
		list_append(&p->watched, node);
	spin_unlock(&p->guard);
}

/* How many, the bell included. *all: there was room for them; else they take turns. */
static unsigned gather(struct poller *p, bool *all)
{
	struct list *node, *next;
	unsigned n = 1;

	*all = true;
	for (node = p->watched.next; node && node != &p->watched; node = next) {
		struct watched *w = container_of(node, struct watched, link);
		short events;
		enum look look = look_at(p, w, &events);

		next = node->next;
		if (look == OUTDATED) {
			list_remove(node);
			free(w);
		}
		if (look != ASK)
			continue;
		*all = n < p->room || make_room(p, 2 * p->room);
		if (!*all)
			break;
		p->meant[n] = w;
		p->set[n++] = (struct pollfd){.fd = w->fd, .events = events};
	}
	return n;
}

static void rotate(struct poller *p, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		list_remove(&p->meant[i]->link);
		list_append(&p->watched, &p->meant[i]->link);
	}
}

/* ---- asking -----------------------------------------------------------------------------------*/
enum { TURN_MS = 1 };

/* Milliseconds to ask for; *last: `until` is not beyond that. */
static int patience(struct poller *p, int64_t until, bool all, bool *last)
{
	int nap = all ? young_nap_ms(&p->ready) : TURN_MS;
	int64_t left = until == 0 || until == OS_NEVER ? until : until - os_now();
	int64_t ms = left <= 0 ? 0 : left / 1000000 + (left % 1000000 != 0);

	*last = false;
	if (until == OS_NEVER || (nap >= 0 && ms > nap))
		return nap;
	*last = ms <= INT_MAX;
	return *last ? (int)ms : INT_MAX;
}

static int ask(struct poller *p, int64_t until, unsigned *count, bool *last)
{
	bool all;
	int n;

	atomic_store_explicit(&p->asking, LOOKING, memory_order_relaxed);
	take_added(p);
	*count = gather(p, &all);
	count_up(&p->ready.calls);
	atomic_store_explicit(&p->asking, ASKING, memory_order_relaxed);
	n = poll(p->set, *count, patience(p, until, all, last));
	n = n < 0 ? -errno : n;
	/* Release: the files are no longer in use; pairs with the acquire in drop. */
	atomic_fetch_add_explicit(&p->asked, 1, memory_order_release);
	atomic_store_explicit(&p->asking, BUSY, memory_order_release);
	if (!all)
		rotate(p, *count);
	return n;
}

/* The number is closed: nobody can wait on it. */
static unsigned end_all(struct poller *p, const struct watched *w, struct list *back)
{
	struct slot *s = slot_find(w->fd);
	unsigned n = 0;

	spin_lock(&s->guard);
	if (s->generation == w->generation && watch_home(s) == &p->ready) {
		watch_end(s);
		slot_renew(s);
		n = waiters_give_all(s, -EBADF, back);
	}
	spin_unlock(&s->guard);
	return n;
}

static unsigned handle(struct poller *p, unsigned count, struct list *back)
{
	unsigned given = 0;

	for (unsigned i = 1; i < count; i++) {
		const struct watched *w = p->meant[i];
		unsigned events = (unsigned short)p->set[i].revents;

		if (events & POLLNVAL)
			given += end_all(p, w, back);
		else if (events)
			given += ready_event(&p->ready, w->fd, w->generation, events, back);
	}
	return given;
}

/* Read before the word is cleared: who rings later writes again. And read even if the word is not
 * set: it may have been cleared between somebody's setting it and his writing. */
static void hush(struct poller *p, bool rang)
{
	uint64_t rings;

	if (!rang && !atomic_load_explicit(&p->rung, memory_order_relaxed))
		return;
	must(read(p->bell, &rings, sizeof rings) == sizeof rings || errno == EAGAIN);
	atomic_swap32(&p->rung, 0);
}

static int wait_poller(struct poller *p, int64_t until, struct list *back)
{
	unsigned given = 0, count;
	bool rang = false, last = true;

	while (!nothing_to_look_for(p, until)) {
		int n = ask(p, until, &count, &last);

		if (n < 0) {
			must(n == -EINTR || n == -ENOMEM);
			break;
		}
		rang = p->set[0].revents;
		given += n > 0 ? handle(p, count, back) : 0;
		young_tick(&p->ready, os_now());
		given += young_check(&p->ready, (unsigned)n, n == 0 && !last, back);
		if (given || rang || last || until == 0)
			break;
	}
	hush(p, rang);
	return (int)(given + orphans_take(back));
}

/* ---- the table --------------------------------------------------------------------------------*/
const struct poller_ops poller_poll = {
	.name = "poll",
	.open = open_poller,
	.close = close_poller,
	.wait = wait_poller,
	READY_TABLE,
};
