/* kqueue.c - kqueue(2) and kevent(2) on Linux, written from the manual of the BSDs, for running
 * src/poller/kqueue.c and src/queue/kqueue.c where there is no BSD. It proves their logic, not BSD.
 *
 * It has: EVFILT_READ, EVFILT_WRITE, EVFILT_EXCEPT with NOTE_OOB, EVFILT_USER with NOTE_TRIGGER;
 * EV_ADD (again: modifies), EV_DELETE, EV_ENABLE (looks anew), EV_DISABLE, EV_CLEAR, EV_DISPATCH
 * (one of them in all filters of a descriptor, or none); EV_RECEIPT, and EV_ERROR
 * for each change that failed; EV_EOF. A knote belongs to the descriptor: it is gone when the
 * number is closed or means another file, even if a copy keeps the old file open. That is found
 * out when the knote is next touched, by comparing inodes.
 *
 * A queue is an epoll. All filters of a number share one registration, in which the pointer of
 * their record stands; records are kept as long as the queue, so late events find them. The user's
 * event is an eventfd that is always readable, and common to all queues: to trigger it is to
 * register it anew, which epoll answers with an edge. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { QUEUES = 1024, MOST = 256, FILTERS = 3, CHAINS = 1024 };

struct record {
	struct record *next;
	int fd;                /* -1: the knotes are gone */
	dev_t device;
	ino_t inode;
	bool on[FILTERS];
	bool off[FILTERS];     /* disabled */
	bool edges, dispatches;
	bool watched;          /* registered in the epoll */
	void *udata[FILTERS];
};

struct queue {
	pthread_mutex_t guard; /* of all below */
	struct record *records[CHAINS];
	void *user;
	/* Fetched from the epoll, but not yet from here. */
	struct kevent left[MOST * FILTERS];
	int left_count;
};

static struct queue *queues[QUEUES];
static pthread_mutex_t queues_guard = PTHREAD_MUTEX_INITIALIZER;
static int always = -1;

static const uint32_t masks[FILTERS] = {EPOLLIN | EPOLLRDHUP, EPOLLOUT, EPOLLPRI};
static const short filters[FILTERS] = {EVFILT_READ, EVFILT_WRITE, EVFILT_EXCEPT};

static void discard(struct queue *q)
{
	struct record *next;

	for (int i = 0; q && i < CHAINS; i++)
		for (struct record *r = q->records[i]; r; r = next) {
			next = r->next;
			free(r);
		}
	free(q);
}

/* From the start, so that no test finds a descriptor more after its first queue. */
static __attribute__((__constructor__)) void open_always(void)
{
	always = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* A number that comes back belongs to a queue that was closed. */
int kqueue(void)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event none = {.events = EPOLLET};

	if (fd < 0)
		return -1;
	pthread_mutex_lock(&queues_guard);
	discard(queues[fd % QUEUES]);
	queues[fd % QUEUES] = calloc(1, sizeof *queues[0]);
	pthread_mutex_init(&queues[fd % QUEUES]->guard, NULL);
	pthread_mutex_unlock(&queues_guard);
	epoll_ctl(fd, EPOLL_CTL_ADD, always, &none);
	return fd;
}

/* ---- knotes -----------------------------------------------------------------------------------*/
static bool still_means(struct record *r)
{
	struct stat now;

	if (r->fd >= 0 && fstat(r->fd, &now) == 0 && now.st_dev == r->device &&
	    now.st_ino == r->inode)
		return true;
	r->fd = -1;
	return false;
}

static struct record *find(struct queue *q, int fd)
{
	for (struct record *r = q->records[fd % CHAINS]; r; r = r->next)
		if (r->fd == fd && still_means(r))
			return r;
	return NULL;
}

static struct record *make(struct queue *q, int fd, const struct stat *about)
{
	struct record *r = calloc(1, sizeof *r);

	r->fd = fd;
	r->device = about->st_dev;
	r->inode = about->st_ino;
	r->next = q->records[fd % CHAINS];
	q->records[fd % CHAINS] = r;
	return r;
}

static int register_it(int queue, struct record *r)
{
	struct epoll_event e = {.events = r->edges ? EPOLLET : 0, .data.ptr = r};
	bool any = false;

	for (int i = 0; i < FILTERS; i++) {
		any |= r->on[i] && !r->off[i];
		e.events |= r->on[i] && !r->off[i] ? masks[i] : 0;
	}
	if (!any && !r->watched)
		return 0;
	r->watched = any;
	if (!any)
		return epoll_ctl(queue, EPOLL_CTL_DEL, r->fd, NULL) < 0 ? errno : 0;
	if (epoll_ctl(queue, EPOLL_CTL_MOD, r->fd, &e) == 0)
		return 0;
	return epoll_ctl(queue, EPOLL_CTL_ADD, r->fd, &e) < 0 ? errno : 0;
}

static int change_knote(int queue, struct queue *q, const struct kevent *change, int filter)
{
	int fd = (int)change->ident, e;
	struct record *r;
	struct stat about;

	if (fstat(fd, &about) < 0)
		return EBADF;
	r = find(q, fd);
	if (!(change->flags & EV_ADD) && (!r || !r->on[filter]))
		return ENOENT;
	if (!r)
		r = make(q, fd, &about);
	r->on[filter] = !(change->flags & EV_DELETE);
	r->off[filter] = change->flags & EV_DISABLE;
	if (change->flags & EV_ADD) {
		r->udata[filter] = change->udata;
		r->edges = change->flags & EV_CLEAR;
		r->dispatches = change->flags & EV_DISPATCH;
	}
	e = register_it(queue, r);
	if (e)
		r->fd = -1;
	return e;
}

static int change_user(int queue, struct queue *q, const struct kevent *change)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};

	if (change->flags & EV_ADD)
		q->user = change->udata;
	if (change->fflags & NOTE_TRIGGER)
		return epoll_ctl(queue, EPOLL_CTL_MOD, always, &e) < 0 ? errno : 0;
	return 0;
}

static int apply(int queue, struct queue *q, const struct kevent *change)
{
	if (change->filter == EVFILT_USER)
		return change_user(queue, q, change);
	for (int i = 0; i < FILTERS; i++)
		if (filters[i] == change->filter)
			return change_knote(queue, q, change, i);
	return EINVAL;
}

/* ---- events -----------------------------------------------------------------------------------*/
static struct kevent event_of(const struct record *r, int filter, uint32_t happened)
{
	bool end = happened & (EPOLLHUP | EPOLLERR | (filter == 0 ? EPOLLRDHUP : 0));
	struct kevent e = {.ident = (uintptr_t)r->fd, .filter = filters[filter],
			   .flags = end ? EV_EOF : 0, .udata = r->udata[filter]};
	int bytes = 0;

	if (filter == 0 && ioctl(r->fd, FIONREAD, &bytes) == 0)
		e.data = bytes;
	return e;
}

static int translate(int queue, struct queue *q, const struct epoll_event *from,
		     struct kevent *to)
{
	struct record *r = from->data.ptr;
	int n = 0;

	if (!r) {
		to[n++] = (struct kevent){.filter = EVFILT_USER, .udata = q->user};
		return n;
	}
	if (!still_means(r))
		return 0;
	for (int i = 0; i < FILTERS; i++) {
		uint32_t wanted = masks[i] | (i < 2 ? EPOLLHUP | EPOLLERR : 0);

		if (!r->on[i] || r->off[i] || !(from->events & wanted))
			continue;
		to[n++] = event_of(r, i, from->events);
		r->off[i] = r->dispatches;
	}
	if (r->dispatches)
		register_it(queue, r);
	return n;
}

static bool still_there(struct queue *q, const struct kevent *e)
{
	struct record *r = e->filter == EVFILT_USER ? NULL : find(q, (int)e->ident);

	for (int i = 0; i < FILTERS; i++)
		if (r && filters[i] == e->filter && r->on[i] && r->udata[i] == e->udata)
			return true;
	return e->filter == EVFILT_USER;
}

/* The oldest of those that are left. */
static int hand_out(struct queue *q, struct kevent *events, int event_count)
{
	int n = 0, i = 0, kept = 0;

	for (; i < q->left_count && n < event_count; i++)
		if (still_there(q, &q->left[i]))
			events[n++] = q->left[i];
	for (; i < q->left_count; i++)
		q->left[kept++] = q->left[i];
	q->left_count = kept;
	return n;
}

int kevent(int queue, const struct kevent *changes, int change_count, struct kevent *events,
	   int event_count, const struct timespec *timeout)
{
	struct queue *q = queues[queue % QUEUES];
	struct epoll_event happened[MOST];
	int n = 0, most = event_count < MOST ? event_count : MOST, count;

	pthread_mutex_lock(&q->guard);
	for (int i = 0; i < change_count; i++) {
		int e = apply(queue, q, &changes[i]);

		if (!e && !(changes[i].flags & EV_RECEIPT))
			continue;
		if (n == event_count) {
			pthread_mutex_unlock(&q->guard);
			errno = e;
			return -1;
		}
		events[n] = changes[i];
		events[n].flags |= EV_ERROR;
		events[n++].data = e;
	}
	n += hand_out(q, events + n, change_count > 0 ? 0 : event_count);
	pthread_mutex_unlock(&q->guard);
	if (n > 0 || most == 0 || change_count > 0)
		return n;
	/* Not by its name in the C library, which a test may have taken over. */
	count = (int)syscall(SYS_epoll_pwait2, queue, happened, most, timeout, NULL, 0);
	pthread_mutex_lock(&q->guard);
	for (int i = 0; i < count; i++)
		q->left_count += translate(queue, q, &happened[i], q->left + q->left_count);
	n = hand_out(q, events, event_count);
	pthread_mutex_unlock(&q->guard);
	return count < 0 ? -1 : n;
}
