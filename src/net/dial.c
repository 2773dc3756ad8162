/* dial.c - a connected socket for an address. */
#include <errno.h>
#include <fiber/net.h>
#include <string.h>

#include "base/must.h"
#include "net/address.h"
#include "net/race.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "net/unix.h"
#include "sched/wait.h"

static const fiber_net_options_t defaults;

/* Everything that the call was asked for, read and checked before anything is done. */
struct dial {
	unsigned flags;
	struct address peer;
	bool bound;                       /* local is asked for */
	struct address local;
	struct addrinfo *peers, *locals;  /* not for AF_UNIX; locals: NULL unless bound */
};

/* ---- what is asked for ------------------------------------------------------------------------*/
static int parse_local(struct dial *d, const char *text)
{
	int r = address_parse(text, &d->local);

	if (r < 0)
		return r;
	d->bound = true;
	return d->local.family == d->peer.family && d->local.type == d->peer.type ? 0 : -EINVAL;
}

static int parse(struct dial *d, const char *text, const fiber_net_options_t *o)
{
	int r = address_parse(text, &d->peer);

	if (r == 0)
		r = socket_check_options(o);
	if (r < 0)
		return r;
	/* Nobody is at "any address", and port 0 is no port. */
	if (d->peer.family == AF_UNSPEC && (d->peer.any || d->peer.port_zero))
		return -EINVAL;
	if (d->peer.family == AF_UNIX && o->flags & FIBER_REUSEPORT)
		return -EOPNOTSUPP;
	d->flags = o->flags;
	return o->local ? parse_local(d, o->local) : 0;
}

/* ---- unix -------------------------------------------------------------------------------------*/
static fiber_fd dial_unix(const struct dial *d)
{
	fiber_fd fd = socket_open(AF_UNIX, d->peer.type, 0);
	int r = 0;

	if (fd < 0)
		return fd;
	if (d->bound)
		r = unix_bind(fd, &d->local, 0, -1);
	if (r == 0)
		r = fiber_connect(fd, (const struct sockaddr *)&d->peer.path, d->peer.path_bytes);
	if (r < 0) {
		fiber_close(fd);
		return r;
	}
	return fd;
}

/* ---- tcp, udp ---------------------------------------------------------------------------------*/
/* The first local address of the peer's family. A port that was asked for by number serves several
 * attempts, and connections of the past may linger on it. */
static int bind_local(fiber_fd fd, const struct dial *d, int family)
{
	const struct addrinfo *at = d->locals;
	int r = 0;

	while (at && at->ai_family != family)
		at = at->ai_next;
	if (!at)
		return -EADDRNOTAVAIL;
	if (at->ai_socktype == SOCK_STREAM && !d->local.port_zero)
		r = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return r < 0 ? r : socket_bind(fd, at->ai_addr, at->ai_addrlen);
}

static fiber_fd open_for(const struct addrinfo *peer, void *arg)
{
	const struct dial *d = arg;
	fiber_fd fd = socket_open(peer->ai_family, peer->ai_socktype, d->flags);

	if (fd < 0 || !d->bound)
		return fd;
	int r = bind_local(fd, d, peer->ai_family);

	if (r < 0) {
		fiber_close(fd);
		return r;
	}
	return fd;
}

static fiber_fd dial_resolved(struct dial *d)
{
	int family = d->flags & FIBER_V6ONLY ? AF_INET6 : AF_UNSPEC;
	int r = resolve_address(&d->peer, family, false, &d->peers);

	if (r == 0 && d->bound)
		r = resolve_address(&d->local, family, true, &d->locals);
	/* UDP is connected without a word to the peer, so the race ends with the first address that
	 * has a route. */
	return r < 0 ? r : race_connect(d->peers, open_for, d);
}

static fiber_fd dial_inet(struct dial *d)
{
	fiber_fd fd = dial_resolved(d);

	fiber_resolve_free(d->peers);
	fiber_resolve_free(d->locals);
	return fd;
}

PUBLIC fiber_fd fiber_dial(const char *text, const fiber_net_options_t *options)
{
	struct dial d = { 0 };
	int r = parse(&d, text, options ? options : &defaults);

	if (r == 0)
		r = wait_check();
	if (r < 0)
		return r;
	return d.peer.family == AF_UNIX ? dial_unix(&d) : dial_inet(&d);
}
