/* alone.h - an operation on Windows without a poller, waited for by its event. */
#ifndef FB_POLLER_ALONE_H
#define FB_POLLER_ALONE_H

#include "poller/home.h"
#include "poller/poller.h"

/* Waits until the time `until` (0: only tries). POLLER_DONE; POLLER_IN_FLIGHT: it would have to
 * wait longer, and nothing has happened; POLLER_WOULD_BLOCK. Not IO_POLL with a time. */
int alone_run(struct poller_op *, int64_t until);
/* IO_POLL: the same. */
int alone_poll(struct poller_op *, int64_t until);

#endif
