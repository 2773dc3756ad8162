/* uring_file.c - what the kernel does with files (IO_FILE).
 *
 * It tries a read at once and finishes it when the disk has answered; everything else it does in
 * threads of its own from the start (IOSQE_ASYNC), because the try would not mean the same: a FIFO
 * would be opened without waiting for its other end, and a write beyond the limit of file sizes
 * would raise SIGXFSZ in our thread. In theirs all signals are blocked. */
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "poller/file.h"
#include "poller/uring.h"

enum { LENGTH_MOST = 0x7ffff000 }; /* what read(2) moves at most */

_Static_assert(sizeof(struct statx) <= sizeof((struct poller_file *)0)->room, "statx has room");

static unsigned length_of(const struct poller_file *f)
{
	return f->bytes < LENGTH_MOST ? (unsigned)f->bytes : LENGTH_MOST;
}

static void prepare_transfer(struct io_uring_sqe *sqe, const struct poller_file *f)
{
	sqe->opcode = f->what == FILE_DOES_PREAD ? IORING_OP_READ : IORING_OP_WRITE;
	sqe->flags = f->what == FILE_DOES_PREAD ? 0 : IOSQE_ASYNC;
	sqe->addr = (uintptr_t)f->buffer;
	sqe->len = length_of(f);
	sqe->off = (uint64_t)f->offset;
}

/* Both paths count from the working directory. */
static void prepare_path(struct io_uring_sqe *sqe, const struct poller_file *f, unsigned opcode)
{
	sqe->opcode = (uint8_t)opcode;
	sqe->flags = IOSQE_ASYNC;
	sqe->fd = AT_FDCWD;
	sqe->addr = (uintptr_t)f->path;
}

static void prepare_stat(struct io_uring_sqe *sqe, const struct poller_file *f, int fd, int flags)
{
	prepare_path(sqe, f, IORING_OP_STATX);
	sqe->fd = fd;
	sqe->statx_flags = (unsigned)flags;
	sqe->len = STATX_BASIC_STATS;
	sqe->off = (uintptr_t)f->room;
}

void uring_prepare_file(struct io_uring_sqe *sqe, const struct poller_op *op)
{
	const struct poller_file *f = op->file;

	switch (f->what) {
	case FILE_DOES_PREAD:
	case FILE_DOES_PWRITE:
		prepare_transfer(sqe, f);
		return;
	case FILE_DOES_FSYNC:
		sqe->opcode = IORING_OP_FSYNC;
		sqe->flags = IOSQE_ASYNC;
		return;
	case FILE_DOES_OPEN:
		prepare_path(sqe, f, IORING_OP_OPENAT);
		sqe->len = f->mode;
		sqe->open_flags = (unsigned)f->flags;
		return;
	case FILE_DOES_FSTAT:
		prepare_stat(sqe, f, op->fd, AT_EMPTY_PATH);
		sqe->addr = (uintptr_t)"";
		return;
	case FILE_DOES_STAT:
		prepare_stat(sqe, f, AT_FDCWD, 0);
		return;
	case FILE_DOES_LSTAT:
		prepare_stat(sqe, f, AT_FDCWD, AT_SYMLINK_NOFOLLOW);
		return;
	case FILE_DOES_RENAME:
		prepare_path(sqe, f, IORING_OP_RENAMEAT);
		sqe->len = (unsigned)AT_FDCWD;
		sqe->addr2 = (uintptr_t)f->other;
		return;
	case FILE_DOES_UNLINK:
	case FILE_DOES_RMDIR:
		prepare_path(sqe, f, IORING_OP_UNLINKAT);
		sqe->unlink_flags = f->what == FILE_DOES_RMDIR ? AT_REMOVEDIR : 0;
		return;
	case FILE_DOES_MKDIR:
		prepare_path(sqe, f, IORING_OP_MKDIRAT);
		sqe->len = f->mode;
		return;
	}
	unreachable();
}

static struct timespec time_of(const struct statx_timestamp *t)
{
	return (struct timespec){t->tv_sec, t->tv_nsec};
}

static void tell_about(struct stat *out, const struct statx *x)
{
	*out = (struct stat){
		.st_dev = makedev(x->stx_dev_major, x->stx_dev_minor),
		.st_ino = x->stx_ino,
		.st_mode = x->stx_mode,
		.st_nlink = x->stx_nlink,
		.st_uid = x->stx_uid,
		.st_gid = x->stx_gid,
		.st_rdev = makedev(x->stx_rdev_major, x->stx_rdev_minor),
		.st_size = (off_t)x->stx_size,
		.st_blksize = x->stx_blksize,
		.st_blocks = (blkcnt_t)x->stx_blocks,
		.st_atim = time_of(&x->stx_atime),
		.st_mtim = time_of(&x->stx_mtime),
		.st_ctim = time_of(&x->stx_ctime),
	};
}

void uring_finish_file(const struct poller_op *op, int result)
{
	const struct poller_file *f = op->file;
	struct statx x;

	switch (f->what) {
	case FILE_DOES_STAT:
	case FILE_DOES_LSTAT:
	case FILE_DOES_FSTAT:
		if (result < 0)
			return;
		memcpy(&x, f->room, sizeof x);
		tell_about(f->about, &x);
		return;
	default:
		return;
	}
}

bool uring_file_may_last(const struct poller_op *op)
{
	return op->file->what == FILE_DOES_OPEN;
}
