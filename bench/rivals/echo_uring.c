/* echo_uring.c - an echo server over a raw io_uring loop: one multishot accept, one receive and one
 * send for each message, everything that was prepared in a turn submitted by the one call that also
 * waits. */
#include <liburing.h>
#include <string.h>
#include <unistd.h>

#include "../echo/listen.h"

enum { ENTRIES = 4096, BYTES = 1024, ACCEPT = 1 };

struct client {
	int fd;
	int sending; /* what is under way: a send, or a receive */
	char buffer[BYTES];
};

static struct io_uring ring;

static struct io_uring_sqe *entry(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	if (!sqe)
		exit(1);
	return sqe;
}

static void receive(struct client *c)
{
	struct io_uring_sqe *sqe = entry();

	c->sending = 0;
	io_uring_prep_recv(sqe, c->fd, c->buffer, BYTES, 0);
	io_uring_sqe_set_data(sqe, c);
}

static void reply(struct client *c, int bytes)
{
	struct io_uring_sqe *sqe = entry();

	c->sending = 1;
	io_uring_prep_send(sqe, c->fd, c->buffer, (size_t)bytes, MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, c);
}

static void accept_all(int listener)
{
	struct io_uring_sqe *sqe = entry();

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, ACCEPT);
}

static void admit(int fd)
{
	struct client *c = malloc(sizeof *c);

	if (!c)
		exit(1);
	no_delay(fd);
	c->fd = fd;
	receive(c);
}

static void go_on(struct client *c, int result)
{
	if (result <= 0) {
		close(c->fd);
		free(c);
	} else if (c->sending) {
		receive(c);
	} else {
		reply(c, result);
	}
}

static void complete(struct io_uring_cqe *cqe, int listener)
{
	if (cqe->user_data != ACCEPT) {
		go_on(io_uring_cqe_get_data(cqe), cqe->res);
		return;
	}
	if (cqe->res >= 0)
		admit(cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		accept_all(listener);
}

/* The flags of one issuer that runs deferred work in its own wait; older kernels know none. */
static int set_up(void)
{
	struct io_uring_params best = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE, .cq_entries = 65536};
	struct io_uring_params plain = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 65536};
	int r = io_uring_queue_init_params(ENTRIES, &ring, &best);

	return r < 0 ? io_uring_queue_init_params(ENTRIES, &ring, &plain) : r;
}

int main(void)
{
	int r = set_up();

	if (r < 0)
		return fprintf(stderr, "echo_uring: io_uring: %s\n", strerror(-r)), 1;
	int listener = listen_loopback(0);

	accept_all(listener);
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;

		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe) {
			complete(cqe, listener);
			seen++;
		}
		io_uring_cq_advance(&ring, seen);
	}
}
