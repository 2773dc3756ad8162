/* fiber_sendfile to sockets, pipes and files that do not block: whole, whatever is cached.
 * Blocking ones are in io_inherited_flow.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct sending {
	fiber_fd out, in;
	int64_t *offset;
	size_t size, sent;
};

static int sends(void *arg)
{
	struct sending *s = arg;
	ssize_t n = 0;

	while (s->sent < s->size &&
	       (n = fiber_sendfile(s->out, s->in, s->offset, s->size - s->sent)) > 0)
		s->sent += (size_t)n;
	return n < 0 ? (int)n : 0;
}

enum { LENGTH = 2 << 20 };

static fiber_fd patterned(void)
{
	char path[] = "io_sendfile.XXXXXX"; /* tests run beside each other */
	fiber_fd fd = mkstemp(path);
	int *data = malloc(LENGTH);

	for (int i = 0; i < LENGTH / 4; i++)
		data[i] = i;
	cr_expect(fiber_write_all(fd, data, LENGTH, NULL) == LENGTH);
	free(data);
	cr_expect(unlink(path) == 0);
	return fd;
}

static void expect_pattern(fiber_fd fd, int first)
{
	int *data = malloc(LENGTH), wrong = 0, count = LENGTH / 4 - first;

	cr_expect(fiber_read_full(fd, data, (size_t)count * 4, NULL) == (ssize_t)count * 4);
	for (int i = 0; i < count; i++)
		wrong += data[i] != i + first;
	cr_expect(wrong == 0);
	free(data);
}

/* Sockets and pipes that do not block, cached and not, from a position or an offset. */
static int sent_whole(void *arg)
{
	fiber_fd file = patterned();

	(void)arg;
	for (int how = 0; how < 8; how++) {
		int64_t offset = 4000;
		struct sending s = { .in = file, .size = LENGTH - 4000 };
		fiber_fd fds[2];
		fiber_t f;

		if (how & 1)
			cr_expect(fiber_pipe(fds) == 0);
		else
			cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		if (how & 2)
			s.offset = &offset;
		cr_expect(lseek(file, s.offset ? 0 : 4000, SEEK_SET) >= 0);
		if (how & 4) {
			cr_expect(fiber_fsync(file) == 0);
			posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		}
		s.out = fds[1];
		f = spawned(sends, &s);
		expect_pattern(fds[0], 1000);
		cr_expect(result_of(f) == 0 && s.sent == s.size);
		cr_expect(offset == (s.offset ? LENGTH : 4000));
		cr_expect(lseek(file, 0, SEEK_CUR) == (s.offset ? 0 : LENGTH));
		cr_expect(fiber_sendfile(fds[1], file, s.offset, 1) == 0 || s.offset == NULL);
		cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	}
	return fiber_close(file);
}

Test(io_sendfile, sends_all_to_sockets_and_pipes, .timeout = 60)
{
	law_holds(sent_whole, NULL);
}

static int to_a_file(void *arg)
{
	fiber_fd file = patterned(), copy = fiber_open("io_sendfile.to", O_RDWR | O_CREAT, 0600);
	int64_t offset = 0;
	struct sending s = { .in = file, .out = copy, .offset = &offset, .size = LENGTH };

	(void)arg;
	cr_expect(sends(&s) == 0 && s.sent == LENGTH);
	cr_expect(lseek(copy, 0, SEEK_SET) == 0);
	expect_pattern(copy, 0);
	cr_expect(fiber_close(file) == 0 && fiber_close(copy) == 0);
	cr_expect(unlink("io_sendfile.to") == 0);
	return 0;
}

Test(io_sendfile, sends_to_a_file, .timeout = 60)
{
	law_holds(to_a_file, NULL);
}

/* Interrupted while there is no room: what was told is what was sent. */
static int send_interrupted(void *arg)
{
	fiber_fd file = patterned(), fds[2];
	int64_t offset = 0;
	struct sending s = { .in = file, .offset = &offset, .size = LENGTH };
	size_t done = 0;
	char *data = malloc(LENGTH);
	fiber_t f;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	s.out = fds[1];
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, sends(&s)) == -ETIMEDOUT);
	f = spawned(sends, &s);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(s.sent > 0 && (int64_t)s.sent == offset);
	f = spawned(sends, &s);
	until_it_waits_for(f, "poll");
	cr_expect(fiber_close(fds[1]) == 0);
	cr_expect(result_of(f) == -EBADF);
	cr_expect(fiber_read_full(fds[0], data, LENGTH, &done) == (ssize_t)s.sent);
	free(data);
	cr_expect(fiber_close(file) == 0 && fiber_close(fds[0]) == 0);
	return 0;
}

Test(io_sendfile, a_send_that_is_interrupted_tells_how_far_it_came, .timeout = 60)
{
	law_holds(send_interrupted, NULL);
}
