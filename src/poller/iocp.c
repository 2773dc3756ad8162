/* iocp.c - the poller of Windows: a completion port for each worker.
 *
 * A handle is given a home, the port of whoever uses it first, and everything on it comes back to
 * that port (home.h). Whoever waits there gives it back, whichever worker submitted it.
 *
 * Protocol "packet". An operation that was begun has a flight (flight_windows.h), which is in the
 * list of its handle's home until the operation is given back: by the packet, or by a cancel or
 * forget that was faster. Those hold the flight while they ask the kernel for it; a packet that
 * comes meanwhile leaves it to them. The last of the two frees it. All under the home's guard.
 *
 * Protocol "bell": as in epoll.c, with a packet for the eventfd. */
#include <errno.h>
#include <stdlib.h>

#include "os/atomic.h"
#include "os/errno_windows.h"
#include "os/os.h"
#include "poller/backends.h"
#include "poller/flight_windows.h"

enum { EVENTS = 64 };
#define STRAY_NS INT64_C(5000000) /* between two looks at ports that nobody owns */

struct poller {
	struct port *port;
	void *afd;
	int32_t submitted;          /* operations that are not back; any thread */
	_Atomic uint32_t rung;
	_Atomic uint64_t calls;
	OVERLAPPED_ENTRY events[EVENTS];
};

/* ---- ports ------------------------------------------------------------------------------------*/
static struct spin ports_guard;   /* guards the lists; `all` only grows at its head */
static _Atomic(struct port *) all;
static struct port *spare;
static _Atomic int32_t unowned;   /* ports in spare */

static struct port *new_port(void)
{
	struct port *port = calloc(1, sizeof *port);

	if (!port)
		return NULL;
	port->handle = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
	if (!port->handle) {
		free(port);
		return NULL;
	}
	port->next = atomic_load_explicit(&all, memory_order_relaxed);
	atomic_store_explicit(&all, port, memory_order_release); /* pairs with take_strays */
	return port;
}

static struct port *port_get(struct poller *owner)
{
	struct port *port;

	spin_lock(&ports_guard);
	port = spare;
	if (port) {
		spare = port->next_spare;
		atomic_fetch_sub_explicit(&unowned, 1, memory_order_relaxed);
	} else {
		port = new_port();
	}
	if (port)
		atomic_store_explicit(&port->owner, owner, memory_order_release);
	spin_unlock(&ports_guard);
	return port;
}

static void port_put(struct port *port)
{
	spin_lock(&ports_guard);
	atomic_store_explicit(&port->owner, NULL, memory_order_release);
	port->next_spare = spare;
	spare = port;
	atomic_fetch_add_explicit(&unowned, 1, memory_order_relaxed);
	spin_unlock(&ports_guard);
}

/* ---- life -------------------------------------------------------------------------------------*/
static int open_poller(struct poller **out)
{
	struct poller *p = calloc(1, sizeof *p);
	int r = -ENOMEM;

	if (!p)
		return r;
	os_sockets_begin();
	p->port = port_get(p);
	if (!p->port)
		goto no_port;
	r = afd_open(&p->afd, p->port->handle);
	if (r < 0)
		goto no_afd;
	*out = p;
	return 0;
no_afd:
	port_put(p->port);
no_port:
	free(p);
	return r;
}

/* Packets of its polls that were cancelled may still come: they free what they name, and need no
 * handle. */
static void close_poller(struct poller *p)
{
	must(__atomic_load_n(&p->submitted, __ATOMIC_ACQUIRE) == 0);
	CloseHandle(p->afd);
	port_put(p->port);
	free(p);
}

/* ---- coming back ------------------------------------------------------------------------------*/
/* Under the guard: the operation is its owner's again. */
static void give_back(struct flight *f, struct list *back)
{
	struct poller_op *op = f->op;
	struct poller *p = op->poller;

	flight_end(f);
	f->op = NULL;
	list_remove(&f->link);
	op->slot = NULL;
	if (back)
		list_append(back, &op->link);
	__atomic_fetch_sub(&p->submitted, 1, __ATOMIC_RELEASE); /* pairs with close_poller */
}

static unsigned land(struct flight *f, struct list *back)
{
	struct home *h = f->home;
	bool held, given;

	atomic_fetch_sub_explicit(&f->port->flights, 1, memory_order_relaxed);
	spin_lock(&h->guard);
	held = f->held;
	f->landed = true;
	given = !held && f->op;
	if (given)
		give_back(f, back);
	spin_unlock(&h->guard);
	if (!held)
		free(f);
	return given;
}

/* Whoever waits, with room for packets of its own: how many operations are back. */
static unsigned take(struct poller *p, struct port *port, DWORD ms, bool *rang, struct list *back)
{
	unsigned given = 0;
	ULONG n = 0;

	count_up(&p->calls);
	if (!GetQueuedCompletionStatusEx(port->handle, p->events, EVENTS, &n, ms, FALSE))
		return 0;
	for (ULONG i = 0; i < n; i++) {
		if (p->events[i].lpOverlapped)
			given += land((struct flight *)p->events[i].lpOverlapped, back);
		else
			*rang = true;
	}
	return given;
}

static unsigned take_strays(struct poller *p, struct list *back)
{
	unsigned given = 0;
	bool rang;

	for (struct port *port = atomic_load_explicit(&all, memory_order_acquire); port;
	     port = port->next)
		if (!atomic_load_explicit(&port->owner, memory_order_acquire) &&
		    atomic_load_explicit(&port->flights, memory_order_relaxed) > 0)
			given += take(p, port, 0, &rang, back);
	return given;
}

/* Is anything in flight that comes back to a port without an owner? */
static bool are_strays(void)
{
	if (atomic_load_explicit(&unowned, memory_order_relaxed) == 0)
		return false;
	for (struct port *port = atomic_load_explicit(&all, memory_order_acquire); port;
	     port = port->next)
		if (!atomic_load_explicit(&port->owner, memory_order_acquire) &&
		    atomic_load_explicit(&port->flights, memory_order_relaxed) > 0)
			return true;
	return false;
}

/* Rounded up to the milliseconds that the system counts in. */
static DWORD milliseconds(int64_t until, int64_t now)
{
	int64_t left = until == OS_NEVER ? OS_NEVER : until - now;

	if (left <= 0)
		return 0;
	left = left / 1000000 + (left % 1000000 != 0);
	return left < INFINITE ? (DWORD)left : INFINITE;
}

static int wait_poller(struct poller *p, int64_t until, struct list *back)
{
	unsigned given = 0;
	bool rang = false, over;

	do {
		int64_t now = until == 0 ? 0 : os_now(), nap = until;
		bool strays = are_strays();

		if (strays && until > now + STRAY_NS)
			nap = now + STRAY_NS;
		over = nap == until;
		given += take(p, p->port, milliseconds(nap, now), &rang, back);
		if (strays)
			given += take_strays(p, back);
	} while (!given && !rang && !over);
	if (atomic_load_explicit(&p->rung, memory_order_relaxed))
		atomic_swap32(&p->rung, 0);
	return (int)given;
}

static void wake(struct poller *p)
{
	if (atomic_swap32(&p->rung, 1) == 0)
		must(PostQueuedCompletionStatus(p->port->handle, 0, 0, NULL));
}

/* ---- submitting -------------------------------------------------------------------------------*/
/* The packet may be in another thread's hands before this returns: the flight is entered before it
 * is begun, and only `r` is looked at afterwards. */
static int begin(struct poller *p, struct flight *f, enum home_nature nature)
{
	struct home *h = f->home;
	struct poller_op *op = f->op;
	bool skips = op->kind == IO_POLL ? false : h->skips;
	int r;

	op->slot = h;
	op->poller = p;
	atomic_fetch_add_explicit(&f->port->flights, 1, memory_order_relaxed);
	__atomic_fetch_add(&p->submitted, 1, __ATOMIC_RELAXED);
	spin_lock(&h->guard);
	list_append(&h->flights, &f->link);
	/* Started under the guard: the calls do not block, and a packet waits for the guard. */
	r = op->kind == IO_POLL ? afd_start(f, p->afd) : flight_start(f, nature);
	if (r == 0 && !skips && f->port)
		r = FLIGHT_PENDING; /* there is a packet all the same */
	if (r == 0)
		give_back(f, NULL);
	if (r < 0) {
		list_remove(&f->link);
		__atomic_fetch_sub(&p->submitted, 1, __ATOMIC_RELAXED);
		op->result = r;
	}
	spin_unlock(&h->guard);
	return r;
}

static int submit(struct poller *p, struct poller_op *op, struct list *back)
{
	struct home *h = home_get(op->fd);
	struct port *port = p->port;
	struct flight *f;
	int r;

	(void)back;
	op->result = h ? 0 : -EBADF;
	if (!h)
		return POLLER_DONE;
	spin_lock(&h->guard);
	op->result = home_settle(h, op->fd, port);
	if (h->port && op->kind != IO_POLL)
		port = h->port;
	r = h->nature;
	spin_unlock(&h->guard);
	if (op->result < 0 && !(op->result == -ENOTSUP && op->kind == IO_POLL))
		return POLLER_DONE;
	if (r == HOME_BLOCKS && op->kind != IO_POLL)
		return POLLER_WOULD_BLOCK;
	if (op->kind == IO_POLL && r > HOME_DATAGRAM) {
		op->result = r == HOME_FILE ? op->events : -ENOTSUP;
		return POLLER_DONE;
	}
	f = calloc(1, sizeof *f);
	if (!f) {
		op->result = -ENOMEM;
		return POLLER_DONE;
	}
	f->op = op;
	f->home = h;
	f->port = port;
	r = begin(p, f, (enum home_nature)r);
	if (r == FLIGHT_PENDING)
		return POLLER_IN_FLIGHT;
	atomic_fetch_sub_explicit(&port->flights, 1, memory_order_relaxed);
	free(f);
	return POLLER_DONE;
}

/* ---- taking back ------------------------------------------------------------------------------*/
static struct flight *find(struct home *h, const struct poller_op *op)
{
	for (struct list *at = h->flights.next; at && at != &h->flights; at = at->next) {
		struct flight *f = container_of(at, struct flight, link);

		if (f->op == op && !f->held)
			return f;
	}
	return NULL;
}

/* Asked for, and held meanwhile. True: it is back. False: the packet brings it. */
static bool take_back(struct home *h, struct flight *f, int result, struct list *back)
{
	bool ended = flight_stop(f), landed;

	spin_lock(&h->guard);
	f->held = false;
	landed = f->landed;
	ended |= landed;
	if (ended) {
		struct poller_op *op = f->op;

		give_back(f, back);
		if (op->result == -ECANCELED)
			op->result = result;
	}
	spin_unlock(&h->guard);
	if (landed)
		free(f);
	return ended;
}

static bool cancel(struct poller *p, struct poller_op *op)
{
	struct home *h = op->slot;
	struct flight *f;

	(void)p;
	if (!h)
		return false;
	spin_lock(&h->guard);
	f = find(h, op);
	if (f)
		f->held = true;
	spin_unlock(&h->guard);
	return f && take_back(h, f, -ECANCELED, NULL);
}

static struct flight *hold_any(struct home *h)
{
	struct flight *f = NULL;

	spin_lock(&h->guard);
	for (struct list *at = h->flights.next; at && at != &h->flights && !f; at = at->next)
		f = container_of(at, struct flight, link);
	if (f && f->held)
		f = NULL;
	if (f)
		f->held = true;
	spin_unlock(&h->guard);
	return f;
}

static void forget(fiber_fd fd, struct list *back)
{
	struct home *h = home_get(fd);
	struct flight *f;

	if (!h)
		return;
	while ((f = hold_any(h)) && take_back(h, f, -EBADF, back))
		;
	spin_lock(&h->guard);
	h->ours = false;
	spin_unlock(&h->guard);
}

static uint64_t syscalls(const struct poller *p)
{
	return count_read(&p->calls);
}

const struct poller_ops poller_iocp = {
	.name = "iocp",
	.performs = true,
	.open = open_poller,
	.close = close_poller,
	.submit = submit,
	.cancel = cancel,
	.wait = wait_poller,
	.wake = wake,
	.forget = forget,
	.syscalls = syscalls,
};
