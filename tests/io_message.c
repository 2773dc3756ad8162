/* recv and send: flags, addresses, control messages, and descriptors that travel. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

struct message {
	fiber_fd fd;
	int flags;
	size_t size;
	char buffer[64];
	struct sockaddr_storage peer;
	socklen_t peer_size;
};

static int receives(void *arg)
{
	struct message *m = arg;

	return (int)fiber_recv(m->fd, m->buffer, m->size, m->flags);
}

static int receives_from(void *arg)
{
	struct message *m = arg;

	m->peer_size = sizeof m->peer;
	return (int)fiber_recvfrom(m->fd, m->buffer, sizeof m->buffer, m->flags,
				   (struct sockaddr *)&m->peer, &m->peer_size);
}

static fiber_fd udp_socket(struct sockaddr_in *name)
{
	socklen_t size = sizeof *name;
	fiber_fd fd = fiber_socket(AF_INET, SOCK_DGRAM, 0);

	*name = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cr_expect(bind(fd, (struct sockaddr *)name, size) == 0);
	cr_expect(getsockname(fd, (struct sockaddr *)name, &size) == 0);
	return fd;
}

/* ---- addresses --------------------------------------------------------------------------------*/
static int datagrams(void *arg)
{
	struct sockaddr_in here, there;
	fiber_fd a = udp_socket(&here), b = udp_socket(&there);
	struct message m = { .fd = b };
	fiber_t f = spawned(receives_from, &m);

	(void)arg;
	until_it_waits_for(f, "read");
	cr_expect(fiber_sendto(a, "ping", 4, 0, (struct sockaddr *)&there, sizeof there) == 4);
	cr_expect(result_of(f) == 4 && memcmp(m.buffer, "ping", 4) == 0);
	cr_expect(m.peer_size == sizeof here);
	cr_expect(((struct sockaddr_in *)&m.peer)->sin_port == here.sin_port);

	cr_expect(fiber_sendto(a, "", 0, 0, (struct sockaddr *)&there, sizeof there) == 0);
	cr_expect(receives_from(&m) == 0, "an empty datagram is no end");
	cr_expect(fiber_connect(a, (struct sockaddr *)&there, sizeof there) == 0);
	cr_expect(fiber_send(a, "", 0, 0) == 0);
	cr_expect(fiber_send(a, "x", 1, 0) == 1);
	m.size = sizeof m.buffer;
	cr_expect(receives(&m) == 0);
	cr_expect(fiber_recvfrom(b, m.buffer, 1, 0, NULL, NULL) == 1);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, receives_from(&m)) == -ETIMEDOUT);
	cr_expect(fiber_close(a) == 0 && fiber_close(b) == 0);
	return 0;
}

Test(io_message, a_datagram_comes_with_its_senders_address, .timeout = 30)
{
	law_holds(datagrams, NULL);
}

/* ---- flags ------------------------------------------------------------------------------------*/
static int dont_wait(void *arg)
{
	struct message m = { .size = 8, .flags = MSG_DONTWAIT };
	static char data[65536];
	fiber_fd fds[2];
	ssize_t n;

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	m.fd = fds[0];
	cr_expect(receives(&m) == -EAGAIN);
	cr_expect(receives_from(&m) == -EAGAIN);
	do
		n = fiber_send(fds[1], data, sizeof data, MSG_DONTWAIT);
	while (n > 0);
	cr_expect(n == -EAGAIN);
	cr_expect(receives(&m) == 8);
	m.flags = MSG_OOB;
	cr_expect(receives(&m) == -EINVAL, "there is no urgent data, and nobody waits for it");
	m.flags = MSG_ERRQUEUE;
	cr_expect(receives(&m) == -EAGAIN, "nor for an error");
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_message, what_is_asked_not_to_wait_does_not, .timeout = 30)
{
	law_holds(dont_wait, NULL);
}

static int peeks(void *arg)
{
	struct message m = { .size = 8, .flags = MSG_PEEK };
	fiber_fd fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	m.fd = fds[0];
	f = spawned(receives, &m);
	until_it_waits_for(f, "read");
	cr_expect(fiber_send(fds[1], "abc", 3, 0) == 3);
	cr_expect(result_of(f) == 3);
	cr_expect(receives(&m) == 3, "peeking takes nothing");
	m.flags = 0;
	cr_expect(receives(&m) == 3 && memcmp(m.buffer, "abc", 3) == 0);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_message, a_peek_waits_and_takes_nothing, .timeout = 30)
{
	law_holds(peeks, NULL);
}

static int wait_all(void *arg)
{
	struct message m = { .size = 10, .flags = MSG_WAITALL };
	fiber_fd fds[2];
	fiber_scope_t scope;
	fiber_t f;

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	m.fd = fds[0];
	f = spawned(receives, &m);
	for (int i = 0; i < 5; i++) {
		until_it_waits_for(f, "read");
		cr_expect(fiber_send(fds[1], "ab", 2, 0) == 2);
	}
	cr_expect(result_of(f) == 10 && memcmp(m.buffer, "ababababab", 10) == 0);

	cr_expect(fiber_send(fds[1], "cde", 3, 0) == 3);
	fiber_within(&scope, fiber_after(FIBER_MILLISECOND));
	cr_expect(receives(&m) == 3, "what has come is returned");
	cr_expect(receives(&m) == -ECANCELED, "and the interruption shows at the next call");
	fiber_scope_end(&scope, 0);

	cr_expect(fiber_send(fds[1], "fg", 2, 0) == 2);
	cr_expect(fiber_close(fds[1]) == 0);
	cr_expect(receives(&m) == 2);
	cr_expect(receives(&m) == 0);
	cr_expect(fiber_close(fds[0]) == 0);
	return 0;
}

Test(io_message, waitall_waits_for_all_or_the_end, .timeout = 30)
{
	law_holds(wait_all, NULL);
}

/* ---- descriptors that travel ------------------------------------------------------------------*/
union control {
	char bytes[CMSG_SPACE(2 * sizeof(int))];
	struct cmsghdr align;
};

static ssize_t send_descriptor(fiber_fd to, int passed, const char *text, size_t size)
{
	union control c = { { 0 } };
	struct iovec iov = { (void *)text, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
			    .msg_controllen = CMSG_SPACE(sizeof(int)) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &passed, sizeof passed);
	return fiber_sendmsg(to, &m, 0);
}

static ssize_t receive_descriptor(fiber_fd from, int *passed, char *text, size_t size)
{
	union control c;
	struct iovec iov = { text, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
			    .msg_controllen = sizeof c };
	ssize_t n = fiber_recvmsg(from, &m, 0);
	struct cmsghdr *h = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*passed = -1;
	if (h && h->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(h), sizeof *passed);
	return n;
}

static int takes_two(void *arg)
{
	struct message *m = arg;
	int passed;

	/* The kernel ends the first at the boundary behind the descriptor, short, and gives no
	 * second edge: whoever takes short for empty sleeps beside five bytes. */
	cr_expect(receive_descriptor(m->fd, &passed, m->buffer, sizeof m->buffer) == 1);
	cr_expect(passed >= 0);
	cr_expect(fcntl(passed, F_GETFD) & FD_CLOEXEC);
	cr_expect(fiber_close(passed) == 0);
	return (int)receive_descriptor(m->fd, &passed, m->buffer, sizeof m->buffer);
}

static int boundary(void *arg)
{
	fiber_fd fds[2];
	struct message m;
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	m.fd = fds[0];
	f = spawned(takes_two, &m);
	until_it_waits_for(f, "read");
	cr_expect(send_descriptor(fds[1], fds[1], "x", 1) == 1);
	cr_expect(fiber_write(fds[1], "yyyyy", 5) == 5);
	cr_expect(result_of(f) == 5);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return 0;
}

Test(io_message, bytes_behind_a_passed_descriptor_arrive, .timeout = 30)
{
	law_holds(boundary, NULL);
}

/* A number that was used, closed behind our back, and comes back with a message. */
static int reborn(void *arg)
{
	fiber_fd carrier[2], fds[2], other[2], passed;
	struct message m = { .size = 8 };
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, carrier) == 0);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0);
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	m.fd = fds[0];
	f = spawned(receives, &m);
	until_it_waits_for(f, "read");
	cr_expect(fiber_send(fds[1], "1", 1, 0) == 1);
	cr_expect(result_of(f) == 1); /* fds[0] is watched now, and known to be empty */
	cr_expect(send_descriptor(carrier[1], other[0], "x", 1) == 1);
	cr_expect(close(fds[0]) == 0);
	cr_expect(receive_descriptor(carrier[0], &passed, m.buffer, 8) == 1);
	m.fd = passed;
	f = spawned(receives, &m);
	until_it_waits_for(f, "read");
	cr_expect(fiber_send(other[1], "22", 2, 0) == 2);
	cr_expect(result_of(f) == 2);
	cr_expect(fiber_close(passed) == 0);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(carrier[i]) == 0 && fiber_close(other[i]) == 0);
	return fiber_close(fds[1]);
}

Test(io_message, a_received_number_is_a_new_one, .timeout = 30)
{
	law_holds(reborn, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	struct msghdr many = { .msg_iovlen = (size_t)INT_MAX + 1, .msg_iov = &(struct iovec){ 0 } };
	struct sockaddr_in name = { .sin_family = AF_INET };
	struct msghdr none = { .msg_iovlen = 3 };
	socklen_t size = sizeof name;
	fiber_fd fds[2], pipe[2];
	char byte;

	(void)arg;
	cr_expect(law_tcp_pair(fds) == 0);
	cr_expect(fiber_pipe(pipe) == 0);
	cr_expect(fiber_recv(-1, &byte, 1, 0) == -EBADF);
	cr_expect(fiber_recv(fds[0], NULL, 1, 0) == -EFAULT);
	cr_expect(fiber_recv(fds[0], &byte, SIZE_MAX, 0) == -EINVAL);
	cr_expect(fiber_recv(pipe[0], &byte, 1, 0) == -ENOTSOCK);
	cr_expect(fiber_send(-5, "x", 1, 0) == -EBADF);
	cr_expect(fiber_send(fds[0], NULL, 1, 0) == -EFAULT);
	cr_expect(fiber_send(fds[0], "x", SIZE_MAX, 0) == -EINVAL);
	cr_expect(fiber_send(pipe[1], "x", 1, 0) == -ENOTSOCK);
	cr_expect(fiber_recvfrom(fds[0], &byte, 1, 0, (struct sockaddr *)&name, NULL) == -EFAULT);
	cr_expect(fiber_recvfrom(-1, &byte, 1, 0, (struct sockaddr *)&name, &size) == -EBADF);
	cr_expect(fiber_sendto(-1, "x", 1, 0, (struct sockaddr *)&name, sizeof name) == -EBADF);
	cr_expect(fiber_recvmsg(fds[0], NULL, 0) == -EFAULT);
	cr_expect(fiber_recvmsg(-1, NULL, 0) == -EBADF);
	cr_expect(fiber_recvmsg(fds[0], &none, 0) == -EFAULT);
	cr_expect(fiber_recvmsg(fds[0], &many, 0) == -EINVAL);
	cr_expect(fiber_sendmsg(fds[0], NULL, 0) == -EFAULT);
	cr_expect(fiber_sendmsg(fds[0], &none, 0) == -EFAULT);
	cr_expect(fiber_sendmsg(fds[0], &many, 0) == -EINVAL);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(fds[i]) == 0 && fiber_close(pipe[i]) == 0);
	return 0;
}

Test(io_message, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}
