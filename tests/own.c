/* Streams of the library's own (fiber_own), on every poller: received ahead or not, no byte is
 * lost, and none comes twice or out of order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/io.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

static bool ahead; /* does this poller receive ahead? */

static void on_every_poller(fiber_fn *law, void *arg)
{
	static const char *const names[] = {"io_uring", "epoll", "poll", "kqueue"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		fiber_options_t options = {.poller = names[i], .workers = 1};
		fiber_runtime_t *runtime;

		if (fiber_runtime_create(&runtime, &options) < 0)
			continue; /* not here */
		fiber_runtime_free(runtime);
		ahead = i == 0;
		law_holds_with(&options, law, arg);
	}
}

static void owned_pair(fiber_fd pair[2])
{
	cr_expect(law_tcp_pair(pair) == 0);
	cr_expect(fiber_own(pair[0]) == 0);
}

static void close_pair(fiber_fd pair[2])
{
	cr_expect(fiber_close(pair[0]) == 0);
	close(pair[1]);
}

/* ---- every byte, in order ---------------------------------------------------------------------*/
struct flow {
	int fd;
	uint64_t bytes, seed;
};

static void *send_all(void *arg)
{
	struct flow *f = arg;
	unsigned char piece[5000];

	for (uint64_t sent = 0; sent < f->bytes;) {
		size_t n = law_random(&f->seed) % sizeof piece + 1;
		ssize_t r;

		n = n < f->bytes - sent ? n : f->bytes - sent;
		for (size_t i = 0; i < n; i++)
			piece[i] = (unsigned char)((sent + i) % 251);
		r = write(f->fd, piece, n);
		cr_expect(r > 0);
		if (r <= 0)
			break;
		sent += (uint64_t)r;
	}
	shutdown(f->fd, SHUT_WR);
	return NULL;
}

/* One in four reads is given hardly any time. */
static ssize_t read_some(int fd, unsigned char *buffer, uint64_t *seed)
{
	size_t size = law_random(seed) % 4096 + 1;
	struct iovec pieces[2] = {{buffer, 0}, {buffer, size}};

	switch (law_random(seed) % 4) {
	case 0:
		return FIBER_TIMEOUT(1000, fiber_read(fd, buffer, size));
	case 1:
		return fiber_recv(fd, buffer, size, 0);
	case 2:
		return fiber_readv(fd, pieces, 2);
	default:
		return fiber_read(fd, buffer, size);
	}
}

static int in_order(void *arg)
{
	struct flow f = *(struct flow *)arg;
	unsigned char buffer[4096];
	uint64_t got = 0, wrong = 0, seed = f.seed + 1;
	fiber_fd pair[2];
	pthread_t sender;
	ssize_t n;

	owned_pair(pair);
	f.fd = pair[1];
	pthread_create(&sender, NULL, send_all, &f);
	while ((n = read_some(pair[0], buffer, &seed)) != 0) {
		if (n == -ETIMEDOUT)
			continue;
		cr_expect(n > 0, "%zd", n);
		if (n < 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			wrong += buffer[i] != (got + (uint64_t)i) % 251;
		got += (uint64_t)n;
	}
	cr_expect(got == f.bytes && wrong == 0, "%lu bytes, %lu wrong", (unsigned long)got,
		  (unsigned long)wrong);
	cr_expect(fiber_read(pair[0], buffer, 1) == 0); /* the end stays */
	pthread_join(sender, NULL);
	close_pair(pair);
	return 0;
}

Test(own, every_byte_comes_once_and_in_order, .timeout = 100)
{
	struct flow f = {.bytes = law_rounds(2000000), .seed = law_seed()};

	on_every_poller(in_order, &f);
}

/* ---- several readers --------------------------------------------------------------------------*/
static int count_all(void *arg)
{
	char buffer[700];
	int sum = 0;
	ssize_t n;

	while ((n = fiber_read(*(fiber_fd *)arg, buffer, sizeof buffer)) > 0)
		sum += (int)n;
	return n < 0 ? (int)n : sum;
}

static int several(void *arg)
{
	enum { READERS = 4 };
	struct flow f = *(struct flow *)arg;
	fiber_t reader[READERS];
	fiber_fd pair[2];
	pthread_t sender;
	uint64_t sum = 0;

	owned_pair(pair);
	f.fd = pair[1];
	for (int i = 0; i < READERS; i++)
		cr_expect(fiber_spawn(&reader[i], NULL, count_all, &pair[0]) == 0);
	pthread_create(&sender, NULL, send_all, &f);
	for (int i = 0; i < READERS; i++) {
		int r = -1;

		cr_expect(fiber_join(reader[i], &r) == 0 && r >= 0, "%d", r);
		sum += (uint64_t)r;
	}
	pthread_join(sender, NULL);
	cr_expect(sum == f.bytes);
	close_pair(pair);
	return 0;
}

Test(own, readers_on_several_workers_share_the_bytes, .timeout = 100)
{
	struct flow f = {.bytes = law_rounds(1000000), .seed = law_seed()};

	on_every_poller(several, &f);
}

/* ---- many at once, and much at once -----------------------------------------------------------*/
static int read_2000(void *arg)
{
	char buffer[2000];

	return (int)fiber_read_full(*(fiber_fd *)arg, buffer, sizeof buffer, NULL);
}

/* More than there are buffers to lend. */
static int many(void *unused)
{
	enum { N = 400 };
	static fiber_fd pair[N][2];
	static const char bytes[2000];
	static fiber_t reader[N];

	(void)unused;
	for (int i = 0; i < N; i++) {
		owned_pair(pair[i]);
		cr_expect(fiber_spawn(&reader[i], NULL, read_2000, &pair[i][0]) == 0);
	}
	fiber_yield();
	for (int turn = 0; turn < 2; turn++)
		for (int i = 0; i < N; i++)
			cr_expect(write(pair[i][1], bytes, 1000) == 1000);
	for (int i = 0; i < N; i++) {
		int r = -1;

		cr_expect(fiber_join(reader[i], &r) == 0 && r == 2000, "%d", r);
		close_pair(pair[i]);
	}
	return 0;
}

Test(own, more_connections_than_buffers, .timeout = 60)
{
	on_every_poller(many, NULL);
}

/* ---- what is left unread ----------------------------------------------------------------------*/
/* Reads one byte of those sent, when all have come. */
static void read_one_of(fiber_fd pair[2], const char *text)
{
	char byte;

	cr_expect(write(pair[1], text, strlen(text)) == (ssize_t)strlen(text));
	cr_expect(fiber_read(pair[0], &byte, 1) == 1 && byte == text[0]);
}

static int unread(void *unused)
{
	char buffer[16];
	fiber_fd pair[2];

	(void)unused;
	owned_pair(pair);
	read_one_of(pair, "abc");
	if (ahead) {
		cr_expect(fiber_forget(pair[0]) == -EBUSY);
		cr_expect(fiber_forget(pair[0]) == -EBUSY, "and again");
		cr_expect(fiber_recv(pair[0], buffer, 16, MSG_PEEK) == -EBUSY);
		cr_expect(fiber_wait_fd(pair[0], POLLIN) == -EBUSY);
		cr_expect(fiber_wait_fd(pair[0], POLLOUT) == POLLOUT);
	}
	cr_expect(fiber_read_full(pair[0], buffer, 2, NULL) == 2 && !memcmp(buffer, "bc", 2));
	cr_expect(fiber_forget(pair[0]) == 0);
	/* Nobody receives ahead any more. */
	cr_expect(write(pair[1], "plain", 5) == 5);
	fiber_sleep(FIBER_MILLISECOND);
	cr_expect(recv(pair[0], buffer, 16, 0) == 5);
	cr_expect(fiber_own(pair[0]) == 0);
	read_one_of(pair, "xyz"); /* and closed so */
	close_pair(pair);
	return 0;
}

Test(own, forget_answers_busy_while_bytes_are_unread, .timeout = 60)
{
	int descriptors = law_descriptors();

	on_every_poller(unread, NULL);
	cr_expect(law_descriptors() == descriptors);
}

static int read_forever(void *arg)
{
	char byte;
	ssize_t n;

	while ((n = fiber_read(*(fiber_fd *)arg, &byte, 1)) > 0)
		;
	return (int)n;
}

static int closed(void *unused)
{
	fiber_fd pair[2];
	fiber_t reader;
	int r;

	(void)unused;
	for (int i = 0; i < 50; i++) {
		owned_pair(pair);
		cr_expect(fiber_spawn(&reader, NULL, read_forever, &pair[0]) == 0);
		cr_expect(write(pair[1], "abc", 3) == 3);
		for (int yields = i % 4; yields; yields--)
			fiber_yield();
		close_pair(pair);
		cr_expect(fiber_join(reader, &r) == 0 && r == -EBADF, "%d", r);
	}
	return 0;
}

Test(own, who_reads_hears_of_the_close, .timeout = 60)
{
	on_every_poller(closed, NULL);
}

static int read_nothing_yet(void *arg)
{
	char byte;

	cr_expect(FIBER_TIMEOUT(1000, fiber_read(*(fiber_fd *)arg, &byte, 1)) == -ETIMEDOUT);
	return 0;
}

/* The descriptor stays when its runtime ends, and so does what comes. */
Test(own, the_next_runtime_reads_on, .timeout = 60)
{
	fiber_fd pair[2];

	owned_pair(pair);
	on_every_poller(read_nothing_yet, pair);
	cr_expect(write(pair[1], "x", 1) == 1);
	shutdown(pair[1], SHUT_WR);
	cr_expect(law_run(1, count_all, pair) == 1);
	close_pair(pair);
	law_no_leaks();
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *unused)
{
	fiber_fd fds[2];
	fiber_t reader;
	int r = 0;

	(void)unused;
	cr_expect(fiber_own(-1) == -EBADF && fiber_own(1 << 20) == -EBADF);
	cr_expect(fiber_pipe(fds) == 0 && fiber_own(fds[0]) == -ENOTSOCK);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
	cr_expect(fiber_own(fds[0]) == -EOPNOTSUPP);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (int tries = 0; r != -EBUSY && tries < 100; tries++) {
		int ended;

		cr_expect(fiber_spawn(&reader, NULL, read_forever, &fds[0]) == 0);
		until_it_waits_for(reader, "read");
		r = fiber_own(fds[0]); /* 0: on another worker, it was just about to wait */
		cr_expect(fiber_forget(fds[0]) == 0);
		cr_expect(fiber_join(reader, &ended) == 0 && ended == -EBADF);
	}
	cr_expect(r == -EBUSY, "%d", r);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(own, only_streams_can_be_owned, .timeout = 60)
{
	on_every_poller(misuse, NULL);
}
