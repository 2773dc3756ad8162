/* read, write and their vectors: success, end, deadline, cancellation, misuse, zero bytes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct end {
	fiber_fd fd;
	char buffer[64];
	ssize_t result;
};

static int reads(void *arg)
{
	struct end *e = arg;

	e->result = fiber_read(e->fd, e->buffer, sizeof e->buffer);
	return (int)e->result;
}

/* Two connected ends, of every kind that a stream may be. */
enum kind { PIPE, UNIX_STREAM, TCP, KINDS };

static void make_pair(enum kind kind, fiber_fd out[2])
{
	switch (kind) {
	case PIPE:
		cr_expect(fiber_pipe(out) == 0);
		break;
	case UNIX_STREAM:
		cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, out) == 0);
		break;
	default:
		cr_expect(law_tcp_pair(out) == 0);
		break;
	}
}

static void close_pair(fiber_fd fds[2])
{
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_close(fds[1]) == 0);
}

/* ---- bytes and ends ---------------------------------------------------------------------------*/
static int bytes_arrive(void *arg)
{
	(void)arg;
	for (enum kind kind = PIPE; kind < KINDS; kind++) {
		struct end e = { 0 };
		fiber_fd fds[2];
		fiber_t f;

		make_pair(kind, fds);
		e.fd = fds[0];
		f = spawned(reads, &e);
		until_it_waits_for(f, "read");
		cr_expect(fiber_write(fds[1], "hello", 5) == 5);
		cr_expect(result_of(f) == 5 && memcmp(e.buffer, "hello", 5) == 0);
		cr_expect(fiber_write(fds[1], "x", 1) == 1); /* and without a park */
		cr_expect(reads(&e) == 1 && e.buffer[0] == 'x');
		f = spawned(reads, &e);
		until_it_waits_for(f, "read");
		cr_expect(fiber_close(fds[1]) == 0);
		cr_expect(result_of(f) == 0, "kind %d: the end is 0, not %zd", kind, e.result);
		cr_expect(reads(&e) == 0);
		cr_expect(fiber_close(fds[0]) == 0);
	}
	return 0;
}

Test(io_stream, bytes_and_the_end_arrive_at_whoever_waits, .timeout = 30)
{
	law_holds(bytes_arrive, NULL);
}

/* More than any buffer holds, so that the writer parks too. */
enum { MUCH = 4 << 20 };

static int writes_much(void *arg)
{
	struct end *e = arg;
	char *data = malloc(MUCH);
	size_t done = 0;
	ssize_t n;

	for (size_t i = 0; i < MUCH; i++)
		data[i] = (char)(i * 7 + i / 253);
	n = fiber_write_all(e->fd, data, MUCH, &done);
	cr_expect(n == MUCH && done == MUCH);
	free(data);
	return fiber_close(e->fd);
}

static int much_arrives(void *arg)
{
	char *data = malloc(MUCH + 1);

	(void)arg;
	for (enum kind kind = PIPE; kind < KINDS; kind++) {
		fiber_fd fds[2];
		struct end e;
		size_t done = 0, wrong = 0;
		fiber_t f;

		make_pair(kind, fds);
		e.fd = fds[1];
		f = spawned(writes_much, &e);
		cr_expect(fiber_read_full(fds[0], data, MUCH + 1, &done) == MUCH,
			  "short at the end");
		cr_expect(done == MUCH);
		for (size_t i = 0; i < MUCH; i++)
			wrong += data[i] != (char)(i * 7 + i / 253);
		cr_expect(wrong == 0);
		cr_expect(result_of(f) == 0);
		cr_expect(fiber_close(fds[0]) == 0);
	}
	free(data);
	return 0;
}

Test(io_stream, four_megabytes_arrive_in_order, .timeout = 60)
{
	law_holds(much_arrives, NULL);
}

static int vectors(void *arg)
{
	char a[3], b[4];
	struct iovec out[3] = { { "ab", 2 }, { NULL, 0 }, { "cdefg", 5 } };
	struct iovec in[2] = { { a, sizeof a }, { b, sizeof b } };

	(void)arg;
	for (enum kind kind = PIPE; kind < KINDS; kind++) {
		fiber_fd fds[2];

		make_pair(kind, fds);
		cr_expect(fiber_writev(fds[1], out, 3) == 7);
		cr_expect(fiber_readv(fds[0], in, 2) == 7);
		cr_expect(memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0);
		cr_expect(fiber_readv(fds[0], in, 0) == 0);
		cr_expect(fiber_writev(fds[1], out, 0) == 0);
		close_pair(fds);
	}
	return 0;
}

Test(io_stream, vectors_scatter_and_gather, .timeout = 30)
{
	law_holds(vectors, NULL);
}

static int an_eventfd_counts(void *arg)
{
	int fd = eventfd(0, EFD_CLOEXEC); /* blocking, as inherited */
	uint64_t n = 0;
	struct end e = { .fd = fd };
	fiber_t f = spawned(reads, &e);

	(void)arg;
	until_it_waits_for(f, "read");
	n = 5;
	cr_expect(fiber_write(fd, &n, sizeof n) == sizeof n);
	cr_expect(result_of(f) == sizeof n);
	memcpy(&n, e.buffer, sizeof n);
	cr_expect(n == 5);
	cr_expect(fiber_write(fd, &n, 7) == -EINVAL);
	cr_expect(fiber_close(fd) == 0);
	return 0;
}

Test(io_stream, an_eventfd_is_read_and_written_too, .timeout = 30)
{
	law_holds(an_eventfd_counts, NULL);
}

/* ---- nothing to move --------------------------------------------------------------------------*/
static int zero(void *arg)
{
	char byte;

	(void)arg;
	for (enum kind kind = PIPE; kind < KINDS; kind++) {
		struct iovec none[2] = { { &byte, 0 }, { NULL, 0 } };
		fiber_fd fds[2];

		make_pair(kind, fds);
		cr_expect(fiber_read(fds[0], &byte, 0) == 0);
		cr_expect(fiber_read(fds[0], NULL, 0) == 0);
		cr_expect(fiber_readv(fds[0], none, 2) == 0);
		cr_expect(fiber_write(fds[1], NULL, 0) == 0);
		cr_expect(fiber_writev(fds[1], none, 2) == 0);
		cr_expect(fiber_read_full(fds[0], NULL, 0, NULL) == 0);
		cr_expect(fiber_write_all(fds[1], NULL, 0, NULL) == 0);
		close_pair(fds);
		cr_expect(fiber_read(fds[0], &byte, 0) == -EBADF);
		cr_expect(fiber_write(fds[1], NULL, 0) == -EBADF);
	}
	return 0;
}

Test(io_stream, zero_bytes_never_wait, .timeout = 30)
{
	law_holds(zero, NULL);
}

/* ---- interrupted ------------------------------------------------------------------------------*/
static int fills(void *arg)
{
	struct end *e = arg;
	static char data[65536];

	do
		e->result = fiber_write(e->fd, data, sizeof data);
	while (e->result > 0);
	return (int)e->result;
}

static int deadlines(void *arg)
{
	(void)arg;
	for (enum kind kind = PIPE; kind < KINDS; kind++) {
		struct end e = { 0 };
		fiber_fd fds[2];
		size_t done = 99;
		fiber_scope_t scope;

		make_pair(kind, fds);
		e.fd = fds[0];
		cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, reads(&e)) == -ETIMEDOUT);
		cr_expect(e.result == -ECANCELED, "inside, every interruption reads so");
		e.fd = fds[1];
		cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fills(&e)) == -ETIMEDOUT);
		close_pair(fds);

		make_pair(kind, fds);
		cr_expect(fiber_write(fds[1], "abc", 3) == 3);
		fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
		cr_expect(fiber_read_full(fds[0], e.buffer, 10, &done) == -ECANCELED);
		cr_expect(done == 3 && memcmp(e.buffer, "abc", 3) == 0);
		cr_expect(fiber_read(fds[0], e.buffer, 1) == -ECANCELED, "it stays so");
		cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
		cr_expect(fiber_write(fds[1], "d", 1) == 1, "and is over with the scope");
		cr_expect(fiber_read(fds[0], e.buffer, 1) == 1);
		close_pair(fds);
	}
	return 0;
}

Test(io_stream, a_deadline_ends_a_wait_in_both_directions, .timeout = 30)
{
	law_holds(deadlines, NULL);
}

static int cancellations(void *arg)
{
	(void)arg;
	for (enum kind kind = PIPE; kind < KINDS; kind++) {
		struct end in = { 0 }, out = { 0 };
		fiber_fd fds[2];
		fiber_t reader, writer;

		make_pair(kind, fds);
		in.fd = fds[0];
		reader = spawned(reads, &in);
		until_it_waits_for(reader, "read");
		cr_expect(fiber_cancel(reader) == 0);
		cr_expect(result_of(reader) == -ECANCELED);
		out.fd = fds[1];
		writer = spawned(fills, &out);
		until_it_waits_for(writer, "write");
		cr_expect(fiber_cancel(writer) == 0);
		cr_expect(result_of(writer) == -ECANCELED);
		close_pair(fds);
	}
	return 0;
}

Test(io_stream, a_cancellation_ends_a_wait_in_both_directions, .timeout = 30)
{
	law_holds(cancellations, NULL);
}

static int known(void *arg)
{
	fiber_fd fds[2];
	fiber_scope_t scope;
	char byte = 0;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_write(fds[1], "x", 1) == 1);
	fiber_within(&scope, fiber_now() - 1);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(fiber_read(fds[0], &byte, 1) == -ECANCELED);
	cr_expect(fiber_write(fds[1], "y", 1) == -ECANCELED);
	cr_expect(fiber_readv(fds[0], &(struct iovec){ &byte, 1 }, 1) == -ECANCELED);
	cr_expect(fiber_scope_end(&scope, -ECANCELED) == -ETIMEDOUT);
	cr_expect(fiber_read(fds[0], &byte, 1) == 1 && byte == 'x', "nothing was taken");
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_read(fds[0], &byte, 1)) == -ETIMEDOUT,
		  "nothing was written");
	close_pair(fds);
	return 0;
}

Test(io_stream, a_known_interruption_comes_before_any_effect, .timeout = 30)
{
	law_holds(known, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	struct iovec many[2] = { { &(char){ 0 }, SSIZE_MAX }, { &(char){ 0 }, 1 } };
	fiber_fd fds[2];
	size_t done = 7;
	char byte;

	(void)arg;
	cr_expect(fiber_pipe(fds) == 0);
	cr_expect(fiber_read(-1, &byte, 1) == -EBADF);
	cr_expect(fiber_read(INT_MAX, &byte, 1) == -EBADF);
	cr_expect(fiber_read(INT_MIN, &byte, 1) == -EBADF);
	cr_expect(fiber_write(-1, "x", 1) == -EBADF);
	cr_expect(fiber_read(fds[0], NULL, 1) == -EFAULT);
	cr_expect(fiber_write(fds[1], NULL, 1) == -EFAULT);
	cr_expect(fiber_write(fds[1], (void *)8, 1) == -EFAULT, "the kernel says so itself");
	cr_expect(fiber_read(fds[0], &byte, (size_t)SSIZE_MAX + 1) == -EINVAL);
	cr_expect(fiber_write(fds[1], &byte, SIZE_MAX) == -EINVAL);
	cr_expect(fiber_read(fds[1], &byte, 1) == -EBADF, "not open for reading");
	cr_expect(fiber_write(fds[0], "x", 1) == -EBADF, "not open for writing");
	cr_expect(fiber_readv(fds[0], NULL, 1) == -EFAULT);
	cr_expect(fiber_readv(fds[0], many, -1) == -EINVAL);
	cr_expect(fiber_readv(fds[0], many, INT_MAX) == -EINVAL);
	cr_expect(fiber_readv(fds[0], many, 2) == -EINVAL);
	cr_expect(fiber_readv(-1, many, 0) == -EBADF);
	cr_expect(fiber_writev(fds[1], NULL, 1) == -EFAULT);
	cr_expect(fiber_writev(fds[1], many, IOV_MAX + 1) == -EINVAL);
	cr_expect(fiber_writev(-1, many, 1) == -EBADF);
	cr_expect(fiber_read_full(-1, &byte, 1, &done) == -EBADF && done == 0);
	done = 7;
	cr_expect(fiber_write_all(fds[1], NULL, 1, &done) == -EFAULT && done == 0);
	cr_expect(fiber_read_full(fds[0], NULL, 5, NULL) == -EFAULT);
	cr_expect(fiber_close(fds[0]) == 0);
	cr_expect(fiber_write(fds[1], "x", 1) == -EPIPE);
	done = 7;
	cr_expect(fiber_write_all(fds[1], "xyz", 3, &done) == -EPIPE && done == 0);
	cr_expect(fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_stream, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}
