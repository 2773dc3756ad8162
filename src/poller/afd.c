/* afd.c - readiness on Windows: the request that select() itself sends to the driver of sockets. It
 * is the only one that comes back by a completion port; it has been the same since Windows 2000. */
#include <errno.h>
#include <winsock2.h>
#include <winternl.h>

#include "os/errno_windows.h"
#include "poller/flight_windows.h"

enum {
	AFD_RECEIVE = 0x001,
	AFD_RECEIVE_EXPEDITED = 0x002,
	AFD_SEND = 0x004,
	AFD_DISCONNECT = 0x008,
	AFD_ABORT = 0x010,
	AFD_LOCAL_CLOSE = 0x020,
	AFD_ACCEPT = 0x080,
	AFD_CONNECT_FAIL = 0x100,
};
#define IOCTL_AFD_POLL 0x00012024
#define BASE_HANDLE 0x48000022 /* SIO_BASE_HANDLE */

int afd_open(void **out, void *port)
{
	static const WCHAR name[] = L"\\Device\\Afd\\Fiber";
	UNICODE_STRING text = { sizeof name - sizeof *name, sizeof name, (WCHAR *)name };
	OBJECT_ATTRIBUTES about = { .Length = sizeof about, .ObjectName = &text };
	IO_STATUS_BLOCK status;
	HANDLE afd;
	NTSTATUS r = NtCreateFile(&afd, SYNCHRONIZE, &about, &status, NULL, 0,
				  FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, NULL, 0);

	if (r < 0)
		return os_status((uint32_t)r);
	if (port && !CreateIoCompletionPort(afd, port, 0, 0)) {
		CloseHandle(afd);
		return -ENOMEM;
	}
	*out = afd;
	return 0;
}

static ULONG asked(short events)
{
	ULONG mask = AFD_LOCAL_CLOSE | AFD_ABORT;

	if (events & POLLIN)
		mask |= AFD_RECEIVE | AFD_ACCEPT | AFD_DISCONNECT;
	if (events & POLLPRI)
		mask |= AFD_RECEIVE_EXPEDITED;
	if (events & POLLOUT)
		mask |= AFD_SEND | AFD_CONNECT_FAIL;
	return mask;
}

static short answer(ULONG mask, short events)
{
	short ready = 0;

	if (mask & (AFD_RECEIVE | AFD_ACCEPT | AFD_DISCONNECT))
		ready |= POLLIN;
	if (mask & AFD_RECEIVE_EXPEDITED)
		ready |= POLLPRI;
	if (mask & (AFD_SEND | AFD_CONNECT_FAIL))
		ready |= POLLOUT;
	if (mask & AFD_ABORT)
		ready |= POLLIN | POLLOUT;
	ready &= events;
	if (mask & (AFD_ABORT | AFD_CONNECT_FAIL))
		ready |= POLLERR | POLLHUP;
	return ready;
}

/* Below the layers that others may have put on top of it. */
static HANDLE base_of(SOCKET s)
{
	SOCKET base = INVALID_SOCKET;
	DWORD bytes;

	if (WSAIoctl(s, BASE_HANDLE, NULL, 0, &base, sizeof base, &bytes, NULL, NULL) != 0)
		return (HANDLE)s;
	return (HANDLE)base;
}

int afd_start(struct flight *f, void *afd)
{
	IO_STATUS_BLOCK *status = (IO_STATUS_BLOCK *)&f->overlapped.Internal;
	NTSTATUS r;

	f->handle = afd;
	f->poll = (struct afd_poll){
		.timeout.QuadPart = INT64_MAX,
		.count = 1,
		.handle = base_of((SOCKET)f->op->fd),
		.events = asked(f->op->events),
	};
	f->overlapped.Internal = STATUS_PENDING;
	r = NtDeviceIoControlFile(afd, f->overlapped.hEvent, NULL, f, status, IOCTL_AFD_POLL,
				  &f->poll, sizeof f->poll, &f->poll, sizeof f->poll);
	/* Done at once or later: there is a packet. */
	return r >= 0 ? FLIGHT_PENDING : os_status((uint32_t)r);
}

void afd_end(struct flight *f)
{
	int r = os_status((uint32_t)f->overlapped.Internal);

	if (r == 0 && (f->poll.count == 0 || (f->poll.events & AFD_LOCAL_CLOSE)))
		r = -EBADF;
	f->op->result = r < 0 ? r : answer(f->poll.events, f->op->events);
}
