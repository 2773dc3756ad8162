/* resolve.h - from an address as text to the socket addresses it means. */
#ifndef FB_NET_RESOLVE_H
#define FB_NET_RESOLVE_H

#include <netdb.h>

#include "net/address.h"

/* What looks names up: getaddrinfo. Tests put a slow or failing one in its place, before they
 * start a runtime; its lists are released with freeaddrinfo. */
typedef int resolve_fn(const char *host, const char *service, const struct addrinfo *hints,
		       struct addrinfo **out);
extern resolve_fn *resolve_lookup;

/* What a code of getaddrinfo means: 0 or -errno. `error` is errno, where the code says to look
 * there. */
int resolve_error(int code, int error);

/* What `address`, of family AF_UNSPEC, means: 0, or -errno as fiber_resolve. `family` AF_UNSPEC:
 * any. `passive`: to bind to. */
int resolve_address(const struct address *address, int family, bool passive,
		    struct addrinfo **out);

#endif
