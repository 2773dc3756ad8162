/* unix.c - socket files: bound where a dead server's file may lie.
 *
 * bind(2) makes the file and never removes it; a second bind fails whether its owner lives or not.
 * The only way to tell is to connect: refused means that nobody listens. So an old file is tried,
 * removed if dead, and bind is called again.
 *
 * Between another server's bind and its listen its file looks dead too, and two servers that found
 * the same dead file could remove each other's new one. Therefore bind-and-listen is one step
 * under a lock on the directory (flock: advisory, released by the kernel with its holder, no file
 * left behind). Rejected: a lock file beside the socket (stays for ever, or is removed in yet
 * another race); binding under a temporary name and rename(2) (atomic, but getsockname tells the
 * temporary name to this server and to all its clients, and rename replaces a live server's file
 * unasked).
 *
 * What remains: programs that do not take this lock; directories that cannot be opened for reading
 * or whose file system knows no locks. There the window is the time between two system calls. And
 * whoever holds the directory's lock for long, for purposes of his own, delays the start of a
 * server; the caller's deadline bounds it. */
#include "net/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "net/socket.h"

#define LOCK_PAUSE (2 * FIBER_MILLISECOND)

/* ---- the lock ---------------------------------------------------------------------------------*/
static int open_directory(const char *path)
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(name, sizeof name, ".");
	else if (slash == path)
		snprintf(name, sizeof name, "/");
	else
		snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
	return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Not inlined, nor are the others that read errno: socket.c. */
static NOINLINE int try_lock(int directory)
{
	if (flock(directory, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return 0;
}

/* *lock: a descriptor whose close(2) unlocks, or -1: no lock is to be had here, go on without. 0,
 * or why fiber_sleep ended. */
static int lock_directory(const char *path, int *lock)
{
	int directory = open_directory(path), r;

	*lock = -1;
	if (directory < 0)
		return 0;
	while ((r = try_lock(directory)) == -EWOULDBLOCK) {
		r = fiber_sleep(LOCK_PAUSE);
		if (r < 0) {
			close(directory);
			return r;
		}
	}
	if (r == 0)
		*lock = directory;
	else
		close(directory);
	return 0;
}

/* ---- the file ---------------------------------------------------------------------------------*/
static int open_probe(int type)
{
	return socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Only "refused" proves that nobody is there: a full backlog, a socket of another type or missing
 * rights mean somebody is, or cannot tell. */
static bool is_dead(const struct address *a)
{
	struct stat status;

	if (lstat(a->path.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	int probe = open_probe(a->type);

	if (probe < 0)
		return false;
	int r = socket_start_connect(probe, (const struct sockaddr *)&a->path, a->path_bytes);

	close(probe);
	return r == -ECONNREFUSED;
}

static NOINLINE int remove_file(const struct address *a)
{
	if (unlink(a->path.sun_path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int bind_replacing(fiber_fd fd, const struct address *a)
{
	const struct sockaddr *name = (const struct sockaddr *)&a->path;
	int r = socket_bind(fd, name, a->path_bytes);

	if (r != -EADDRINUSE || !address_is_file(a) || !is_dead(a))
		return r;
	r = remove_file(a);
	return r < 0 ? r : socket_bind(fd, name, a->path_bytes);
}

/* The socket's own mode is what Linux gives the file, less the umask: set before bind, the file
 * never grants more than was asked, not for a moment. Other systems refuse; there the window is
 * the time until set_mode, in which nobody listens yet. The umask itself belongs to the whole
 * process and cannot be changed for one call. */
static void narrow_mode(fiber_fd fd, unsigned mode)
{
	(void)fchmod(fd, (mode_t)mode);
}

static NOINLINE int set_mode(const struct address *a, unsigned mode)
{
	if (chmod(a->path.sun_path, (mode_t)mode) < 0)
		return -errno;
	return 0;
}

static int bind_and_listen(fiber_fd fd, const struct address *a, unsigned mode, int backlog)
{
	if (mode)
		narrow_mode(fd, mode);
	int r = bind_replacing(fd, a);

	if (r < 0)
		return r;
	if (mode)
		r = set_mode(a, mode);
	if (r == 0 && backlog >= 0)
		r = socket_listen(fd, backlog);
	/* Ours by now, and of no use to anybody. */
	if (r < 0 && address_is_file(a))
		remove_file(a);
	return r;
}

int unix_bind(fiber_fd fd, const struct address *a, unsigned mode, int backlog)
{
	int lock, r;

	must(a->family == AF_UNIX);
	if (!address_is_file(a))
		return bind_and_listen(fd, a, 0, backlog);
	r = lock_directory(a->path.sun_path, &lock);
	if (r < 0)
		return r;
	r = bind_and_listen(fd, a, mode, backlog);
	if (lock >= 0)
		close(lock);
	return r;
}
