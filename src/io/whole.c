/* whole.c - all of it, or how far it came.
 *
 * A loop of single calls: each is a cancellation point of its own, and what was moved before an
 * interruption or an error is told in *done, so the caller can go on from there. */
#include "io/io.h"

static ssize_t finish(size_t *done, size_t moved, ssize_t result)
{
	if (done)
		*done = moved;
	return result < 0 ? result : (ssize_t)moved;
}

PUBLIC ssize_t fiber_read_full(fiber_fd fd, void *buffer, size_t bytes, size_t *done)
{
	size_t moved = 0;
	ssize_t n = 0;

	do {
		n = fiber_read(fd, buffer ? (char *)buffer + moved : NULL, bytes - moved);
		if (n <= 0)
			break;
		moved += (size_t)n;
	} while (moved < bytes);
	return finish(done, moved, n);
}

PUBLIC ssize_t fiber_write_all(fiber_fd fd, const void *buffer, size_t bytes, size_t *done)
{
	const char *from = buffer;
	size_t moved = 0;
	ssize_t n = 0;

	if (bytes == 0)
		return finish(done, 0, fiber_write(fd, buffer, 0));
	while (moved < bytes) {
		n = fiber_write(fd, from ? from + moved : NULL, bytes - moved);
		if (n == 0)
			n = -EIO; /* a device that takes nothing and says so: not for ever */
		if (n < 0)
			break;
		moved += (size_t)n;
	}
	return finish(done, moved, n);
}
