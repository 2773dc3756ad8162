/* fdopen.c - a stdio stream whose reads and writes park.
 *
 * stdio's lock belongs to the thread. While a fiber is parked in a read or write of the stream, its
 * thread holds the lock, and another fiber of that thread passes it: the two would break each
 * other's lines, or the buffer. So a stream belongs to one fiber at a time, and who breaks that is
 * told, in two places: whoever comes to a read or write while another is in one; and whoever comes
 * back from a write and finds other bytes in the buffer than when it left. A fiber on another
 * thread waits for the lock, and holds up its worker meanwhile: no harm to the stream.
 *
 * The lock is also why a fiber that roams cannot have one: it would unlock on another thread. */
#include <fcntl.h>
#include <fiber/file.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/line.h"
#include "io/io.h"

struct stream {
	fiber_fd fd;
	bool appends;
	_Atomic uintptr_t inside;      /* wait_identity of who is in a read or write; 0: nobody */
	FILE *file;
};

/* The words go out at once: what the program does with the error nobody knows. */
static int complain(void)
{
	struct line l = { 0 };

	line_text(&l, "fiber: a stream of fiber_fdopen is used by two fibers at the same time; "
		      "fiber ");
	line_number(&l, fiber_self().id, 10);
	line_text(&l, " finds another one's bytes, or call, in it\n");
	line_flush(&l, STDERR_FILENO);
	return -EBUSY;
}

static int enter(struct stream *s)
{
	uintptr_t nobody = 0;

	if (wait_roams())
		return -ENOTSUP;
	if (!atomic_compare_exchange_strong_explicit(&s->inside, &nobody, wait_identity(),
						     memory_order_acquire, memory_order_relaxed))
		return complain();
	return 0;
}

static void leave(struct stream *s)
{
	atomic_store_explicit(&s->inside, 0, memory_order_release);
}

/* What stdio wants to hear of it. */
static ssize_t tell(ssize_t result, ssize_t failure)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return failure;
}

static ssize_t stream_read(void *cookie, char *buffer, size_t bytes)
{
	struct stream *s = cookie;
	ssize_t r = enter(s);

	if (r == 0) {
		r = fiber_read(s->fd, buffer, bytes);
		leave(s);
	}
	return tell(r, -1);
}

/* Of what stdio hands over it wants all written. */
static ssize_t stream_write(void *cookie, const char *buffer, size_t bytes)
{
	struct stream *s = cookie;
	size_t pending = __fpending(s->file), done = 0;
	ssize_t r = enter(s);

	if (r < 0)
		return tell(r, 0);
	if (s->appends)
		lseek(s->fd, 0, SEEK_END);
	r = fiber_write_all(s->fd, buffer, bytes, &done);
	leave(s);
	if (__fpending(s->file) != pending)
		return tell(complain(), 0);
	return tell(r, (ssize_t)done); /* less than all of it is an error to stdio */
}

static int stream_seek(void *cookie, off64_t *offset, int whence)
{
	struct stream *s = cookie;
	off64_t r = lseek64(s->fd, *offset, whence);

	if (r < 0)
		return -1;
	*offset = r;
	return 0;
}

/* The stream's memory goes now: nobody can be in it. */
static int stream_close(void *cookie)
{
	struct stream *s = cookie;
	int r;

	must(atomic_load_explicit(&s->inside, memory_order_acquire) == 0);
	r = fiber_close(s->fd);
	free(s);
	return (int)tell(r, -1);
}

/* r, w or a, then + b e in any order. False: something else. */
static bool know_mode(const char *mode, char out[4])
{
	bool both = false;

	if (!mode || !*mode || !strchr("rwa", *mode))
		return false;
	for (const char *at = mode + 1; *at; at++) {
		if (!strchr("+be", *at))
			return false;
		both |= *at == '+';
	}
	snprintf(out, 4, "%c%s", *mode, both ? "+" : "");
	return true;
}

/* What the descriptor was opened for must allow what the mode says. */
static int check_access(fiber_fd fd, const char *mode)
{
	int flags = fcntl(fd, F_GETFL), access = flags & O_ACCMODE;

	if (flags < 0)
		return -errno;
	if (flags & O_PATH)
		return -EBADF;
	if (access == O_RDWR)
		return 0;
	if (mode[1] == '+')
		return -EINVAL;
	return (access == O_RDONLY) == (mode[0] == 'r') ? 0 : -EINVAL;
}

PUBLIC int fiber_fdopen(FILE **out, fiber_fd fd, const char *mode)
{
	static const cookie_io_functions_t functions = {
		.read = stream_read, .write = stream_write,
		.seek = stream_seek, .close = stream_close,
	};
	char known[4];
	struct stream *s;
	int r;

	if (!out)
		return -EFAULT;
	if (fd < 0)
		return -EBADF;
	if (!know_mode(mode, known))
		return -EINVAL;
	if (wait_roams())
		return -ENOTSUP;
	r = check_access(fd, known);
	if (r < 0)
		return r;
	s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->appends = *known == 'a';
	s->file = fopencookie(s, known, functions);
	if (!s->file) {
		free(s);
		return -ENOMEM;
	}
	*out = s->file;
	return 0;
}
