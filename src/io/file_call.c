/* file_call.c - where a call on files is made: on the plain thread that asks for it, or, for a
 * fiber, on a helper thread, because a disk may take its time, and a network file system longer.
 * Where the poller of the fiber's worker can have the kernel do it (file_kernel.c), no thread of
 * ours is needed.
 *
 * file_call() is the one place that decides. */
#include "io/file_call.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "io/blocked.h"
#include "io/quiet.h"

static ssize_t attempt(struct file_call *c)
{
	switch (c->kind) {
	case FILE_PREAD:
		return pread(c->fd, c->buffer, c->bytes, c->offset);
	case FILE_PWRITE:
		return pwrite(c->fd, c->buffer, c->bytes, c->offset);
	case FILE_READV:
		return readv(c->fd, c->iov, c->iov_count);
	case FILE_WRITEV:
		return writev(c->fd, c->iov, c->iov_count);
	case FILE_FSYNC:
		return fsync(c->fd);
	case FILE_OPEN:
		return open(c->path, c->flags | O_CLOEXEC, c->mode);
	case FILE_STAT:
		return stat(c->path, c->about);
	case FILE_LSTAT:
		return lstat(c->path, c->about);
	case FILE_FSTAT:
		return fstat(c->fd, c->about);
	case FILE_RENAME:
		return rename(c->path, c->other);
	case FILE_UNLINK:
		return unlink(c->path);
	case FILE_MKDIR:
		return mkdir(c->path, c->mode);
	case FILE_RMDIR:
		return rmdir(c->path);
	case FILE_PROGRAM: /* see once */
		break;
	}
	unreachable();
}

static ssize_t once(struct file_call *c)
{
	ssize_t r;

	if (c->kind == FILE_PROGRAM)
		return c->program(c);
	r = attempt(c);
	return r < 0 ? -errno : r;
}

/* -EINTR: it was asked back. */
static int run(void *argument)
{
	struct file_call *c = argument;

	do {
		if (file_stopped(c))
			return -EINTR;
		c->result = once(c);
	} while (c->result == -EINTR);
	quiet_helper(c->result, 0);
	return 0;
}

static ssize_t on_this_thread(struct file_call *c)
{
	struct quiet quiet;

	quiet_begin(&quiet);
	do
		c->result = once(c);
	while (c->result == -EINTR);
	return quiet_end(&quiet, c->result, 0);
}

static bool has_descriptor(const struct file_call *c)
{
	switch (c->kind) {
	case FILE_PREAD:
	case FILE_PWRITE:
	case FILE_READV:
	case FILE_WRITEV:
	case FILE_FSYNC:
	case FILE_FSTAT:
		return true;
	default:
		return false;
	}
}

static bool may_last(const struct file_call *c)
{
	return c->kind == FILE_OPEN || c->kind == FILE_PROGRAM;
}

static ssize_t on_helper(struct file_call *c)
{
	struct blocked entry = { .fd = c->fd, .calling = true, .job = &c->job };
	bool entered = has_descriptor(c);
	int r;

	c->job.run = run;
	c->job.argument = c;
	c->job.flags = may_last(c) ? HELPERS_STOPPABLE : HELPERS_UNBEGUN;
	if (entered)
		blocked_enter(&entry);
	r = helpers_call(&c->job);
	if (entered)
		blocked_leave(&entry);
	return r == 0 ? c->result : r == -EINTR ? -EBADF : r; /* recalled by a close only */
}

ssize_t file_call(struct file_call *c)
{
	ssize_t r = file_in_kernel(c);

	if (r != -EINPROGRESS)
		return r;
	/* A plain thread needs a helper only if something may interrupt the call. */
	if (!wait_on_fiber() && !(may_last(c) && fiber_deadline() != FIBER_NEVER))
		return on_this_thread(c);
	return on_helper(c);
}
