/* kqueue.c - the event queue's kernel on the BSDs and macOS.
 *
 * A registration is a knote for each of what it asks for, all with its cookie as udata; their
 * events of one fetch are put together, so that the caller sees one for each cookie. A number's
 * knotes go when it is closed, so whatever the kernel has of a number is of the file that it
 * means now. To change is to delete and add: kernels differ in what adding again changes of a
 * knote, and a new one is looked at at once, which is what arming anew means.
 *
 * One-shot is EV_DISPATCH: each knote falls silent by itself, and the caller drops what another one
 * of the same registration still brings. The knotes stay, so that a second registration is noticed.
 *
 * EV_EOF does not tell one direction's end from both, nor from an error: poll(2) is asked, which
 * costs a call at the end of a connection. What a socket's error does not end (a datagram that
 * nobody wanted) is told as an error only where poll(2) tells. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "os/os.h"
#include "queue/kernel.h"

struct event {
	uint64_t cookie;
	int fd;
	unsigned bits; /* FIBER_QUEUE_..., and: */
};
enum { READ_ENDED = 1 << 16, WRITE_ENDED = 1 << 17 };

struct queue_kernel {
	int queue;
	size_t room;
	struct kevent *fetched; /* the waiter's, both */
	struct event *events;
};

_Static_assert(sizeof(void *) == sizeof(uint64_t), "udata holds a cookie");

/* Kinds, as in epoll.c. */
enum { TWO_WAYS, ONE_WAY };

/* ---- registrations ----------------------------------------------------------------------------*/
static int change(struct queue_kernel *k, uintptr_t ident, short filter, unsigned flags,
		  unsigned notes, uint64_t cookie)
{
	const struct timespec at_once = {0, 0};
	struct kevent wish, receipt;
	int n;

	EV_SET(&wish, ident, filter, flags | EV_RECEIPT, notes, 0, (void *)(uintptr_t)cookie);
	n = kevent(k->queue, &wish, 1, &receipt, 1, &at_once);
	if (n < 0)
		return -errno;
	return n == 1 && receipt.flags & EV_ERROR ? -(int)receipt.data : 0;
}

static int change_urgent(struct queue_kernel *k, int fd, unsigned flags, uint64_t cookie)
{
#ifdef EVFILT_EXCEPT
	return change(k, (uintptr_t)fd, EVFILT_EXCEPT, flags, NOTE_OOB, cookie);
#else
	(void)k, (void)fd, (void)flags, (void)cookie;
	return -ENOTSUP;
#endif
}

/* 0 if any knote was there. */
int kernel_remove(struct queue_kernel *k, fiber_fd fd)
{
	int read = change(k, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0);
	int write = change(k, (uintptr_t)fd, EVFILT_WRITE, EV_DELETE, 0, 0);
	int urgent = change_urgent(k, fd, EV_DELETE, 0);

	return read == 0 || write == 0 || urgent == 0 ? 0 : read;
}

int kernel_kind(fiber_fd fd)
{
	struct stat about;

	if (fstat(fd, &about) < 0)
		return -errno;
	return S_ISFIFO(about.st_mode) ? ONE_WAY : TWO_WAYS;
}

/* Of a file kqueue would tell whether there is more behind its position. */
static bool is_file(int fd)
{
	struct stat s;

	return fstat(fd, &s) == 0 && (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode));
}

int kernel_add(struct queue_kernel *k, fiber_fd fd, uint64_t cookie, unsigned flags)
{
	unsigned how = EV_ADD | (flags & FIBER_QUEUE_EDGE ? EV_CLEAR : 0) |
		       (flags & FIBER_QUEUE_ONESHOT ? EV_DISPATCH : 0);
	int r = is_file(fd) ? -EPERM : 0;

	if (r == 0 && flags & FIBER_QUEUE_READABLE)
		r = change(k, (uintptr_t)fd, EVFILT_READ, how, 0, cookie);
	if (r == 0 && flags & FIBER_QUEUE_WRITABLE)
		r = change(k, (uintptr_t)fd, EVFILT_WRITE, how, 0, cookie);
	if (r == 0 && flags & FIBER_QUEUE_PRIORITY)
		r = change_urgent(k, fd, how, cookie);
	if (r < 0)
		kernel_remove(k, fd);
	return r;
}

int kernel_change(struct queue_kernel *k, fiber_fd fd, uint64_t cookie, unsigned flags)
{
	int r = kernel_remove(k, fd);

	return r < 0 ? r : kernel_add(k, fd, cookie, flags);
}

/* A knote is asked for by a change that changes nothing: enabling one that is enabled, disabling
 * one that is disabled. (One that is about to be told may be told twice: the caller drops that.) */
bool kernel_still(struct queue_kernel *k, fiber_fd fd, unsigned flags, bool told)
{
	unsigned how = told ? EV_DISABLE : EV_ENABLE;

	if (flags & FIBER_QUEUE_READABLE)
		return change(k, (uintptr_t)fd, EVFILT_READ, how, 0, 0) == 0;
	if (flags & FIBER_QUEUE_WRITABLE)
		return change(k, (uintptr_t)fd, EVFILT_WRITE, how, 0, 0) == 0;
	return change_urgent(k, fd, how, 0) == 0;
}

/* ---- life -------------------------------------------------------------------------------------*/
int kernel_open(struct queue_kernel **out)
{
	struct queue_kernel *k = calloc(1, sizeof *k);
	int r = -ENOMEM;

	if (!k)
		return r;
	k->queue = kqueue();
	r = -errno;
	if (k->queue < 0)
		goto no_queue;
	fcntl(k->queue, F_SETFD, FD_CLOEXEC);
	r = change(k, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, KERNEL_BELL);
	if (r < 0)
		goto no_bell;
	*out = k;
	return 0;
no_bell:
	close(k->queue);
no_queue:
	free(k);
	return r;
}

/* A forked child has no kqueue: there the number may be another file's. */
void kernel_close(struct queue_kernel *k, bool forked)
{
	if (!forked)
		close(k->queue);
	free(k->fetched);
	free(k->events);
	free(k);
}

/* ---- waiting ----------------------------------------------------------------------------------*/
int kernel_reserve(struct queue_kernel *k, size_t max)
{
	void *fetched, *events;

	if (likely(max <= k->room))
		return 0;
	if (max > INT_MAX / sizeof *k->fetched)
		return -ENOMEM;
	fetched = realloc(k->fetched, max * sizeof *k->fetched);
	if (!fetched)
		return -ENOMEM;
	k->fetched = fetched;
	events = realloc(k->events, max * sizeof *k->events);
	if (!events)
		return -ENOMEM;
	k->events = events;
	k->room = max;
	return 0;
}

static int by_cookie(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static unsigned bits_of(const struct kevent *e)
{
	bool ended = e->flags & EV_EOF;
	unsigned error = ended && e->fflags ? FIBER_QUEUE_ERROR : 0;

	switch (e->filter) {
	case EVFILT_READ:
		return FIBER_QUEUE_READABLE | error | (ended ? READ_ENDED : 0);
	case EVFILT_WRITE:
		return FIBER_QUEUE_WRITABLE | error | (ended ? WRITE_ENDED : 0);
	case EVFILT_USER:
		return 0;
	default:
		return FIBER_QUEUE_PRIORITY;
	}
}

/* One event for each cookie. */
static int put_together(struct queue_kernel *k, int fetched)
{
	struct event *e = k->events;
	int n = 0;

	for (int i = 0; i < fetched; i++)
		e[i] = (struct event){(uint64_t)(uintptr_t)k->fetched[i].udata,
				      (int)k->fetched[i].ident, bits_of(&k->fetched[i])};
	qsort(e, (size_t)fetched, sizeof *e, by_cookie);
	for (int i = 0; i < fetched; i++)
		if (n > 0 && e[n - 1].cookie == e[i].cookie)
			e[n - 1].bits |= e[i].bits;
		else
			e[n++] = e[i];
	return n;
}

int kernel_wait(struct queue_kernel *k, size_t max, int64_t until)
{
	int64_t left = until == 0 || until == OS_NEVER ? 0 : until - os_now();
	struct timespec t = {0, 0};
	int n;

	assert(max <= k->room);
	if (left > 0)
		t = (struct timespec){left / 1000000000, left % 1000000000};
	n = kevent(k->queue, NULL, 0, k->fetched, (int)max, until == OS_NEVER ? NULL : &t);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return put_together(k, n);
}

uint64_t kernel_cookie(const struct queue_kernel *k, int i)
{
	return k->events[i].cookie;
}

/* A socket's: an error without a hang-up has ended nothing. */
static unsigned ended(const struct event *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLIN};
	int happened = poll(&p, 1, 0) > 0 ? p.revents : 0;
	unsigned error = happened & POLLERR ? FIBER_QUEUE_ERROR : 0;

	if (happened & POLLHUP)
		return error | FIBER_QUEUE_READ_CLOSED | FIBER_QUEUE_WRITE_CLOSED;
	if (error)
		return error;
	return (e->bits & READ_ENDED ? FIBER_QUEUE_READ_CLOSED : 0) |
	       (e->bits & WRITE_ENDED ? FIBER_QUEUE_WRITE_CLOSED : 0);
}

/* A pipe has one direction, and its error is that nobody reads. */
static unsigned ended_one_way(const struct event *e)
{
	return (e->bits & READ_ENDED ? FIBER_QUEUE_READ_CLOSED : 0) |
	       (e->bits & WRITE_ENDED ? FIBER_QUEUE_WRITE_CLOSED | FIBER_QUEUE_ERROR : 0);
}

unsigned kernel_ready(const struct queue_kernel *k, int i, unsigned flags, unsigned kind)
{
	const struct event *e = &k->events[i];
	unsigned ready = e->bits & ~(unsigned)(READ_ENDED | WRITE_ENDED);

	if (unlikely(e->bits & (READ_ENDED | WRITE_ENDED)))
		ready |= kind == ONE_WAY ? ended_one_way(e) : ended(e);
	/* A read finds the end, a write the error: neither waits. */
	if (ready & (FIBER_QUEUE_READ_CLOSED | FIBER_QUEUE_ERROR))
		ready |= FIBER_QUEUE_READABLE;
	if (ready & (FIBER_QUEUE_WRITE_CLOSED | FIBER_QUEUE_ERROR))
		ready |= FIBER_QUEUE_WRITABLE;
	return ready & (flags | FIBER_QUEUE_ERROR | FIBER_QUEUE_READ_CLOSED |
			FIBER_QUEUE_WRITE_CLOSED);
}

/* ---- the bell ---------------------------------------------------------------------------------*/
void kernel_ring(struct queue_kernel *k)
{
	int was = errno;

	must(change(k, 0, EVFILT_USER, 0, NOTE_TRIGGER, KERNEL_BELL) == 0);
	errno = was;
}

fiber_fd kernel_fd(const struct queue_kernel *k)
{
	return k->queue;
}
