/* epoll.c - the event queue's kernel on Linux.
 *
 * epoll means by a registration a pair of number and open file. It forgets it by itself only when
 * the last duplicate of the file is closed, so nothing here may rely on a number meaning the same
 * file as before: the kernel's own EEXIST and ENOENT tell.
 *
 * The bell is an eventfd, edge-triggered and never read: every write is an event, and is one until
 * somebody fetches it, which is also what poll(2) on the epoll descriptor goes by. */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "os/os.h"
#include "queue/kernel.h"

struct queue_kernel {
	int epoll;
	int bell;
	struct epoll_event *events; /* the waiter's */
	size_t room;
};

/* Kinds. On a pipe a hang-up or error concerns one direction, and never the other. */
enum { TWO_WAYS, ONE_WAY };

/* ---- registrations ----------------------------------------------------------------------------*/
static int control(struct queue_kernel *k, int act, int fd, uint32_t events, uint64_t cookie)
{
	struct epoll_event e = {.events = events, .data.u64 = cookie};

	return epoll_ctl(k->epoll, act, fd, &e) < 0 ? -errno : 0;
}

int kernel_kind(fiber_fd fd)
{
	struct stat about;

	if (fstat(fd, &about) < 0)
		return -errno;
	return S_ISFIFO(about.st_mode) ? ONE_WAY : TWO_WAYS;
}

/* A half-close that nobody wants to read about would be told for ever in level mode. */
static uint32_t asked(unsigned flags)
{
	return (flags & FIBER_QUEUE_READABLE ? EPOLLIN | EPOLLRDHUP : 0) |
	       (flags & FIBER_QUEUE_WRITABLE ? EPOLLOUT : 0) |
	       (flags & FIBER_QUEUE_PRIORITY ? EPOLLPRI : 0) |
	       (flags & FIBER_QUEUE_EDGE ? EPOLLET : 0) |
	       (flags & FIBER_QUEUE_ONESHOT ? EPOLLONESHOT : 0);
}

/* kernel_add tells. */
bool kernel_still(struct queue_kernel *k, fiber_fd fd, unsigned flags, bool told)
{
	(void)k, (void)fd, (void)flags, (void)told;
	return false;
}

int kernel_add(struct queue_kernel *k, fiber_fd fd, uint64_t cookie, unsigned flags)
{
	return control(k, EPOLL_CTL_ADD, fd, asked(flags), cookie);
}

int kernel_change(struct queue_kernel *k, fiber_fd fd, uint64_t cookie, unsigned flags)
{
	return control(k, EPOLL_CTL_MOD, fd, asked(flags), cookie);
}

int kernel_remove(struct queue_kernel *k, fiber_fd fd)
{
	return control(k, EPOLL_CTL_DEL, fd, 0, 0);
}

/* ---- life -------------------------------------------------------------------------------------*/
int kernel_open(struct queue_kernel **out)
{
	struct queue_kernel *k = calloc(1, sizeof *k);
	int r = -ENOMEM;

	if (!k)
		return r;
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = -errno;
	if (k->epoll < 0)
		goto no_epoll;
	k->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = -errno;
	if (k->bell < 0)
		goto no_bell;
	r = control(k, EPOLL_CTL_ADD, k->bell, EPOLLIN | EPOLLET, KERNEL_BELL);
	if (r < 0)
		goto not_watched;
	*out = k;
	return 0;
not_watched:
	close(k->bell);
no_bell:
	close(k->epoll);
no_epoll:
	free(k);
	return r;
}

/* A child closes descriptors of its own. */
void kernel_close(struct queue_kernel *k, bool forked)
{
	(void)forked;
	close(k->bell);
	close(k->epoll);
	free(k->events);
	free(k);
}

/* ---- waiting ----------------------------------------------------------------------------------*/
int kernel_reserve(struct queue_kernel *k, size_t max)
{
	struct epoll_event *events;

	if (likely(max <= k->room))
		return 0;
	if (max > INT_MAX / sizeof *events) /* the kernel's own limit, too */
		return -ENOMEM;
	events = realloc(k->events, max * sizeof *events);
	if (!events)
		return -ENOMEM;
	k->events = events;
	k->room = max;
	return 0;
}

static int wait_ms(struct queue_kernel *k, size_t max, int ms)
{
	int n = epoll_wait(k->epoll, k->events, (int)max, ms);

	return n < 0 ? -errno : n;
}

/* To the nanosecond where the kernel can (Linux 5.11; some emulators cannot). */
static int wait_ns(struct queue_kernel *k, size_t max, int64_t ns)
{
	static _Atomic bool coarse;
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	int64_t ms = ns / 1000000 + (ns % 1000000 != 0);
	int n;

	if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
		n = epoll_pwait2(k->epoll, k->events, (int)max, &t, NULL);
		if (n >= 0)
			return n;
		if (errno != ENOSYS)
			return -errno;
		atomic_store_explicit(&coarse, true, memory_order_relaxed);
	}
	return wait_ms(k, max, ms < INT_MAX ? (int)ms : INT_MAX);
}

int kernel_wait(struct queue_kernel *k, size_t max, int64_t until)
{
	int64_t left;
	int n;

	assert(max <= k->room);
	if (until == 0 || until == OS_NEVER) {
		n = wait_ms(k, max, until ? -1 : 0);
	} else {
		left = until - os_now();
		n = left > 0 ? wait_ns(k, max, left) : wait_ms(k, max, 0);
	}
	return n == -EINTR ? 0 : n;
}

uint64_t kernel_cookie(const struct queue_kernel *k, int i)
{
	return k->events[i].data.u64;
}

unsigned kernel_ready(const struct queue_kernel *k, int i, unsigned flags, unsigned kind)
{
	uint32_t e = k->events[i].events;
	unsigned ready = (e & EPOLLIN ? FIBER_QUEUE_READABLE : 0) |
			 (e & EPOLLOUT ? FIBER_QUEUE_WRITABLE : 0) |
			 (e & EPOLLPRI ? FIBER_QUEUE_PRIORITY : 0) |
			 (e & EPOLLRDHUP ? FIBER_QUEUE_READ_CLOSED : 0);

	if (unlikely(e & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))) {
		if (e & EPOLLERR)
			ready |= FIBER_QUEUE_ERROR | FIBER_QUEUE_READABLE | FIBER_QUEUE_WRITABLE |
				 (kind == ONE_WAY ? FIBER_QUEUE_WRITE_CLOSED : 0);
		if (e & EPOLLHUP)
			ready |= FIBER_QUEUE_READ_CLOSED |
				 (kind == ONE_WAY ? 0 : FIBER_QUEUE_WRITE_CLOSED);
		/* A read finds the end, a write the error: neither waits. */
		if (ready & FIBER_QUEUE_READ_CLOSED)
			ready |= FIBER_QUEUE_READABLE;
		if (ready & FIBER_QUEUE_WRITE_CLOSED)
			ready |= FIBER_QUEUE_WRITABLE;
	}
	return ready & (flags | FIBER_QUEUE_ERROR | FIBER_QUEUE_READ_CLOSED |
			FIBER_QUEUE_WRITE_CLOSED);
}

/* ---- the bell ---------------------------------------------------------------------------------*/
/* EAGAIN, a counter full after 2^64 - 2 rings, cannot come. */
void kernel_ring(struct queue_kernel *k)
{
	uint64_t one = 1;
	int was = errno;

	while (write(k->bell, &one, sizeof one) < 0 && errno == EINTR)
		;
	errno = was;
}

fiber_fd kernel_fd(const struct queue_kernel *k)
{
	return k->epoll;
}
