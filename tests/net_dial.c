/* net_dial.c - connections by address, and what is left of those that fail: nothing. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "law.h"
#include "net/resolve.h"

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
	fiber_fd v4 = law_listener(address, sizeof address);
	fiber_fd v6 = fiber_listen("tcp:[::1]:0", NULL);
	int before = law_descriptors();

	(void)arg;
	expect_dial(address, v4, NULL);
	expect_dial(address, v4, &(fiber_net_options_t){ .local = "tcp:127.0.0.3:0" });
	cr_expect(fiber_local_address(v6, address, sizeof address) > 0);
	expect_dial(address, v6, NULL);
	cr_expect(law_descriptors() == before);
	fiber_close(v4);
	fiber_close(v6);
	return 0;
}

Test(dial, tcp_is_reached_over_ipv4_and_ipv6, .timeout = 30)
{
	law_holds(dial_tcp, NULL);
	cr_expect(dial_tcp(NULL) == 0, "from a plain thread");
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

/* ---- nobody answers ---------------------------------------------------------------------------*/
/* A listener whose queue is full: the kernel drops what else arrives, as a host that is gone
 * does. */
struct hole {
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener, filler[4];
};

static void hole_open(struct hole *h)
{
	h->listener = fiber_listen("tcp:127.0.0.1:0", &(fiber_net_options_t){ .backlog = 1 });
	cr_expect(fiber_local_address(h->listener, h->address, sizeof h->address) > 0);
	for (size_t i = 0; i < sizeof h->filler / sizeof *h->filler; i++)
		h->filler[i] = (fiber_fd)FIBER_TIMEOUT(100 * FIBER_MILLISECOND,
						       fiber_dial(h->address, NULL));
	cr_expect(h->filler[3] == -ETIMEDOUT, "the queue takes %d", h->filler[3]);
}

static void hole_close(struct hole *h)
{
	for (size_t i = 0; i < sizeof h->filler / sizeof *h->filler; i++)
		if (h->filler[i] >= 0)
			fiber_close(h->filler[i]);
	fiber_close(h->listener);
}

static int dial_it(void *address)
{
	fiber_fd fd = fiber_dial(address, NULL);

	if (fd >= 0)
		fiber_close(fd);
	return fd < 0 ? fd : 0;
}

static void wait_until_parked(fiber_t fiber)
{
	fiber_info_t info = { .state = "" };

	while (fiber_info(fiber, &info) == 0 && strcmp(info.state, "parked") != 0)
		fiber_sleep(FIBER_MILLISECOND);
}

static int interrupt_dials(void *arg)
{
	struct hole hole;
	fiber_t fiber;
	int result = 0, before;

	(void)arg;
	hole_open(&hole);
	before = law_descriptors();
	int r = (int)FIBER_TIMEOUT(30 * FIBER_MILLISECOND, fiber_dial(hole.address, NULL));

	cr_expect(r == -ETIMEDOUT, "%d", r);
	cr_expect(fiber_spawn(&fiber, NULL, dial_it, hole.address) == 0);
	wait_until_parked(fiber);
	cr_expect(fiber_cancel(fiber) == 0);
	cr_expect(fiber_join(fiber, &result) == 0 && result == -ECANCELED, "%d", result);
	cr_expect(law_descriptors() == before);
	hole_close(&hole);
	return 0;
}

Test(dial, a_deadline_and_a_cancellation_leave_no_descriptor_behind, .timeout = 60)
{
	law_holds(interrupt_dials, NULL);
}

static int dial_when_cancelled(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener = law_listener(address, sizeof address);

	(void)arg;
	fiber_cancel(fiber_self());
	cr_expect(fiber_dial(address, NULL) == -ECANCELED);
	cr_expect(accept(listener, NULL, NULL) == -1, "something was dialed");
	close(listener);
	return 0;
}

Test(dial, a_known_interruption_comes_before_any_effect, .timeout = 30)
{
	law_holds(dial_when_cancelled, NULL);
}

/*	main                        dialer
 *	the queue is full           dials, has to wait
 *	accepts one                 gets in                 */
static int dial_full_unix(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener, first, second, accepted;
	fiber_t fiber;
	int result = -1;

	(void)arg;
	snprintf(address, sizeof address, "unix:@fiber-full-%d", getpid());
	listener = fiber_listen(address, &(fiber_net_options_t){ .backlog = 1 });
	first = fiber_dial(address, NULL);
	second = fiber_dial(address, NULL);
	cr_expect(first >= 0 && second >= 0, "%d %d", first, second);
	cr_expect(fiber_spawn(&fiber, NULL, dial_it, address) == 0);
	wait_until_parked(fiber);
	accepted = fiber_accept(listener, NULL, NULL);
	cr_expect(fiber_join(fiber, &result) == 0 && result == 0, "%d", result);
	fiber_close(accepted);
	fiber_close(first);
	fiber_close(second);
	fiber_close(listener);
	return 0;
}

Test(dial, a_unix_server_whose_queue_is_full_is_waited_for, .timeout = 30)
{
	law_holds(dial_full_unix, NULL);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static void expect_refused(const char *address, fiber_net_options_t options, int error)
{
	fiber_fd fd = fiber_dial(address, &options);

	cr_expect(fd == error, "%s: %d, expected %d", address ? address : "NULL", fd, error);
}

static int misuse(void *arg)
{
	fiber_net_options_t none = { 0 };
	int before = law_descriptors();

	(void)arg;
	expect_refused(NULL, none, -EINVAL);
	expect_refused("", none, -EINVAL);
	expect_refused("http:localhost:80", none, -EAFNOSUPPORT);
	expect_refused("tcp:*:80", none, -EINVAL);
	expect_refused("udp:127.0.0.1:0", none, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .flags = 1u << 9 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .mode = 01000 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .backlog = -1 }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .reserved = { 0, 1 } }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "" }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "udp:*:0" }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "unix:@x" }, -EINVAL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "tcp:[::1]:0" },
		       -EADDRNOTAVAIL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .local = "tcp:192.0.2.77:0" },
		       -EADDRNOTAVAIL);
	expect_refused("tcp:127.0.0.1:80", (fiber_net_options_t){ .flags = FIBER_V6ONLY }, -ENOENT);
	expect_refused("unix:@x", (fiber_net_options_t){ .flags = FIBER_REUSEPORT }, -EOPNOTSUPP);
	expect_refused("unix:/nowhere/at/all", none, -ENOENT);
	cr_expect(law_descriptors() == before);
	return 0;
}

Test(dial, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}

static int dial_without_descriptors(void *arg)
{
	char address[FIBER_ADDRESS_BYTES];
	fiber_fd listener = law_listener(address, sizeof address);
	struct rlimit was, none;
	int before = law_descriptors();

	(void)arg;
	getrlimit(RLIMIT_NOFILE, &was);
	none = (struct rlimit){ 3, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	fiber_fd fd = fiber_dial(address, NULL);

	setrlimit(RLIMIT_NOFILE, &was);
	cr_expect(fd == -EMFILE, "%d", fd);
	cr_expect(law_descriptors() == before);
	close(listener);
	return 0;
}

Test(dial, without_descriptors_says_so, .timeout = 30)
{
	law_holds(dial_without_descriptors, NULL);
}
