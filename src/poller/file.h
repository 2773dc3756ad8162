/* file.h - what is done with files without a thread of ours, where the kernel can (IO_FILE). */
#ifndef FB_POLLER_FILE_H
#define FB_POLLER_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum poller_file_what {
	FILE_DOES_PREAD, /* of op->fd: buffer, bytes, offset */
	FILE_DOES_PWRITE,
	FILE_DOES_FSYNC,
	FILE_DOES_FSTAT, /* about */
	/* These have no descriptor: op->fd is -1. */
	FILE_DOES_OPEN,  /* path, flags, mode; result: a descriptor */
	FILE_DOES_STAT,  /* path, about */
	FILE_DOES_LSTAT,
	FILE_DOES_RENAME, /* path, other */
	FILE_DOES_UNLINK,
	FILE_DOES_RMDIR,
	FILE_DOES_MKDIR, /* path, mode */
};

struct poller_file {
	enum poller_file_what what;
	int flags;
	mode_t mode;
	const char *path, *other;
	void *buffer;
	size_t bytes;
	int64_t offset;
	struct stat *about;
	uint64_t room[32]; /* the poller's own */
};

#endif
