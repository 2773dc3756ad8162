/* net_listen.c - ports to listen at. Socket files are in net_unix.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "law.h"
#include "net/resolve.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t bytes = sizeof value;

	getsockopt(fd, level, name, &value, &bytes);
	return value;
}

/* The port that the system chose. */
static const char *port_of(fiber_fd fd)
{
	static _Thread_local char text[FIBER_ADDRESS_BYTES];

	cr_expect(fiber_local_address(fd, text, sizeof text) > 0);
	return strrchr(text, ':') + 1;
}

static fiber_fd listen_at(const char *scheme_and_host, const char *port, unsigned flags)
{
	char address[FIBER_ADDRESS_BYTES];

	snprintf(address, sizeof address, "%s:%s", scheme_and_host, port);
	return fiber_listen(address, &(fiber_net_options_t){ .flags = flags });
}

static fiber_fd dial_at(const char *scheme_and_host, fiber_fd listener)
{
	char address[FIBER_ADDRESS_BYTES];

	snprintf(address, sizeof address, "%s:%s", scheme_and_host, port_of(listener));
	return fiber_dial(address, NULL);
}

static void expect_accepts(fiber_fd listener, const char *scheme_and_host)
{
	fiber_fd fd = dial_at(scheme_and_host, listener), peer;
	char here[FIBER_ADDRESS_BYTES], there[FIBER_ADDRESS_BYTES];

	cr_expect(fd >= 0, "%s: %d", scheme_and_host, fd);
	if (fd < 0)
		return;
	peer = fiber_accept(listener, NULL, NULL);
	fiber_local_address(fd, here, sizeof here);
	fiber_peer_address(peer, there, sizeof there);
	cr_expect(strcmp(here, there) == 0, "%s and %s", here, there);
	cr_expect(strncmp(here, scheme_and_host, strlen(scheme_and_host)) == 0, "%s", here);
	fiber_close(fd);
	fiber_close(peer);
}

static int any_port(void *arg)
{
	fiber_fd v4 = fiber_listen("tcp:127.0.0.1:0", NULL);

	(void)arg;
	cr_expect(v4 >= 0, "%d", v4);
	cr_expect(strcmp(port_of(v4), "0") != 0);
	cr_expect(fcntl(v4, F_GETFD) & FD_CLOEXEC && fcntl(v4, F_GETFL) & O_NONBLOCK);
	cr_expect(option(v4, SOL_SOCKET, SO_REUSEADDR) == 1);
	expect_accepts(v4, "tcp:127.0.0.1");
	cr_expect(dial_at("tcp:127.0.0.2", v4) == -ECONNREFUSED);
	fiber_close(v4);
	return 0;
}

Test(listen, port_0_is_a_port_of_the_systems_choice, .timeout = 30)
{
	law_holds(any_port, NULL);
	cr_expect(any_port(NULL) == 0, "from a plain thread");
}

static int any_host(void *arg)
{
	fiber_fd one = fiber_listen("tcp:[::1]:0", NULL);
	fiber_fd both = fiber_listen("tcp:*:0", NULL);
	fiber_fd explicit = fiber_listen("tcp:[::]:0", NULL);
	fiber_fd six = fiber_listen("tcp:*:0", &(fiber_net_options_t){ .flags = FIBER_V6ONLY });

	(void)arg;
	cr_expect(both >= 0 && explicit >= 0 && six >= 0, "%d %d %d", both, explicit, six);
	expect_accepts(one, "tcp:[::1]");
	expect_accepts(both, "tcp:127.0.0.1");
	expect_accepts(both, "tcp:[::1]");
	expect_accepts(explicit, "tcp:127.0.0.1");
	expect_accepts(six, "tcp:[::1]");
	cr_expect(dial_at("tcp:127.0.0.1", six) == -ECONNREFUSED);
	fiber_close(one);
	fiber_close(both);
	fiber_close(explicit);
	fiber_close(six);
	return 0;
}

Test(listen, any_address_takes_both_families_unless_v6only, .timeout = 30)
{
	if (!law_ipv6())
		cr_skip_test("no IPv6 here");
	law_holds(any_host, NULL);
}

static int nagle(void *arg)
{
	(void)arg;
	for (unsigned delay = 0; delay < 2; delay++) {
		fiber_fd listener = listen_at("tcp:127.0.0.1", "0", delay ? FIBER_DELAY : 0);
		fiber_fd fd = dial_at("tcp:127.0.0.1", listener);
		fiber_fd peer = fiber_accept(listener, NULL, NULL);

		cr_expect(option(peer, IPPROTO_TCP, TCP_NODELAY) == !delay);
		fiber_close(fd);
		fiber_close(peer);
		fiber_close(listener);
	}
	return 0;
}

Test(listen, accepted_connections_do_not_delay_unless_asked, .timeout = 30)
{
	law_holds(nagle, NULL);
}

/* ---- taken ports ------------------------------------------------------------------------------*/
static int taken(void *arg)
{
	const char *at = arg;
	fiber_fd first = listen_at(at, "0", 0), shared, second;

	cr_expect(listen_at(at, port_of(first), 0) == -EADDRINUSE);
	cr_expect(listen_at(at, port_of(first), FIBER_REUSEPORT) == -EADDRINUSE);
	fiber_close(first);
	shared = listen_at(at, "0", FIBER_REUSEPORT);
	second = listen_at(at, port_of(shared), FIBER_REUSEPORT);
	cr_expect(second >= 0, "%d", second);
	fiber_close(shared);
	fiber_close(second);
	return 0;
}

Test(listen, a_port_is_shared_only_if_all_asked_for_it, .timeout = 30)
{
	law_holds(taken, "tcp:127.0.0.1");
	law_holds(taken, "tcp:*");
	law_holds(taken, "udp:127.0.0.1");
	if (law_ipv6())
		law_holds(taken, "tcp:[::1]");
}

/* The server closes first, so its end of the old connection lingers on the port. */
static int comes_back(void *arg)
{
	fiber_fd listener = listen_at("tcp:127.0.0.1", "0", 0), again;
	fiber_fd fd = dial_at("tcp:127.0.0.1", listener);
	char byte, port[8];

	(void)arg;
	snprintf(port, sizeof port, "%s", port_of(listener));
	fiber_close(fiber_accept(listener, NULL, NULL));
	cr_expect(fiber_read(fd, &byte, 1) == 0);
	fiber_close(fd);
	fiber_close(listener);
	again = listen_at("tcp:127.0.0.1", port, 0);
	cr_expect(again >= 0, "%d", again);
	fiber_close(again);
	return 0;
}

Test(listen, a_server_comes_back_while_old_connections_linger, .timeout = 30)
{
	law_holds(comes_back, NULL);
}

/* ---- udp --------------------------------------------------------------------------------------*/
static int datagrams(void *arg)
{
	fiber_fd server = listen_at(arg, "0", 0);
	fiber_fd client = dial_at(strcmp(arg, "udp:*") ? arg : "udp:127.0.0.1", server);
	struct sockaddr_storage from;
	socklen_t bytes = sizeof from;
	char got[8] = "";

	cr_expect(server >= 0 && client >= 0, "%d %d", server, client);
	cr_expect(fiber_write(client, "ping", 4) == 4);
	cr_expect(fiber_recvfrom(server, got, sizeof got, 0, (void *)&from, &bytes) == 4);
	cr_expect(fiber_sendto(server, got, 4, 0, (void *)&from, bytes) == 4);
	cr_expect(fiber_read(client, got, sizeof got) == 4 && !memcmp(got, "ping", 4));
	fiber_close(client);
	fiber_close(server);
	return 0;
}

Test(listen, udp_sockets_are_bound_and_answer, .timeout = 30)
{
	law_holds(datagrams, "udp:127.0.0.1");
	law_holds(datagrams, "udp:*");
	if (law_ipv6())
		law_holds(datagrams, "udp:[::1]");
}

/* ---- names ------------------------------------------------------------------------------------*/
/* First an address that this machine does not have. */
static int second_is_here(const char *host, const char *service, const struct addrinfo *hints,
			  struct addrinfo **out)
{
	struct addrinfo numeric = *hints;
	int r;

	(void)host;
	numeric.ai_flags |= AI_NUMERICHOST;
	r = getaddrinfo("192.0.2.77", service, &numeric, out);
	return r ? r : getaddrinfo("127.0.0.1", service, &numeric, &(*out)->ai_next);
}

static int by_name(void *arg)
{
	fiber_fd listener = fiber_listen("tcp:made.up:0", NULL);

	(void)arg;
	cr_expect(listener >= 0, "%d", listener);
	expect_accepts(listener, "tcp:127.0.0.1");
	cr_expect(listen_at("tcp:made.up", port_of(listener), 0) == -EADDRINUSE);
	fiber_close(listener);
	return 0;
}

Test(listen, a_name_is_bound_at_the_first_address_that_is_here, .timeout = 30)
{
	resolve_lookup = second_is_here;
	law_holds(by_name, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static void expect_refused(const char *address, fiber_net_options_t options, int error)
{
	fiber_fd fd = fiber_listen(address, &options);

	cr_expect(fd == error, "%s: %d, expected %d", address ? address : "NULL", fd, error);
}

static int misuse(void *arg)
{
	fiber_net_options_t none = { 0 };
	int before = law_descriptors();

	(void)arg;
	expect_refused(NULL, none, -EINVAL);
	expect_refused("tcp", none, -EINVAL);
	expect_refused("tcp:0", none, -EINVAL);
	expect_refused("quic:*:80", none, -EAFNOSUPPORT);
	expect_refused("tcp:192.0.2.77:0", none, -EADDRNOTAVAIL);
	expect_refused("tcp:127.0.0.1:0", (fiber_net_options_t){ .flags = 1u << 31 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:0", (fiber_net_options_t){ .backlog = -1 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:0", (fiber_net_options_t){ .reserved = { 1 } }, -EINVAL);
	expect_refused("tcp:127.0.0.1:0", (fiber_net_options_t){ .mode = 0600 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:0", (fiber_net_options_t){ .flags = FIBER_V6ONLY }, -ENOENT);
	cr_expect(law_descriptors() == before);
	fiber_cancel(fiber_self());
	expect_refused("tcp:127.0.0.1:0", none, -ECANCELED);
	return 0;
}

Test(listen, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}
