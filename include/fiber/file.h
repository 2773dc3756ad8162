/* fiber/file.h - files and directories by name, whole files, stdio streams; all parking.
 * SPDX-License-Identifier: MIT
 *
 * What fiber/io.h says of all its calls holds here too: results are >= 0 or -errno, a plain thread
 * is blocked where a fiber parks, a known interruption fails before any effect. Where a disk, or a
 * network file system, might take its time the call is made on a helper thread, and the worker goes
 * on with other fibers. An interruption ends the wait for a helper, but not a call that has begun,
 * save where that is said.
 *
 * -EFAULT is returned for a NULL, -EAGAIN if no helper thread could be started, -ENOMEM if there is
 * no memory; and what the POSIX call of the same name returns. */
#ifndef FIBER_FILE_H
#define FIBER_FILE_H
#include <dirent.h>
#include <fiber/io.h>
#include <stdio.h>
#include <sys/stat.h>
#ifdef __cplusplus
extern "C" {
#endif

/* ---- names ------------------------------------------------------------------------------------*/

/* What is known of a file: stat(2), lstat(2) (of a symbolic link itself), fstat(2).
 *
 * Park. Cancellation points until they begin. Return 0, or -ENOENT, -EACCES, -ELOOP, ... */
int fiber_stat(const char *path, struct stat *out);
int fiber_lstat(const char *path, struct stat *out);
int fiber_fstat(fiber_fd fd, struct stat *out);

/* rename(2): `to` means the file of `from` from one moment to the next; what it meant before is
 * removed.
 *
 * Parks. A cancellation point until it begins. Returns 0, or -ENOENT, -EXDEV, -EISDIR, ... */
int fiber_rename(const char *from, const char *to);

/* Removes a name: unlink(2). Makes and removes an empty directory: mkdir(2), rmdir(2).
 *
 * Park. Cancellation points until they begin. Return 0, or -ENOENT, -EEXIST, -ENOTEMPTY, ... */
int fiber_unlink(const char *path);
int fiber_mkdir(const char *path, mode_t mode);
int fiber_rmdir(const char *path);

/* ---- directories ------------------------------------------------------------------------------*/

/* A directory that is being read; of one fiber at a time. */
typedef struct fiber_dir fiber_dir_t;

/* Opens a directory: opendir(3). *out must be given to fiber_closedir. Parks. A cancellation point.
 * Returns 0, or -ENOENT, -ENOTDIR, -EACCES, -EMFILE, ... */
FIBER_CHECKED int fiber_opendir(fiber_dir_t **out, const char *path);

/* The next entry, "." and ".." among them, in no order: readdir(3). *entry is valid until the next
 * call on this directory.
 *
 * Parks at every 64th entry or so. A cancellation point. Returns 1; 0 at the end; -EOVERFLOW for a
 * name that is longer than struct dirent (the next call goes on behind it); or -EIO, ... */
int fiber_readdir(fiber_dir_t *dir, const struct dirent **entry);

/* Parks. Never interrupted. Returns 0, or an error of closedir(3); the directory is closed all the
 * same. */
int fiber_closedir(fiber_dir_t *dir);

/* ---- whole files ------------------------------------------------------------------------------*/

/* Reads a regular file whole. *out gets its contents, followed by a zero byte that is not counted,
 * to be released with free(3); NULL after an error. `most`: no more bytes than that; 0: any number.
 *
 * Parks: one trip to a helper thread. A cancellation point also while it lasts: it gives up at the
 * next mebibyte.
 *
 * Returns the number of bytes, or
 *	-EISDIR, -EINVAL  a directory; another file that is not a regular one
 *	-EFBIG       larger than `most`
 *	-ENOENT, -EACCES, -EIO, ...  as open(2), read(2) */
ssize_t fiber_read_file(const char *path, void **out, size_t most);

/* Writes a regular file whole: whoever opens the name finds the former contents or these, and
 * nothing in between, also after a crash of the system. A file beside it, ".fiber-PID-NUMBER", is
 * filled, synchronised with the disk and renamed; if anything goes wrong it is removed.
 *
 * An existing file keeps its mode, and its owner as far as the process may set it; another name of
 * it (a hard link) keeps the former contents. A new one gets `mode`, less the umask. Symbolic links
 * are followed; one that leads nowhere is replaced.
 *
 * Parks: one trip to a helper thread. A cancellation point also while it lasts, up to the rename:
 * interrupted, nothing has changed.
 *
 * Returns 0, or
 *	-EISDIR, -EINVAL  there is a directory, or no regular file, of that name
 *	-EINVAL      a size beyond SSIZE_MAX
 *	-ENOENT, -EACCES, -ENOSPC, -EIO, ...  as open(2), write(2), fsync(2), rename(2); -EIO may
 *	             mean that only the new name has not reached the disk */
int fiber_write_file(const char *path, const void *data, size_t size, mode_t mode);

/* ---- stdio ------------------------------------------------------------------------------------*/

/* Makes a stream of stdio over a descriptor, as fdopen(3): fgets, getline, fprintf and all others
 * work in fibers, and where they read or write the descriptor they park. fclose closes it too
 * (fiber_close). `mode`: r, w or a, with + b e; nothing is truncated.
 *
 * A stream belongs to one fiber at a time. stdio's own lock does not see to that: it is held by
 * threads, and two fibers of a worker both pass it. A fiber that comes to the descriptor while
 * another is there gets EBUSY from stdio (ferror), and so does the one that finds another's bytes
 * in its buffer; a line on stderr says so. A fiber of another worker holds up its worker for as
 * long as the first is inside; on an fclose while another fiber is inside the process is aborted. A
 * stream may be handed on between two calls, and used by plain threads.
 *
 * errno says why a call of stdio failed, ECANCELED when it was interrupted; clearerr(3), and go on
 * (interrupted writes lose what was in the buffer). Linux only, and not for fibers that roam.
 *
 * Never parks. Returns 0, or
 *	-EBADF       not open
 *	-EINVAL      no such mode, or the descriptor was not opened for it
 *	-ENOTSUP     the caller roams (fiber_pin is enough, for as long as the stream is used)
 *
 *	if (fiber_fdopen(&stream, fd, "r+") == 0)
 *		while (getline(&line, &size, stream) > 0)
 *			fprintf(stream, "you said %s", line), fflush(stream); */
FIBER_CHECKED int fiber_fdopen(FILE **out, fiber_fd fd, const char *mode);

#if defined(__GNUC__)
#define FIBER_FORMAT_(f, a) __attribute__((__format__(__printf__, f, a)))
#else
#define FIBER_FORMAT_(f, a)
#endif

/* Print to standard output, or to any descriptor. The text is put together first and then written
 * at once, so that lines of several fibers do not mix (to a pipe: up to PIPE_BUF bytes, 4096); and
 * a slow terminal or a full pipe parks the fiber, where printf(3) would hold up its worker.
 * Nothing is buffered: fflush(stdout) before, if you use that too.
 *
 * Park. Cancellation points; what was written by then is returned instead.
 *
 * Return the number of bytes, or -EINVAL (the format makes no sense), -EPIPE, and as
 * fiber_write. */
int fiber_print(const char *text);
FIBER_FORMAT_(1, 2) int fiber_printf(const char *format, ...);
FIBER_FORMAT_(2, 3) int fiber_dprintf(fiber_fd fd, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
