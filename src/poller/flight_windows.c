/* flight_windows.c - how each kind of operation is begun and ended; see flight_windows.h. */
#include "poller/flight_windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/errno_windows.h"
#include "os/os.h"

enum { FEW = 16, PIECE_MOST = 1 << 30, PATIENCE = 4096 };

/* NTSTATUS */
#define END_OF_FILE 0xC0000011
#define CUT_OFF     0x80000005

#define OURS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_ERRQUEUE)

/* ---- calls that Winsock hands out one by one --------------------------------------------------*/
static void *extension(SOCKET s, GUID id)
{
	void *function = NULL;
	DWORD bytes;

	WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &function, sizeof function,
		 &bytes, NULL, NULL);
	return function;
}

/* ---- buffers ----------------------------------------------------------------------------------*/
struct buffers {
	WSABUF few[FEW], *all;
	DWORD n;
};

/* Winsock copies the list before it returns. */
static int buffers_of(struct buffers *b, const struct iovec *iov, size_t n)
{
	b->all = n > FEW ? malloc(n * sizeof *b->all) : b->few;
	b->n = (DWORD)n;
	if (!b->all)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		b->all[i].buf = iov[i].iov_base;
		b->all[i].len = iov[i].iov_len < PIECE_MOST ? (ULONG)iov[i].iov_len : PIECE_MOST;
	}
	return 0;
}

static void buffers_end(struct buffers *b)
{
	if (b->all != b->few)
		free(b->all);
}

static int begun(int failed)
{
	DWORD error = failed ? (DWORD)WSAGetLastError() : 0;

	return !failed ? 0 : error == WSA_IO_PENDING ? FLIGHT_PENDING : os_error(error);
}

/* ---- sockets ----------------------------------------------------------------------------------*/
/* A datagram that was cut off at once: it is there, as much of it as there was room for, and no
 * packet comes. */
static int cut_off(struct flight *f, const struct iovec *iov, size_t n)
{
	size_t room = 0;

	for (size_t i = 0; i < n; i++)
		room += iov[i].iov_len;
	f->overlapped.Internal = CUT_OFF;
	f->overlapped.InternalHigh = room;
	f->port = NULL;
	return 0;
}

static int transfer(struct flight *f, const struct iovec *iov, size_t n, bool out)
{
	SOCKET s = (SOCKET)f->op->fd;
	struct buffers b;
	int r = buffers_of(&b, iov, n);

	if (r < 0)
		return r;
	f->flags = (DWORD)(f->op->flags & ~OURS);
	r = begun(out ? WSASend(s, b.all, b.n, NULL, f->flags, &f->overlapped, NULL)
		      : WSARecv(s, b.all, b.n, NULL, &f->flags, &f->overlapped, NULL));
	buffers_end(&b);
	return r == -EMSGSIZE && !out ? cut_off(f, iov, n) : r;
}

static int message(struct flight *f, bool out)
{
	static const GUID receive_id = WSAID_WSARECVMSG;
	struct msghdr *m = f->op->msg;
	SOCKET s = (SOCKET)f->op->fd;
	LPFN_WSARECVMSG receive;
	struct buffers b;
	int r = buffers_of(&b, m->msg_iov, m->msg_iovlen);

	if (r < 0)
		return r;
	f->message = (WSAMSG){ .name = m->msg_name, .namelen = (int)m->msg_namelen,
			       .lpBuffers = b.all, .dwBufferCount = b.n,
			       .Control = { (ULONG)m->msg_controllen, m->msg_control } };
	f->flags = (DWORD)(f->op->flags & ~OURS);
	if (out && m->msg_controllen) {
		r = begun(WSASendMsg(s, &f->message, f->flags, NULL, &f->overlapped, NULL));
	} else if (out) {
		r = begun(WSASendTo(s, b.all, b.n, NULL, f->flags, m->msg_name,
				    (int)m->msg_namelen, &f->overlapped, NULL));
	} else if (m->msg_controllen) {
		receive = (LPFN_WSARECVMSG)extension(s, receive_id);
		r = receive ? begun(receive(s, &f->message, NULL, &f->overlapped, NULL)) : -ENOTSUP;
	} else {
		r = begun(WSARecvFrom(s, b.all, b.n, NULL, &f->flags, m->msg_name,
				      m->msg_name ? &f->message.namelen : NULL, &f->overlapped,
				      NULL));
	}
	buffers_end(&b);
	return r == -EMSGSIZE && !out ? cut_off(f, m->msg_iov, m->msg_iovlen) : r;
}

static int begin_accept(struct flight *f)
{
	SOCKET s = (SOCKET)f->op->fd;
	WSAPROTOCOL_INFOW about;
	int bytes = sizeof about, r;
	DWORD got;

	if (getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&about, &bytes) != 0)
		return os_error((uint32_t)WSAGetLastError());
	if (about.iSocketType != SOCK_STREAM)
		return -EOPNOTSUPP;
	f->accepted = WSASocketW(about.iAddressFamily, about.iSocketType, about.iProtocol, NULL, 0,
				 WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
	if (f->accepted == INVALID_SOCKET)
		return os_error((uint32_t)WSAGetLastError());
	r = begun(!AcceptEx(s, f->accepted, f->addresses, 0, ADDRESS_BYTES, ADDRESS_BYTES, &got,
			    &f->overlapped));
	if (r < 0)
		closesocket(f->accepted);
	return r;
}

/* ConnectEx wants a socket that has an address. */
static int bind_somewhere(SOCKET s, int family)
{
	struct sockaddr_storage any = { .ss_family = (short)family };
	struct sockaddr_storage now;
	int bytes = sizeof now;

	if (getsockname(s, (struct sockaddr *)&now, &bytes) == 0)
		return 0;
	bytes = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	return bind(s, (struct sockaddr *)&any, bytes) == 0 ? 0
							    : os_error((uint32_t)WSAGetLastError());
}

static int begin_connect(struct flight *f, enum home_nature nature)
{
	static const GUID id = WSAID_CONNECTEX;
	SOCKET s = (SOCKET)f->op->fd;
	LPFN_CONNECTEX connect_ex = (LPFN_CONNECTEX)extension(s, id);
	int r;

	if (nature == HOME_DATAGRAM) {
		f->overlapped.Internal = 0;
		return begun(connect(s, f->op->peer, (int)f->op->peer_bytes));
	}
	if (!connect_ex || f->op->peer_bytes < (socklen_t)sizeof(short))
		return connect_ex ? -EINVAL : -ENOTSUP;
	r = bind_somewhere(s, f->op->peer->sa_family);
	if (r < 0)
		return r;
	return begun(!connect_ex(s, f->op->peer, (int)f->op->peer_bytes, NULL, 0, NULL,
				 &f->overlapped));
}

/* ---- files and pipes --------------------------------------------------------------------------*/
/* One piece of memory at a time: the first that is not empty. */
static int begin_file(struct flight *f, bool out)
{
	const struct iovec *iov = f->op->iov, *end = iov + f->op->iov_count;
	struct home *h = f->home;
	uint64_t at = h->nature == HOME_FILE ? (uint64_t)h->position : 0;
	DWORD bytes;
	BOOL done;

	while (iov + 1 < end && iov->iov_len == 0)
		iov++;
	if (out && h->appends)
		at = UINT64_MAX; /* the end */
	f->overlapped.Offset = (DWORD)at;
	f->overlapped.OffsetHigh = (DWORD)(at >> 32);
	bytes = iov->iov_len < PIECE_MOST ? (DWORD)iov->iov_len : PIECE_MOST;
	done = out ? WriteFile(f->handle, iov->iov_base, bytes, NULL, &f->overlapped)
		   : ReadFile(f->handle, iov->iov_base, bytes, NULL, &f->overlapped);
	if (!done && !out && (GetLastError() == ERROR_HANDLE_EOF ||
			      GetLastError() == ERROR_BROKEN_PIPE)) {
		f->overlapped.Internal = 0;
		f->overlapped.InternalHigh = 0;
		f->port = NULL; /* no packet comes */
		return 0;
	}
	return begun(!done);
}

int flight_start(struct flight *f, enum home_nature nature)
{
	struct poller_op *op = f->op;
	struct iovec one = { op->buffer, op->bytes };
	bool file = nature == HOME_FILE || nature == HOME_PIPE;

	f->handle = (HANDLE)op->fd;
	f->accepted = INVALID_SOCKET;
	if (op->flags & MSG_ERRQUEUE)
		return -ENOTSUP;
	switch (op->kind) {
	case IO_READ:
	case IO_WRITE:
		if (file)
			return begin_file(f, op->kind == IO_WRITE);
		return transfer(f, op->iov, (size_t)op->iov_count, op->kind == IO_WRITE);
	case IO_RECV:
	case IO_SEND:
		return file ? -ENOTSOCK : transfer(f, &one, 1, op->kind == IO_SEND);
	case IO_RECVMSG:
	case IO_SENDMSG:
		return file ? -ENOTSOCK : message(f, op->kind == IO_SENDMSG);
	case IO_ACCEPT:
		return file ? -ENOTSOCK : begin_accept(f);
	case IO_CONNECT:
		return file ? -ENOTSOCK : begin_connect(f, nature);
	case IO_FILE: /* poller.h: to a helper */
	case IO_POLL: /* afd_start */
		break;
	}
	unreachable();
}

/* ---- the end ----------------------------------------------------------------------------------*/
static ssize_t end_accept(struct flight *f)
{
	SOCKET listener = (SOCKET)f->op->fd, s = f->accepted;
	u_long on = 1;
	int bytes;

	f->accepted = INVALID_SOCKET;
	setsockopt(s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (char *)&listener, sizeof listener);
	ioctlsocket(s, FIONBIO, &on);
	if (f->op->address && f->op->address_bytes) {
		bytes = (int)*f->op->address_bytes;
		if (getpeername(s, f->op->address, &bytes) == 0)
			*f->op->address_bytes = (socklen_t)bytes;
	}
	home_born((fiber_fd)s, HOME_STREAM);
	return (ssize_t)s;
}

static void end_message(struct flight *f)
{
	struct msghdr *m = f->op->msg;

	if (m->msg_name)
		m->msg_namelen = (socklen_t)f->message.namelen;
	m->msg_flags = (int)(m->msg_controllen ? f->message.dwFlags : f->flags);
	m->msg_controllen = m->msg_controllen ? f->message.Control.len : 0;
}

static ssize_t ended_well(struct flight *f, ssize_t bytes)
{
	struct home *h = f->home;

	switch (f->op->kind) {
	case IO_ACCEPT:
		return end_accept(f);
	case IO_CONNECT:
		if (h->nature == HOME_STREAM)
			setsockopt((SOCKET)f->op->fd, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL,
				   0);
		return 0;
	case IO_RECVMSG:
		end_message(f);
		return bytes;
	case IO_READ:
	case IO_WRITE:
		if (h->nature == HOME_FILE)
			h->position += bytes;
		return bytes;
	default:
		return bytes;
	}
}

static bool is_receive(enum poller_kind kind)
{
	return kind == IO_READ || kind == IO_RECV || kind == IO_RECVMSG;
}

/* What reads as an error here and as something else on POSIX systems: the end of a file or of a
 * pipe, a datagram that was cut off. */
static ssize_t failed(struct flight *f, int error, ssize_t bytes)
{
	uint32_t status = (uint32_t)f->overlapped.Internal;

	if (is_receive(f->op->kind)) {
		if (status == END_OF_FILE || error == -EPIPE)
			return 0;
		if (error == -EMSGSIZE) {
			f->flags |= MSG_TRUNC;
			f->message.dwFlags |= MSG_TRUNC;
			return ended_well(f, bytes);
		}
	}
	if (f->accepted != INVALID_SOCKET)
		closesocket(f->accepted);
	f->accepted = INVALID_SOCKET;
	return error == -ECANCELED && !f->cancelled ? -EBADF : error;
}

void flight_end(struct flight *f)
{
	int error = os_status((uint32_t)f->overlapped.Internal);
	ssize_t bytes = (ssize_t)f->overlapped.InternalHigh;

	if (f->op->kind == IO_POLL)
		afd_end(f);
	else
		f->op->result = error < 0 ? failed(f, error, bytes) : ended_well(f, bytes);
}

bool flight_stop(struct flight *f)
{
	_Atomic ULONG_PTR *status = (_Atomic ULONG_PTR *)&f->overlapped.Internal;

	f->cancelled = true;
	CancelIoEx(f->handle, &f->overlapped);
	for (int i = 0; i < PATIENCE; i++) {
		if (atomic_load_explicit(status, memory_order_acquire) != STATUS_PENDING)
			return true;
		os_yield();
	}
	return false;
}
