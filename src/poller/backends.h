/* backends.h - the pollers there are. Those of a kernel, best first: backends_linux.c and its like;
 * poller.c chooses. */
#ifndef FB_POLLER_BACKENDS_H
#define FB_POLLER_BACKENDS_H

#include "poller/poller.h"

extern const struct poller_ops poller_uring;
extern const struct poller_ops poller_epoll;
extern const struct poller_ops poller_kqueue;
extern const struct poller_ops poller_poll;

/* Of Windows. */
extern const struct poller_ops poller_iocp;

#endif
