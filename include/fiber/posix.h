/* fiber/posix.h - the parking calls in the shape that POSIX gave them: -1, and errno says why. For
 * code that is ported.
 * SPDX-License-Identifier: MIT
 *
 *	ssize_t n = fiber_posix_read(fd, buffer, sizeof buffer);
 *	if (n < 0)
 *		perror("read");
 *
 * Everything is inline and made of the calls of fiber/io.h and fiber/file.h, whose promises hold:
 * each parks where the POSIX call would block, and works on plain threads. errno belongs to the
 * thread, and a fiber stays on its thread, so errno is the fiber's own as long as nothing parks
 * between the call and the look at it. In a fiber that roams, do not use this header: compilers
 * keep the address of errno within a function, and the thread may be another one by then.
 *
 * With FIBER_POSIX_NAMES defined before the first include, read(...), poll(...) and so on mean
 * these in the rest of the file: function-like macros, so variables, members and struct stat are
 * left alone, but in C++ member functions are not. Include the system's headers before.
 *
 * What differs from POSIX: an interrupted call gives ECANCELED; EINTR is never seen; new
 * descriptors are close-on-exec and non-blocking (which the calls here do not mind); SIGPIPE is not
 * raised. */
#ifndef FIBER_POSIX_H
#define FIBER_POSIX_H
#include <errno.h>
#include <fcntl.h>
#include <fiber/file.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Of every call below. */
static inline ssize_t fiber_posix_result_(ssize_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* ---- descriptors ------------------------------------------------------------------------------*/
static inline ssize_t fiber_posix_read(int fd, void *buffer, size_t size)
{
	return fiber_posix_result_(fiber_read(fd, buffer, size));
}

static inline ssize_t fiber_posix_write(int fd, const void *buffer, size_t size)
{
	return fiber_posix_result_(fiber_write(fd, buffer, size));
}

static inline ssize_t fiber_posix_readv(int fd, const struct iovec *pieces, int count)
{
	return fiber_posix_result_(fiber_readv(fd, pieces, count));
}

static inline ssize_t fiber_posix_writev(int fd, const struct iovec *pieces, int count)
{
	return fiber_posix_result_(fiber_writev(fd, pieces, count));
}

static inline ssize_t fiber_posix_pread(int fd, void *buffer, size_t size, off_t offset)
{
	return fiber_posix_result_(fiber_pread(fd, buffer, size, offset));
}

static inline ssize_t fiber_posix_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	return fiber_posix_result_(fiber_pwrite(fd, buffer, size, offset));
}

static inline int fiber_posix_fsync(int fd)
{
	return (int)fiber_posix_result_(fiber_fsync(fd));
}

static inline int fiber_posix_close(int fd)
{
	return (int)fiber_posix_result_(fiber_close(fd));
}

static inline int fiber_posix_poll(struct pollfd *set, nfds_t count, int timeout_ms)
{
	return (int)fiber_posix_result_(fiber_poll(set, count, timeout_ms));
}

static inline int fiber_posix_pipe(int out[2])
{
	return (int)fiber_posix_result_(fiber_pipe(out));
}

/* A third argument gives the mode, where flags have O_CREAT (or O_TMPFILE). */
static inline int fiber_posix_open(const char *path, int flags, ...)
{
	va_list arguments;
	unsigned mode = 0;
	int creates = flags & O_CREAT;

#ifdef O_TMPFILE
	creates = creates || (flags & O_TMPFILE) == O_TMPFILE;
#endif
	if (creates) {
		va_start(arguments, flags);
		mode = va_arg(arguments, unsigned);
		va_end(arguments);
	}
	return (int)fiber_posix_result_(fiber_open(path, flags, mode));
}

/* ---- sockets ----------------------------------------------------------------------------------*/
static inline int fiber_posix_socket(int domain, int type, int protocol)
{
	return (int)fiber_posix_result_(fiber_socket(domain, type, protocol));
}

static inline int fiber_posix_socketpair(int domain, int type, int protocol, int out[2])
{
	return (int)fiber_posix_result_(fiber_socketpair(domain, type, protocol, out));
}

static inline int fiber_posix_accept(int listener, struct sockaddr *address, socklen_t *size)
{
	return (int)fiber_posix_result_(fiber_accept(listener, address, size));
}

static inline int fiber_posix_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	return (int)fiber_posix_result_(fiber_connect(fd, address, size));
}

static inline int fiber_posix_shutdown(int fd, int how)
{
	return (int)fiber_posix_result_(fiber_shutdown(fd, how));
}

static inline ssize_t fiber_posix_recv(int fd, void *buffer, size_t size, int flags)
{
	return fiber_posix_result_(fiber_recv(fd, buffer, size, flags));
}

static inline ssize_t fiber_posix_send(int fd, const void *buffer, size_t size, int flags)
{
	return fiber_posix_result_(fiber_send(fd, buffer, size, flags));
}

static inline ssize_t fiber_posix_recvfrom(int fd, void *buffer, size_t size, int flags,
					   struct sockaddr *address, socklen_t *address_size)
{
	return fiber_posix_result_(fiber_recvfrom(fd, buffer, size, flags, address, address_size));
}

static inline ssize_t fiber_posix_sendto(int fd, const void *buffer, size_t size, int flags,
					 const struct sockaddr *address, socklen_t address_size)
{
	return fiber_posix_result_(fiber_sendto(fd, buffer, size, flags, address, address_size));
}

static inline ssize_t fiber_posix_recvmsg(int fd, struct msghdr *message, int flags)
{
	return fiber_posix_result_(fiber_recvmsg(fd, message, flags));
}

static inline ssize_t fiber_posix_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return fiber_posix_result_(fiber_sendmsg(fd, message, flags));
}

/* ---- names ------------------------------------------------------------------------------------*/
static inline int fiber_posix_stat(const char *path, struct stat *out)
{
	return (int)fiber_posix_result_(fiber_stat(path, out));
}

static inline int fiber_posix_lstat(const char *path, struct stat *out)
{
	return (int)fiber_posix_result_(fiber_lstat(path, out));
}

static inline int fiber_posix_fstat(int fd, struct stat *out)
{
	return (int)fiber_posix_result_(fiber_fstat(fd, out));
}

static inline int fiber_posix_rename(const char *from, const char *to)
{
	return (int)fiber_posix_result_(fiber_rename(from, to));
}

static inline int fiber_posix_unlink(const char *path)
{
	return (int)fiber_posix_result_(fiber_unlink(path));
}

static inline int fiber_posix_mkdir(const char *path, mode_t mode)
{
	return (int)fiber_posix_result_(fiber_mkdir(path, mode));
}

static inline int fiber_posix_rmdir(const char *path)
{
	return (int)fiber_posix_result_(fiber_rmdir(path));
}

/* NULL, and errno. The directory is the library's own: closed and read by the two below only. */
static inline fiber_dir_t *fiber_posix_opendir(const char *path)
{
	fiber_dir_t *dir = NULL;

	return fiber_posix_result_(fiber_opendir(&dir, path)) < 0 ? NULL : dir;
}

/* NULL at the end, with errno as it was; NULL and errno after an error. */
static inline const struct dirent *fiber_posix_readdir(fiber_dir_t *dir)
{
	const struct dirent *entry = NULL;
	int kept = errno, r = fiber_readdir(dir, &entry);

	errno = r < 0 ? -r : kept;
	return r > 0 ? entry : NULL;
}

static inline int fiber_posix_closedir(fiber_dir_t *dir)
{
	return (int)fiber_posix_result_(fiber_closedir(dir));
}

/* fdopen(3): NULL, and errno. */
static inline FILE *fiber_posix_fdopen(int fd, const char *mode)
{
	FILE *stream = NULL;

	return fiber_posix_result_(fiber_fdopen(&stream, fd, mode)) < 0 ? NULL : stream;
}

/* ---- time -------------------------------------------------------------------------------------*/
/* Sleeps; *left (it may be NULL) is what was left when it was interrupted. */
static inline int fiber_posix_nanosleep(const struct timespec *time, struct timespec *left)
{
	int64_t end, rest;
	int r;

	if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= FIBER_SECOND)
		return (int)fiber_posix_result_(-EINVAL);
	end = time->tv_sec >= FIBER_NEVER / FIBER_SECOND / 2
		      ? FIBER_NEVER
		      : fiber_after(time->tv_sec * FIBER_SECOND + time->tv_nsec);
	r = fiber_sleep_until(end);
	rest = end - fiber_now();
	if (rest < 0)
		rest = 0;
	if (r < 0 && left) {
		left->tv_sec = (time_t)(rest / FIBER_SECOND);
		left->tv_nsec = (long)(rest % FIBER_SECOND);
	}
	return (int)fiber_posix_result_(r);
}

/* Returns 0; or how many seconds were left when it was interrupted, rounded up. */
static inline unsigned fiber_posix_sleep(unsigned seconds)
{
	struct timespec time = { (time_t)seconds, 0 }, left = { 0, 0 };

	if (fiber_posix_nanosleep(&time, &left) == 0)
		return 0;
	return (unsigned)left.tv_sec + (left.tv_nsec > 0);
}

static inline int fiber_posix_usleep(unsigned microseconds)
{
	return (int)fiber_posix_result_(fiber_sleep(microseconds * FIBER_MICROSECOND));
}

#ifdef FIBER_POSIX_NAMES
#define read(...) fiber_posix_read(__VA_ARGS__)
#define write(...) fiber_posix_write(__VA_ARGS__)
#define readv(...) fiber_posix_readv(__VA_ARGS__)
#define writev(...) fiber_posix_writev(__VA_ARGS__)
#define pread(...) fiber_posix_pread(__VA_ARGS__)
#define pwrite(...) fiber_posix_pwrite(__VA_ARGS__)
#define fsync(...) fiber_posix_fsync(__VA_ARGS__)
#define close(...) fiber_posix_close(__VA_ARGS__)
#define poll(...) fiber_posix_poll(__VA_ARGS__)
#define pipe(...) fiber_posix_pipe(__VA_ARGS__)
#define open(...) fiber_posix_open(__VA_ARGS__)
#define socket(...) fiber_posix_socket(__VA_ARGS__)
#define socketpair(...) fiber_posix_socketpair(__VA_ARGS__)
#define accept(...) fiber_posix_accept(__VA_ARGS__)
#define connect(...) fiber_posix_connect(__VA_ARGS__)
#define shutdown(...) fiber_posix_shutdown(__VA_ARGS__)
#define recv(...) fiber_posix_recv(__VA_ARGS__)
#define send(...) fiber_posix_send(__VA_ARGS__)
#define recvfrom(...) fiber_posix_recvfrom(__VA_ARGS__)
#define sendto(...) fiber_posix_sendto(__VA_ARGS__)
#define recvmsg(...) fiber_posix_recvmsg(__VA_ARGS__)
#define sendmsg(...) fiber_posix_sendmsg(__VA_ARGS__)
#define stat(...) fiber_posix_stat(__VA_ARGS__)
#define lstat(...) fiber_posix_lstat(__VA_ARGS__)
#define fstat(...) fiber_posix_fstat(__VA_ARGS__)
#define rename(...) fiber_posix_rename(__VA_ARGS__)
#define unlink(...) fiber_posix_unlink(__VA_ARGS__)
#define mkdir(...) fiber_posix_mkdir(__VA_ARGS__)
#define rmdir(...) fiber_posix_rmdir(__VA_ARGS__)
#define fdopen(...) fiber_posix_fdopen(__VA_ARGS__)
#define nanosleep(...) fiber_posix_nanosleep(__VA_ARGS__)
#define sleep(...) fiber_posix_sleep(__VA_ARGS__)
#define usleep(...) fiber_posix_usleep(__VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif
