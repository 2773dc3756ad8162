/* attempt.h - one attempt at an operation, which never blocks the thread. */
#ifndef FB_POLLER_ATTEMPT_H
#define FB_POLLER_ATTEMPT_H

#include "poller/nature.h"
#include "poller/poller.h"

enum tried {
	TRIED_DONE,    /* op->result tells */
	TRIED_EMPTY,   /* EAGAIN: an edge comes when it is worth another attempt */
	TRIED_NO_EDGE, /* EAGAIN, but the kernel gives no edge for what is missing: try by time */
	TRIED_BLOCKS,  /* on this descriptor the call could block: nothing was done */
	TRIED_STRANGE, /* the descriptor is not what `nature` says: look again, nothing was done */
};

/* `nature` is the descriptor's. Adds its system calls to *calls. */
enum tried attempt_op(struct poller_op *, unsigned nature, _Atomic uint64_t *calls);
/* The same on a descriptor that is not known yet; it is looked at first. */
enum tried attempt_unknown(struct poller_op *, unsigned *nature, _Atomic uint64_t *calls);
/* Of a number without a slot (too large for the table, or no memory for one): its result. */
int attempt_refuse(int fd);
/* What a listener of that nature accepts. */
enum poller_born attempt_accepted(unsigned nature);
/* attempt_op for one buffer on a socket, which is nearly all that is ever done. */
enum tried attempt_receive(struct poller_op *, void *buffer, size_t bytes, unsigned nature,
			   _Atomic uint64_t *calls);
enum tried attempt_transmit(struct poller_op *, const void *buffer, size_t bytes, unsigned nature,
			    _Atomic uint64_t *calls);

/* What poll(2) says at once: events, 0, or -EBADF. */
int attempt_poll(int fd, short events, _Atomic uint64_t *calls);

#endif
