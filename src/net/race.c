/* race.c - happy eyeballs (RFC 8305): several addresses of one peer, the first that answers wins.
 *
 * getaddrinfo has sorted the addresses by preference. Attempts begin with the first and then
 * alternate between its family and the others, so that one dead family costs one pause and not one
 * a address; the next begins STAGGER after the last, or at once when one has failed.
 *
 * All attempts belong to the dialing fiber: connect(2) starts them, fiber_poll waits for all of
 * them. A fiber an attempt was rejected: the same order of events takes three times the code, and
 * an interruption would have to wait for all of them. So nothing can leak: every open descriptor
 * is in `polls` until the race ends, and the end closes all but the winner.
 *
 * connect(2) is also how an attempt's end is learned, by calling it again: it says EALREADY as
 * long as nothing is decided, so a wake-up without cause does no harm. */
#include "net/race.h"

#include <errno.h>
#include <fiber.h>
#include <netinet/in.h>

#include "base/must.h"
#include "net/socket.h"

enum { ATTEMPTS_MOST = 8 };
#define STAGGER (250 * FIBER_MILLISECOND)

struct race {
	race_open *open;
	void *arg;
	int family;                       /* of the first address */
	const struct addrinfo *next[2];   /* of that family; of the others */
	unsigned turn;                    /* which of them is next */
	int64_t due;                      /* when the next attempt may begin */
	struct pollfd polls[ATTEMPTS_MOST];
	const struct addrinfo *peers[ATTEMPTS_MOST];
	unsigned running;                 /* of both arrays */
	fiber_fd winner;                  /* or -1 */
	int error;                        /* what to say if nobody wins; 0: nothing yet */
};

/* ---- order ------------------------------------------------------------------------------------*/
static const struct addrinfo *find(const struct race *race, const struct addrinfo *from,
				   unsigned side)
{
	while (from && (from->ai_family != race->family) != (side == 1))
		from = from->ai_next;
	return from;
}

static bool has_next(const struct race *race)
{
	return race->next[0] || race->next[1];
}

static const struct addrinfo *take_next(struct race *race)
{
	unsigned side = race->next[race->turn] ? race->turn : !race->turn;
	const struct addrinfo *peer = race->next[side];

	race->next[side] = find(race, peer->ai_next, side);
	race->turn = !side;
	return peer;
}

/* ---- attempts ---------------------------------------------------------------------------------*/
static bool is_about_routes(int error)
{
	return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EADDRNOTAVAIL ||
	       error == -EAFNOSUPPORT;
}

/* The first failure is of the preferred address; but a host without IPv6 should hear that nobody
 * listens, and not that it has no IPv6. */
static void failed(struct race *race, int error)
{
	if (!race->error || (is_about_routes(race->error) && !is_about_routes(error)))
		race->error = error;
	race->due = 0;
}

/* A socket whose own port was chosen to be the very one it dials connects to itself: TCP allows the
 * simultaneous opening of both ends. To the caller that is nobody listening. */
static bool is_own_echo(fiber_fd fd)
{
	struct sockaddr_storage here, there;
	socklen_t here_bytes = sizeof here, there_bytes = sizeof there;
	const struct sockaddr_in *h4 = (const void *)&here, *t4 = (const void *)&there;
	const struct sockaddr_in6 *h6 = (const void *)&here, *t6 = (const void *)&there;

	if (socket_name(fd, false, (struct sockaddr *)&here, &here_bytes) < 0 ||
	    socket_name(fd, true, (struct sockaddr *)&there, &there_bytes) < 0)
		return false;
	if (here.ss_family == AF_INET)
		return h4->sin_port == t4->sin_port && h4->sin_addr.s_addr == t4->sin_addr.s_addr;
	return h6->sin6_port == t6->sin6_port &&
	       IN6_ARE_ADDR_EQUAL(&h6->sin6_addr, &t6->sin6_addr);
}

/* One step: 0 connected, -EINPROGRESS not yet, or why not. */
static int step(fiber_fd fd, const struct addrinfo *peer)
{
	int r = socket_start_connect(fd, peer->ai_addr, peer->ai_addrlen);

	switch (r) {
	case -EALREADY:
	case -EINTR:
		return -EINPROGRESS;
	case 0:
	case -EISCONN:
		return peer->ai_socktype == SOCK_STREAM && is_own_echo(fd) ? -ECONNREFUSED : 0;
	default:
		return r;
	}
}

/* What the step of one attempt means for the race. True: the attempt goes on. */
static bool judge(struct race *race, fiber_fd fd, int r)
{
	if (r == -EINPROGRESS)
		return true;
	if (r == 0) {
		race->winner = fd;
		return false;
	}
	fiber_close(fd);
	failed(race, r);
	return false;
}

static void begin_next(struct race *race)
{
	const struct addrinfo *peer = take_next(race);
	fiber_fd fd = race->open(peer, race->arg);

	race->due = fiber_after(STAGGER);
	if (fd < 0) {
		failed(race, (int)fd);
		return;
	}
	if (!judge(race, fd, step(fd, peer)))
		return;
	race->polls[race->running] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	race->peers[race->running++] = peer;
}

static void drop(struct race *race, unsigned i)
{
	race->running--;
	race->polls[i] = race->polls[race->running];
	race->peers[i] = race->peers[race->running];
}

/* Those that poll named; backwards, because drop fills a hole with the last. */
static void settle(struct race *race)
{
	for (unsigned i = race->running; i-- > 0 && race->winner < 0;) {
		fiber_fd fd = race->polls[i].fd;

		if (race->polls[i].revents && !judge(race, fd, step(fd, race->peers[i])))
			drop(race, i);
	}
}

static bool may_begin(const struct race *race)
{
	return race->winner < 0 && has_next(race) && race->running < ATTEMPTS_MOST &&
	       race->due <= fiber_now();
}

/* Milliseconds for fiber_poll, rounded up; -1 when only an answer can change anything. */
static int patience(const struct race *race)
{
	if (!has_next(race) || race->running == ATTEMPTS_MOST)
		return -1;
	int64_t left = race->due - fiber_now();

	return left <= 0 ? 0 : (int)((left + FIBER_MILLISECOND - 1) / FIBER_MILLISECOND);
}

static void run(struct race *race)
{
	for (;;) {
		while (may_begin(race))
			begin_next(race);
		/* A failure makes the next one due at once: none running, none left. */
		if (race->winner >= 0 || race->running == 0)
			return;
		int r = fiber_poll(race->polls, race->running, patience(race));

		if (r < 0) {
			race->error = r;
			return;
		}
		settle(race);
	}
}

fiber_fd race_connect(const struct addrinfo *list, race_open *open, void *arg)
{
	struct race race = { .open = open, .arg = arg, .winner = -1, .family = list->ai_family };

	race.next[0] = list;
	race.next[1] = find(&race, list, 1);
	run(&race);
	while (race.running > 0)
		fiber_close(race.polls[--race.running].fd);
	must(race.winner >= 0 || race.error < 0);
	return race.winner >= 0 ? race.winner : race.error;
}
