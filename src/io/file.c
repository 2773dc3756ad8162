/* file.c - regular files at an offset, and to the disk.
 *
 * What is in the page cache is read at once (RWF_NOWAIT); the rest of it, and every write, on a
 * helper thread, because a disk may take its time. fiber_read and fiber_write come to a helper by
 * blocking.c.
 *
 * A short read of a regular file means its end to most programs. So when only the first pages were
 * cached the helper reads on, and the sum is returned. */
#include <sys/uio.h>
#include <unistd.h>

#include "io/blocked.h"
#include "io/io.h"
#include "io/quiet.h"

struct transfer {
	struct helpers_job job;
	ssize_t (*call)(const struct transfer *);
	fiber_fd fd;
	void *buffer;
	size_t bytes;
	int64_t offset;
	ssize_t result;
};

static ssize_t call_pread(const struct transfer *t)
{
	return pread(t->fd, t->buffer, t->bytes, t->offset);
}

static ssize_t call_pwrite(const struct transfer *t)
{
	return pwrite(t->fd, t->buffer, t->bytes, t->offset);
}

static ssize_t call_fsync(const struct transfer *t)
{
	return fsync(t->fd);
}

static ssize_t repeat(const struct transfer *t)
{
	ssize_t r;

	do
		r = t->call(t);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int run(void *argument)
{
	struct transfer *t = argument;

	t->result = quiet_helper(repeat(t));
	return 0;
}

static ssize_t on_this_thread(const struct transfer *t)
{
	struct quiet quiet;

	quiet_begin(&quiet);
	return quiet_end(&quiet, repeat(t));
}

/* Not interrupted: the call ends by itself, and what it has moved counts. */
static ssize_t carry(struct transfer *t)
{
	struct blocked entry = { .fd = t->fd, .calling = true, .job = &t->job };
	int r;

	if (!wait_on_fiber())
		return on_this_thread(t);
	t->job.run = run;
	t->job.argument = t;
	blocked_enter(&entry);
	r = helpers_call(&t->job);
	blocked_leave(&entry);
	return r == 0 ? t->result : r == -EINTR ? -EBADF : r; /* recalled by a close only */
}

static int check(fiber_fd fd, const void *buffer, size_t bytes, int64_t offset)
{
	int r = io_check(fd, buffer, bytes);

	return r == 0 && offset < 0 ? -EINVAL : r;
}

/* What the page cache has, up to bytes or the end of the file: *end. */
static ssize_t read_cached(const struct transfer *t, bool *end)
{
	size_t done = 0;
	ssize_t n;

	do {
		void *rest = done ? (char *)t->buffer + done : t->buffer; /* NULL for no bytes */
		struct iovec iov = { rest, t->bytes - done };

		n = preadv2(t->fd, &iov, 1, t->offset + (int64_t)done, RWF_NOWAIT);
		if (n > 0)
			done += (size_t)n;
	} while (n > 0 && done < t->bytes);
	*end = n >= 0;
	return (ssize_t)done;
}

PUBLIC ssize_t fiber_pread(fiber_fd fd, void *buffer, size_t bytes, int64_t offset)
{
	struct transfer t = { .call = call_pread, .fd = fd, .buffer = buffer, .bytes = bytes,
			      .offset = offset, .job.what = WAIT_READ };
	ssize_t done, rest;
	bool end;
	int r = check(fd, buffer, bytes, offset);

	if (r == 0)
		r = wait_check();
	if (r < 0)
		return r;
	done = read_cached(&t, &end);
	if (end) {
		wait_done();
		return done;
	}
	r = done == 0 ? io_check_time() : 0; /* what has begun goes on to its end */
	if (r < 0)
		return r;
	t.buffer = (char *)buffer + done;
	t.bytes -= (size_t)done;
	t.offset += done;
	rest = carry(&t);
	return done > 0 ? done + (rest > 0 ? rest : 0) : rest;
}

PUBLIC ssize_t fiber_pwrite(fiber_fd fd, const void *buffer, size_t bytes, int64_t offset)
{
	struct transfer t = { .call = call_pwrite, .fd = fd, .buffer = (void *)buffer,
			      .bytes = bytes, .offset = offset, .job.what = WAIT_WRITE };
	int r = check(fd, buffer, bytes, offset);

	if (r == 0)
		r = io_check_time();
	return r < 0 ? r : carry(&t);
}

PUBLIC int fiber_fsync(fiber_fd fd)
{
	struct transfer t = { .call = call_fsync, .fd = fd, .job.what = WAIT_WRITE };
	int r = fd < 0 ? -EBADF : io_check_time();

	return r < 0 ? r : (int)carry(&t);
}
