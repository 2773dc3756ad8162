/* blocked.c - the entries of blocked.h, and how a close gets past them.
 *
 * Entries are kept by number of descriptor in a few lists, each with a mutex, which also guards
 * `closed` and `calling`. The closer sets `closed`; from then on a new system call is refused, and
 * one that is in progress is waited for. Most of them never block. One that does is on a helper,
 * and is recalled, more than once if need be, because a signal may come just before the system
 * call.
 *
 * A close asks `count` first: mostly nobody is here, and it costs one load. */
#include "io/blocked.h"

#include <pthread.h>
#include <unistd.h>

enum { LISTS = 32 };
#define AGAIN_NS FIBER_MILLISECOND

static struct entries {
	pthread_mutex_t guard;
	struct list list;
} lists[LISTS];

static _Atomic unsigned count;

static void set_up(void)
{
	for (int i = 0; i < LISTS; i++) {
		pthread_mutex_init(&lists[i].guard, NULL);
		list_init(&lists[i].list);
	}
	atomic_store_explicit(&count, 0, memory_order_relaxed);
}

/* A forked child has none of the threads that were in the lists, nor those that held a mutex. */
static void set_up_for_good(void)
{
	set_up();
	pthread_atfork(NULL, NULL, set_up);
}

static struct entries *lock(fiber_fd fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct entries *e = &lists[(unsigned)fd % LISTS];

	pthread_once(&once, set_up_for_good);
	pthread_mutex_lock(&e->guard);
	return e;
}

static void unlock(struct entries *e)
{
	pthread_mutex_unlock(&e->guard);
}

/* ---- those who use the number -----------------------------------------------------------------*/
void blocked_enter(struct blocked *b)
{
	struct entries *e = lock(b->fd);

	list_append(&e->list, &b->link);
	atomic_fetch_add_explicit(&count, 1, memory_order_seq_cst);
	unlock(e);
}

void blocked_leave(struct blocked *b)
{
	struct entries *e = lock(b->fd);

	list_remove(&b->link);
	atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
	unlock(e);
}

bool blocked_closed(struct blocked *b)
{
	struct entries *e = lock(b->fd);
	bool closed = b->closed;

	unlock(e);
	return closed;
}

int blocked_begin(struct blocked *b)
{
	struct entries *e = lock(b->fd);
	bool closed = b->closed;

	b->calling = !closed;
	unlock(e);
	return closed ? -EBADF : 0;
}

static bool occupied(const struct entries *e, const struct blocked *b)
{
	for (struct list *node = e->list.next; node != &e->list; node = node->next) {
		struct blocked *other = container_of(node, struct blocked, link);

		if (other->job && other->fd == b->fd && other->writes == b->writes)
			return true;
	}
	return false;
}

int blocked_begin_alone(struct blocked *b, struct helpers_job *job)
{
	struct entries *e = lock(b->fd);
	int r = b->closed ? -EBADF : occupied(e, b) ? -EAGAIN : 0;

	if (r == 0) {
		b->calling = true;
		b->job = job;
	}
	unlock(e);
	return r;
}

void blocked_end(struct blocked *b)
{
	struct entries *e = lock(b->fd);

	b->calling = false;
	b->job = NULL;
	unlock(e);
}

/* ---- the closer -------------------------------------------------------------------------------*/
/* True: to be waited for. */
static bool tell(struct blocked *b)
{
	if (b->wakes && !b->closed)
		must(write(b->wake, "", 1) == 1);
	b->closed = true;
	if (b->job)
		helpers_recall(b->job);
	return b->calling;
}

static bool tell_all(fiber_fd fd)
{
	struct entries *e = lock(fd);
	bool wait = false;

	for (struct list *node = e->list.next; node != &e->list; node = node->next) {
		struct blocked *b = container_of(node, struct blocked, link);

		if (b->fd == fd && tell(b))
			wait = true;
	}
	unlock(e);
	return wait;
}

void blocked_pause(int64_t ns)
{
	struct fiber *self = wait_self();

	if (!self) {
		os_yield();
		return;
	}
	wait_begin(self, WAIT_SLEEP, NULL, WAIT_HARD);
	wait_park(self, os_now() + ns);
}

/* An entry made after the last look belongs to a call that began after the close. */
bool blocked_close(fiber_fd fd)
{
	bool waited = false;

	if (atomic_load_explicit(&count, memory_order_seq_cst) == 0)
		return false;
	while (tell_all(fd)) {
		blocked_pause(AGAIN_NS);
		waited = true;
	}
	return waited;
}
