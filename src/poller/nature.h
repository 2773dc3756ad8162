/* nature.h - what kind of thing a descriptor is: looked at once, when it is first used. */
#ifndef FB_POLLER_NATURE_H
#define FB_POLLER_NATURE_H

#include <stdatomic.h>
#include <stdint.h>

enum nature {
	NATURE_SOCKET = 1 << 0,
	NATURE_TCP = 1 << 1,      /* a socket, and the short-read rule holds */
	NATURE_UNIX = 1 << 2,     /* a socket: connect may say EAGAIN */
	NATURE_DATAGRAM = 1 << 3, /* a socket: connect never waits */
	NATURE_PIPE = 1 << 4,     /* a write may raise SIGPIPE */
	NATURE_DEVICE = 1 << 5,   /* ttys and other characters, eventfd, timerfd, inotify, ... */
	NATURE_MEMORY = 1 << 6,   /* /dev/null, zero, full, random, urandom: never wait */
	/* Regular, directory, block device: always "ready", and may block. Never kept in a slot:
	 * beside a helper thread, asking again is cheap. */
	NATURE_FILE = 1 << 7,
};

/* A set of enum nature, or -EBADF. Adds its system calls to *calls. */
int nature_look(int fd, _Atomic uint64_t *calls);

#endif
