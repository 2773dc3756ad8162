/* file_kernel.c - a call on files that the kernel makes without a thread of ours (io_uring).
 *
 * What reads or writes at a file's own position is not among them: io_uring does not lock the
 * position, so of two fibers that read one file both might get the same bytes. */
#include <fcntl.h>
#include <unistd.h>

#include "io/file_call.h"
#include "poller/file.h"

/* False: not this kind. */
static bool translate(const struct file_call *c, struct poller_file *f)
{
	switch (c->kind) {
	case FILE_PREAD:
	case FILE_PWRITE:
		f->what = c->kind == FILE_PREAD ? FILE_DOES_PREAD : FILE_DOES_PWRITE;
		f->buffer = c->buffer;
		f->bytes = c->bytes;
		f->offset = c->offset;
		return true;
	case FILE_FSYNC:
		f->what = FILE_DOES_FSYNC;
		return true;
	case FILE_OPEN:
		f->what = FILE_DOES_OPEN;
		f->flags = c->flags | O_CLOEXEC;
		return true;
	case FILE_STAT:
		f->what = FILE_DOES_STAT;
		return true;
	case FILE_LSTAT:
		f->what = FILE_DOES_LSTAT;
		return true;
	case FILE_FSTAT:
		f->what = FILE_DOES_FSTAT;
		return true;
	case FILE_RENAME:
		f->what = FILE_DOES_RENAME;
		return true;
	case FILE_UNLINK:
		f->what = FILE_DOES_UNLINK;
		return true;
	case FILE_RMDIR:
		f->what = FILE_DOES_RMDIR;
		return true;
	case FILE_MKDIR:
		f->what = FILE_DOES_MKDIR;
		return true;
	case FILE_READV:
	case FILE_WRITEV:
	case FILE_PROGRAM:
		return false;
	}
	unreachable();
}

/* io_uring reads and writes what has no positions all the same; pread(2) does not. */
static int check_position(const struct file_call *c)
{
	if (c->kind != FILE_PREAD && c->kind != FILE_PWRITE)
		return 0;
	return lseek(c->fd, 0, SEEK_CUR) < 0 ? -errno : 0;
}

static enum wait_what reason(const struct file_call *c)
{
	return c->job.what ? (enum wait_what)c->job.what : WAIT_OFFLOAD;
}

ssize_t file_in_kernel(const struct file_call *c)
{
	struct poller_file f;
	struct poller_op op;
	int r;

	if (!wait_on_fiber() || !wait_performs_files() || !translate(c, &f))
		return -EINPROGRESS;
	r = check_position(c);
	if (r < 0)
		return r;
	f.path = c->path;
	f.other = c->other;
	f.mode = c->mode;
	f.about = c->about;
	io_op_init(&op, IO_FILE, f.what < FILE_DOES_OPEN ? c->fd : -1, 0);
	op.file = &f;
	return wait_op(&op, reason(c), OS_NEVER);
}
