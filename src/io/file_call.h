/* file_call.h - a call on files, from start to end: what to do, and one place that decides where it
 * is done. Private to src/io/.
 *
 * A kind is one system call; FILE_PROGRAM is a function that makes several, on one thread. */
#ifndef FB_IO_FILE_CALL_H
#define FB_IO_FILE_CALL_H

#include <sys/stat.h>

#include "io/io.h"
#include "sched/helpers.h"

enum file_kind {
	FILE_PREAD,     /* fd, buffer, bytes, offset */
	FILE_PWRITE,
	FILE_READV,     /* fd, iov, iov_count: at the file's own position */
	FILE_WRITEV,
	FILE_FSYNC,     /* fd */
	FILE_OPEN,      /* path, flags, mode; may wait for long: a FIFO */
	FILE_STAT,      /* path, about */
	FILE_LSTAT,
	FILE_FSTAT,     /* fd, about */
	FILE_RENAME,    /* path, other */
	FILE_UNLINK,    /* path */
	FILE_MKDIR,     /* path, mode */
	FILE_RMDIR,     /* path */
	FILE_PROGRAM,   /* program, argument */
};

struct file_call {
	struct helpers_job job;        /* zero; `what` may be set */
	enum file_kind kind;
	fiber_fd fd;                   /* of the kinds that have one: a close finds the call */
	const char *path, *other;
	int flags;
	mode_t mode;
	struct stat *about;
	union {
		struct { void *buffer; size_t bytes; int64_t offset; };
		struct { const struct iovec *iov; int iov_count; };
		/* Its result, or -errno; -EINTR: it has looked at file_stopped, and undone what it
		 * did. */
		struct { ssize_t (*program)(struct file_call *); void *argument; };
	};
	ssize_t result;
};

/* Its result or -errno. Whoever calls has looked for interruptions already (io_check_time): from
 * here on only those of FILE_OPEN and FILE_PROGRAM are interrupted, and what waits for its turn. */
ssize_t file_call(struct file_call *);

/* The same by the kernel alone, for a fiber. -EINPROGRESS: not on this poller, or not this kind. */
ssize_t file_in_kernel(const struct file_call *);

/* In a program, now and then: give up? */
static inline bool file_stopped(const struct file_call *c)
{
	return atomic_load_explicit(&c->job.stop, memory_order_relaxed) != 0;
}

#endif
