/* accept and connect: success, deadline, cancellation, misuse. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "law.h"
#include "waits.h"

/* A place to connect to, of either family, and a socket to do it with. */
struct place {
	struct sockaddr_storage name;
	socklen_t size;
	fiber_fd listener, fd;
};

static void open_place(struct place *p, int family, int backlog)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&p->name;

	memset(p, 0, sizeof *p);
	p->name.ss_family = (sa_family_t)family;
	p->size = sizeof p->name.ss_family; /* Unix: any abstract name */
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		p->size = sizeof *in;
	}
	p->listener = fiber_socket(family, SOCK_STREAM, 0);
	cr_expect(bind(p->listener, (struct sockaddr *)&p->name, p->size) == 0);
	p->size = sizeof p->name;
	cr_expect(getsockname(p->listener, (struct sockaddr *)&p->name, &p->size) == 0);
	cr_expect(listen(p->listener, backlog) == 0);
	p->fd = fiber_socket(family, SOCK_STREAM, 0);
}

static int connects(void *arg)
{
	struct place *p = arg;

	return fiber_connect(p->fd, (struct sockaddr *)&p->name, p->size);
}

static int accepts(void *arg)
{
	return fiber_accept(((struct place *)arg)->listener, NULL, NULL);
}

/* ---- success ----------------------------------------------------------------------------------*/
static int both_ways_round(void *arg)
{
	static const int families[] = { AF_INET, AF_UNIX };
	char byte = 0;

	(void)arg;
	for (int i = 0; i < 4; i++) {
		struct sockaddr_storage peer, own;
		socklen_t peer_size = sizeof peer, own_size = sizeof own;
		struct place p;
		fiber_fd fd;
		fiber_t f;

		open_place(&p, families[i % 2], 16);
		if (i < 2) { /* who accepts comes first */
			f = spawned(accepts, &p);
			until_it_waits_for(f, "accept");
			cr_expect(connects(&p) == 0);
			fd = result_of(f);
		} else {
			f = spawned(connects, &p);
			fd = fiber_accept(p.listener, (struct sockaddr *)&peer, &peer_size);
			cr_expect(result_of(f) == 0);
			cr_expect(getsockname(p.fd, (struct sockaddr *)&own, &own_size) == 0);
			cr_expect(peer_size == own_size && memcmp(&peer, &own, own_size) == 0);
		}
		cr_expect(fd >= 0);
		cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
		cr_expect(fiber_write(p.fd, "x", 1) == 1);
		cr_expect(fiber_read(fd, &byte, 1) == 1 && byte == 'x');
		connects(&p); /* Linux tells the success of a connect that did not block twice */
		cr_expect(connects(&p) == -EISCONN);
		cr_expect(fiber_close(fd) == 0 && fiber_close(p.fd) == 0);
		cr_expect(fiber_close(p.listener) == 0);
		p.fd = fiber_socket(families[i % 2], SOCK_STREAM, 0);
		cr_expect(connects(&p) == -ECONNREFUSED);
		cr_expect(fiber_close(p.fd) == 0);
	}
	return 0;
}

Test(io_connect, connections_are_made_and_taken, .timeout = 30)
{
	law_holds(both_ways_round, NULL);
}

/* ---- interrupted ------------------------------------------------------------------------------*/
/* Fills the listener's queue: what comes now is not answered. */
static int fill(const struct place *p, int family, fiber_fd *fds)
{
	int n = 0, r;

	do {
		fds[n] = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		r = connect(fds[n], (const struct sockaddr *)&p->name, p->size);
		n++;
		if (r < 0 && errno == EINPROGRESS) {
			struct pollfd set = { .fd = fds[n - 1], .events = POLLOUT };

			r = poll(&set, 1, 100) == 1 ? 0 : -1;
		}
	} while (r == 0 && n < 8);
	return n;
}

static int unanswered(void *arg)
{
	static const int families[] = { AF_INET, AF_UNIX };

	(void)arg;
	for (int i = 0; i < 2; i++) {
		fiber_fd fds[8], taken;
		struct place p;
		fiber_t f;
		int n;

		open_place(&p, families[i], 0);
		n = fill(&p, families[i], fds);
		cr_expect(n < 8);
		f = spawned(connects, &p);
		until_it_waits_for(f, "connect");
		cr_expect(fiber_cancel(f) == 0);
		cr_expect(result_of(f) == -ECANCELED);
		cr_expect(fiber_close(p.fd) == 0);
		p.fd = fiber_socket(families[i], SOCK_STREAM, 0);
		cr_expect(FIBER_TIMEOUT(5 * FIBER_MILLISECOND, connects(&p)) == -ETIMEDOUT);
		cr_expect(fiber_close(p.fd) == 0);
		p.fd = fiber_socket(families[i], SOCK_STREAM, 0);
		f = spawned(connects, &p);
		until_it_waits_for(f, "connect");
		cr_expect(fiber_close(p.fd) == 0);
		cr_expect(result_of(f) == -EBADF);
		p.fd = fiber_socket(families[i], SOCK_STREAM, 0);
		f = spawned(connects, &p);
		until_it_waits_for(f, "connect");
		while ((taken = (int)FIBER_TIMEOUT(10 * FIBER_MILLISECOND, accepts(&p))) >= 0)
			cr_expect(fiber_close(taken) == 0); /* room again */
		cr_expect(taken == -ETIMEDOUT);
		if (families[i] == AF_UNIX) /* TCP asks again after a second: not waited for here */
			cr_expect(result_of(f) == 0);
		else
			cr_expect(fiber_cancel(f) == 0 && fiber_join(f, NULL) == 0);
		while (n-- > 0)
			close(fds[n]);
		cr_expect(fiber_close(p.fd) == 0 && fiber_close(p.listener) == 0);
	}
	return 0;
}

Test(io_connect, what_is_not_answered_can_be_given_up, .timeout = 60)
{
	law_holds(unanswered, NULL);
}

static int nobody_comes(void *arg)
{
	fiber_scope_t scope;
	struct place p;
	fiber_fd fd;
	fiber_t f;

	(void)arg;
	open_place(&p, AF_INET, 16);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, accepts(&p)) == -ETIMEDOUT);
	f = spawned(accepts, &p);
	until_it_waits_for(f, "accept");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(connects(&p) == 0);
	fiber_within(&scope, 0);
	cr_expect(fiber_check() == -ECANCELED);
	cr_expect(accepts(&p) == -ECANCELED, "a known interruption comes first");
	cr_expect(connects(&p) == -ECANCELED);
	fiber_scope_end(&scope, 0);
	fd = accepts(&p);
	cr_expect(fd >= 0, "and the connection is still there");
	cr_expect(fiber_close(fd) == 0 && fiber_close(p.fd) == 0 && fiber_close(p.listener) == 0);
	return 0;
}

Test(io_connect, an_accept_can_be_given_up, .timeout = 30)
{
	law_holds(nobody_comes, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	struct sockaddr_storage name = { .ss_family = AF_UNIX };
	fiber_fd pipe[2], udp = fiber_socket(AF_INET, SOCK_DGRAM, 0);
	struct place p;

	(void)arg;
	open_place(&p, AF_INET, 16);
	cr_expect(fiber_pipe(pipe) == 0);
	cr_expect(fiber_accept(-1, NULL, NULL) == -EBADF);
	cr_expect(fiber_accept(INT_MAX, NULL, NULL) == -EBADF);
	cr_expect(fiber_accept(pipe[0], NULL, NULL) == -ENOTSOCK);
	cr_expect(fiber_accept(p.fd, NULL, NULL) == -EINVAL);
	cr_expect(fiber_accept(udp, NULL, NULL) == -EOPNOTSUPP);
	cr_expect(fiber_accept(p.listener, (struct sockaddr *)&name, NULL) == -EFAULT);
	cr_expect(fiber_connect(-1, (struct sockaddr *)&p.name, p.size) == -EBADF);
	cr_expect(fiber_connect(INT_MAX, (struct sockaddr *)&p.name, p.size) == -EBADF);
	cr_expect(fiber_connect(pipe[0], (struct sockaddr *)&p.name, p.size) == -ENOTSOCK);
	cr_expect(fiber_connect(p.fd, NULL, p.size) == -EFAULT);
	cr_expect(fiber_connect(p.fd, (struct sockaddr *)&p.name, 0) == -EINVAL);
	cr_expect(fiber_connect(p.fd, (struct sockaddr *)&p.name, (socklen_t)-1) == -EINVAL);
	cr_expect(fiber_connect(p.fd, (struct sockaddr *)&name, sizeof name) == -EAFNOSUPPORT);
	for (int i = 0; i < 2; i++)
		cr_expect(fiber_close(pipe[i]) == 0);
	cr_expect(fiber_close(p.fd) == 0 && fiber_close(p.listener) == 0);
	return fiber_close(udp);
}

Test(io_connect, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}

/* Without descriptors the connection stays where it is, and is taken when there are some. */
static int no_descriptors(void *arg)
{
	struct rlimit before, none;
	struct place p;
	fiber_fd fd;

	(void)arg;
	open_place(&p, AF_INET, 16);
	cr_expect(connects(&p) == 0);
	cr_expect(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = (struct rlimit){ (rlim_t)p.fd, before.rlim_max };
	cr_expect(setrlimit(RLIMIT_NOFILE, &none) == 0);
	cr_expect(accepts(&p) == -EMFILE);
	cr_expect(accepts(&p) == -EMFILE);
	cr_expect(setrlimit(RLIMIT_NOFILE, &before) == 0);
	fd = accepts(&p);
	cr_expect(fd >= 0);
	cr_expect(fiber_close(fd) == 0 && fiber_close(p.fd) == 0 && fiber_close(p.listener) == 0);
	return 0;
}

Test(io_connect, without_descriptors_nothing_is_lost, .timeout = 30)
{
	law_holds(no_descriptors, NULL);
}
