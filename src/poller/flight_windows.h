/* flight_windows.h - one operation in the hands of Windows. Private to iocp.c, afd.c and the other
 * files of Windows here.
 *
 * Its memory is its own, not the operation's: the kernel writes into the OVERLAPPED until the
 * packet has come back, while the operation may be the owner's again before (cancel). So it is
 * freed by whoever comes last: the packet, or a canceller that holds it. */
#ifndef FB_POLLER_FLIGHT_H
#define FB_POLLER_FLIGHT_H

#include <winsock2.h>
#include <mswsock.h>

#include "poller/home.h"
#include "poller/poller.h"

struct afd_poll { /* AFD_POLL_INFO */
	LARGE_INTEGER timeout;
	ULONG count;
	ULONG exclusive;
	HANDLE handle;
	ULONG events;
	LONG status;
};

enum { ADDRESS_BYTES = sizeof(struct sockaddr_storage) + 16 }; /* as AcceptEx wants it */

struct flight {
	OVERLAPPED overlapped;   /* first: packets name it */
	struct list link;        /* in home->flights; home->guard guards all down to `landed` */
	struct poller_op *op;    /* NULL: it has been given back */
	bool held;               /* by a canceller, who frees it if the packet has come */
	bool landed;             /* the packet has come meanwhile */
	bool cancelled;          /* we have asked for it; else an abort is a close */

	struct home *home;
	struct port *port;       /* NULL: waited for by its event */
	HANDLE handle;           /* what it is cancelled on */
	SOCKET accepted;
	DWORD flags;
	WSAMSG message;
	union {
		char addresses[2 * ADDRESS_BYTES];
		struct afd_poll poll;
	};
};

/* Starts it. 0: it has ended already, and no packet comes; FLIGHT_PENDING; -errno: it was never
 * begun. */
enum { FLIGHT_PENDING = 1 };
int flight_start(struct flight *, enum home_nature);
/* It has ended: op->result. */
void flight_end(struct flight *);
/* Asks for it back, and waits a moment. True: it has ended. */
bool flight_stop(struct flight *);

/* afd.c: begins a poll; the same results as flight_start. */
int afd_start(struct flight *, void *afd);
void afd_end(struct flight *);
/* The handle to poll with, which belongs to that port. -errno. */
int afd_open(void **out, void *port);

#endif
