/* file.c - regular files at an offset, and to the disk; what is known of a file; paths.
 *
 * What is in the page cache is read at once (RWF_NOWAIT); the rest of it, and everything else, by
 * file_call, because a disk may take its time. fiber_read and fiber_write come there by blocking.c.
 *
 * A short read of a regular file means its end to most programs. So when only the first pages were
 * cached the helper reads on, and the sum is returned. */
#include <fiber/file.h>
#include <sys/uio.h>

#include "io/file_call.h"

static int check(fiber_fd fd, const void *buffer, size_t bytes, int64_t offset)
{
	int r = io_check(fd, buffer, bytes);

	return r == 0 && offset < 0 ? -EINVAL : r;
}

/* What the page cache has, up to bytes or the end of the file: *end. */
static ssize_t read_cached(const struct file_call *c, bool *end)
{
	size_t done = 0;
	ssize_t n;

	do {
		void *rest = done ? (char *)c->buffer + done : c->buffer; /* NULL for no bytes */
		struct iovec iov = { rest, c->bytes - done };

		n = preadv2(c->fd, &iov, 1, c->offset + (int64_t)done, RWF_NOWAIT);
		if (n > 0)
			done += (size_t)n;
	} while (n > 0 && done < c->bytes);
	*end = n >= 0;
	return (ssize_t)done;
}

PUBLIC ssize_t fiber_pread(fiber_fd fd, void *buffer, size_t bytes, int64_t offset)
{
	struct file_call c = { .kind = FILE_PREAD, .fd = fd, .buffer = buffer, .bytes = bytes,
			       .offset = offset, .job.what = WAIT_READ };
	ssize_t done, rest;
	bool end;
	int r = check(fd, buffer, bytes, offset);

	if (r == 0)
		r = wait_check();
	if (r < 0)
		return r;
	done = read_cached(&c, &end);
	if (end) {
		wait_done();
		return done;
	}
	r = done == 0 ? io_check_time() : 0; /* what has begun goes on to its end */
	if (r < 0)
		return r;
	c.buffer = (char *)buffer + done;
	c.bytes -= (size_t)done;
	c.offset += done;
	rest = file_call(&c);
	return done > 0 ? done + (rest > 0 ? rest : 0) : rest;
}

PUBLIC ssize_t fiber_pwrite(fiber_fd fd, const void *buffer, size_t bytes, int64_t offset)
{
	struct file_call c = { .kind = FILE_PWRITE, .fd = fd, .buffer = (void *)buffer,
			       .bytes = bytes, .offset = offset, .job.what = WAIT_WRITE };
	int r = check(fd, buffer, bytes, offset);

	if (r == 0)
		r = io_check_time();
	return r < 0 ? r : file_call(&c);
}

PUBLIC int fiber_fsync(fiber_fd fd)
{
	struct file_call c = { .kind = FILE_FSYNC, .fd = fd, .job.what = WAIT_WRITE };
	int r = fd < 0 ? -EBADF : io_check_time();

	return r < 0 ? r : (int)file_call(&c);
}

/* ---- what is known of a file ------------------------------------------------------------------*/
static int ask(enum file_kind kind, const char *path, struct stat *out)
{
	struct file_call c = { .kind = kind, .path = path, .about = out };
	int r = path && out ? io_check_time() : -EFAULT;

	return r < 0 ? r : (int)file_call(&c);
}

PUBLIC int fiber_stat(const char *path, struct stat *out)
{
	return ask(FILE_STAT, path, out);
}

PUBLIC int fiber_lstat(const char *path, struct stat *out)
{
	return ask(FILE_LSTAT, path, out);
}

PUBLIC int fiber_fstat(fiber_fd fd, struct stat *out)
{
	struct file_call c = { .kind = FILE_FSTAT, .fd = fd, .about = out };
	int r = fd < 0 ? -EBADF : out ? io_check_time() : -EFAULT;

	return r < 0 ? r : (int)file_call(&c);
}

/* ---- paths ------------------------------------------------------------------------------------*/
static int change(enum file_kind kind, const char *path, mode_t mode)
{
	struct file_call c = { .kind = kind, .path = path, .mode = mode };
	int r = path ? io_check_time() : -EFAULT;

	return r < 0 ? r : (int)file_call(&c);
}

PUBLIC int fiber_unlink(const char *path)
{
	return change(FILE_UNLINK, path, 0);
}

PUBLIC int fiber_mkdir(const char *path, mode_t mode)
{
	return change(FILE_MKDIR, path, mode);
}

PUBLIC int fiber_rmdir(const char *path)
{
	return change(FILE_RMDIR, path, 0);
}

PUBLIC int fiber_rename(const char *from, const char *to)
{
	struct file_call c = { .kind = FILE_RENAME, .path = from, .other = to };
	int r = from && to ? io_check_time() : -EFAULT;

	return r < 0 ? r : (int)file_call(&c);
}
