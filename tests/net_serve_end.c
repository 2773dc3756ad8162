/* net_serve_end.c - how a server ends, and what it rides out before. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "law.h"

enum { CLIENTS = 50 };

/* What the clients of a server saw. */
struct seen {
	_Atomic unsigned begun, cancelled, finished, farewells;
};

struct server {
	fiber_fd listener;
	char address[FIBER_ADDRESS_BYTES];
	struct seen seen;
	fiber_t fiber;
};

/* Reads until the end, and says good-bye even when cancelled. */
static int listen_to(fiber_fd fd, void *arg)
{
	struct seen *seen = arg;
	char bytes[64];
	ssize_t n;

	atomic_fetch_add(&seen->begun, 1);
	while ((n = fiber_read(fd, bytes, sizeof bytes)) > 0)
		;
	atomic_fetch_add(n < 0 ? &seen->cancelled : &seen->finished, 1);
	FIBER_SHIELD(FIBER_SECOND) {
		fiber_yield(); /* whoever waits for the clients must wait for this too */
		if (fiber_write(fd, "bye", 3) == 3)
			atomic_fetch_add(&seen->farewells, 1);
	}
	return 0;
}

static int serve(void *arg)
{
	struct server *s = arg;

	return fiber_serve(s->listener, listen_to, &s->seen);
}

static int serve_briefly(void *arg)
{
	return (int)FIBER_TIMEOUT(30 * FIBER_MILLISECOND, serve(arg));
}

static void server_start(struct server *s, fiber_fn *function)
{
	memset(s, 0, sizeof *s);
	s->listener = fiber_listen("tcp:127.0.0.1:0", NULL);
	cr_expect(fiber_local_address(s->listener, s->address, sizeof s->address) > 0);
	cr_expect(fiber_spawn(&s->fiber, NULL, function, s) == 0);
}

static void dial_all(struct server *s, fiber_fd fd[CLIENTS])
{
	for (int i = 0; i < CLIENTS; i++)
		cr_expect((fd[i] = fiber_dial(s->address, NULL)) >= 0);
	while (atomic_load(&s->seen.begun) < CLIENTS)
		fiber_sleep(FIBER_MILLISECOND);
}

static void hang_up_all(fiber_fd fd[CLIENTS])
{
	for (int i = 0; i < CLIENTS; i++) {
		char bytes[8];

		cr_expect(fiber_read(fd[i], bytes, sizeof bytes) == 3);
		cr_expect(fiber_read(fd[i], bytes, sizeof bytes) == 0);
		fiber_close(fd[i]);
	}
}

/* ---- interrupted ------------------------------------------------------------------------------*/
static int cancel_server(void *arg)
{
	struct server server;
	fiber_fd fd[CLIENTS];
	int before = law_descriptors(), result = 0;

	(void)arg;
	server_start(&server, serve);
	dial_all(&server, fd);
	cr_expect(fiber_cancel(server.fiber) == 0);
	cr_expect(fiber_join(server.fiber, &result) == 0 && result == -ECANCELED, "%d", result);
	/* All are over, good-byes said, when fiber_serve returns. */
	cr_expect(atomic_load(&server.seen.cancelled) == CLIENTS);
	cr_expect(atomic_load(&server.seen.farewells) == CLIENTS);
	hang_up_all(fd);
	fiber_close(server.listener);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve_end, a_cancelled_server_cancels_its_clients_and_waits_for_them, .timeout = 30)
{
	law_holds(cancel_server, NULL);
}

static int time_out_server(void *arg)
{
	struct server server;
	fiber_fd fd[CLIENTS];
	int before = law_descriptors(), result = 0;

	(void)arg;
	server_start(&server, serve_briefly);
	for (int i = 0; i < CLIENTS; i++)
		fd[i] = fiber_dial(server.address, NULL);
	cr_expect(fiber_join(server.fiber, &result) == 0 && result == -ETIMEDOUT, "%d", result);
	cr_expect(atomic_load(&server.seen.farewells) == atomic_load(&server.seen.begun));
	fiber_close(server.listener);
	for (int i = 0; i < CLIENTS; i++)
		if (fd[i] >= 0)
			fiber_close(fd[i]);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve_end, a_servers_own_deadline_ends_it_the_same_way, .timeout = 30)
{
	law_holds(time_out_server, NULL);
}

/* main ends while the server is in full swing: the runtime cancels and awaits everybody. */
static int leave_it_running(void *arg)
{
	struct server *server = arg;
	fiber_fd fd[CLIENTS];

	server_start(server, serve);
	dial_all(server, fd);
	for (int i = 0; i < CLIENTS; i++)
		fiber_close(fd[i]);
	return 0;
}

Test(serve_end, the_end_of_main_ends_the_server, .timeout = 30)
{
	for (unsigned workers = 1; workers <= 8; workers += 7) {
		struct server server;
		int before = law_descriptors();

		cr_expect(law_run(workers, leave_it_running, &server) == 0);
		close(server.listener);
		cr_expect(law_descriptors() == before);
	}
	law_no_leaks();
}

/* ---- the listener fails -----------------------------------------------------------------------*/
/*	main                     server                      clients
 *	shutdown or close        accept fails, waits         go on
 *	hangs up one by one ................................ end by themselves
 *	join                     returns the error            */
static int end_gently(void *close_it)
{
	struct server server;
	fiber_fd fd[CLIENTS];
	int before = law_descriptors(), result = 0;

	server_start(&server, serve);
	dial_all(&server, fd);
	if (close_it)
		cr_expect(fiber_close(server.listener) == 0);
	else
		cr_expect(fiber_shutdown(server.listener, SHUT_RD) == 0);
	for (int i = 0; i < CLIENTS; i++) {
		cr_expect(fiber_write(fd[i], "more", 4) == 4);
		cr_expect(fiber_shutdown(fd[i], SHUT_WR) == 0);
	}
	hang_up_all(fd);
	cr_expect(fiber_join(server.fiber, &result) == 0);
	cr_expect(result == (close_it ? -EBADF : -EINVAL), "%d", result);
	cr_expect(atomic_load(&server.seen.finished) == CLIENTS);
	cr_expect(atomic_load(&server.seen.cancelled) == 0);
	if (!close_it)
		fiber_close(server.listener);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve_end, without_its_listener_a_server_waits_for_its_clients, .timeout = 30)
{
	law_holds(end_gently, NULL);
	law_holds(end_gently, "close");
}

static int lose_patience(void *arg)
{
	struct server server;
	fiber_fd fd[CLIENTS];
	int result = 0;

	(void)arg;
	server_start(&server, serve);
	dial_all(&server, fd);
	cr_expect(fiber_shutdown(server.listener, SHUT_RD) == 0);
	for (int i = 0; i < CLIENTS / 2; i++)
		cr_expect(fiber_shutdown(fd[i], SHUT_WR) == 0);
	while (atomic_load(&server.seen.finished) < CLIENTS / 2)
		fiber_sleep(FIBER_MILLISECOND);
	cr_expect(fiber_cancel(server.fiber) == 0);
	cr_expect(fiber_join(server.fiber, &result) == 0 && result == -ECANCELED, "%d", result);
	cr_expect(atomic_load(&server.seen.cancelled) == CLIENTS / 2);
	hang_up_all(fd);
	fiber_close(server.listener);
	return 0;
}

Test(serve_end, an_interruption_while_it_waits_cancels_the_rest, .timeout = 30)
{
	law_holds(lose_patience, NULL);
}

/* ---- shortages --------------------------------------------------------------------------------*/
/* All descriptors are taken, so that accept fails; then they come back. */
static int run_out_of_descriptors(void *arg)
{
	struct server server;
	fiber_fd fd[CLIENTS];
	int before = law_descriptors(), spare[64], n = 0, result = 0;

	(void)arg;
	server_start(&server, serve);
	fd[0] = fiber_dial(server.address, NULL);
	while (atomic_load(&server.seen.begun) < 1)
		fiber_sleep(FIBER_MILLISECOND);
	/* One stays for the client's end; none for the server's. */
	int last = open("/dev/null", O_RDONLY | O_CLOEXEC);

	while (n < 64 && (spare[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	cr_expect(n < 64, "there is no limit");
	close(last);
	fd[1] = fiber_dial(server.address, NULL);
	cr_expect(fd[1] >= 0, "%d", fd[1]);
	/* Several pauses of the server's long. */
	fiber_sleep(30 * FIBER_MILLISECOND);
	cr_expect(atomic_load(&server.seen.begun) == 1);
	while (n > 0)
		close(spare[--n]);
	while (atomic_load(&server.seen.begun) < 2)
		fiber_sleep(FIBER_MILLISECOND);
	for (int i = 0; i < 2; i++)
		fiber_close(fd[i]);
	cr_expect(fiber_cancel(server.fiber) == 0);
	cr_expect(fiber_join(server.fiber, &result) == 0 && result == -ECANCELED, "%d", result);
	fiber_close(server.listener);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve_end, a_lack_of_descriptors_is_ridden_out, .timeout = 30)
{
	struct rlimit limit = { 50, 50 };

	cr_expect(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	law_holds(run_out_of_descriptors, NULL);
}

/* Main, server and three clients are all the fibers there may be. */
static int run_out_of_fibers(void *arg)
{
	struct server server;
	fiber_fd fd[4];
	char byte;
	int before = law_descriptors(), result = 0;

	(void)arg;
	server_start(&server, serve);
	for (unsigned i = 0; i < 3; i++) {
		fd[i] = fiber_dial(server.address, NULL);
		while (atomic_load(&server.seen.begun) <= i)
			fiber_sleep(FIBER_MILLISECOND);
	}
	fd[3] = fiber_dial(server.address, NULL);
	cr_expect(fiber_read(fd[3], &byte, 1) <= 0, "the fourth should be closed");
	fiber_close(fd[3]);
	cr_expect(atomic_load(&server.seen.cancelled) == 0, "the others should go on");
	fiber_close(fd[0]);
	while (atomic_load(&server.seen.begun) < 4) {
		fd[3] = fiber_dial(server.address, NULL);
		cr_expect(fd[3] >= 0);
		fiber_sleep(FIBER_MILLISECOND);
		fiber_close(fd[3]);
	}
	cr_expect(fiber_cancel(server.fiber) == 0);
	cr_expect(fiber_join(server.fiber, &result) == 0 && result == -ECANCELED, "%d", result);
	fiber_close(fd[1]);
	fiber_close(fd[2]);
	fiber_close(server.listener);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(serve_end, a_connection_without_a_fiber_is_closed_and_ends_nobody, .timeout = 30)
{
	law_holds_with(&(fiber_options_t){ .fibers_max = 5 }, run_out_of_fibers, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	fiber_fd udp = fiber_listen("udp:127.0.0.1:0", NULL);
	fiber_fd idle = fiber_socket(AF_INET, SOCK_STREAM, 0);
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)arg;
	cr_expect(fiber_serve(udp, NULL, NULL) == -EINVAL);
	cr_expect(fiber_serve(-1, listen_to, NULL) == -EBADF);
	cr_expect(fiber_serve(INT32_MAX, listen_to, NULL) == -EBADF);
	cr_expect(fiber_serve(udp, listen_to, NULL) == -EOPNOTSUPP);
	cr_expect(fiber_serve(idle, listen_to, NULL) == -EINVAL);
	cr_expect(fiber_serve(file, listen_to, NULL) == -ENOTSOCK);
	fiber_close(udp);
	fiber_close(idle);
	close(file);
	return 0;
}

Test(serve_end, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
	cr_expect(fiber_serve(0, listen_to, NULL) == -EPERM, "from a plain thread");
}
