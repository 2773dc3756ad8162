/* alone_windows.c - see alone.h. The event has its lowest bit set, so no packet goes to the port
 * that the handle may belong to. forget() knows nothing of these: a close aborts them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/errno_windows.h"
#include "os/os.h"
#include "poller/alone.h"
#include "poller/flight_windows.h"

static DWORD milliseconds(int64_t until)
{
	int64_t left = until == OS_NEVER ? OS_NEVER : until ? until - os_now() : 0;

	if (left <= 0)
		return 0;
	left = left / 1000000 + (left % 1000000 != 0);
	return left < INFINITE ? (DWORD)left : INFINITE;
}

/* True: it has ended by itself, or with something. False: it was taken back, and nothing happened.
 * The kernel writes into the flight until it is back, so this waits for that. */
static bool await(struct flight *f, HANDLE event, int64_t until)
{
	do /* it may come back early, and a deadline is looked at to the nanosecond */
		if (WaitForSingleObject(event, milliseconds(until)) == WAIT_OBJECT_0)
			return true;
	while (until != 0 && os_now() < until);
	f->cancelled = true;
	CancelIoEx(f->handle, &f->overlapped);
	WaitForSingleObject(event, INFINITE);
	return (uint32_t)f->overlapped.Internal != 0xC0000120; /* STATUS_CANCELLED */
}

static int carry(struct flight *f, int nature, void *afd, int64_t until)
{
	HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
	int r, result = POLLER_DONE;

	if (!event) {
		f->op->result = -ENOMEM;
		return POLLER_DONE;
	}
	f->overlapped.hEvent = afd ? event : (HANDLE)((uintptr_t)event | 1);
	r = afd ? afd_start(f, afd) : flight_start(f, (enum home_nature)nature);
	if (r < 0) {
		f->op->result = r;
	} else if (r == FLIGHT_PENDING && !await(f, event, until)) {
		result = POLLER_IN_FLIGHT;
		if (f->accepted != INVALID_SOCKET)
			closesocket(f->accepted);
	} else {
		flight_end(f);
	}
	CloseHandle(event);
	return result;
}

int alone_run(struct poller_op *op, int64_t until)
{
	struct home *h = home_get(op->fd);
	struct flight f;
	int nature = h && h->ours && h->nature ? h->nature : home_look(op->fd);

	if (!h || nature < 0) {
		op->result = -EBADF;
		return POLLER_DONE;
	}
	if (nature == HOME_BLOCKS)
		return POLLER_WOULD_BLOCK;
	memset(&f, 0, sizeof f);
	f.op = op;
	f.home = h;
	h->nature = (uint8_t)nature;
	return carry(&f, nature, NULL, until);
}

int alone_poll(struct poller_op *op, int64_t until)
{
	struct flight f;
	void *afd;
	int r = afd_open(&afd, NULL);

	if (r < 0) {
		op->result = r;
		return POLLER_DONE;
	}
	memset(&f, 0, sizeof f);
	f.op = op;
	f.accepted = INVALID_SOCKET;
	r = carry(&f, HOME_STREAM, afd, until);
	CloseHandle(afd);
	return r;
}
