/* system_posix.c - see system.h. */
#include "io/system.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "poller/poller.h"

int io_touch(fiber_fd fd)
{
	char byte;

	return read(fd, &byte, 0) < 0 ? -errno : 0;
}

void io_rights_born(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (char *)c + at, sizeof fd);
			poller_born(fd, BORN_UNKNOWN);
		}
	}
}

/* poll(2) refuses more than that, but checkers look at the memory before they call it. */
nfds_t io_poll_most(void)
{
	struct rlimit most;

	return getrlimit(RLIMIT_NOFILE, &most) == 0 ? (nfds_t)most.rlim_cur : 0;
}
