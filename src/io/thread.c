/* thread.c - every operation on a plain thread: tried, then waited for in poll(2) until the ambient
 * deadline, and tried again.
 *
 * The tries never block and change no flag of the descriptor, so another thread or process that is
 * faster costs another turn in poll(2), and nothing is read that is not returned. A pipe of the
 * wait's own stands beside the descriptor in poll(2): fiber_close writes to it. It is made for one
 * wait and not kept by the thread, because a forked child would share a kept one. Without
 * descriptors for it poll(2) goes by slices, and looks in between whether it was closed. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/blocked.h"
#include "io/io.h"

enum { SLICE_MS = 50 };
#define PAUSE_NS      FIBER_MILLISECOND
#define PAUSE_MOST_NS (16 * FIBER_MILLISECOND)

static void open_wake(fiber_fd wake[2])
{
	if (fiber_pipe(wake) < 0)
		wake[0] = wake[1] = -1;
}

static void close_wake(const fiber_fd wake[2])
{
	if (wake[0] < 0)
		return;
	close(wake[0]);
	close(wake[1]);
}

static int milliseconds(int64_t end, int64_t now, bool sliced)
{
	int64_t ms = end == OS_NEVER ? INT_MAX : (end - now + 999999) / 1000000;
	int most = sliced ? SLICE_MS : INT_MAX;

	return ms < most ? (int)ms : most;
}

/* poll(2); the last entry is the pipe. > 0: something is ready, or the pipe is; 0: nothing, so far;
 * -ECANCELED. */
static int doze(struct pollfd *set, nfds_t count, int64_t until)
{
	int64_t deadline = fiber_deadline(), now = os_now();
	int n;

	if (fiber_check() < 0)
		return -ECANCELED;
	if (now >= until)
		return 0;
	n = poll(set, count, milliseconds(until < deadline ? until : deadline, now,
					  set[count - 1].fd < 0));
	if (n >= 0)
		return n;
	return errno == EINTR || errno == EAGAIN ? 0 : -errno;
}

/* Ready, and yet there was nothing: a Unix server's full backlog looks so, which gives no
 * readiness ever. Waits for the pipe only, a little longer each time. */
static int hold_back(struct pollfd *pipe, int64_t *pause)
{
	int r = *pause ? doze(pipe, 1, os_now() + *pause) : 0;

	*pause = *pause == 0 ? PAUSE_NS : *pause < PAUSE_MOST_NS ? 2 * *pause : *pause;
	return r;
}

static ssize_t wait_and_retry(struct poller_op *op, struct blocked *entry, struct pollfd *set)
{
	int64_t pause = 0;
	int r, ready;

	for (;;) {
		ready = doze(set, 2, OS_NEVER);
		if (ready < 0)
			return ready;
		if (blocked_begin(entry) < 0)
			return -EBADF;
		r = poller_try(op);
		blocked_end(entry);
		if (r != POLLER_IN_FLIGHT)
			return r == POLLER_DONE ? op->result : -EINPROGRESS;
		if (ready > 0 && hold_back(&set[1], &pause) < 0)
			return -ECANCELED;
	}
}

ssize_t thread_op(struct poller_op *op)
{
	fiber_fd wake[2];
	int tried = poller_try(op);
	ssize_t r;

	if (tried != POLLER_IN_FLIGHT)
		return tried == POLLER_DONE ? op->result : -EINPROGRESS;
	open_wake(wake);
	struct blocked entry = { .fd = op->fd, .wakes = wake[1] >= 0, .wake = wake[1] };
	struct pollfd set[2] = { { .fd = op->fd, .events = poller_events(op) },
				 { .fd = wake[0], .events = POLLIN } };

	op->again = true;
	blocked_enter(&entry);
	r = wait_and_retry(op, &entry, set);
	blocked_leave(&entry);
	close_wake(wake);
	return r;
}

/* ---- many descriptors -------------------------------------------------------------------------*/
struct watch {
	struct pollfd *set;            /* count entries, and the pipe */
	struct blocked *entries;       /* count */
	nfds_t count;
	fiber_fd wake[2];
};

static int watch_open(struct watch *w, const struct pollfd *set, nfds_t count)
{
	w->count = count;
	w->set = malloc((count + 1) * sizeof *w->set);
	w->entries = calloc(count + 1, sizeof *w->entries);
	if (!w->set || !w->entries) {
		free(w->set);
		free(w->entries);
		return -ENOMEM;
	}
	open_wake(w->wake);
	w->set[count] = (struct pollfd){ .fd = w->wake[0], .events = POLLIN };
	for (nfds_t i = 0; i < count; i++) {
		w->set[i] = set[i];
		w->entries[i] = (struct blocked){ .fd = set[i].fd, .wake = w->wake[1],
						   .wakes = w->wake[1] >= 0 };
		blocked_enter(&w->entries[i]);
	}
	return 0;
}

static bool any_closed(struct watch *w)
{
	for (nfds_t i = 0; i < w->count; i++)
		if (blocked_closed(&w->entries[i]))
			return true;
	return false;
}

/* How many have something to tell. */
static int watch_close(struct watch *w, struct pollfd *set)
{
	int ready = 0;

	for (nfds_t i = 0; i < w->count; i++) {
		set[i].revents = w->set[i].revents;
		if (blocked_closed(&w->entries[i]))
			set[i].revents = POLLNVAL;
		blocked_leave(&w->entries[i]);
		ready += set[i].revents != 0;
	}
	close_wake(w->wake);
	free(w->set);
	free(w->entries);
	return ready;
}

int thread_poll(struct pollfd *set, nfds_t count, int64_t until)
{
	struct watch w;
	int r = watch_open(&w, set, count), ready;

	if (r < 0)
		return r;
	do
		r = doze(w.set, count + 1, until);
	while (r == 0 && os_now() < until && (w.wake[0] >= 0 || !any_closed(&w)));
	ready = watch_close(&w, set);
	return r < 0 ? r : ready;
}
