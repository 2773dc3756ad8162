/* Files: read and written on helpers while the worker goes on; opened, synchronised. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

static char folder[] = "io_files.XXXXXX";

static void make_folder(void)
{
	cr_expect(mkdtemp(folder) != NULL);
}

static void remove_folder(void)
{
	cr_expect(rmdir(folder) == 0);
}

TestSuite(io_files, .init = make_folder, .fini = remove_folder, .timeout = 60);

static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* ---- read and write ---------------------------------------------------------------------------*/
static int at_offsets(void *arg)
{
	struct iovec in[2], out[2] = { { "iovec", 5 }, { "tor", 3 } };
	char buffer[32];
	fiber_fd fd = fiber_open(path_of("file"), O_RDWR | O_CREAT | O_TRUNC, 0640);
	struct stat about;

	(void)arg;
	cr_expect(fd >= 0);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect(fstat(fd, &about) == 0 && (about.st_mode & 0777 & ~0640) == 0);
	cr_expect(fiber_write(fd, "0123456789", 10) == 10);
	cr_expect(fiber_pwrite(fd, "AB", 2, 4) == 2);
	cr_expect(fiber_pread(fd, buffer, 32, 0) == 10, "short at the end only");
	cr_expect(memcmp(buffer, "0123AB6789", 10) == 0);
	cr_expect(fiber_pread(fd, buffer, 3, 8) == 2);
	cr_expect(fiber_pread(fd, buffer, 3, 10) == 0);
	cr_expect(fiber_pread(fd, buffer, 3, INT64_MAX / 2) == 0);
	cr_expect(fiber_read(fd, buffer, 8) == 0, "the position is at the end");
	cr_expect(lseek(fd, 2, SEEK_SET) == 2);
	cr_expect(fiber_read(fd, buffer, 4) == 4 && memcmp(buffer, "23AB", 4) == 0);
	cr_expect(fiber_writev(fd, out, 2) == 8);
	in[0] = (struct iovec){ buffer, 1 };
	in[1] = (struct iovec){ buffer + 1, 31 };
	cr_expect(lseek(fd, 5, SEEK_SET) == 5);
	cr_expect(fiber_readv(fd, in, 2) == 9 && memcmp(buffer, "Biovector", 9) == 0);
	cr_expect(fiber_fsync(fd) == 0);
	cr_expect(fiber_close(fd) == 0);
	cr_expect(unlink(path_of("file")) == 0);
	return 0;
}

Test(io_files, are_read_and_written_at_offsets)
{
	law_holds(at_offsets, NULL);
}

/* What is not in the page cache is fetched, and the count is whole. */
static int cold_pages(void *arg)
{
	enum { BYTES = 1 << 20 };
	char *data = malloc(BYTES);
	fiber_fd fd = fiber_open(path_of("cold"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	(void)arg;
	memset(data, 'c', BYTES);
	cr_expect(fiber_write_all(fd, data, BYTES, NULL) == BYTES);
	cr_expect(fiber_fsync(fd) == 0);
	for (int i = 0; i < 5; i++) {
		posix_fadvise(fd, i % 2 ? BYTES / 2 : 0, 0, POSIX_FADV_DONTNEED);
		memset(data, 0, BYTES);
		cr_expect(fiber_pread(fd, data, BYTES, 0) == BYTES);
		cr_expect(data[0] == 'c' && data[BYTES - 1] == 'c' && data[BYTES / 2] == 'c');
	}
	free(data);
	cr_expect(fiber_close(fd) == 0);
	cr_expect(unlink(path_of("cold")) == 0);
	return 0;
}

Test(io_files, are_read_whole_whatever_is_cached)
{
	law_holds(cold_pages, NULL);
}

static int known_interruption(void *arg)
{
	fiber_fd fd = fiber_open(path_of("known"), O_RDWR | O_CREAT | O_TRUNC, 0600), n = -1;
	fiber_scope_t scope;
	char byte;
	int64_t offset = 0;

	(void)arg;
	cr_expect(fiber_write(fd, "abc", 3) == 3);
	fiber_within(&scope, 0);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_pwrite(fd, "x", 1, 0) == -ECANCELED);
	cr_expect(fiber_pread(fd, &byte, 1, 0) == -ECANCELED);
	cr_expect(fiber_write(fd, "x", 1) == -ECANCELED);
	cr_expect(fiber_fsync(fd) == -ECANCELED);
	cr_expect(fiber_sendfile(fd, fd, &offset, 1) == -ECANCELED);
	cr_expect(fiber_open(path_of("never"), O_CREAT | O_RDWR, 0600) == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, n) == -1);
	cr_expect(access(path_of("never"), F_OK) < 0 && errno == ENOENT);
	cr_expect(fiber_pread(fd, &byte, 1, 0) == 1 && byte == 'a');
	cr_expect(lseek(fd, 0, SEEK_END) == 3);
	cr_expect(fiber_close(fd) == 0);
	cr_expect(unlink(path_of("known")) == 0);
	return 0;
}

Test(io_files, a_known_interruption_comes_before_any_effect)
{
	law_holds(known_interruption, NULL);
}

/* Many fibers, more than helpers. */
enum { MANY = 200 };

struct shared {
	fiber_fd fd;
	_Atomic int next;
};

static int writes_its_own(void *arg)
{
	struct shared *s = arg;
	int me = atomic_fetch_add(&s->next, 1), seen = -1;

	for (int i = 0; i < 10; i++) {
		cr_expect(fiber_pwrite(s->fd, &me, sizeof me, me * (int)sizeof me) == sizeof me);
		cr_expect(fiber_pread(s->fd, &seen, sizeof seen, me * (int)sizeof me) ==
			  sizeof seen);
		cr_expect(seen == me);
	}
	return 0;
}

static int crowd(void *arg)
{
	struct shared s = { .fd = fiber_open(path_of("crowd"), O_RDWR | O_CREAT, 0600) };
	fiber_t f[MANY];

	(void)arg;
	for (int i = 0; i < MANY; i++)
		f[i] = spawned(writes_its_own, &s);
	for (int i = 0; i < MANY; i++)
		cr_expect(result_of(f[i]) == 0);
	cr_expect(fiber_close(s.fd) == 0);
	cr_expect(unlink(path_of("crowd")) == 0);
	return 0;
}

Test(io_files, are_used_by_more_fibers_than_helpers)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 3 }, crowd, NULL);
}

/* Beyond RLIMIT_FSIZE there is an error, and no signal. */
static int too_large(void *arg)
{
	fiber_fd fd = fiber_open(path_of("large"), O_RDWR | O_CREAT, 0600);

	(void)arg;
	cr_expect(fiber_pwrite(fd, "x", 1, 1 << 20) == -EFBIG);
	cr_expect(lseek(fd, 1 << 20, SEEK_SET) == 1 << 20);
	cr_expect(fiber_write(fd, "x", 1) == -EFBIG);
	cr_expect(fiber_close(fd) == 0);
	cr_expect(unlink(path_of("large")) == 0);
	return 0;
}

static int offloaded_nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* A signal that stayed behind on a helper would come when that runs the program's code. */
static int too_large_and_on(void *arg)
{
	too_large(arg);
	for (int i = 0; i < 10; i++)
		cr_expect(fiber_offload(offloaded_nothing, NULL) == 0);
	return 0;
}

Test(io_files, too_large_is_an_error_and_no_signal)
{
	cr_expect(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 65536, 65536 }) == 0);
	law_holds(too_large_and_on, NULL);
	too_large(NULL); /* nor on a plain thread */
}

/* ---- open -------------------------------------------------------------------------------------*/
static int opens_for_writing(void *arg)
{
	(void)arg;
	return fiber_open(path_of("fifo"), O_WRONLY);
}

static int fifo(void *arg)
{
	fiber_fd in, out;
	char byte = 0;
	fiber_t f;

	(void)arg;
	cr_expect(mkfifo(path_of("fifo"), 0600) == 0);
	f = spawned(opens_for_writing, NULL);
	until_it_waits_for(f, "offload");
	in = fiber_open(path_of("fifo"), O_RDONLY);
	out = result_of(f);
	cr_expect(in >= 0 && out >= 0);
	cr_expect(fcntl(in, F_GETFL) & O_NONBLOCK);
	cr_expect(fiber_write(out, "x", 1) == 1);
	cr_expect(fiber_read(in, &byte, 1) == 1 && byte == 'x');
	cr_expect(fiber_close(in) == 0 && fiber_close(out) == 0);

	cr_expect(fiber_open(path_of("fifo"), O_WRONLY | O_NONBLOCK) == -ENXIO);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, opens_for_writing(NULL)) == -ETIMEDOUT);
	f = spawned(opens_for_writing, NULL);
	until_it_waits_for(f, "offload");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(unlink(path_of("fifo")) == 0);
	return 0;
}

Test(io_files, a_fifo_is_waited_for_until_its_other_end_opens)
{
	law_holds(fifo, NULL);
}

static int misuse(void *arg)
{
	fiber_fd fd = fiber_open(path_of("misuse"), O_RDWR | O_CREAT, 0600), pipe[2];
	fiber_fd directory = fiber_open(folder, O_RDONLY | O_DIRECTORY);
	fiber_fd path = fiber_open(folder, O_PATH);
	int64_t negative = -1, zero = 0, beyond = INT64_MAX;
	char byte;

	(void)arg;
	cr_expect(fiber_open(NULL, O_RDONLY) == -EFAULT);
	cr_expect(fiber_open("", O_RDONLY) == -ENOENT);
	cr_expect(fiber_open(path_of("misuse"), O_RDONLY | O_DIRECTORY) == -ENOTDIR);
	cr_expect(fiber_open(path_of("misuse"), O_CREAT | O_EXCL, 0600) == -EEXIST);
	cr_expect(fiber_read(directory, &byte, 1) == -EISDIR);
	cr_expect(fiber_read(path, &byte, 1) == -EBADF);
	cr_expect(fiber_pread(-1, &byte, 1, 0) == -EBADF);
	cr_expect(fiber_pread(fd, NULL, 1, 0) == -EFAULT);
	cr_expect(fiber_pread(fd, &byte, 1, -1) == -EINVAL);
	cr_expect(fiber_pread(fd, &byte, SIZE_MAX, 0) == -EINVAL);
	cr_expect(fiber_pread(fd, NULL, 0, 0) == 0);
	cr_expect(fiber_pwrite(INT_MAX, &byte, 1, 0) == -EBADF);
	cr_expect(fiber_pwrite(fd, NULL, 1, 0) == -EFAULT);
	cr_expect(fiber_pwrite(fd, &byte, 1, INT64_MIN) == -EINVAL);
	cr_expect(fiber_pwrite(fd, NULL, 0, 0) == 0);
	cr_expect(fiber_fsync(-1) == -EBADF);
	cr_expect(fiber_fsync(INT_MAX) == -EBADF);
	cr_expect(fiber_pipe(NULL) == -EFAULT);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, NULL) == -EFAULT);
	cr_expect(fiber_socketpair(AF_INET, SOCK_STREAM, 0, pipe) == -EOPNOTSUPP);
	cr_expect(fiber_socket(-1, SOCK_STREAM, 0) == -EAFNOSUPPORT);
	cr_expect(fiber_socket(AF_INET, -1, 0) < 0);
	cr_expect(fiber_pipe(pipe) == 0);
	cr_expect(fiber_fsync(pipe[0]) == -EINVAL);
	cr_expect(fiber_pread(pipe[0], &byte, 1, 0) == -ESPIPE);
	cr_expect(fiber_pwrite(pipe[1], &byte, 1, 0) == -ESPIPE);
	cr_expect(fiber_sendfile(-1, fd, NULL, 1) == -EBADF);
	cr_expect(fiber_sendfile(pipe[1], -1, NULL, 1) == -EBADF);
	cr_expect(fiber_sendfile(pipe[1], fd, &negative, 1) == -EINVAL);
	cr_expect(fiber_sendfile(pipe[1], fd, &zero, SIZE_MAX) == -EINVAL);
	cr_expect(fiber_sendfile(pipe[1], fd, &zero, 0) == 0);
	cr_expect(fiber_sendfile(pipe[1], fd, &zero, 1) == 0, "an empty file");
	cr_expect(fiber_sendfile(pipe[1], fd, &beyond, 1) <= 0);
	cr_expect(fiber_sendfile(pipe[1], pipe[0], NULL, 1) == -EINVAL);
	cr_expect(fiber_sendfile(pipe[0], fd, &zero, 1) == -EBADF);
	cr_expect(fiber_close(pipe[0]) == 0 && fiber_close(pipe[1]) == 0);
	cr_expect(fiber_close(fd) == 0 && fiber_close(directory) == 0 && fiber_close(path) == 0);
	cr_expect(unlink(path_of("misuse")) == 0);
	return 0;
}

Test(io_files, misuse_is_told)
{
	law_holds(misuse, NULL);
}

static int without_descriptors(void *arg)
{
	struct rlimit before, none;
	fiber_fd fds[2], spare = fiber_socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	cr_expect(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){ (rlim_t)spare, before.rlim_max };
	cr_expect(setrlimit(RLIMIT_NOFILE, &none) == 0);
	cr_expect(fiber_open("/dev/null", O_RDONLY) == -EMFILE);
	cr_expect(fiber_pipe(fds) == -EMFILE);
	cr_expect(fiber_socket(AF_INET, SOCK_STREAM, 0) == -EMFILE);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -EMFILE);
	cr_expect(setrlimit(RLIMIT_NOFILE, &before) == 0);
	return fiber_close(spare);
}

Test(io_files, without_descriptors_says_so)
{
	law_holds(without_descriptors, NULL);
}
