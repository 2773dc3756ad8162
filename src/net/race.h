/* race.h - happy eyeballs: several addresses of one peer, the first that answers wins. */
#ifndef FB_NET_RACE_H
#define FB_NET_RACE_H

#include <fiber/io.h>
#include <netdb.h>

/* A fresh non-blocking socket for one attempt, or -errno. */
typedef fiber_fd race_open(const struct addrinfo *peer, void *arg);

/* Connects a stream socket to one of `list`, which is not empty. Parks; interruptible. The
 * connected descriptor, or -errno: -ECANCELED, or the first failure that is not about missing
 * routes. */
fiber_fd race_connect(const struct addrinfo *list, race_open *open, void *arg);

#endif
