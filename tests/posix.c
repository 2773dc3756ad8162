/* fiber/posix.h: -1 and errno, parking underneath; under the system's names, as ported code has
 * them. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "law.h"
#include "on_a_thread.h"
#include "others.h"
#include "worlds.h"

#define FIBER_POSIX_NAMES
#include <fiber/posix.h>

static char folder[] = "posix.XXXXXX";

static void make_folder(void)
{
	cr_expect(mkdtemp(folder) != NULL);
}

static void remove_folder(void)
{
	cr_expect((rmdir)(folder) == 0);
}

TestSuite(posix, .init = make_folder, .fini = remove_folder, .timeout = 60);

static void holds(fiber_fn *law)
{
	law_holds(law, NULL);
	cr_expect(on_a_thread(law, NULL) == 0);
}

/* ---- success ----------------------------------------------------------------------------------*/
static int server(void *arg)
{
	int listener = *(int *)arg, client = accept(listener, NULL, NULL);
	char buffer[64];
	ssize_t n;

	while ((n = read(client, buffer, sizeof buffer)) > 0)
		if (write(client, buffer, (size_t)n) != n)
			return -1;
	return n == 0 ? close(client) : -1;
}

/* As it would be written for threads. */
static int client(void *arg)
{
	struct sockaddr_in name;
	socklen_t size = sizeof name;
	struct iovec out = { "vec", 3 };
	struct msghdr message = { .msg_iov = &out, .msg_iovlen = 1 };
	struct pollfd set = { .events = POLLIN };
	char buffer[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_expect(getsockname(*(int *)arg, (struct sockaddr *)&name, &size) == 0);
	cr_expect(connect(fd, (struct sockaddr *)&name, size) == 0);
	set.fd = fd;
	cr_expect(poll(&set, 1, 0) == 0);
	cr_expect(send(fd, "hello", 5, 0) == 5);
	cr_expect(recv(fd, buffer, sizeof buffer, 0) == 5 && memcmp(buffer, "hello", 5) == 0);
	cr_expect(sendmsg(fd, &message, 0) == 3 && poll(&set, 1, -1) == 1);
	cr_expect(recvfrom(fd, buffer, 3, MSG_WAITALL, NULL, NULL) == 3);
	cr_expect(sendto(fd, "to", 2, 0, NULL, 0) == 2);
	out = (struct iovec){ buffer, 2 };
	cr_expect(recvmsg(fd, &message, MSG_WAITALL) > 0);
	cr_expect(shutdown(fd, SHUT_WR) == 0);
	while (recv(fd, buffer, sizeof buffer, 0) > 0)
		;
	return close(fd);
}

static int talk(void *arg)
{
	struct other other = { 0 };
	char address[64];
	int listener = law_listener(address, sizeof address);
	fiber_t f = spawned(server, &listener), o = spawned(other_goes_on, &other);

	(void)arg;
	others_go_on(&other);
	cr_expect(client(&listener) == 0);
	cr_expect(result_of(f) == 0);
	atomic_store(&other.stop, true);
	cr_expect(result_of(o) == 0);
	return close(listener);
}

Test(posix, sockets_in_the_old_shape_park)
{
	law_holds(talk, NULL);
}

static const char *path_of(const char *name)
{
	static __thread char path[2][64];
	static __thread unsigned turn;
	char *p = path[turn++ % 2];

	snprintf(p, sizeof path[0], "%s/%s", folder, name);
	return p;
}

static int files(void *arg)
{
	int fd = open(path_of("one"), O_RDWR | O_CREAT, 0600);
	struct iovec piece = { "tail", 4 };
	const struct dirent *entry;
	char buffer[64];
	fiber_dir_t *dir;
	struct stat about;
	unsigned seen = 0;
	FILE *stream;

	(void)arg;
	cr_expect(write(fd, "0123456789", 10) == 10 && pwrite(fd, "AB", 2, 4) == 2);
	cr_expect(pread(fd, buffer, 64, 0) == 10 && memcmp(buffer, "0123AB6789", 10) == 0);
	cr_expect(writev(fd, &piece, 1) == 4 && lseek(fd, 10, SEEK_SET) == 10);
	piece = (struct iovec){ buffer, 64 };
	cr_expect(readv(fd, &piece, 1) == 4 && memcmp(buffer, "tail", 4) == 0);
	cr_expect(fsync(fd) == 0 && fstat(fd, &about) == 0 && about.st_size == 14);
	cr_expect(rename(path_of("one"), path_of("two")) == 0);
	cr_expect(stat(path_of("two"), &about) == 0 && lstat(path_of("two"), &about) == 0);
	cr_expect(mkdir(path_of("sub"), 0700) == 0 && rmdir(path_of("sub")) == 0);
	dir = fiber_posix_opendir(folder);
	errno = 0;
	while ((entry = fiber_posix_readdir(dir)))
		seen += strcmp(entry->d_name, "two") == 0;
	cr_expect(errno == 0 && seen == 1 && fiber_posix_closedir(dir) == 0);
	cr_expect(lseek(fd, 0, SEEK_SET) == 0);
	stream = fdopen(fd, "r");
	cr_expect(stream && fgets(buffer, sizeof buffer, stream) && fclose(stream) == 0);
	cr_expect(memcmp(buffer, "0123AB6789tail", 15) == 0);
	return unlink(path_of("two"));
}

Test(posix, files_in_the_old_shape)
{
	holds(files);
}

/* ---- failure ----------------------------------------------------------------------------------*/
#define fails_with(error, call)                                                                    \
	do {                                                                                       \
		errno = 0;                                                                         \
		cr_expect((call) == -1 && errno == (error), "%d", errno);                          \
	} while (0)

static int failures(void *arg)
{
	struct timespec negative = { -1, 0 };
	struct pollfd set = { .fd = -1 };
	struct stat about;
	int fds[2];
	char byte;

	(void)arg;
	fails_with(EBADF, read(-1, &byte, 1));
	fails_with(EBADF, write(-1, &byte, 1));
	fails_with(EBADF, close(-1));
	fails_with(EBADF, fsync(-1));
	fails_with(EFAULT, poll(NULL, 1, 0));
	cr_expect(poll(&set, 1, 0) == 0);
	fails_with(ENOENT, open(path_of("absent"), O_RDONLY));
	fails_with(ENOENT, stat(path_of("absent"), &about));
	fails_with(ENOENT, unlink(path_of("absent")));
	fails_with(EEXIST, mkdir(folder, 0700));
	fails_with(EAFNOSUPPORT, socket(-1, SOCK_STREAM, 0));
	fails_with(EFAULT, pipe(NULL));
	fails_with(EINVAL, nanosleep(&negative, NULL));
	errno = 0;
	cr_expect(fiber_posix_opendir(path_of("absent")) == NULL && errno == ENOENT);
	errno = 0;
	cr_expect(fdopen(-1, "r") == NULL && errno == EBADF);
	cr_expect(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	fails_with(EINVAL, accept(fds[0], NULL, NULL));
	cr_expect(close(fds[0]) == 0);
	fails_with(EPIPE, write(fds[1], "x", 1));
	return close(fds[1]);
}

Test(posix, a_failure_is_minus_one_and_errno)
{
	holds(failures);
}

/* ---- interruption -----------------------------------------------------------------------------*/
static int interrupted(void *arg)
{
	struct timespec second = { 1, 0 }, left = { 0, 0 };
	fiber_scope_t scope;
	int fds[2];
	char byte;

	(void)arg;
	cr_expect(pipe(fds) == 0);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	fails_with(ECANCELED, read(fds[0], &byte, 1));
	fails_with(ECANCELED, nanosleep(&second, &left));
	cr_expect(left.tv_sec == 0 && left.tv_nsec > 0);
	fails_with(ECANCELED, usleep(1));
	cr_expect(sleep(2) == 2);
	fiber_scope_end(&scope, 0);
	cr_expect(usleep(1) == 0 && sleep(0) == 0);
	second = (struct timespec){ 0, 1000 };
	cr_expect(nanosleep(&second, NULL) == 0);
	return close(fds[0]) | close(fds[1]);
}

Test(posix, an_interruption_is_ecanceled)
{
	holds(interrupted);
}
