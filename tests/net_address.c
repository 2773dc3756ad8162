/* net_address.c - addresses as text: parsed, printed, and read from sockets. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <fiber/net.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "law.h"
#include "net/address.h"
#include "net/resolve.h"

/* ---- parsing ----------------------------------------------------------------------------------*/
static void expect_host(const char *text, int type, const char *host, const char *service)
{
	struct address a;
	int r = address_parse(text, &a);

	cr_expect(r == 0, "%s: %d", text, r);
	if (r < 0)
		return;
	cr_expect(a.family == AF_UNSPEC && a.type == type, "%s", text);
	cr_expect(strcmp(a.host, host) == 0 && strcmp(a.service, service) == 0,
		  "%s: host %s, service %s", text, a.host, a.service);
	cr_expect(a.any == !*host, "%s", text);
	cr_expect(a.port_zero == !strcmp(service, "0"), "%s", text);
}

Test(address, host_and_port_are_read_for_tcp_and_udp, .timeout = 10)
{
	expect_host("tcp:127.0.0.1:80", SOCK_STREAM, "127.0.0.1", "80");
	expect_host("tcp:localhost:http", SOCK_STREAM, "localhost", "http");
	expect_host("tcp:*:7777", SOCK_STREAM, "", "7777");
	expect_host("tcp:127.0.0.1:0", SOCK_STREAM, "127.0.0.1", "0");
	expect_host("tcp:127.0.0.1:00065535", SOCK_STREAM, "127.0.0.1", "65535");
	expect_host("udp:[::1]:53", SOCK_DGRAM, "::1", "53");
	expect_host("udp:[fe80::1%lo]:53", SOCK_DGRAM, "fe80::1%lo", "53");
	expect_host("tcp:xn--bcher-kva.example.:h.t-t_p+", SOCK_STREAM, "xn--bcher-kva.example.",
		    "h.t-t_p+");
}

static void expect_path(const char *text, int type, const char *path, size_t bytes)
{
	struct address a;
	int r = address_parse(text, &a);

	cr_expect(r == 0, "%s: %d", text, r);
	if (r < 0)
		return;
	cr_expect(a.family == AF_UNIX && a.type == type, "%s", text);
	cr_expect(a.path.sun_family == AF_UNIX, "%s", text);
	cr_expect(a.path_bytes == offsetof(struct sockaddr_un, sun_path) + bytes, "%s", text);
	cr_expect(memcmp(a.path.sun_path, path, bytes) == 0, "%s", text);
	cr_expect(address_is_file(&a) == (path[0] != '\0'), "%s", text);
}

Test(address, unix_paths_and_abstract_names_are_read, .timeout = 10)
{
	expect_path("unix:/run/app.sock", SOCK_STREAM, "/run/app.sock", 14);
	expect_path("unix:./@odd:name", SOCK_STREAM, "./@odd:name", 12);
	expect_path("unix:@abstract", SOCK_STREAM, "\0abstract", 9);
	expect_path("unixgram:x", SOCK_DGRAM, "x", 2);
	expect_path("unixpacket:@x@", SOCK_SEQPACKET, "\0x@", 3);
}

static void expect_refused(const char *text, int error)
{
	struct address a;
	int r = address_parse(text, &a);

	cr_expect(r == error, "%s: %d, expected %d", text ? text : "NULL", r, error);
}

Test(address, what_is_not_surely_meant_is_refused, .timeout = 10)
{
	static const char *const bad[] = {
		NULL, "", ":", "tcp", "tcp:", "tcp::", "tcp::80", "tcp:host", "tcp:host:", "tcp:80",
		"tcp:host:-1", "tcp:host:+1", "tcp:host: 80", "tcp:host:80 ", "tcp:host:8o",
		"tcp:host:65536", "tcp:host:4294967376", "tcp:host:18446744073709551696",
		"tcp:ho st:80", "tcp:ho\tst:80", "tcp://host:80", "tcp:user@host:80", "tcp:**:80",
		"tcp:*.host:80", "tcp:::1:80", "tcp:[::1]", "tcp:[::1]80", "tcp:[::1:80",
		"tcp:::1]:80", "tcp:[]:80", "tcp:[host]:80", "tcp:[127.0.0.1]:80", "tcp:host:ht tp",
		"tcp:host:ht/tp", "udp:host:80:90", "unix:", "unix:@", "unixgram:", "unixpacket:@",
		"TCP:host:80", " tcp:host:80", "1cp:host:80", "t-p:host:80", "tcp :host:80",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		expect_refused(bad[i], -EINVAL);
	expect_refused("sctp:host:80", -EAFNOSUPPORT);
	expect_refused("tcp4:host:80", -EAFNOSUPPORT);
	expect_refused("unixstream:/x", -EAFNOSUPPORT);
	expect_refused("t:host:80", -EAFNOSUPPORT);
}

/* scheme + `n` times c + tail */
static void expect_long(const char *scheme, char c, size_t n, const char *tail, int error)
{
	char text[1024];
	size_t start = strlen(scheme);

	strcpy(text, scheme);
	memset(text + start, c, n);
	strcpy(text + start + n, tail);
	expect_refused(text, error);
}

Test(address, lengths_are_bounded_exactly, .timeout = 10)
{
	expect_long("unix:", 'p', 107, "", 0);
	expect_long("unix:", 'p', 108, "", -ENAMETOOLONG);
	expect_long("unix:@", 'p', 107, "", 0);
	expect_long("unix:@", 'p', 108, "", -ENAMETOOLONG);
	expect_long("tcp:", 'h', 253, ":80", 0);
	expect_long("tcp:", 'h', 254, ":80", -ENAMETOOLONG);
	expect_long("tcp:host:", 's', 63, "", 0);
	expect_long("tcp:host:", 's', 64, "", -EINVAL);
	expect_long("", 's', 900, ":host:80", -EAFNOSUPPORT);
}

/* ---- printing ---------------------------------------------------------------------------------*/
static void expect_printed(int type, const void *a, size_t bytes, const char *expected)
{
	char text[FIBER_ADDRESS_BYTES];
	int r = address_print(type, a, (socklen_t)bytes, text, sizeof text);

	cr_expect(r == (int)strlen(expected), "%s: %d", expected, r);
	cr_expect(strcmp(text, expected) == 0, "%s, expected %s", text, expected);
}

static struct sockaddr_in in_address(uint32_t host, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host) };
}

Test(address, each_family_is_printed_in_the_form_that_dial_takes, .timeout = 10)
{
	struct sockaddr_in v4 = in_address(0x7f000001, 40112);
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(80),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "/run/app.sock" };
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0na\0me" };
	struct sockaddr_un odd = { .sun_family = AF_UNIX, .sun_path = "@file" };
	size_t head = offsetof(struct sockaddr_un, sun_path);

	expect_printed(SOCK_STREAM, &v4, sizeof v4, "tcp:127.0.0.1:40112");
	expect_printed(SOCK_DGRAM, &v4, sizeof v4, "udp:127.0.0.1:40112");
	expect_printed(SOCK_STREAM, &v6, sizeof v6, "tcp:[::1]:80");
	v6.sin6_scope_id = 7;
	expect_printed(SOCK_STREAM, &v6, sizeof v6, "tcp:[::1%7]:80");
	v6.sin6_scope_id = 0;
	memcpy(&v6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03", 16);
	expect_printed(SOCK_STREAM, &v6, sizeof v6, "tcp:10.1.2.3:80");
	expect_printed(SOCK_STREAM, &path, sizeof path, "unix:/run/app.sock");
	expect_printed(SOCK_SEQPACKET, &path, head + 13, "unixpacket:/run/app.sock");
	expect_printed(SOCK_DGRAM, &name, head + 6, "unixgram:@na@me");
	expect_printed(SOCK_STREAM, &name, head, "unix:");
	expect_printed(SOCK_STREAM, &odd, head + 6, "unix:./@file");
}

Test(address, an_unterminated_path_of_full_length_is_printed_whole, .timeout = 10)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char expected[FIBER_ADDRESS_BYTES] = "unixpacket:";

	memset(a.sun_path, 'p', sizeof a.sun_path);
	memset(expected + 11, 'p', sizeof a.sun_path);
	expect_printed(SOCK_SEQPACKET, &a, sizeof a, expected);
	expect_printed(SOCK_SEQPACKET, &a, sizeof a + 1, expected);
}

Test(address, a_buffer_of_any_size_is_never_overrun, .timeout = 10)
{
	struct sockaddr_in v4 = in_address(0x7f000001, 40112);
	struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "/run/app.sock" };
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0name" };
	const struct { const void *a; size_t bytes; int length; } all[] = {
		{ &v4, sizeof v4, 19 }, { &path, sizeof path, 18 },
		{ &name, offsetof(struct sockaddr_un, sun_path) + 5, 10 },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		for (size_t size = 0; size <= 32; size++) {
			char text[33];

			memset(text, '#', sizeof text);
			int r = address_print(SOCK_STREAM, all[i].a, (socklen_t)all[i].bytes, text,
					      size);

			cr_expect(r == ((int)size > all[i].length ? all[i].length : -ENOSPC));
			cr_expect(r >= 0 || size == 0 || text[0] == '\0');
			for (size_t j = size; j < sizeof text; j++)
				cr_expect(text[j] == '#', "%zu, size %zu: byte %zu", i, size, j);
		}
	}
}

/* ---- seeded -----------------------------------------------------------------------------------*/
static void fill(uint64_t *seed, void *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((unsigned char *)memory)[i] = (unsigned char)law_random(seed);
}

static void expect_round_trip(int type, const struct sockaddr *a, socklen_t bytes)
{
	char text[FIBER_ADDRESS_BYTES];
	struct address parsed;
	struct addrinfo *list = NULL;
	int r = address_print(type, a, bytes, text, sizeof text);

	cr_expect(r > 0 && address_parse(text, &parsed) == 0, "%s: %d", text, r);
	r = resolve_address(&parsed, AF_UNSPEC, false, &list);
	cr_expect(r == 0 && list, "%s: %d", text, r);
	if (list)
		cr_expect(list->ai_socktype == type && list->ai_addrlen == bytes &&
			  memcmp(list->ai_addr, a, bytes) == 0, "%s", text);
	fiber_resolve_free(list);
}

Test(address, what_is_printed_parses_to_the_same_address, .timeout = 30)
{
	uint64_t seed = law_seed();

	for (unsigned i = 0; i < law_rounds(10000); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

		fill(&seed, &v4.sin_addr, 4);
		fill(&seed, &v4.sin_port, 2);
		expect_round_trip(SOCK_STREAM, (struct sockaddr *)&v4, sizeof v4);
		fill(&seed, &v6.sin6_addr, 16);
		if (law_random(&seed) % 2)
			memset(&v6.sin6_addr, 0, law_random(&seed) % 10);
		fill(&seed, &v6.sin6_port, 2);
		expect_round_trip(SOCK_DGRAM, (struct sockaddr *)&v6, sizeof v6);
	}
}

/* A parsed Unix address, printed, must be the text again. */
static void check_parsed(const char *text)
{
	struct address a;
	char again[FIBER_ADDRESS_BYTES];
	int r = address_parse(text, &a);

	cr_expect(r == 0 || r == -EINVAL || r == -EAFNOSUPPORT || r == -ENAMETOOLONG, "%s: %d",
		  text, r);
	if (r < 0)
		return;
	if (a.family == AF_UNIX) {
		r = address_print(a.type, (struct sockaddr *)&a.path, a.path_bytes, again,
				  sizeof again);
		cr_expect(r > 0 && strcmp(text, again) == 0, "%s printed as %s", text, again);
		return;
	}
	cr_expect(strlen(a.host) <= ADDRESS_HOST_MOST && strlen(a.service) <= ADDRESS_SERVICE_MOST);
	cr_expect(a.any == !a.host[0] && a.service[0], "%s", text);
}

Test(address, no_text_makes_the_parser_fail_in_any_other_way, .timeout = 60)
{
	static const char *const good[] = {
		"tcp:127.0.0.1:80", "udp:[::1]:53", "tcp:*:http", "unix:/run/app.sock",
		"unix:@name", "unixgram:./x", "unixpacket:@y",
	};
	static const char likely[] = ":[]@*/.%0159af\0tcpudnixgram ";
	uint64_t seed = law_seed();

	for (unsigned i = 0; i < law_rounds(300000); i++) {
		size_t bytes = law_random(&seed) % 300;
		/* Exactly as large as the text, so that a sanitizer sees one byte too many. */
		char *text = malloc(bytes + 1);

		fill(&seed, text, bytes);
		text[bytes] = '\0';
		if (i % 2) {
			const char *model = good[law_random(&seed) % (sizeof good / sizeof *good)];

			strncpy(text, model, bytes);
			for (unsigned n = law_random(&seed) % 4; n > 0 && bytes > 0; n--)
				text[law_random(&seed) % bytes] =
					likely[law_random(&seed) % (sizeof likely - 1)];
		}
		check_parsed(text);
		free(text);
	}
	law_no_leaks();
}

/* ---- of sockets -------------------------------------------------------------------------------*/
static void expect_named(int r, const char *text, const char *expected)
{
	cr_expect(r == (int)strlen(expected) && strcmp(text, expected) == 0, "%s (%d), expected %s",
		  text, r, expected);
}

Test(address, both_ends_of_a_connection_are_told_as_text, .timeout = 10)
{
	char text[FIBER_ADDRESS_BYTES], other[FIBER_ADDRESS_BYTES];
	int pair[2];

	cr_assert(law_tcp_pair(pair) == 0);
	cr_expect(fiber_local_address(pair[0], text, sizeof text) > 0);
	expect_named(fiber_peer_address(pair[1], other, sizeof other), other, text);
	cr_expect(strncmp(text, "tcp:127.0.0.1:", 14) == 0);
	cr_expect(fiber_peer_address(pair[0], text, sizeof text) > 0);
	expect_named(fiber_local_address(pair[1], other, sizeof other), other, text);
	close(pair[0]);
	close(pair[1]);
	cr_assert(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	expect_named(fiber_local_address(pair[0], text, sizeof text), text, "unixgram:");
	expect_named(fiber_peer_address(pair[0], text, sizeof text), text, "unixgram:");
	close(pair[0]);
	close(pair[1]);
}

Test(address, a_descriptor_without_an_address_says_why, .timeout = 10)
{
	char text[FIBER_ADDRESS_BYTES] = "before";
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int lonely = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE);

	cr_expect(fiber_local_address(-1, text, sizeof text) == -EBADF);
	cr_expect(text[0] == '\0');
	cr_expect(fiber_local_address(INT32_MAX, text, sizeof text) == -EBADF);
	cr_expect(fiber_peer_address(-1, text, sizeof text) == -EBADF);
	cr_expect(fiber_local_address(file, text, sizeof text) == -ENOTSOCK);
	cr_expect(fiber_peer_address(lonely, text, sizeof text) == -ENOTCONN);
	cr_expect(fiber_local_address(netlink, text, sizeof text) == -EAFNOSUPPORT);
	cr_expect(fiber_local_address(lonely, NULL, 100) == -EINVAL);
	cr_expect(fiber_local_address(lonely, text, 0) == -ENOSPC);
	strcpy(text, "####");
	cr_expect(fiber_local_address(lonely, text, 1) == -ENOSPC);
	cr_expect(strcmp(text, "") == 0 && text[1] == '#');
	close(file);
	close(lonely);
	close(netlink);
}
