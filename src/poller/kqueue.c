/* kqueue.c - the poller of the BSDs and macOS: ready.c over kqueue.
 *
 * A number is watched once, by a knote for reading and, when somebody has to wait for writing, one
 * more, with EV_CLEAR: an event is an edge, and an operation costs no change. An event carries the
 * number and, as its udata, its generation. EVFILT_USER wakes a wait from elsewhere (protocol
 * "bell": epoll.c).
 *
 * Each change is sent with EV_RECEIPT, so that its own error comes back and no event with it. A
 * knote goes when its descriptor is closed; EV_ENABLE without EV_ADD tells whether it is still
 * there (ENOENT), and looks anew at what is ready, so it is the check of lasting waits.
 *
 * EV_EOF does not say whether one direction has ended, both, or in error; it comes once a
 * connection, and poll(2) is asked. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <unistd.h>

#include "poller/attempt.h"
#include "poller/backends.h"
#include "poller/orphans.h"
#include "poller/ready_table.h"
#include "poller/young.h"

enum { EVENTS = 256 };

struct poller {
	struct ready ready;
	int queue;
	_Atomic uint32_t rung;
	struct kevent events[EVENTS];
};
_Static_assert(offsetof(struct poller, ready) == 0, "ready_table.h counts on it");

static struct poller *poller_of(struct ready *r)
{
	return container_of(r, struct poller, ready);
}

/* ---- what ready.c asks ------------------------------------------------------------------------*/
static int change(struct poller *p, uintptr_t ident, short filter, unsigned flags, unsigned notes,
		  uint32_t generation)
{
	const struct timespec at_once = {0, 0};
	struct kevent wish, receipt;
	int n;

	EV_SET(&wish, ident, filter, flags | EV_RECEIPT, notes, 0, (void *)(uintptr_t)generation);
	n = kevent(p->queue, &wish, 1, &receipt, 1, &at_once);
	if (n < 0)
		return -errno;
	return n == 1 && receipt.flags & EV_ERROR ? -(int)receipt.data : 0;
}

/* Not everything can be written to, nor has everything urgent data: these may fail. */
static void watch_more(struct poller *p, int fd, uint32_t generation, bool both)
{
#ifdef EVFILT_EXCEPT
	change(p, (uintptr_t)fd, EVFILT_EXCEPT, EV_ADD | EV_CLEAR, NOTE_OOB, generation);
#endif
	if (both)
		change(p, (uintptr_t)fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, generation);
}

static int check(struct ready *r, int fd, uint32_t generation, bool both)
{
	struct poller *p = poller_of(r);
	int e = change(p, (uintptr_t)fd, EVFILT_READ, EV_ENABLE, 0, generation);

	if (e == 0)
		watch_more(p, fd, generation, both);
	return e;
}

/* Of a file kqueue would tell whether there is more behind its position: nothing to wait for. */
static bool is_file(int fd)
{
	struct stat s;

	return fstat(fd, &s) == 0 && (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode));
}

static int add(struct ready *r, int fd, uint32_t generation, bool both)
{
	struct poller *p = poller_of(r);
	int e;

	if (is_file(fd))
		return -EPERM;
	e = change(p, (uintptr_t)fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, generation);
	if (e == 0)
		watch_more(p, fd, generation, both);
	return e;
}

static void drop(struct ready *r, int fd)
{
	struct poller *p = poller_of(r);

	change(p, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0);
	change(p, (uintptr_t)fd, EVFILT_WRITE, EV_DELETE, 0, 0);
#ifdef EVFILT_EXCEPT
	change(p, (uintptr_t)fd, EVFILT_EXCEPT, EV_DELETE, NOTE_OOB, 0);
#endif
}

static void ring(struct ready *r)
{
	struct poller *p = poller_of(r);

	if (atomic_swap32(&p->rung, 1) == 0)
		must(change(p, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0) == 0);
}

static const struct ready_kernel kernel = {
	.add = add,
	.check = check,
	.remove = drop,
	.wake = ring,
};

/* ---- life -------------------------------------------------------------------------------------*/
static int open_poller(struct poller **out)
{
	struct poller *p = malloc(sizeof *p);
	int e = -ENOMEM;

	if (!p)
		return e;
	ready_open(&p->ready, &kernel, os_now());
	atomic_init(&p->rung, 0);
	p->queue = kqueue();
	e = -errno;
	if (p->queue < 0)
		goto no_queue;
	fcntl(p->queue, F_SETFD, FD_CLOEXEC);
	e = change(p, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0);
	if (e < 0)
		goto no_bell;
	*out = p;
	return 0;
no_bell:
	close(p->queue);
no_queue:
	free(p);
	return e;
}

static void close_poller(struct poller *p)
{
	ready_close(&p->ready);
	close(p->queue);
	free(p);
}

/* ---- waiting ----------------------------------------------------------------------------------*/
/* `ns` negative: no limit. */
static int sleep_ns(struct poller *p, int64_t ns)
{
	struct timespec limit = {ns / 1000000000, ns % 1000000000};
	int n = kevent(p->queue, NULL, 0, p->events, EVENTS, ns < 0 ? NULL : &limit);

	return n < 0 ? -errno : n;
}

enum ending { HAPPENED, NAPPED, OVER };

/* One wait of the kernel's; *n events, or -EINTR. */
static enum ending sleep_once(struct poller *p, int64_t until, int *n)
{
	int nap_ms = young_nap_ms(&p->ready);
	int64_t nap = nap_ms < 0 ? -1 : nap_ms * INT64_C(1000000);
	int64_t left = until == OS_NEVER ? -1 : until == 0 ? 0 : until - os_now();

	count_up(&p->ready.calls);
	if (until != OS_NEVER && left < 0)
		left = 0;
	if (nap >= 0 && (left < 0 || left > nap)) {
		*n = sleep_ns(p, nap);
		return *n ? HAPPENED : NAPPED;
	}
	*n = sleep_ns(p, left);
	return *n ? HAPPENED : OVER;
}

static unsigned events_of(struct poller *p, const struct kevent *e)
{
	unsigned events = e->filter == EVFILT_READ ? POLLIN : POLLOUT;
	int polled;

#ifdef EVFILT_EXCEPT
	if (e->filter == EVFILT_EXCEPT)
		events = POLLPRI;
#endif
	if (!(e->flags & EV_EOF))
		return events;
	polled = attempt_poll((int)e->ident, 0, &p->ready.calls);
	if (polled > 0)
		events |= (unsigned)polled;
	return e->filter == EVFILT_READ ? events | POLLRDHUP : events;
}

/* True: the bell rang. */
static bool handle(struct poller *p, int n, unsigned *given, struct list *back)
{
	bool rang = false;

	for (int i = 0; i < n; i++) {
		const struct kevent *e = &p->events[i];

		if (e->filter == EVFILT_USER)
			rang = true;
		else
			*given += ready_event(&p->ready, (int)e->ident,
					      (uint32_t)(uintptr_t)e->udata, events_of(p, e), back);
	}
	return rang;
}

static void hush(struct poller *p)
{
	if (atomic_load_explicit(&p->rung, memory_order_relaxed))
		atomic_swap32(&p->rung, 0);
}

static int wait_poller(struct poller *p, int64_t until, struct list *back)
{
	unsigned given = 0;
	enum ending ending = OVER;
	bool rang = false;
	int n;

	while (!nothing_to_look_for(p, until)) {
		ending = sleep_once(p, until, &n);
		if (unlikely(n < 0)) {
			must(n == -EINTR);
			break;
		}
		rang = handle(p, n, &given, back);
		young_tick(&p->ready, os_now());
		given += young_check(&p->ready, (unsigned)n, ending == NAPPED, back);
		if (given || rang || ending == OVER || until == 0)
			break;
	}
	hush(p);
	return (int)(given + orphans_take(back));
}

/* ---- the table --------------------------------------------------------------------------------*/
const struct poller_ops poller_kqueue = {
	.name = "kqueue",
	.open = open_poller,
	.close = close_poller,
	.wait = wait_poller,
	READY_TABLE,
};
