/* A write that moves some of its bytes and then finds the other end gone returns what it moved. The
 * kernel raises SIGPIPE beside that: nobody must see it.
 *
 * The story: a file server died by SIGPIPE when clients left half-way, because sendfile(2) had sent
 * 64 KiB before it found the connection reset, and so returned no error. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fiber/io.h>

#include "law.h"
#include "on_a_thread.h"

enum { BYTES = 1 << 20 };

static int file_of_a_megabyte(void)
{
	char path[] = "io_partial.XXXXXX", *data = calloc(1, BYTES);
	int fd = mkstemp(path);

	cr_expect(write(fd, data, BYTES) == BYTES && fsync(fd) == 0 && unlink(path) == 0);
	free(data);
	return fd;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* The client has left in peace: the first 64 KiB are sent, and answered by a reset. A signal that
 * stayed behind on a helper would kill the program's code that runs there next. */
static int send_to_nobody(void *arg)
{
	int file = file_of_a_megabyte();

	(void)arg;
	for (int i = 0; i < 20; i++) {
		int64_t offset = 0;
		ssize_t n, sent = 0;
		int pair[2];

		cr_expect(law_tcp_pair(pair) == 0);
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
		close(pair[1]);
		if (i % 2) /* out of the page cache: on a helper */
			posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
		while ((n = fiber_sendfile(pair[0], file, &offset, BYTES / 4)) > 0)
			sent += n;
		cr_expect(n == -EPIPE || n == -ECONNRESET, "%zd", n);
		cr_expect(sent == offset && sent < BYTES / 4, "%zd were sent", sent);
		fiber_close(pair[0]);
		cr_expect(fiber_offload(nothing, NULL) == 0);
	}
	return close(file);
}

Test(io_partial, a_client_that_leaves_half_way_raises_no_signal, .timeout = 60)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 1 }, send_to_nobody, NULL);
	cr_expect(on_a_thread(send_to_nobody, NULL) == 0);
}
