/* iocp.c - the poller of Windows: a completion port for each worker. */
#include <errno.h>
#include <stdlib.h>
#include <winsock2.h>

#include "os/atomic.h"
#include "os/os.h"
#include "poller/backends.h"

enum { EVENTS = 64 };

struct poller {
	HANDLE port;
	_Atomic uint32_t rung;
	_Atomic uint64_t calls;
	OVERLAPPED_ENTRY events[EVENTS];
};

static int open_poller(struct poller **out)
{
	struct poller *p = calloc(1, sizeof *p);

	if (!p)
		return -ENOMEM;
	p->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
	if (!p->port) {
		free(p);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

static void close_poller(struct poller *p)
{
	CloseHandle(p->port);
	free(p);
}

static DWORD milliseconds(int64_t until)
{
	int64_t left = until == OS_NEVER ? OS_NEVER : until ? until - os_now() : 0;

	if (left <= 0)
		return 0;
	left = left / 1000000 + (left % 1000000 != 0);
	return left < INFINITE ? (DWORD)left : INFINITE;
}

static int wait_poller(struct poller *p, int64_t until, struct list *back)
{
	ULONG n = 0;

	(void)back;
	count_up(&p->calls);
	GetQueuedCompletionStatusEx(p->port, p->events, EVENTS, &n, milliseconds(until), FALSE);
	if (atomic_load_explicit(&p->rung, memory_order_relaxed))
		atomic_swap32(&p->rung, 0);
	return 0;
}

static int submit(struct poller *p, struct poller_op *op, struct list *back)
{
	(void)p, (void)back;
	op->result = -ENOSYS;
	return POLLER_DONE;
}

static bool cancel(struct poller *p, struct poller_op *op)
{
	(void)p, (void)op;
	return false;
}

static void forget(fiber_fd fd, struct list *back)
{
	(void)fd, (void)back;
}

static void wake(struct poller *p)
{
	if (atomic_swap32(&p->rung, 1) == 0)
		must(PostQueuedCompletionStatus(p->port, 0, 0, NULL));
}

static uint64_t syscalls(const struct poller *p)
{
	return count_read(&p->calls);
}

const struct poller_ops poller_iocp = {
	.name = "iocp",
	.open = open_poller,
	.close = close_poller,
	.submit = submit,
	.cancel = cancel,
	.wait = wait_poller,
	.wake = wake,
	.forget = forget,
	.syscalls = syscalls,
};
