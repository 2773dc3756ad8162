/* file_server.c - sends files: a client writes a name and a newline, and gets "OK SIZE\n" and the
 * contents, or "ERROR why\n"; then it may ask for the next.
 *
 *	file_server [ADDRESS [FOLDER]]		default tcp:127.0.0.1:7070, the current folder
 *
 * Nothing outside of FOLDER is sent: the kernel itself resolves a name beneath it, symbolic links
 * too, so nobody can put one there between a check and the open. */
#include <errno.h>
#include <fcntl.h>
#include <fiber/file.h>
#include <fiber/reader.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve.h"

struct request {
	int folder;
	const char *name;
};

/* On a helper thread: looking a name up may wait for the disk. No FIFO is waited for. */
static int open_beneath(void *arg)
{
	const struct request *r = arg;
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, r->folder, r->name, &how, sizeof how);

	return fd < 0 ? -errno : (int)fd;
}

static const char *why(int r)
{
	switch (r) {
	case -EXDEV:
		return "outside of the folder";
	case -EISDIR:
		return "a directory";
	case -EINVAL:
		return "no regular file";
	default:
		return fiber_strerror(r);
	}
}

/* The file, and its size; or what is wrong with it. */
static fiber_fd open_file(const struct request *request, int64_t *size)
{
	fiber_fd fd = fiber_offload(open_beneath, (void *)request);
	struct stat about;
	int r;

	if (fd < 0)
		return fd;
	r = fiber_fstat(fd, &about);
	if (r == 0 && !S_ISREG(about.st_mode))
		r = S_ISDIR(about.st_mode) ? -EISDIR : -EINVAL;
	*size = r == 0 ? about.st_size : 0;
	if (r == 0)
		return fd;
	fiber_close(fd);
	return r;
}

/* A file that shrinks meanwhile cannot be sent as announced. */
static int send_file(fiber_fd client, fiber_fd file, int64_t size)
{
	int64_t offset = 0;
	ssize_t n = fiber_dprintf(client, "OK %lld\n", (long long)size);

	while (n > 0 && offset < size)
		n = fiber_sendfile(client, file, &offset, (size_t)(size - offset));
	return n < 0 ? (int)n : offset < size ? -EIO : 0;
}

static int answer(fiber_fd client, const struct request *request)
{
	int64_t size;
	fiber_fd file = open_file(request, &size);
	int r;

	if (file == -ECANCELED)
		return file;
	if (file < 0) {
		r = fiber_dprintf(client, "ERROR %s\n", why(file));
		return r < 0 ? r : 0;
	}
	r = send_file(client, file, size);
	fiber_close(file);
	return r;
}

static int serve_client(fiber_fd fd, void *folder)
{
	struct request request = {.folder = *(int *)folder};
	char memory[4096], *name;
	fiber_reader_t in;
	ssize_t n = fiber_reader_init(&in, fd, memory, sizeof memory);

	while (n >= 0 && (n = fiber_reader_line(&in, &name, 0)) >= 0) {
		request.name = name;
		n = strlen(name) == (size_t)n ? answer(fd, &request)
					      : fiber_dprintf(fd, "ERROR a zero byte\n");
	}
	if (n == -EMSGSIZE)
		n = fiber_dprintf(fd, "ERROR the name is too long\n");
	return n == -ENODATA || n > 0 ? 0 : (int)n;
}

int main(int argc, char **argv)
{
	const char *path = argc > 2 ? argv[2] : ".";
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0) {
		perror(path);
		return 1;
	}
	return serve_main(NULL, argc > 1 ? argv[1] : "tcp:127.0.0.1:7070", serve_client, &folder);
}
