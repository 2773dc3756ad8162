/* home.h - what the process knows about a handle on Windows: the port that its operations come back
 * to, and which are in flight.
 *
 * A handle belongs to one completion port from its first overlapped operation on, until it is
 * closed. So ports are never closed: a poller that closes leaves its port to the next one that
 * opens. While nobody owns it, whoever waits looks at it too ("strays"), so no completion is lost.
 *
 * A table of two levels by the number of the handle; its parts are mapped when first used and never
 * unmapped. All of a home is guarded by its `guard`. Bytes of zero are a handle of which nothing is
 * known. */
#ifndef FB_POLLER_HOME_H
#define FB_POLLER_HOME_H

#include <fiber/io.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "os/spin.h"

struct port {
	void *handle;
	struct port *next;              /* of all; of those without an owner: next_spare */
	struct port *next_spare;
	_Atomic(struct poller *) owner; /* NULL: none */
	_Atomic int32_t flights;        /* that come back to it */
};

enum home_nature {
	HOME_UNKNOWN,
	HOME_STREAM,   /* sockets */
	HOME_DATAGRAM,
	HOME_PIPE,
	HOME_FILE,     /* opened for overlapped operations */
	HOME_BLOCKS,   /* a file, pipe or console whose operations block their thread */
};

struct home {
	struct spin guard;
	uint8_t nature;       /* enum home_nature */
	bool ours;            /* made by our calls: what is known of it holds */
	bool skips;           /* what succeeds at once does not come back by the port */
	bool appends;         /* a file: writes go to its end */
	struct port *port;    /* NULL: none of ours */
	struct list flights;  /* struct flight */
	int64_t position;     /* of a file */
};

/* NULL: no memory, or no such handle can be. */
struct home *home_get(fiber_fd);
/* The handle is `what`, and new. */
void home_born(fiber_fd, enum home_nature);
/* Gives the handle a home, that port if it has none, and says what it is. -EBADF; -ENOTSUP: it
 * belongs to a port of somebody else's. */
int home_settle(struct home *, fiber_fd, struct port *);
/* Only looks. -EBADF */
int home_look(fiber_fd);

#endif
