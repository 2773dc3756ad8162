/* close.c - the end of a descriptor's number: closed, or given away.
 *
 * In this order: the poller forgets it - deletes the registration, which a dup would keep alive;
 * waits for system calls in progress; gives back the operations in flight - then the few who wait
 * outside of the poller are told, and only then the number is free for somebody else. */
#include <unistd.h>

#include "io/blocked.h"
#include "io/io.h"

static void forget_waiters(fiber_fd fd)
{
	struct list back;

	list_init(&back);
	/* Runtimes side by side may use different ones. */
	for (const struct poller_ops *const *ops = poller_backends; *ops; ops++)
		(*ops)->forget(fd, &back);
	wait_ops_back(&back);
}

/* While a call outside is waited for, somebody may have begun to wait in the poller again. */
static void forget(fiber_fd fd)
{
	forget_waiters(fd);
	if (blocked_close(fd))
		forget_waiters(fd);
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
	forget(fd);
	return 0;
}

PUBLIC int fiber_shutdown(fiber_fd fd, int how)
{
	return shutdown(fd, how) < 0 ? -errno : 0;
}
