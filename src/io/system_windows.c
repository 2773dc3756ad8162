/* system_windows.c - see system.h. */
#include "io/system.h"

#include <errno.h>
#include <limits.h>

#include "poller/home.h"

int io_touch(fiber_fd fd)
{
	int nature = home_look(fd);

	return nature < 0 ? nature : 0;
}

/* Descriptors do not come with messages here. */
void io_rights_born(struct msghdr *message)
{
	(void)message;
}

nfds_t io_poll_most(void)
{
	return INT_MAX; /* they are asked one by one */
}
