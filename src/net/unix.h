/* unix.h - socket files: bound where a dead server's file may lie. */
#ifndef FB_NET_UNIX_H
#define FB_NET_UNIX_H

#include <fiber/net.h>
#include <stdbool.h>

#include "net/address.h"

/* Binds fd, and if `backlog` is not negative listens (0: SOMAXCONN). A dead server's socket file
 * is replaced. `mode`: of the file, exactly; 0: the umask's. Parks while another server is just
 * starting in the same directory. 0, -EADDRINUSE, -ECANCELED, or as bind(2), unlink(2),
 * chmod(2). */
int unix_bind(fiber_fd fd, const struct address *, unsigned mode, int backlog);

#endif
