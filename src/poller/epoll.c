/* epoll.c - the poller of Linux: ready.c over epoll.
 *
 * A descriptor is watched once, edge-triggered, so that an operation costs no epoll_ctl. An event
 * carries the number and its generation. The bell, an eventfd, wakes a wait from elsewhere; being
 * edge-triggered it is never read.
 *
 * Protocol "bell": `rung` is set by who rings, and cleared by `wait` before it returns. Who finds
 * it set need not write, because a wait is about to return or has not begun, and after it the owner
 * looks at what the ringer left before ringing: both sides exchange the word (acquire, release). */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "poller/backends.h"
#include "poller/orphans.h"
#include "poller/ready_table.h"
#include "poller/young.h"

enum {
	EVENTS = 256,
	ADD_TRIES = 16,
};

static const uint64_t BELL = UINT64_MAX;

struct poller {
	struct ready ready;
	int epoll;
	int bell;
	_Atomic uint32_t rung;
	struct epoll_event events[EVENTS];
};
_Static_assert(offsetof(struct poller, ready) == 0, "ready_table.h counts on it");

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI &&
		       EPOLLERR == POLLERR && EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP,
	       "events are those of poll(2)");

static struct poller *poller_of(struct ready *r)
{
	return container_of(r, struct poller, ready);
}

/* ---- what ready.c asks ------------------------------------------------------------------------*/
static uint32_t mask(bool both)
{
	return EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET | (both ? EPOLLOUT : 0);
}

static int control(struct poller *p, int act, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};

	return epoll_ctl(p->epoll, act, fd, &e) < 0 ? -errno : 0;
}

static uint64_t tag(int fd, uint32_t generation)
{
	return (uint64_t)generation << 32 | (uint32_t)fd;
}

static int check(struct ready *r, int fd, uint32_t generation, bool both)
{
	return control(poller_of(r), EPOLL_CTL_MOD, fd, mask(both), tag(fd, generation));
}

static int add(struct ready *r, int fd, uint32_t generation, bool both)
{
	int e, tries = 0;

	do {
		e = control(poller_of(r), EPOLL_CTL_ADD, fd, mask(both), tag(fd, generation));
		/* The same file under the same number, watched in an older generation: dup2
		 * brought it back. And it may be replaced between the two calls. */
		if (e == -EEXIST)
			e = check(r, fd, generation, both);
	} while (e == -ENOENT && ++tries < ADD_TRIES);
	return e;
}

static void drop(struct ready *r, int fd)
{
	control(poller_of(r), EPOLL_CTL_DEL, fd, 0, 0);
}

static void ring(struct ready *r)
{
	struct poller *p = poller_of(r);
	uint64_t one = 1;

	if (atomic_swap32(&p->rung, 1) == 0)
		must(write(p->bell, &one, sizeof one) == sizeof one);
}

static const struct ready_kernel kernel = {
	.add = add,
	.check = check,
	.remove = drop,
	.wake = ring,
};

static int64_t coarse_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- life -------------------------------------------------------------------------------------*/
static int open_poller(struct poller **out)
{
	struct poller *p = malloc(sizeof *p);
	int e = -ENOMEM;

	if (!p)
		return e;
	ready_open(&p->ready, &kernel, coarse_now());
	atomic_init(&p->rung, 0);
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	e = -errno;
	if (p->epoll < 0)
		goto no_epoll;
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e = -errno;
	if (p->bell < 0)
		goto no_bell;
	e = control(p, EPOLL_CTL_ADD, p->bell, EPOLLIN | EPOLLET, BELL);
	if (e < 0)
		goto not_watched;
	*out = p;
	return 0;
not_watched:
	close(p->bell);
no_bell:
	close(p->epoll);
no_epoll:
	free(p);
	return e;
}

static void close_poller(struct poller *p)
{
	ready_close(&p->ready);
	close(p->bell);
	close(p->epoll);
	free(p);
}

/* ---- waiting ----------------------------------------------------------------------------------*/
static int sleep_ms(struct poller *p, int ms)
{
	int n = epoll_wait(p->epoll, p->events, EVENTS, ms);

	return n < 0 ? -errno : n;
}

/* To the nanosecond where the kernel can (Linux 5.11; some emulators cannot). */
static int sleep_ns(struct poller *p, int64_t ns)
{
	static _Atomic bool coarse;
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	int64_t ms = ns / 1000000 + (ns % 1000000 != 0);
	int n;

	if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
		n = epoll_pwait2(p->epoll, p->events, EVENTS, &t, NULL);
		if (n >= 0)
			return n;
		if (errno != ENOSYS)
			return -errno;
		atomic_store_explicit(&coarse, true, memory_order_relaxed);
	}
	return sleep_ms(p, ms < INT_MAX ? (int)ms : INT_MAX);
}

enum ending { HAPPENED, NAPPED, OVER };

/* One wait of the kernel's; *n events, or -EINTR. */
static enum ending sleep_once(struct poller *p, int64_t until, int *n)
{
	int nap = young_nap_ms(&p->ready);
	int64_t left;

	count_up(&p->ready.calls);
	if (until == 0 || until == OS_NEVER) {
		*n = sleep_ms(p, until ? nap : 0);
		return *n ? HAPPENED : until ? NAPPED : OVER;
	}
	left = until - os_now();
	if (nap >= 0 && left > nap * INT64_C(1000000)) {
		*n = sleep_ms(p, nap);
		return *n ? HAPPENED : NAPPED;
	}
	*n = left > 0 ? sleep_ns(p, left) : sleep_ms(p, 0);
	return *n ? HAPPENED : OVER;
}

/* True: the bell rang. */
static bool handle(struct poller *p, int n, unsigned *given, struct list *back)
{
	bool rang = false;

	for (int i = 0; i < n; i++) {
		uint64_t data = p->events[i].data.u64;

		if (unlikely(data == BELL))
			rang = true;
		else
			*given += ready_event(&p->ready, (int)(uint32_t)data,
					      (uint32_t)(data >> 32), p->events[i].events, back);
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
	enum ending ending;
	bool rang = false;
	int n;

	if (nothing_to_look_for(p, until)) {
		hush(p);
		return (int)orphans_take(back);
	}
	do {
		ending = sleep_once(p, until, &n);
		if (unlikely(n < 0)) {
			must(n == -EINTR);
			break;
		}
		rang = handle(p, n, &given, back);
		young_tick(&p->ready, coarse_now());
		given += young_check(&p->ready, (unsigned)n, ending == NAPPED, back);
	} while (!given && !rang && ending != OVER && until != 0);
	hush(p);
	return (int)(given + orphans_take(back));
}

/* ---- the table --------------------------------------------------------------------------------*/
const struct poller_ops poller_epoll = {
	.name = "epoll",
	.open = open_poller,
	.close = close_poller,
	.wait = wait_poller,
	READY_TABLE,
};
