/* whole_file.c - a file read or written whole: one trip to a helper thread, not one for each call.
 *
 * Writing is atomic by rename: a new file beside the old one is filled, brought to the disk, and
 * takes its name; whoever opens the name finds the old contents or the new, also after a crash.
 * Whatever goes wrong before the rename, the new file is removed. Between pieces of PIECE bytes
 * both look whether they have been interrupted. */
#include <fcntl.h>
#include <fiber/file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file_call.h"

enum { PIECE = 1 << 20, NAMES = 1000 };

/* ---- reading ----------------------------------------------------------------------------------*/
struct reading {
	size_t most;
	char *data;                    /* `size` bytes, and a zero */
	size_t size, room;
};

/* Room for one byte more than the file is said to have, to see its end, and for the zero. */
static int make_room(struct reading *r, size_t bytes)
{
	char *data = realloc(r->data, bytes + 2);

	if (!data)
		return -ENOMEM;
	r->data = data;
	r->room = bytes + 1;
	return 0;
}

static int read_piece(struct reading *r, fiber_fd fd, bool *end)
{
	size_t bytes = r->room - r->size;
	ssize_t n;

	n = read(fd, r->data + r->size, bytes < PIECE ? bytes : PIECE);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	r->size += (size_t)n;
	*end = n == 0;
	if (r->size > r->most)
		return -EFBIG;
	return r->size == r->room ? make_room(r, 2 * r->room) : 0;
}

static int read_all(struct file_call *c, struct reading *r, fiber_fd fd)
{
	struct stat about;
	bool end = false;
	int e = 0;

	if (fstat(fd, &about) < 0)
		return -errno;
	if (!S_ISREG(about.st_mode))
		return S_ISDIR(about.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)about.st_size > r->most)
		return -EFBIG;
	e = make_room(r, (size_t)about.st_size);
	while (e == 0 && !end)
		e = file_stopped(c) ? -EINTR : read_piece(r, fd, &end);
	return e;
}

/* A FIFO would be waited for: it is none of ours, so O_NONBLOCK. */
static ssize_t read_file(struct file_call *c)
{
	struct reading *r = c->argument;
	fiber_fd fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int e;

	if (fd < 0)
		return -errno;
	r->size = 0;
	e = read_all(c, r, fd);
	close(fd);
	if (e < 0) {
		free(r->data);
		r->data = NULL;
		return e;
	}
	r->data[r->size] = 0;
	return (ssize_t)r->size;
}

PUBLIC ssize_t fiber_read_file(const char *path, void **out, size_t most)
{
	struct reading r = { .most = most ? most : SSIZE_MAX - 2 };
	struct file_call c = { .kind = FILE_PROGRAM, .path = path, .program = read_file,
			       .argument = &r, .job.what = WAIT_READ };
	ssize_t n = path && out ? io_check_time() : -EFAULT;

	if (n < 0)
		return n;
	n = file_call(&c);
	*out = n < 0 ? NULL : r.data;
	return n;
}

/* ---- writing ----------------------------------------------------------------------------------*/
struct writing {
	const char *data;
	size_t bytes;
	char *target;                  /* where links lead */
	char *temporary;               /* in the same directory */
	size_t directory;              /* bytes of its name, with the slash */
	struct stat was;
	bool exists;
};

static int look_at_target(struct writing *w, const char *path)
{
	w->target = realpath(path, NULL);
	if (!w->target && errno == ENOENT)
		w->target = strdup(path); /* a new one */
	if (!w->target)
		return -errno;
	w->directory = strrchr(w->target, '/') ? (size_t)(strrchr(w->target, '/') - w->target) + 1
					       : 0;
	w->exists = stat(w->target, &w->was) == 0;
	if (!w->exists || S_ISREG(w->was.st_mode))
		return 0;
	return S_ISDIR(w->was.st_mode) ? -EISDIR : -EINVAL;
}

static void name_temporary(struct writing *w, size_t room)
{
	static _Atomic unsigned serial;
	unsigned number = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);

	snprintf(w->temporary, room, "%.*s.fiber-%ld-%u", (int)w->directory, w->target,
		 (long)getpid(), number);
}

static int open_temporary(struct writing *w, mode_t mode)
{
	size_t room = w->directory + 64;
	int fd = -1;

	w->temporary = malloc(room);
	if (!w->temporary)
		return -ENOMEM;
	for (int i = 0; i < NAMES && fd < 0; i++) {
		name_temporary(w, room);
		fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd < 0 && errno != EEXIST && errno != EINTR)
			break;
	}
	return fd < 0 ? -errno : fd;
}

/* As the old one: its owner, if we may, and its mode, which a change of owner would cut. */
static int take_after(const struct writing *w, fiber_fd fd)
{
	struct stat now;

	if (!w->exists)
		return 0;
	if (fstat(fd, &now) < 0)
		return -errno;
	if ((now.st_uid != w->was.st_uid || now.st_gid != w->was.st_gid) &&
	    fchown(fd, w->was.st_uid, w->was.st_gid) < 0 && errno != EPERM)
		return -errno;
	return fchmod(fd, w->was.st_mode & 07777) < 0 ? -errno : 0;
}

static int write_all(struct file_call *c, const struct writing *w, fiber_fd fd)
{
	size_t done = 0, rest;
	ssize_t n;

	while (done < w->bytes) {
		if (file_stopped(c))
			return -EINTR;
		rest = w->bytes - done;
		n = write(fd, w->data + done, rest < PIECE ? rest : PIECE);
		if (n == 0)
			return -EIO;
		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int fill(struct file_call *c, const struct writing *w, fiber_fd fd)
{
	int e = take_after(w, fd);

	if (e == 0)
		e = write_all(c, w, fd);
	while (e == 0 && fsync(fd) < 0)
		e = errno == EINTR ? 0 : -errno;
	if (close(fd) < 0 && e == 0 && errno != EINTR)
		e = -errno;
	return e;
}

/* The name itself is in the directory, and to the disk with it. Not every file system can. */
static int sync_directory(struct writing *w)
{
	fiber_fd fd;
	int e = 0;

	w->target[w->directory] = 0;
	fd = open(w->directory ? w->target : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (fsync(fd) < 0 && errno == EIO)
		e = -EIO;
	close(fd);
	return e;
}

static int replace(struct file_call *c, struct writing *w)
{
	int fd = open_temporary(w, c->mode), e;

	if (fd < 0)
		return fd;
	e = fill(c, w, fd);
	if (e == 0 && file_stopped(c))
		e = -EINTR;
	if (e == 0 && rename(w->temporary, w->target) < 0)
		e = -errno;
	if (e == 0)
		return sync_directory(w);
	unlink(w->temporary);
	return e;
}

static ssize_t write_file(struct file_call *c)
{
	struct writing *w = c->argument;
	int e = look_at_target(w, c->path);

	if (e == 0)
		e = replace(c, w);
	free(w->target);
	free(w->temporary);
	w->target = w->temporary = NULL;
	return e;
}

PUBLIC int fiber_write_file(const char *path, const void *data, size_t bytes, mode_t mode)
{
	struct writing w = { .data = data, .bytes = bytes };
	struct file_call c = { .kind = FILE_PROGRAM, .path = path, .mode = mode,
			       .program = write_file, .argument = &w, .job.what = WAIT_WRITE };
	int r = path ? io_check(0, data, bytes) : -EFAULT;

	if (r == 0)
		r = io_check_time();
	return r < 0 ? r : (int)file_call(&c);
}
