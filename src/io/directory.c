/* directory.c - the entries of a directory, fetched on a helper thread by the batch, handed out one
 * by one. A directory belongs to one fiber at a time. */
#include <fiber/file.h>
#include <stdlib.h>
#include <string.h>

#include "io/file_call.h"

enum { BATCH = 64 };

struct fiber_dir {
	DIR *stream;
	unsigned next, count;          /* of entries: next to be handed out, fetched */
	int error;                     /* that ended the batch; told after it */
	bool end;
	struct dirent entry[BATCH];
};

static ssize_t open_stream(struct file_call *c)
{
	struct fiber_dir *d = c->argument;

	d->stream = opendir(c->path);
	return d->stream ? 0 : -errno;
}

static ssize_t close_stream(struct file_call *c)
{
	struct fiber_dir *d = c->argument;

	return closedir(d->stream) < 0 && errno != EINTR ? -errno : 0;
}

/* readdir tells an error from the end by errno alone. */
static ssize_t fetch(struct file_call *c)
{
	struct fiber_dir *d = c->argument;

	for (d->next = d->count = 0; d->count < BATCH; d->count++) {
		const struct dirent *e;

		errno = 0;
		e = readdir(d->stream);
		if (!e) {
			d->error = -errno;
			d->end = d->error == 0;
			break;
		}
		if (e->d_reclen > sizeof *e) { /* some file systems have such names */
			d->error = -EOVERFLOW;
			break;
		}
		memcpy(&d->entry[d->count], e, e->d_reclen);
	}
	return 0;
}

static ssize_t call(fiber_dir_t *d, ssize_t (*program)(struct file_call *), const char *path)
{
	struct file_call c = { .kind = FILE_PROGRAM, .program = program, .argument = d,
			       .path = path, .job.what = WAIT_READ };

	return file_call(&c);
}

PUBLIC int fiber_opendir(fiber_dir_t **out, const char *path)
{
	struct fiber_dir *d;
	int r = out && path ? io_check_time() : -EFAULT;

	if (r < 0)
		return r;
	d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	r = (int)call(d, open_stream, path);
	if (r < 0) {
		free(d);
		return r;
	}
	*out = d;
	return 0;
}

PUBLIC int fiber_readdir(fiber_dir_t *d, const struct dirent **entry)
{
	int r = d && entry ? wait_check() : -EFAULT;

	if (r < 0)
		return r;
	if (d->next == d->count && !d->end && d->error == 0) {
		r = io_check_time();
		if (r == 0)
			r = (int)call(d, fetch, NULL);
		if (r < 0)
			return r;
	}
	wait_done();
	if (d->next == d->count) {
		r = d->error;
		d->error = 0;
		return r;
	}
	*entry = &d->entry[d->next++];
	return 1;
}

PUBLIC int fiber_closedir(fiber_dir_t *d)
{
	fiber_scope_t shield;
	int r;

	if (!d)
		return -EFAULT;
	fiber_shield(&shield, FIBER_NEVER);
	r = (int)call(d, close_stream, NULL);
	r = (int)fiber_scope_end(&shield, r);
	if (r == -EAGAIN || r == -ENOMEM || r == -ECHILD) /* no helper: then here */
		r = closedir(d->stream) < 0 ? -errno : 0;
	free(d);
	return r;
}
