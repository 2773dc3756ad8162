/* close.c - the end of a descriptor's number: closed, or given away.
 *
 * In this order: the poller forgets it - deletes the registration, which a dup would keep alive;
 * waits for system calls in progress; gives back the operations in flight - then operations that
 * the kernel performs for other workers are waited for, and the few who wait outside of the poller
 * are told, and only then the number is free for somebody else. */
#include <unistd.h>

#include "io/blocked.h"
#include "io/io.h"

#define PAUSE_NS      (20 * FIBER_MICROSECOND)
#define PAUSE_MOST_NS FIBER_MILLISECOND

/* Their workers have been woken. */
static void await_leaving(fiber_fd fd)
{
	for (int64_t pause = PAUSE_NS; poller_leaving(fd); blocked_pause(pause))
		pause = pause < PAUSE_MOST_NS ? 2 * pause : PAUSE_MOST_NS;
}

static void forget_waiters(fiber_fd fd)
{
	const struct poller_ops *done = NULL;
	struct list back;

	list_init(&back);
	/* Runtimes side by side may use different ones; some forget together. */
	for (const struct poller_ops *const *ops = poller_backends; *ops; ops++) {
		if (!done || done->forget != (*ops)->forget)
			(*ops)->forget(fd, &back);
		done = *ops;
	}
	wait_ops_back(&back);
	await_leaving(fd);
}

/* While a call outside is waited for, somebody may have begun to wait in the poller again. */
static void forget(fiber_fd fd)
{
	forget_waiters(fd);
	if (blocked_close(fd))
		forget_waiters(fd);
}

/* Bytes that are left in our hands. */
static size_t stop_ahead(fiber_fd fd)
{
	struct list back;

	list_init(&back);
	if (!poller_stop_ahead(fd, &back))
		return 0;
	wait_ops_back(&back);
	await_leaving(fd);
	return poller_ahead(fd);
}

/* Linux frees the number even when close(2) says EINTR: a second call would close a stranger's. */
static int close_once(fiber_fd fd)
{
	if (close(fd) == 0 || errno == EINTR || errno == EINPROGRESS)
		return 0;
	return -errno;
}

PUBLIC int fiber_close(fiber_fd fd)
{
	if (fd < 0)
		return -EBADF;
	forget(fd);
	return close_once(fd);
}

PUBLIC int fiber_forget(fiber_fd fd)
{
	if (fd < 0)
		return -EBADF;
	if (stop_ahead(fd) > 0)
		return -EBUSY;
	forget(fd);
	return 0;
}

PUBLIC int fiber_own(fiber_fd fd)
{
	return fd < 0 ? -EBADF : poller_own(fd);
}

PUBLIC int fiber_shutdown(fiber_fd fd, int how)
{
	return shutdown(fd, how) < 0 ? -errno : 0;
}
