/* system.h - what io asks of a system beside the poller. Private to src/io/. */
#ifndef FB_IO_SYSTEM_H
#define FB_IO_SYSTEM_H

#include <fiber/io.h>

/* Reads nothing: is it a descriptor, and open for reading? */
int io_touch(fiber_fd);
/* Descriptors came with a message: what is known of their numbers is about other files. */
void io_rights_born(struct msghdr *);
/* So many descriptors the system can poll at once, at most. */
nfds_t io_poll_most(void);

#endif
