/* home_windows.c - see home.h. */
#include <errno.h>
#include <winsock2.h>
#include <winternl.h>

#include "os/errno_windows.h"
#include "os/os.h"
#include "poller/home.h"

enum {
	CHUNK = 1024,
	CHUNKS = 16384,  /* 16 million handles: all that a process may have */
	STEP = 4,        /* between two handles */
};

#define MODE_INFORMATION ((FILE_INFORMATION_CLASS)16)
enum { SYNCHRONOUS = 0x10 | 0x20 };

static _Atomic(struct home *) chunks[CHUNKS];
static struct spin making; /* guards growth of chunks */

static struct home *make_chunk(size_t which)
{
	struct home *chunk;

	spin_lock(&making);
	chunk = atomic_load_explicit(&chunks[which], memory_order_relaxed);
	if (!chunk) {
		chunk = os_pages_map(CHUNK * sizeof *chunk);
		/* Release: pairs with the acquire in home_get. */
		atomic_store_explicit(&chunks[which], chunk, memory_order_release);
	}
	spin_unlock(&making);
	return chunk;
}

struct home *home_get(fiber_fd fd)
{
	size_t index = (size_t)fd / STEP;
	struct home *chunk;

	if (fd < 0 || index >= (size_t)CHUNK * CHUNKS)
		return NULL;
	chunk = atomic_load_explicit(&chunks[index / CHUNK], memory_order_acquire);
	if (!chunk)
		chunk = make_chunk(index / CHUNK);
	return chunk ? &chunk[index % CHUNK] : NULL;
}

void home_born(fiber_fd fd, enum home_nature what)
{
	struct home *h = home_get(fd);

	if (!h)
		return;
	spin_lock(&h->guard);
	h->nature = (uint8_t)what;
	h->ours = true;
	h->skips = h->appends = false;
	h->port = NULL;
	h->position = 0;
	spin_unlock(&h->guard);
}

static bool is_synchronous(HANDLE handle)
{
	IO_STATUS_BLOCK status;
	ULONG mode = 0;

	return NtQueryInformationFile(handle, &status, &mode, sizeof mode, MODE_INFORMATION) < 0 ||
	       (mode & SYNCHRONOUS);
}

int home_look(fiber_fd fd)
{
	HANDLE handle = (HANDLE)fd;
	int type, bytes = sizeof type;
	DWORD file;

	os_sockets_begin();
	if (getsockopt((SOCKET)fd, SOL_SOCKET, SO_TYPE, (char *)&type, &bytes) == 0)
		return type == SOCK_STREAM ? HOME_STREAM : HOME_DATAGRAM;
	file = GetFileType(handle);
	if (file == FILE_TYPE_UNKNOWN)
		return -EBADF;
	if (file == FILE_TYPE_CHAR || is_synchronous(handle))
		return HOME_BLOCKS;
	return file == FILE_TYPE_PIPE ? HOME_PIPE : HOME_FILE;
}

/* Under the guard. */
static void moved_in(struct home *h, fiber_fd fd, struct port *port)
{
	h->port = port;
	h->skips = SetFileCompletionNotificationModes((HANDLE)fd,
						      FILE_SKIP_COMPLETION_PORT_ON_SUCCESS |
						      FILE_SKIP_SET_EVENT_ON_HANDLE);
}

/* One that our calls did not make is asked each time: its number may mean another file by now, and
 * what is started on a file without a port never comes back. */
int home_settle(struct home *h, fiber_fd fd, struct port *port)
{
	int nature;

	if (likely(h->ours && h->port))
		return 0;
	nature = h->ours && h->nature ? h->nature : home_look(fd);
	if (nature < 0)
		return nature;
	h->nature = (uint8_t)nature;
	if (nature == HOME_BLOCKS)
		return 0;
	if (CreateIoCompletionPort((HANDLE)fd, port->handle, 0, 0)) {
		moved_in(h, fd, port);
		return 0;
	}
	if (GetLastError() == ERROR_INVALID_HANDLE)
		return -EBADF;
	return h->port ? 0 : -ENOTSUP;
}
