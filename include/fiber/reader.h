/* fiber/reader.h - lines and pieces from a descriptor, for text protocols.
 * SPDX-License-Identifier: MIT
 *
 * A reader stands between a descriptor and code that wants whole lines: it reads what the kernel
 * has, in large pieces, and hands out as much as was asked for. The memory is the caller's, reader
 * and buffer both, mostly on the fiber's stack: there is nothing to free, and no call but the ones
 * that read can fail.
 *
 *	char memory[4096], *line;
 *	fiber_reader_t in;
 *	ssize_t n;
 *
 *	fiber_reader_init(&in, fd, memory, sizeof memory);
 *	while ((n = fiber_reader_line(&in, &line, 0)) >= 0)
 *		printf("%s\n", line);
 *	return n == -ENODATA ? 0 : (int)n;
 *
 * What is handed out by pointer lies in the buffer, and is good until the next call on the same
 * reader; the caller may write to it.
 *
 * Nothing is lost. A call that fails - interrupted, end of stream, too long - leaves every byte
 * that was read and not handed out in the reader: the same call can be made again, or another one.
 *
 * A reader belongs to one fiber (or thread) at a time. While it is in use, bytes taken from the
 * descriptor by other means go past it, and what it holds already is not seen by them. */
#ifndef FIBER_READER_H
#define FIBER_READER_H
#include <fiber/io.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct fiber_reader {
	char    *private_buffer;
	size_t   private_size;
	size_t   private_first;     /* what is unread: [first, end) of the buffer */
	size_t   private_end;
	fiber_fd private_fd;
	uintptr_t reserved[3];
} fiber_reader_t;

/* Sets up *reader to read from `fd` through `size` bytes at `buffer`. The longest line or piece
 * that it can hand out by pointer is `size` bytes. To read on from another descriptor, or to drop
 * what is unread, set it up anew. The descriptor is not closed by the reader, ever.
 *
 * Never parks. No cancellation point.
 *
 * Returns 0, or
 *	-EINVAL         reader or buffer is NULL, size is 0
 *	-EBADF          fd is negative */
int fiber_reader_init(fiber_reader_t *reader, fiber_fd fd, void *buffer, size_t size);

/* Hands out everything up to and including the next byte `delimiter` (0 to 255): *out points to
 * it, and its length is returned. It is not terminated by a zero. `limit` is the most bytes it may
 * have, delimiter included; 0, or more than the buffer has: the size of the buffer.
 *
 * Parks if what was read so far does not contain the delimiter. A cancellation point.
 *
 * Returns the length, at least 1, or
 *	-ENODATA        the stream has ended, and nothing is unread
 *	-EBADMSG        the stream has ended in the middle: what is unread has no delimiter. It is
 *	                still there, for fiber_reader_read or fiber_reader_peek
 *	-EMSGSIZE       no delimiter within `limit` bytes. They are still there; the caller may
 *	                read them, skip them, or answer and close
 *	-EINVAL         reader or out is NULL, delimiter is no byte
 *	-ECANCELED      interrupted
 *	others          as fiber_read */
ssize_t fiber_reader_until(fiber_reader_t *reader, int delimiter, char **out, size_t limit);

/* Hands out the next line without its end: *out points to a string that ends with a zero where
 * "\n" or "\r\n" was. Its length is returned; a line may contain zeros too. `limit` as in
 * fiber_reader_until, the end of the line included.
 *
 * Parks if no whole line was read so far. A cancellation point.
 *
 * Returns the length, 0 for an empty line, or errors as fiber_reader_until; with -EBADMSG the last
 * line has no end, and can be had with fiber_reader_read. */
ssize_t fiber_reader_line(fiber_reader_t *reader, char **out, size_t limit);

/* Copies at most `size` bytes to `out`: what is unread if there is any, else what one fiber_read
 * gives. As with fiber_read, fewer bytes than asked for mean nothing.
 *
 * Parks if nothing is unread. A cancellation point.
 *
 * Returns the number of bytes, 0 at the end of the stream (or for a size of 0), or
 *	-EINVAL         reader is NULL
 *	others          as fiber_read: -EFAULT, -ECANCELED, ... */
ssize_t fiber_reader_read(fiber_reader_t *reader, void *out, size_t size);

/* Copies exactly `size` bytes to `out`: a body whose length is known. *done (it may be NULL) tells
 * how many were copied, whatever is returned; these are no longer in the reader, so go on behind
 * them.
 *
 * Parks until all are there. A cancellation point.
 *
 * Returns `size`; less, if the stream ended before; or errors as fiber_reader_read. */
ssize_t fiber_reader_read_full(fiber_reader_t *reader, void *out, size_t size, size_t *done);

/* Shows what comes next without taking it: *out points to it, and the number of bytes there is
 * returned. Reads until at least `wanted` bytes are there, or the stream ends; 0 asks for what was
 * read already, and never parks. Take them with fiber_reader_skip, or by any other call.
 *
 * Parks if fewer than `wanted` bytes are unread. A cancellation point then.
 *
 * Returns the number of unread bytes, fewer than `wanted` only at the end of the stream, or
 *	-EMSGSIZE       wanted is more than the buffer has
 *	-EINVAL         reader or out is NULL
 *	others          as fiber_read */
ssize_t fiber_reader_peek(fiber_reader_t *reader, char **out, size_t wanted);

/* Drops the next `size` bytes, as far as they were read already. Never parks. No cancellation
 * point. Returns how many were dropped; 0 if reader is NULL. */
size_t fiber_reader_skip(fiber_reader_t *reader, size_t size);

/* Bytes that were read and not yet handed out: a server that finds some has another request to
 * answer before it flushes. Never parks. No cancellation point. 0 if reader is NULL. */
size_t fiber_reader_buffered(const fiber_reader_t *reader);

#ifdef __cplusplus
}
#endif
#endif
