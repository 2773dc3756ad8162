/* sendfile.c - from a file to a socket or pipe, without a copy where that cannot block.
 *
 * Three ways, by what `out` is:
 *	non-blocking   sendfile(2). On this thread if the first and the last page of the piece are
 *	               in the page cache; else on a helper, because the disk may take its time.
 *	a file         sendfile(2) on a helper.
 *	blocking       (inherited) sendfile(2) has no form that does not block for one call: a
 *	               piece is read and written by fiber_write. It counts as sent when it was
 *	               written.
 *
 * The number of `out` is used again after a wait, when it might mean another file: an entry
 * (blocked.h) tells. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/blocked.h"
#include "io/io.h"
#include "io/quiet.h"

enum {
	PIECE = 256 * 1024,            /* sent by one call on this thread or a helper */
	COPY = 64 * 1024,              /* read and written at once */
};

struct sending {
	struct helpers_job job;
	struct blocked entry;
	fiber_fd out, in;
	int64_t *offset;               /* the caller's; NULL: the file's own position */
	size_t bytes;
	ssize_t result;
};

static ssize_t call(const struct sending *s)
{
	off_t offset = s->offset ? *s->offset : 0;
	ssize_t n;

	do
		n = sendfile(s->out, s->in, s->offset ? &offset : NULL, s->bytes);
	while (n < 0 && errno == EINTR);
	if (n > 0 && s->offset)
		*s->offset = offset;
	return n < 0 ? -errno : n;
}

static int run(void *argument)
{
	struct sending *s = argument;

	s->result = quiet_helper(call(s), s->bytes);
	return 0;
}

static ssize_t send_here(struct sending *s)
{
	struct quiet quiet;

	quiet_begin(&quiet);
	return quiet_end(&quiet, call(s), s->bytes);
}

static ssize_t send_on_helper(struct sending *s)
{
	int r = io_check_time();

	if (r == 0)
		r = wait_offload(run, s);
	return r < 0 ? r : s->result;
}

static int64_t position(const struct sending *s)
{
	return s->offset ? *s->offset : lseek(s->in, 0, SEEK_CUR);
}

static bool cached(fiber_fd in, int64_t offset)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv2(in, &iov, 1, offset, RWF_NOWAIT) >= 0;
}

static bool all_cached(const struct sending *s)
{
	int64_t first = position(s);

	if (first > INT64_MAX - PIECE)
		return true; /* beyond any file: refused at once */
	return cached(s->in, first) && cached(s->in, first + (int64_t)s->bytes - 1);
}

/* ---- out does not block -----------------------------------------------------------------------*/
static ssize_t attempt(struct sending *s, bool here)
{
	ssize_t n;

	if (blocked_begin(&s->entry) < 0)
		return -EBADF;
	n = here ? send_here(s) : send_on_helper(s);
	blocked_end(&s->entry);
	return n;
}

static ssize_t send_directly(struct sending *s)
{
	ssize_t n, r;

	if (s->bytes > PIECE)
		s->bytes = PIECE;
	for (;;) {
		n = attempt(s, !wait_on_fiber() || all_cached(s));
		if (n != -EAGAIN)
			break;
		r = fiber_wait_fd(s->out, POLLOUT);
		if (r < 0)
			return r;
	}
	wait_done();
	return n;
}

/* ---- out blocks -------------------------------------------------------------------------------*/
static ssize_t copy(struct sending *s, char *buffer)
{
	int64_t offset = position(s);
	ssize_t n = fiber_pread(s->in, buffer, s->bytes < COPY ? s->bytes : COPY, offset);

	if (n <= 0)
		return n;
	if (blocked_closed(&s->entry))
		return -EBADF;
	n = fiber_write(s->out, buffer, (size_t)n);
	if (n <= 0)
		return n;
	if (s->offset)
		*s->offset = offset + n;
	else
		lseek(s->in, offset + n, SEEK_SET);
	return n;
}

static ssize_t send_by_copy(struct sending *s)
{
	char *buffer = malloc(COPY);
	ssize_t n;

	if (!buffer)
		return -ENOMEM;
	n = copy(s, buffer);
	free(buffer);
	return n;
}

/* ---- which way --------------------------------------------------------------------------------*/
static bool is_file(const struct stat *about)
{
	return S_ISREG(about->st_mode) || S_ISBLK(about->st_mode);
}

static ssize_t choose(struct sending *s)
{
	struct stat in, out;
	int flags = fcntl(s->out, F_GETFL);

	if (flags < 0 || fstat(s->in, &in) < 0 || fstat(s->out, &out) < 0)
		return -EBADF;
	if (!is_file(&in))
		return -EINVAL;
	if (is_file(&out))
		return attempt(s, !wait_on_fiber());
	return flags & O_NONBLOCK ? send_directly(s) : send_by_copy(s);
}

PUBLIC ssize_t fiber_sendfile(fiber_fd out, fiber_fd in, int64_t *offset, size_t bytes)
{
	struct sending s = { .out = out, .in = in, .offset = offset, .bytes = bytes,
			     .entry = { .fd = out } };
	ssize_t r;

	if (out < 0 || in < 0)
		return -EBADF;
	if (bytes > SSIZE_MAX || (offset && *offset < 0))
		return -EINVAL;
	r = wait_check();
	if (r < 0)
		return r;
	blocked_enter(&s.entry);
	r = choose(&s);
	blocked_leave(&s.entry);
	return r;
}
