/* nature.c - what kind of thing a descriptor is: see nature.h. */
#include "poller/nature.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "os/atomic.h"

static int option(int fd, int name, _Atomic uint64_t *calls)
{
	int value = -1;
	socklen_t bytes = sizeof value;

	count_up(calls);
	return getsockopt(fd, SOL_SOCKET, name, &value, &bytes) == 0 ? value : -1;
}

/* Streams that are not TCP (Unix, SCTP, MPTCP, vsock) may have boundaries inside: no NATURE_TCP. */
static int look_at_socket(int fd, _Atomic uint64_t *calls)
{
	int type = option(fd, SO_TYPE, calls);
	int domain = option(fd, SO_DOMAIN, calls);
	int nature = NATURE_SOCKET;

	if (domain == AF_UNIX)
		nature |= NATURE_UNIX;
	if (type == SOCK_DGRAM)
		nature |= NATURE_DATAGRAM;
	if (type == SOCK_STREAM && (domain == AF_INET || domain == AF_INET6) &&
	    option(fd, SO_PROTOCOL, calls) == IPPROTO_TCP)
		nature |= NATURE_TCP;
	return nature;
}

static int look_at_characters(dev_t device)
{
	if (major(device) != 1)
		return NATURE_DEVICE;
	switch (minor(device)) {
	case 3: /* null */
	case 5: /* zero */
	case 7: /* full */
	case 8: /* random */
	case 9: /* urandom */
		return NATURE_MEMORY;
	default: /* kmsg waits; mem and port are not to be guessed about */
		return NATURE_DEVICE;
	}
}

int nature_look(int fd, _Atomic uint64_t *calls)
{
	struct stat s;

	count_up(calls);
	if (fstat(fd, &s) < 0)
		return -errno;
	switch (s.st_mode & S_IFMT) {
	case S_IFSOCK:
		return look_at_socket(fd, calls);
	case S_IFIFO:
		return NATURE_PIPE;
	case S_IFCHR:
		return look_at_characters(s.st_rdev);
	case S_IFREG:
	case S_IFDIR:
	case S_IFBLK:
	case S_IFLNK: /* O_PATH: every call fails */
		return NATURE_FILE;
	default: /* what has no inode of its own: eventfd, timerfd, signalfd, pidfd, epoll */
		return NATURE_DEVICE;
	}
}
