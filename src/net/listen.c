/* listen.c - sockets that wait at an address for connections or datagrams. */
#include <errno.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <string.h>

#include "base/must.h"
#include "net/address.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "net/unix.h"
#include "sched/wait.h"

static const fiber_net_options_t defaults;

/* For unix_bind and bind_inet: below zero, datagrams are not listened for. */
static int backlog_of(const struct address *a, const fiber_net_options_t *o)
{
	return a->type == SOCK_DGRAM ? -1 : o->backlog;
}

/* ---- tcp, udp ---------------------------------------------------------------------------------*/
/* SO_REUSEADDR is for TCP, where it lets a server come back while its old connections linger. A UDP
 * socket with it would take the datagrams of another that has it too. */
static int prepare(fiber_fd fd, const struct addrinfo *at, const fiber_net_options_t *o)
{
	int r = 0;

	if (at->ai_socktype == SOCK_STREAM)
		r = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* Set either way, because the system's default is a file in /proc. */
	if (r == 0 && at->ai_family == AF_INET6)
		r = socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, (o->flags & FIBER_V6ONLY) != 0);
	return r;
}

static fiber_fd open_at(const struct addrinfo *at, const struct address *a,
			const fiber_net_options_t *o)
{
	fiber_fd fd = socket_open(at->ai_family, at->ai_socktype, o->flags);

	if (fd < 0)
		return fd;
	int r = prepare(fd, at, o);

	if (r == 0)
		r = socket_bind(fd, at->ai_addr, at->ai_addrlen);
	if (r == 0 && backlog_of(a, o) >= 0)
		r = socket_listen(fd, o->backlog);
	if (r < 0) {
		fiber_close(fd);
		return r;
	}
	return fd;
}

/* This machine does not have the address, or not even the family: the next may do. Nothing else is
 * a reason to go on: a server that silently listens at its second address is not where it should
 * be. */
static bool is_not_here(int error)
{
	return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT;
}

/* The addresses of one family, or (AF_UNSPEC) of all, until one can be had. */
static fiber_fd open_first(const struct addrinfo *list, int family, const struct address *a,
			   const fiber_net_options_t *o)
{
	fiber_fd fd = -EADDRNOTAVAIL;

	for (; list && is_not_here((int)fd); list = list->ai_next)
		if (family == AF_UNSPEC || list->ai_family == family)
			fd = open_at(list, a, o);
	return fd;
}

static fiber_fd listen_inet(const struct address *a, const fiber_net_options_t *o)
{
	struct addrinfo *list;
	fiber_fd fd = -EADDRNOTAVAIL;
	int r = resolve_address(a, o->flags & FIBER_V6ONLY ? AF_INET6 : AF_UNSPEC, true, &list);

	if (r < 0)
		return r;
	/* For "any", IPv6 first: its socket takes IPv4 too. */
	if (a->any)
		fd = open_first(list, AF_INET6, a, o);
	if (is_not_here((int)fd))
		fd = open_first(list, a->any ? AF_INET : AF_UNSPEC, a, o);
	fiber_resolve_free(list);
	return fd;
}

/* ---- unix -------------------------------------------------------------------------------------*/
static fiber_fd listen_unix(const struct address *a, const fiber_net_options_t *o)
{
	fiber_fd fd = socket_open(AF_UNIX, a->type, 0);

	if (fd < 0)
		return fd;
	int r = unix_bind(fd, a, o->mode, backlog_of(a, o));

	if (r < 0) {
		fiber_close(fd);
		return r;
	}
	return fd;
}

static int check(const struct address *a, const fiber_net_options_t *o)
{
	int r = socket_check_options(o);

	if (r < 0)
		return r;
	if (o->mode && !address_is_file(a))
		return -EINVAL;
	return o->flags & FIBER_REUSEPORT && a->family == AF_UNIX ? -EOPNOTSUPP : 0;
}

PUBLIC fiber_fd fiber_listen(const char *text, const fiber_net_options_t *options)
{
	const fiber_net_options_t *o = options ? options : &defaults;
	struct address address;
	int r = address_parse(text, &address);

	if (r == 0)
		r = check(&address, o);
	if (r == 0)
		r = wait_check();
	if (r < 0)
		return r;
	return address.family == AF_UNIX ? listen_unix(&address, o) : listen_inet(&address, o);
}
