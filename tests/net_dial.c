/* net_dial.c - connections by address. Those that fail are in net_dial_fail.c, names with several
 * addresses in net_race.c. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "law.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t bytes = sizeof value;

	getsockopt(fd, level, name, &value, &bytes);
	return value;
}

/* What goes in at `a` comes out at `b`. */
static void expect_connected(fiber_fd a, fiber_fd b)
{
	char got[8] = "";

	cr_expect(fiber_write_all(a, "hello", 5, NULL) == 5);
	cr_expect(fiber_read(b, got, sizeof got) == 5 && !strcmp(got, "hello"));
}

/* Dials `address`, which `listener` serves; both ends are checked and closed. */
static void expect_dial(const char *address, fiber_fd listener, const fiber_net_options_t *options)
{
	fiber_fd fd = fiber_dial(address, options), peer;

	cr_expect(fd >= 0, "%s: %d", address, fd);
	if (fd < 0)
		return;
	peer = fiber_accept(listener, NULL, NULL);
	cr_expect(peer >= 0, "%d", peer);
	expect_connected(fd, peer);
	expect_connected(peer, fd);
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	fiber_close(peer);
	fiber_close(fd);
}

/* ---- tcp --------------------------------------------------------------------------------------*/
static int dial_tcp(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener = fiber_listen(arg, NULL);
	int before = law_descriptors();

	cr_expect(fiber_local_address(listener, address, sizeof address) > 0);
	expect_dial(address, listener, NULL);
	/* A local address of the same host; its port is the system's choice. */
	expect_dial(address, listener, &(fiber_net_options_t){ .local = arg });
	cr_expect(law_descriptors() == before);
	fiber_close(listener);
	return 0;
}

Test(dial, tcp_is_reached_over_ipv4, .timeout = 30)
{
	law_holds(dial_tcp, "tcp:127.0.0.1:0");
	cr_expect(dial_tcp("tcp:127.0.0.1:0") == 0, "from a plain thread");
}

Test(dial, tcp_is_reached_over_ipv6, .timeout = 30)
{
	if (!law_ipv6())
		cr_skip_test("no IPv6 here");
	law_holds(dial_tcp, "tcp:[::1]:0");
}

static int check_options(void *arg)
{
	char address[FIBER_ADDRESS_BYTES], text[FIBER_ADDRESS_BYTES];
	fiber_fd listener = law_listener(address, sizeof address);
	fiber_fd fast = fiber_dial(address, NULL);
	fiber_fd slow = fiber_dial(address, &(fiber_net_options_t){
		.flags = FIBER_DELAY, .local = "tcp:127.0.0.9:0" });

	(void)arg;
	cr_expect(option(fast, IPPROTO_TCP, TCP_NODELAY) == 1);
	cr_expect(option(slow, IPPROTO_TCP, TCP_NODELAY) == 0);
	cr_expect(fiber_local_address(slow, text, sizeof text) > 0);
	cr_expect(strncmp(text, "tcp:127.0.0.9:", 14) == 0, "%s", text);
	cr_expect(fiber_peer_address(slow, text, sizeof text) > 0 && !strcmp(text, address));
	fiber_close(fast);
	fiber_close(slow);
	fiber_close(listener);
	return 0;
}

Test(dial, nagle_is_off_unless_asked_and_the_local_address_is_used, .timeout = 30)
{
	law_holds(check_options, NULL);
}

/* A port where nobody listens, and nobody else can: it stays bound. */
static fiber_fd reserve_port(char *address, size_t bytes)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	fiber_fd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_expect(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
	cr_expect(fiber_local_address(fd, address, bytes) > 0);
	return fd;
}

static int dial_nobody(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd reserved = reserve_port(address, sizeof address);
	int before = law_descriptors();

	(void)arg;
	cr_expect(fiber_dial(address, NULL) == -ECONNREFUSED);
	/* From that very port TCP would connect the socket to itself. */
	fiber_close(reserved);
	cr_expect(fiber_dial(address, &(fiber_net_options_t){ .local = address }) == -ECONNREFUSED);
	cr_expect(law_descriptors() == before - 1);
	return 0;
}

Test(dial, where_nobody_listens_is_refused, .timeout = 30)
{
	law_holds(dial_nobody, NULL);
}

/* ---- unix, udp --------------------------------------------------------------------------------*/
static void expect_unix(const char *address)
{
	fiber_fd listener = fiber_listen(address, NULL);

	cr_expect(listener >= 0, "%s: %d", address, listener);
	expect_dial(address, listener, NULL);
	fiber_close(listener);
	cr_expect(fiber_dial(address, NULL) == -ECONNREFUSED, "%s", address);
}

static int dial_unix(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	int before = law_descriptors();

	snprintf(address, sizeof address, "unix:@fiber-dial-%d", getpid());
	expect_unix(address);
	snprintf(address, sizeof address, "unixpacket:@fiber-dial-%d", getpid());
	expect_unix(address);
	snprintf(address, sizeof address, "unix:%s/dial", (const char *)arg);
	expect_unix(address);
	unlink(address + 5);
	cr_expect(fiber_dial(address, NULL) == -ENOENT);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(dial, unix_servers_are_reached_by_path_and_by_name, .timeout = 30)
{
	char folder[] = P_tmpdir "/fiber-dial-XXXXXX";

	cr_assert(mkdtemp(folder));
	law_holds(dial_unix, folder);
	rmdir(folder);
}

static void expect_datagram(fiber_fd to, const char *expected)
{
	char got[16] = "";

	cr_expect(fiber_read(to, got, sizeof got) == (ssize_t)strlen(expected));
	cr_expect(strcmp(got, expected) == 0, "%s", got);
}

/* A datagram socket that is dialed hears its peer and nobody else. */
static int dial_datagrams(void *arg)
{
	char server_at[FIBER_ADDRESS_BYTES], client_at[FIBER_ADDRESS_BYTES];
	fiber_fd server = fiber_listen(arg, NULL), client, stranger;
	bool udp = strncmp(arg, "udp", 3) == 0;
	struct sockaddr_storage to;
	socklen_t bytes = sizeof to;

	cr_expect(fiber_local_address(server, server_at, sizeof server_at) > 0);
	client = fiber_dial(server_at, &(fiber_net_options_t){
		.local = udp ? "udp:127.0.0.1:0" : "unixgram:@fiber-dial-client" });
	cr_expect(client >= 0, "%d", client);
	cr_expect(fiber_local_address(client, client_at, sizeof client_at) > 0);
	cr_expect(fiber_write(client, "one", 3) == 3);
	expect_datagram(server, "one");
	/* Unix refuses the stranger at once, UDP does not deliver. */
	stranger = fiber_dial(client_at, NULL);
	cr_expect(udp ? stranger >= 0 : stranger == -EPERM, "%d", stranger);
	if (stranger >= 0)
		fiber_write(stranger, "no", 2);
	fiber_close(stranger);
	getsockname(client, (struct sockaddr *)&to, &bytes);
	cr_expect(fiber_sendto(server, "two", 3, 0, (struct sockaddr *)&to, bytes) == 3);
	expect_datagram(client, "two");
	fiber_close(client);
	fiber_close(server);
	return 0;
}

Test(dial, a_dialed_datagram_socket_hears_its_peer_only, .timeout = 30)
{
	law_holds(dial_datagrams, "udp:127.0.0.1:0");
	law_holds(dial_datagrams, "unixgram:@fiber-dial-server");
}
