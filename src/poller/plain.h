/* plain.h - read and write where no socket call does: pipes, ttys, eventfd and the like. */
#ifndef FB_POLLER_PLAIN_H
#define FB_POLLER_PLAIN_H

#include "poller/attempt.h"

enum tried plain_read(struct poller_op *, unsigned nature, _Atomic uint64_t *calls);
enum tried plain_write(struct poller_op *, unsigned nature, _Atomic uint64_t *calls);

/* Whether this kernel can be asked, per call, not to send SIGPIPE. 0: not known yet, 1: yes, 2: no.
 * A test sets 2 to play an older kernel. */
extern _Atomic int plain_nosignal;

#endif
