/* fiber/net.h on Windows: listen, serve, dial, resolve, and what is refused there. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/file.h>
#include <fiber/net.h>
#include <fiber/queue.h>
#include <stdatomic.h>

#include "law.h"
#include "until.h"

static int echo(fiber_fd fd, void *arg)
{
	char buffer[512];
	ssize_t n;

	(void)arg;
	while ((n = fiber_read(fd, buffer, sizeof buffer)) > 0)
		if (fiber_write_all(fd, buffer, (size_t)n, NULL) < 0)
			break;
	return (int)n;
}

static int serve(void *listener)
{
	return fiber_serve(*(fiber_fd *)listener, echo, NULL);
}

static int ask(void *address)
{
	fiber_fd fd = fiber_dial(address, NULL);
	char text[16] = "";

	cr_expect(fd >= 0, "%lld (%s)", (long long)fd, fiber_strerror((int)fd));
	for (int i = 0; i < 10; i++) {
		cr_expect(fiber_write(fd, "question", 8) == 8);
		cr_expect(fiber_read_full(fd, text, 8, NULL) == 8);
		cr_expect(strcmp(text, "question") == 0);
	}
	cr_expect(fiber_close(fd) == 0);
	return 0;
}

static int many_clients(void *arg)
{
	fiber_fd listener = fiber_listen("tcp:127.0.0.1:0", NULL);
	char address[64];
	fiber_t server, client[20];
	int r;

	(void)arg;
	cr_expect(listener >= 0);
	cr_expect(fiber_local_address(listener, address, sizeof address) > 0);
	cr_expect(fiber_spawn(&server, NULL, serve, &listener) == 0);
	for (int i = 0; i < 20; i++)
		cr_expect(fiber_spawn(&client[i], NULL, ask, address) == 0);
	for (int i = 0; i < 20; i++)
		cr_expect(fiber_join(client[i], NULL) == 0);
	cr_expect(fiber_cancel(server) == 0);
	cr_expect(fiber_join(server, &r) == 0 && r == -ECANCELED, "%d", r);
	cr_expect(fiber_close(listener) == 0);
	r = (int)fiber_dial(address, NULL);
	cr_expect(r == -ECONNREFUSED, "%d (%s)", r, fiber_strerror(r));
	return 0;
}

Test(net_windows, a_server_answers_many_clients_until_it_is_cancelled, .timeout = 60)
{
	law_holds(many_clients, NULL);
}

static int refused(void *arg)
{
	fiber_net_options_t shared = { .flags = FIBER_REUSEPORT };
	fiber_fd first = fiber_listen("tcp:127.0.0.1:0", NULL);
	char address[64];

	(void)arg;
	cr_expect(fiber_listen("unix:file", NULL) < 0);
	cr_expect(fiber_listen("tcp:127.0.0.1:0", &shared) == -EOPNOTSUPP);
	cr_expect(fiber_local_address(first, address, sizeof address) > 0);
	cr_expect(fiber_listen(address, NULL) < 0, "a port has one owner");
	cr_expect(fiber_close(first) == 0);
	cr_expect(fiber_listen("tcp:127.0.0.1:99999", NULL) == -EINVAL);
	cr_expect(fiber_unlink("no file") == -ENOSYS && fiber_print("text") == -ENOSYS);
	cr_expect(fiber_queue_create(NULL) == -ENOSYS);
	cr_expect(fiber_sendfile(0, 0, NULL, 0) == -ENOSYS && fiber_own(0) == -ENOSYS);
	return 0;
}

Test(net_windows, what_there_is_not_is_refused, .timeout = 20)
{
	law_holds(refused, NULL);
}

static int names(void *arg)
{
	struct addrinfo *list = NULL;
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST };
	int r;

	(void)arg;
	r = fiber_resolve("127.0.0.1", "80", NULL, &list);
	cr_expect(r == 0 && list, "%d", r);
	fiber_resolve_free(list);
	r = fiber_resolve("no number", "80", &numeric, &list);
	cr_expect(r == -ENOENT, "%d (%s)", r, fiber_strerror(r));
	return 0;
}

Test(net_windows, names_are_looked_up, .timeout = 30)
{
	law_holds(names, NULL);
}

Test(net_windows, every_error_of_the_network_has_words, .timeout = 10)
{
	static const int errors[] = { ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH,
				      ENETUNREACH, EADDRINUSE, ENOTSOCK, ENOTCONN, EISCONN,
				      EMSGSIZE, EAFNOSUPPORT, ECANCELED, EOPNOTSUPP, EPIPE };

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		cr_expect(strcmp(fiber_strerror(-errors[i]), "unknown error") != 0, "%d",
			  errors[i]);
}
