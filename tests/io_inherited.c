/* Blocking descriptors that came from elsewhere: their flags stay, and nothing that is done with
 * them stops the worker's other fibers, though another process may take what was ready. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "law.h"
#include "others.h"
#include "waits.h"

static int blocking_listener(struct sockaddr_in *name)
{
	socklen_t size = sizeof *name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*name = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	cr_expect(bind(fd, (struct sockaddr *)name, size) == 0 && listen(fd, 128) == 0);
	cr_expect(getsockname(fd, (struct sockaddr *)name, &size) == 0);
	return fd;
}

static int dial(const struct sockaddr_in *name)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_expect(connect(fd, (const struct sockaddr *)name, sizeof *name) == 0);
	return fd;
}

static int accepts(void *arg)
{
	return fiber_accept(*(int *)arg, NULL, NULL);
}

/* ---- accept -----------------------------------------------------------------------------------*/
static int accepts_blocking(void *arg)
{
	struct other o = { 0 };
	struct sockaddr_in name;
	int listener = blocking_listener(&name), client, fd;
	fiber_t other = spawned(other_goes_on, &o), f = spawned(accepts, &listener);

	(void)arg;
	until_it_waits_for(f, "accept");
	others_go_on(&o);
	client = dial(&name);
	fd = result_of(f);
	cr_expect(fd >= 0);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_expect(!(fcntl(listener, F_GETFL) & O_NONBLOCK));
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, accepts(&listener)) == -ETIMEDOUT);
	f = spawned(accepts, &listener);
	until_it_waits_for(f, "accept");
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	f = spawned(accepts, &listener);
	until_it_waits_for(f, "accept");
	cr_expect(fiber_close(listener) == 0);
	cr_expect(result_of(f) == -EBADF);
	atomic_store(&o.stop, true);
	cr_expect(result_of(other) == 0);
	cr_expect(fiber_close(fd) == 0 && close(client) == 0);
	return 0;
}

Test(io_inherited, accept_on_a_blocking_listener, .timeout = 60)
{
	law_holds(accepts_blocking, NULL);
}

/* A number that was closed behind our back and comes back from a helper: who waited is told. */
static int reads(void *arg)
{
	return (int)fiber_read(*(int *)arg, &(char){ 0 }, 1);
}

static int born_on_a_helper(void *arg)
{
	struct sockaddr_in name;
	int listener = blocking_listener(&name), client = dial(&name);
	fiber_fd fds[2];
	fiber_t f;

	(void)arg;
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	f = spawned(reads, &fds[0]);
	until_it_waits_for(f, "read");
	cr_expect(close(fds[0]) == 0);
	cr_expect(accepts(&listener) == fds[0], "the lowest free number");
	cr_expect(result_of(f) == -EBADF);
	f = spawned(reads, &fds[0]);
	until_it_waits_for(f, "read");
	cr_expect(write(client, "x", 1) == 1);
	cr_expect(result_of(f) == 1);
	close(client);
	cr_expect(fiber_close(fds[0]) == 0 && fiber_close(fds[1]) == 0);
	return fiber_close(listener);
}

Test(io_inherited, a_number_that_a_helper_accepts_is_a_new_one, .timeout = 60)
{
	law_holds(born_on_a_helper, NULL);
}

/* Another process takes every second connection. What is ready may be gone when the call comes: the
 * call then sits in the kernel, and must neither hold the worker nor outlast deadline or close.
 *
 * this process                   the other
 * accept: parks                  accept: blocks
 * a connection: both wake, one has it, the other waits on */
enum { CONNECTIONS = 200 };

static pid_t start_rival(int listener, int report)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0 || write(report, "r", 1) != 1)
			_exit(0);
		close(fd);
	}
}

struct contest {
	int listener;
	_Atomic int ours;
};

static int takes_its_share(void *arg)
{
	struct contest *c = arg;
	int fd;

	while ((fd = fiber_accept(c->listener, NULL, NULL)) >= 0) {
		atomic_fetch_add(&c->ours, 1);
		fiber_close(fd);
	}
	return fd;
}

static int takes_for_a_moment(void *arg)
{
	return (int)FIBER_TIMEOUT(20 * FIBER_MILLISECOND, takes_its_share(arg));
}

static int theirs(int report)
{
	char bytes[CONNECTIONS];
	ssize_t n = read(report, bytes, sizeof bytes);

	return n < 0 ? 0 : (int)n;
}

/* After each connection the clients wait until somebody has it, so none waits in the queue. */
static void contest(struct contest *c, const struct sockaddr_in *name, int report)
{
	int taken = 0, fd;

	for (int i = 0; i < CONNECTIONS; i++) {
		fd = dial(name);
		while (taken + atomic_load(&c->ours) <= i) {
			taken += theirs(report);
			fiber_yield();
		}
		close(fd);
	}
	cr_expect(taken + atomic_load(&c->ours) == CONNECTIONS);
}

static int shared(void *arg)
{
	struct other o = { 0 };
	struct sockaddr_in name;
	struct contest c = { .listener = blocking_listener(&name) };
	fiber_t other, two[2], hasty;
	int report[2];
	pid_t rival;

	(void)arg;
	cr_expect(pipe2(report, O_CLOEXEC | O_NONBLOCK) == 0);
	rival = start_rival(c.listener, report[1]);
	other = spawned(other_goes_on, &o);
	two[0] = spawned(takes_its_share, &c);
	two[1] = spawned(takes_its_share, &c);
	hasty = spawned(takes_for_a_moment, &c);
	contest(&c, &name, report[0]);
	others_go_on(&o);
	cr_expect(result_of(hasty) == -ETIMEDOUT);
	cr_expect(fiber_cancel(two[0]) == 0);
	cr_expect(result_of(two[0]) == -ECANCELED);
	cr_expect(fiber_close(c.listener) == 0);
	cr_expect(result_of(two[1]) == -EBADF);
	atomic_store(&o.stop, true);
	cr_expect(result_of(other) == 0);
	kill(rival, SIGKILL);
	cr_expect(waitpid(rival, NULL, 0) == rival);
	close(report[0]);
	close(report[1]);
	return 0;
}

Test(io_inherited, a_blocking_listener_shared_with_another_process, .timeout = 120)
{
	law_holds(shared, NULL);
}

/* More acceptors than helpers there are: none of them may keep the others' files waiting. */
enum { ACCEPTORS = 100 };

static int files_go_on(void *arg)
{
	struct sockaddr_in name;
	struct contest c = { .listener = blocking_listener(&name) };
	fiber_t f[ACCEPTORS];
	char byte;
	int file = fiber_open("/proc/self/exe", O_RDONLY);

	(void)arg;
	cr_expect(file >= 0);
	for (int i = 0; i < ACCEPTORS; i++)
		f[i] = spawned(takes_its_share, &c);
	for (int i = 0; i < ACCEPTORS; i++)
		until_it_waits_for(f[i], "accept");
	for (int i = 0; i < 20; i++) {
		close(dial(&name));
		cr_expect(fiber_read(file, &byte, 1) == 1);
	}
	while (atomic_load(&c.ours) < 20)
		fiber_yield();
	cr_expect(fiber_close(c.listener) == 0);
	for (int i = 0; i < ACCEPTORS; i++)
		cr_expect(result_of(f[i]) == -EBADF);
	return fiber_close(file);
}

Test(io_inherited, a_hundred_acceptors_leave_helpers_for_files, .timeout = 120)
{
	law_holds_with(&(fiber_options_t){ .helpers_max = 4 }, files_go_on, NULL);
}

/* ---- connect ----------------------------------------------------------------------------------*/
/* A listener whose queue is full does not answer: connect(2) that blocks would sit there. */
struct dialer {
	int fd;
	struct sockaddr_un name;
	socklen_t size;
};

static int connects(void *arg)
{
	struct dialer *d = arg;

	return fiber_connect(d->fd, (struct sockaddr *)&d->name, d->size);
}

static int full_listener(struct dialer *d, int *first)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	d->name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	d->size = sizeof d->name.sun_family;
	cr_expect(bind(fd, (struct sockaddr *)&d->name, d->size) == 0); /* any abstract name */
	d->size = sizeof d->name;
	cr_expect(getsockname(fd, (struct sockaddr *)&d->name, &d->size) == 0);
	cr_expect(listen(fd, 0) == 0);
	*first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_expect(connect(*first, (struct sockaddr *)&d->name, d->size) == 0);
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd;
}

static int connects_blocking(void *arg)
{
	struct other o = { 0 };
	struct dialer d;
	int first, listener = full_listener(&d, &first), taken;
	fiber_t other = spawned(other_goes_on, &o), f = spawned(connects, &d);

	(void)arg;
	until_it_waits_for(f, "connect");
	others_go_on(&o);
	cr_expect(fiber_cancel(f) == 0);
	cr_expect(result_of(f) == -ECANCELED);
	cr_expect(FIBER_TIMEOUT(FIBER_MILLISECOND, connects(&d)) == -ETIMEDOUT);
	f = spawned(connects, &d);
	until_it_waits_for(f, "connect");
	others_go_on(&o);
	taken = accept(listener, NULL, NULL);
	cr_expect(result_of(f) == 0);
	cr_expect(!(fcntl(d.fd, F_GETFL) & O_NONBLOCK));
	atomic_store(&o.stop, true);
	cr_expect(result_of(other) == 0);
	close(taken);
	close(first);
	close(listener);
	return fiber_close(d.fd);
}

Test(io_inherited, connect_on_a_blocking_socket, .timeout = 60)
{
	law_holds(connects_blocking, NULL);
}

static int connects_tcp(void *arg)
{
	struct sockaddr_in name;
	int listener = blocking_listener(&name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte = 0;
	int peer;

	(void)arg;
	cr_expect(fiber_connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
	cr_expect(fiber_connect(fd, (struct sockaddr *)&name, sizeof name) == -EISCONN);
	peer = fiber_accept(listener, NULL, NULL);
	cr_expect(fiber_write(fd, "x", 1) == 1);
	cr_expect(fiber_read(peer, &byte, 1) == 1 && byte == 'x');
	cr_expect(fiber_close(fd) == 0 && fiber_close(listener) == 0 && fiber_close(peer) == 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_expect(fiber_connect(fd, (struct sockaddr *)&name, sizeof name) == -ECONNREFUSED);
	return fiber_close(fd);
}

Test(io_inherited, connect_reaches_and_is_refused, .timeout = 60)
{
	law_holds(connects_tcp, NULL);
}
