/* net_race.c - happy eyeballs: in which order a name's addresses are tried, and what becomes of
 * those that lose. The names are made up: a resolver in the place of getaddrinfo knows them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "law.h"
#include "net/race.h"
#include "net/resolve.h"

/* ---- names ------------------------------------------------------------------------------------*/
/* What every name means: numeric hosts, in this order. */
static const char *const *hosts;

/* glibc frees a list node by node, so lists may be chained. */
static int made_up(const char *host, const char *service, const struct addrinfo *hints,
		   struct addrinfo **out)
{
	struct addrinfo numeric = *hints, **end = out;

	(void)host;
	numeric.ai_flags |= AI_NUMERICHOST;
	*out = NULL;
	for (size_t i = 0; hosts[i]; i++) {
		cr_expect(getaddrinfo(hosts[i], service, &numeric, end) == 0);
		while (*end)
			end = &(*end)->ai_next;
	}
	return 0;
}

static struct addrinfo *list_of(const char *const *names, const char *port)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	hosts = names;
	made_up("", port, &hints, &list);
	return list;
}

/* ---- order ------------------------------------------------------------------------------------*/
/* Which families were tried, one letter each: 4 or 6. */
static fiber_fd log_and_fail(const struct addrinfo *peer, void *log)
{
	strcat(log, peer->ai_family == AF_INET ? "4" : "6");
	return -EAFNOSUPPORT;
}

static int check_order(void *arg)
{
	static const struct { const char *names[8], *order; } table[] = {
		{ { "::1", "::2", "::3", "127.0.0.1", "127.0.0.2" }, "64646" },
		{ { "127.0.0.1", "127.0.0.2", "::1", "::2", "::3" }, "46466" },
		{ { "::1", "::2", "127.0.0.1", "127.0.0.2", "::3", "127.0.0.3" }, "646464" },
		{ { "127.0.0.1", "127.0.0.2" }, "44" },
		{ { "::1" }, "6" },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct addrinfo *list = list_of(table[i].names, "80");
		char log[16] = "";

		cr_expect(race_connect(list, log_and_fail, log) == -EAFNOSUPPORT);
		cr_expect(strcmp(log, table[i].order) == 0, "%s, expected %s", log, table[i].order);
		fiber_resolve_free(list);
	}
	return 0;
}

Test(race, the_families_take_turns_from_the_first, .timeout = 30)
{
	law_holds(check_order, NULL);
}

/* The first failure counts, but what is only about routes gives way. */
static fiber_fd fail_as_told(const struct addrinfo *peer, void *arg)
{
	const int **errors = arg;

	(void)peer;
	return *(*errors)++;
}

static int check_errors(void *arg)
{
	static const char *const names[] = { "127.0.0.1", "127.0.0.2", "127.0.0.3", NULL };
	static const struct { int errors[3], expected; } table[] = {
		{ { -ECONNREFUSED, -ENETUNREACH, -EACCES }, -ECONNREFUSED },
		{ { -ENETUNREACH, -ECONNREFUSED, -EACCES }, -ECONNREFUSED },
		{ { -EAFNOSUPPORT, -EADDRNOTAVAIL, -EHOSTUNREACH }, -EAFNOSUPPORT },
		{ { -EMFILE, -ENETUNREACH, -EMFILE }, -EMFILE },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct addrinfo *list = list_of(names, "80");
		const int *errors = table[i].errors;

		cr_expect(race_connect(list, fail_as_told, &errors) == table[i].expected);
		fiber_resolve_free(list);
	}
	return 0;
}

Test(race, the_error_that_says_most_is_returned, .timeout = 30)
{
	law_holds(check_errors, NULL);
}

/* ---- real sockets -----------------------------------------------------------------------------*/
enum { FILLERS = 4 };

/* One port on three addresses: a server whose queue is full, so that attempts hang; one that
 * answers; and one where nobody listens. */
struct town {
	char port[8];
	fiber_fd full, good;        /* full: [::1]; good: 127.0.0.1; nobody at 127.0.0.2 */
	fiber_fd filler[FILLERS];
};

static fiber_fd listen_at(const char *host, const char *port, int backlog)
{
	char address[FIBER_ADDRESS_BYTES];

	snprintf(address, sizeof address, "tcp:%s:%s", host, port);
	return fiber_listen(address, &(fiber_net_options_t){ .backlog = backlog });
}

static void town_fill(struct town *t)
{
	char address[FIBER_ADDRESS_BYTES];

	snprintf(address, sizeof address, "tcp:[::1]:%s", t->port);
	for (size_t i = 0; i < FILLERS; i++)
		t->filler[i] = (fiber_fd)FIBER_TIMEOUT(100 * FIBER_MILLISECOND,
						       fiber_dial(address, NULL));
	cr_expect(t->filler[FILLERS - 1] == -ETIMEDOUT);
}

static void town_open(struct town *t)
{
	char address[FIBER_ADDRESS_BYTES];

	do { /* until the port is free on both */
		t->full = listen_at("[::1]", "0", 1);
		cr_expect(fiber_local_address(t->full, address, sizeof address) > 0);
		snprintf(t->port, sizeof t->port, "%s", strrchr(address, ':') + 1);
		t->good = listen_at("127.0.0.1", t->port, 0);
		if (t->good < 0)
			fiber_close(t->full);
	} while (t->good < 0);
	town_fill(t);
}

static void town_close(struct town *t)
{
	for (size_t i = 0; i < FILLERS; i++)
		if (t->filler[i] >= 0)
			fiber_close(t->filler[i]);
	fiber_close(t->full);
	fiber_close(t->good);
}

/* Dials a name that means `names`; it must reach the good server. How long that took. */
static int64_t dial_name(const struct town *t, const char *const *names)
{
	char address[FIBER_ADDRESS_BYTES], peer[FIBER_ADDRESS_BYTES], good[FIBER_ADDRESS_BYTES];
	int64_t begin = fiber_now();
	int before = law_descriptors();

	hosts = names;
	snprintf(address, sizeof address, "tcp:made.up:%s", t->port);
	fiber_fd fd = fiber_dial(address, NULL);
	int64_t took = fiber_now() - begin;

	cr_expect(fd >= 0, "%d", fd);
	cr_expect(law_descriptors() == before + (fd >= 0), "a loser is still open");
	fiber_local_address(t->good, good, sizeof good);
	fiber_peer_address(fd, peer, sizeof peer);
	cr_expect(strcmp(good, peer) == 0, "%s", peer);
	fiber_close(fd);
	return took;
}

static int hang(void *arg)
{
	static const char *const dead_family[] = { "::1", "::1", "::1", "127.0.0.1", NULL };
	struct town town;

	(void)arg;
	resolve_lookup = made_up;
	town_open(&town);
	/* The attempt that hangs is given 250 ms (less what a coarse clock may hide), and one
	 * only. */
	int64_t took = dial_name(&town, dead_family);

	cr_expect(took >= 245 * FIBER_MILLISECOND, "%ld ns", (long)took);
	cr_expect(took < 495 * FIBER_MILLISECOND, "%ld ns", (long)took);
	town_close(&town);
	return 0;
}

Test(race, a_dead_family_costs_one_pause, .timeout = 60)
{
	if (!law_ipv6())
		cr_skip_test("no IPv6 here");
	law_holds(hang, NULL);
}

static int refuse(void *arg)
{
	static const char *const refused[] = {
		"127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2",
		"127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.1", NULL };
	static const char *const both[] = { "::1", "127.0.0.2", "127.0.0.2", "127.0.0.1", NULL };
	struct town town;
	int64_t fastest = FIBER_NEVER;

	(void)arg;
	resolve_lookup = made_up;
	town_open(&town);
	/* The machine may be busy with something else; not five times. */
	for (int i = 0; i < 5 && fastest > 200 * FIBER_MILLISECOND; i++) {
		int64_t took = dial_name(&town, refused);

		fastest = took < fastest ? took : fastest;
	}
	cr_expect(fastest < 200 * FIBER_MILLISECOND, "%ld ns", (long)fastest);
	dial_name(&town, both);
	town_close(&town);
	return 0;
}

Test(race, a_failure_starts_the_next_at_once, .timeout = 60)
{
	if (!law_ipv6())
		cr_skip_test("no IPv6 here");
	law_holds(refuse, NULL);
}

static int lose_all(void *arg)
{
	static const char *const hanging[] = { "::1", "::1", "::1", "::1", NULL };
	static const char *const refusing[] = { "127.0.0.2", "127.0.0.2", NULL };
	char address[FIBER_ADDRESS_BYTES];
	struct town town;
	int before;

	(void)arg;
	resolve_lookup = made_up;
	town_open(&town);
	before = law_descriptors();
	snprintf(address, sizeof address, "tcp:made.up:%s", town.port);
	hosts = refusing;
	cr_expect(fiber_dial(address, NULL) == -ECONNREFUSED);
	hosts = hanging;
	int r = (int)FIBER_TIMEOUT(600 * FIBER_MILLISECOND, fiber_dial(address, NULL));

	cr_expect(r == -ETIMEDOUT, "%d", r);
	/* The local address decides which families can be dialed at all. */
	hosts = (const char *const[]){ "::1", "127.0.0.2", NULL };
	r = fiber_dial(address, &(fiber_net_options_t){ .local = "tcp:127.0.0.1:0" });
	cr_expect(r == -ECONNREFUSED, "%d", r);
	cr_expect(law_descriptors() == before);
	town_close(&town);
	return 0;
}

Test(race, when_all_fail_or_the_deadline_passes_all_are_closed, .timeout = 60)
{
	if (!law_ipv6())
		cr_skip_test("no IPv6 here");
	law_holds(lose_all, NULL);
}
