/* socket.h - a socket made ready for an address: options checked and set, bound, named. */
#ifndef FB_NET_SOCKET_H
#define FB_NET_SOCKET_H

#include <fiber/net.h>
#include <stdbool.h>

#include "net/address.h"

/* 0, or -EINVAL: unknown flags, a mode beyond 0777, a negative backlog, reserved words in use. */
int socket_check_options(const fiber_net_options_t *);

/* Sets an int option. 0 or -errno. */
int socket_set(fiber_fd, int level, int option, int value);

/* A new socket with the options that hold from the start (TCP_NODELAY, SO_REUSEPORT). */
fiber_fd socket_open(int family, int type, unsigned flags);

/* Its own name, or its peer's; SO_TYPE. 0 or -errno. */
int socket_name(fiber_fd, bool peer, struct sockaddr *, socklen_t *bytes);
int socket_type(fiber_fd, int *type);

/* bind(2), listen(2), connect(2) at once, without parking: 0 or -errno. */
int socket_bind(fiber_fd, const struct sockaddr *, socklen_t);
int socket_listen(fiber_fd, int backlog);
int socket_start_connect(fiber_fd, const struct sockaddr *, socklen_t);

#endif
