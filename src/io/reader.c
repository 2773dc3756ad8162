/* reader.c - lines and pieces: a buffer between fiber_read and code that wants whole ones.
 *
 * What is unread is [first, end). Bytes move to the front of the buffer only when there is no room
 * behind them, so a burst of short lines is scanned where it lies. Every byte that fiber_read
 * returned is in the buffer before anything else can fail: an interruption loses nothing. */
#include <errno.h>
#include <fiber/reader.h>
#include <string.h>

#include "base/must.h"

static size_t unread(const fiber_reader_t *r)
{
	return r->private_end - r->private_first;
}

static char *next(const fiber_reader_t *r)
{
	return r->private_buffer + r->private_first;
}

static void take(fiber_reader_t *r, size_t bytes)
{
	r->private_first += bytes;
	if (r->private_first == r->private_end)
		r->private_first = r->private_end = 0;
}

static void make_room(fiber_reader_t *r)
{
	if (r->private_end < r->private_size)
		return;
	memmove(r->private_buffer, next(r), unread(r));
	r->private_end = unread(r);
	r->private_first = 0;
}

/* Reads more; there are fewer than private_size bytes. What fiber_read returned. */
static ssize_t fill(fiber_reader_t *r)
{
	ssize_t n;

	make_room(r);
	must(r->private_end < r->private_size);
	n = fiber_read(r->private_fd, r->private_buffer + r->private_end,
		       r->private_size - r->private_end);
	if (n > 0)
		r->private_end += (size_t)n;
	return n;
}

PUBLIC int fiber_reader_init(fiber_reader_t *r, fiber_fd fd, void *buffer, size_t size)
{
	if (!r || !buffer || size == 0)
		return -EINVAL;
	if (fd < 0)
		return -EBADF;
	*r = (fiber_reader_t){ .private_buffer = buffer, .private_size = size, .private_fd = fd };
	return 0;
}

/* Up to and including the delimiter; the bytes stay. */
static ssize_t find(fiber_reader_t *r, int delimiter, size_t limit)
{
	size_t seen = 0;

	if (limit == 0 || limit > r->private_size)
		limit = r->private_size;
	for (;;) {
		size_t most = unread(r) < limit ? unread(r) : limit;
		const char *found = memchr(next(r) + seen, delimiter, most - seen);
		ssize_t n;

		if (found)
			return found + 1 - next(r);
		if (most == limit)
			return -EMSGSIZE;
		seen = most;
		n = fill(r);
		if (n < 0)
			return n;
		if (n == 0)
			return unread(r) > 0 ? -EBADMSG : -ENODATA;
	}
}

PUBLIC ssize_t fiber_reader_until(fiber_reader_t *r, int delimiter, char **out, size_t limit)
{
	ssize_t n;

	if (!r || !out || delimiter < 0 || delimiter > 255)
		return -EINVAL;
	n = find(r, delimiter, limit);
	if (n < 0)
		return n;
	*out = next(r);
	take(r, (size_t)n);
	return n;
}

PUBLIC ssize_t fiber_reader_line(fiber_reader_t *r, char **out, size_t limit)
{
	char *line;
	ssize_t n = out ? fiber_reader_until(r, '\n', &line, limit) : -EINVAL;

	if (n < 0)
		return n;
	n--;
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	*out = line;
	return n;
}

static size_t copy_out(fiber_reader_t *r, void *out, size_t size)
{
	size_t n = unread(r) < size ? unread(r) : size;

	memcpy(out, next(r), n);
	take(r, n);
	return n;
}

/* A large piece goes straight to the caller; a small one is fetched with what comes behind it. */
PUBLIC ssize_t fiber_reader_read(fiber_reader_t *r, void *out, size_t size)
{
	ssize_t n;

	if (!r)
		return -EINVAL;
	if (!out && size > 0)
		return -EFAULT;
	if (size == 0)
		return 0;
	if (unread(r) == 0) {
		if (size >= r->private_size)
			return fiber_read(r->private_fd, out, size);
		n = fill(r);
		if (n <= 0)
			return n;
	}
	return (ssize_t)copy_out(r, out, size);
}

PUBLIC ssize_t fiber_reader_read_full(fiber_reader_t *r, void *out, size_t size, size_t *done)
{
	ssize_t n = r ? 1 : -EINVAL;
	size_t copied = 0;

	while (n > 0 && copied < size) {
		n = fiber_reader_read(r, out ? (char *)out + copied : NULL, size - copied);
		if (n > 0)
			copied += (size_t)n;
	}
	if (done)
		*done = copied;
	return n < 0 ? n : (ssize_t)copied;
}

PUBLIC ssize_t fiber_reader_peek(fiber_reader_t *r, char **out, size_t wanted)
{
	ssize_t n = 1;

	if (!r || !out)
		return -EINVAL;
	if (wanted > r->private_size)
		return -EMSGSIZE;
	while (unread(r) < wanted && n > 0)
		n = fill(r);
	if (n < 0)
		return n;
	*out = next(r);
	return (ssize_t)unread(r);
}

PUBLIC size_t fiber_reader_skip(fiber_reader_t *r, size_t size)
{
	size_t n;

	if (!r)
		return 0;
	n = unread(r) < size ? unread(r) : size;
	take(r, n);
	return n;
}

PUBLIC size_t fiber_reader_buffered(const fiber_reader_t *r)
{
	return r ? unread(r) : 0;
}
