/* open_windows.c - new handles: not inherited, and for overlapped operations.
 *
 * A pipe is a named one with a name that nobody else has, because the system's anonymous ones know
 * no overlapped operations. A pair of sockets is one of TCP on the loopback: there is no other. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "io/io.h"
#include "os/errno_windows.h"
#include "poller/home.h"

enum { PIPE_BYTES = 64 * 1024 };

static int last_error(void)
{
	return os_error((uint32_t)WSAGetLastError());
}

PUBLIC fiber_fd fiber_socket(int domain, int type, int protocol)
{
	u_long on = 1;
	SOCKET s;

	os_sockets_begin();
	s = WSASocketW(domain, type, protocol, NULL, 0,
		       WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
	if (s == INVALID_SOCKET)
		return last_error();
	ioctlsocket(s, FIONBIO, &on); /* as on other systems, for calls that are not ours */
	poller_born((fiber_fd)s, type == SOCK_STREAM ? BORN_STREAM_INET : BORN_DATAGRAM);
	return (fiber_fd)s;
}

/* ---- pairs ------------------------------------------------------------------------------------*/
static int listen_on_loopback(struct sockaddr_in *name, SOCKET *out)
{
	int bytes = sizeof *name, r;
	/* What it accepts inherits the first flag. */
	SOCKET s = WSASocketW(AF_INET, SOCK_STREAM, 0, NULL, 0,
			      WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);

	*name = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (s == INVALID_SOCKET)
		return last_error();
	if (bind(s, (struct sockaddr *)name, sizeof *name) != 0 || listen(s, 1) != 0 ||
	    getsockname(s, (struct sockaddr *)name, &bytes) != 0) {
		r = last_error();
		closesocket(s);
		return r;
	}
	*out = s;
	return 0;
}

/* Whoever else connects to the port meanwhile is not taken for our own. */
static int take_partner(SOCKET listener, SOCKET mine, SOCKET *out)
{
	struct sockaddr_in expected, name;
	int bytes = sizeof expected;
	u_long on = 1;

	if (getsockname(mine, (struct sockaddr *)&expected, &bytes) != 0)
		return last_error();
	for (;;) {
		bytes = sizeof name;
		*out = accept(listener, (struct sockaddr *)&name, &bytes);
		if (*out == INVALID_SOCKET)
			return last_error();
		if (name.sin_port == expected.sin_port)
			break;
		closesocket(*out);
	}
	SetHandleInformation((HANDLE)*out, HANDLE_FLAG_INHERIT, 0);
	return ioctlsocket(*out, FIONBIO, &on) == 0 ? 0 : last_error();
}

static int connect_pair(fiber_fd out[2])
{
	struct sockaddr_in name;
	u_long on = 1;
	SOCKET listener = INVALID_SOCKET, mine, other = INVALID_SOCKET;
	int r = listen_on_loopback(&name, &listener);

	if (r < 0)
		return r;
	mine = WSASocketW(AF_INET, SOCK_STREAM, 0, NULL, 0,
			  WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
	r = mine == INVALID_SOCKET || connect(mine, (struct sockaddr *)&name, sizeof name) != 0
		    ? last_error() : 0;
	if (r == 0)
		r = take_partner(listener, mine, &other);
	closesocket(listener);
	if (r < 0) {
		closesocket(mine);
		return r;
	}
	ioctlsocket(mine, FIONBIO, &on);
	out[0] = (fiber_fd)mine;
	out[1] = (fiber_fd)other;
	return 0;
}

PUBLIC int fiber_socketpair(int domain, int type, int protocol, fiber_fd out[2])
{
	int r;

	if (!out)
		return -EFAULT;
	if ((domain != AF_UNIX && domain != AF_INET) || type != SOCK_STREAM || protocol != 0)
		return -EOPNOTSUPP;
	os_sockets_begin();
	r = connect_pair(out);
	for (int i = 0; r == 0 && i < 2; i++)
		poller_born(out[i], BORN_STREAM_INET);
	return r;
}

PUBLIC int fiber_pipe(fiber_fd out[2])
{
	static _Atomic unsigned count;
	char name[64];
	HANDLE in, to;

	if (!out)
		return -EFAULT;
	snprintf(name, sizeof name, "\\\\.\\pipe\\fiber-%lu-%u", GetCurrentProcessId(),
		 atomic_fetch_add_explicit(&count, 1, memory_order_relaxed));
	in = CreateNamedPipeA(name,
			      PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED |
				      FILE_FLAG_FIRST_PIPE_INSTANCE,
			      PIPE_TYPE_BYTE | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_BYTES,
			      PIPE_BYTES, 0, NULL);
	if (in == INVALID_HANDLE_VALUE)
		return os_error(GetLastError());
	to = CreateFileA(name, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
	if (to == INVALID_HANDLE_VALUE) {
		int r = os_error(GetLastError());

		CloseHandle(in);
		return r;
	}
	out[0] = (fiber_fd)in;
	out[1] = (fiber_fd)to;
	poller_born(out[0], BORN_PIPE);
	poller_born(out[1], BORN_PIPE);
	return 0;
}

/* ---- paths ------------------------------------------------------------------------------------*/
struct opening {
	const char *path;
	int flags;
	fiber_fd result;
};

static DWORD disposition(int flags)
{
	if (flags & O_CREAT)
		return flags & O_EXCL ? CREATE_NEW : flags & O_TRUNC ? CREATE_ALWAYS : OPEN_ALWAYS;
	return flags & O_TRUNC ? TRUNCATE_EXISTING : OPEN_EXISTING;
}

static int open_path(void *argument)
{
	struct opening *o = argument;
	int way = o->flags & (O_RDONLY | O_WRONLY | O_RDWR);
	DWORD access = way == O_RDWR ? GENERIC_READ | GENERIC_WRITE
				     : way == O_WRONLY ? GENERIC_WRITE : GENERIC_READ;
	HANDLE file = CreateFileA(o->path, access,
				  FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
				  disposition(o->flags), FILE_FLAG_OVERLAPPED, NULL);

	o->result = file == INVALID_HANDLE_VALUE ? os_error(GetLastError()) : (fiber_fd)file;
	return 0;
}

PUBLIC fiber_fd fiber_open(const char *path, int flags, ...)
{
	struct opening o = { .path = path, .flags = flags };
	struct home *h;
	int r;

	if (!path)
		return -EFAULT;
	r = wait_check();
	if (r == 0)
		r = wait_offload(open_path, &o);
	if (r < 0 || o.result < 0)
		return r < 0 ? r : o.result;
	r = home_look(o.result);
	poller_born(o.result, r == HOME_FILE ? BORN_FILE : BORN_UNKNOWN);
	h = home_get(o.result);
	if (h)
		h->appends = (flags & O_APPEND) != 0;
	return o.result;
}
