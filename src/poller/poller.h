/* poller.h - contract 3, the world: one operation from start to end, on whatever kernel there is.
 *
 * Completion style. An operation (struct poller_op) lives in its owner's memory, mostly on a parked
 * fiber's stack. The owner begins its wait (sched/wait.h), then submits:
 *
 *	POLLER_DONE       op->result is the answer; the operation is the owner's again.
 *	POLLER_IN_FLIGHT  the law: it comes back exactly once, either in a list that a `wait`,
 *	                  `submit` or `forget` filled (of any poller of the process), or from a
 *	                  `cancel` that returned true. Until then neither the operation nor its
 *	                  buffer may be touched.
 *	POLLER_WOULD_BLOCK  this call on this descriptor could block the thread (a regular file;
 *	                  accept or connect on a blocking inherited descriptor; a blocking tty that
 *	                  is ready): the owner must use a helper thread.
 *
 * An operation that was given back has a result: bytes, a descriptor, ready events, -errno, or
 * POLLER_RETRY: the kernel only said "ready", and the owner submits it again. On a readiness
 * backend the retry thus belongs to the fiber, not to the loop. IO_POLL never comes back so.
 *
 * POLLER_RETRY obliges. One edge may stand for many connections or datagrams, and wakes one waiter:
 * the readiness is in its hands, and it hands it on when its next submit succeeds. So it must
 * submit again, also if it has been interrupted meanwhile (and then may cancel): otherwise the
 * other waiters sleep beside a full queue. `submit` puts the waiter that is next into `back`, as
 * `wait` does; the caller tells its owner at once, before it goes on with its own bytes.
 *
 * One poller per worker. `wait` and `close` belong to its thread; `submit` is called by the thread
 * that owns the poller passed; `cancel` by the thread that submitted; `wake` by any thread.
 *
 * Descriptors are plain numbers that other code may close behind our back. What the process knows
 * about one is a slot (poller/slot.h): type-stable, with a generation, born anew by poller_born. */
#ifndef FB_POLLER_H
#define FB_POLLER_H

#include <fiber/io.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum poller_kind {
	IO_READ,     /* iov/iov_count from a descriptor of any kind */
	IO_WRITE,
	IO_RECVMSG,  /* msg and flags: recv, recvfrom, recvmsg */
	IO_SENDMSG,
	IO_RECV,     /* buffer, bytes, flags; no address: the hot path */
	IO_SEND,
	IO_ACCEPT,   /* address, address_bytes: may be NULL; close-on-exec, non-blocking */
	IO_CONNECT,
	IO_POLL,     /* readiness for `events`; moves no bytes; result: the events that are ready.
	              * buffer and bytes are the owner's, for whatever it likes */
	IO_FILE,     /* poller/file.h; only where the table says so */
};

enum { POLLER_DONE, POLLER_IN_FLIGHT, POLLER_WOULD_BLOCK };

/* A result only of what is given back. No errno is this large. */
#define POLLER_RETRY (-4097)

struct poller;
struct poller_file;

struct poller_op {
	struct list link;           /* the poller's in flight; then links what is given back */
	enum poller_kind kind;
	fiber_fd fd;
	int flags;                  /* of recv, send, recvmsg, sendmsg; 0 for the others. With
	                             * MSG_DONTWAIT it never waits: -EAGAIN */
	short events;               /* IO_POLL: POLLIN, POLLOUT, POLLPRI */
	bool again;                 /* false at first; the poller sets it with POLLER_RETRY */
	union {
		struct { void *buffer; size_t bytes; };
		struct { const struct iovec *iov; int iov_count; };
		struct msghdr *msg;
		struct poller_file *file;
		struct { struct sockaddr *address; socklen_t *address_bytes; };  /* accept */
		struct { const struct sockaddr *peer; socklen_t peer_bytes; };   /* connect */
	};
	ssize_t result;

	/* Whoever is told when it comes back; the poller only carries these. */
	void *owner;                /* struct fiber */
	uint64_t ticket;            /* IO_POLL in a select: of the wait it may claim; else 0 */
	unsigned index;             /* ... and which case it is */
	_Atomic uint32_t back;      /* set (release) when whoever ran `wait` touches it no more */

	/* The poller's own, valid in flight. */
	void *slot;
	void *poller;               /* that it was submitted to */
	uint8_t state;
	uint8_t forgets;            /* of its slot; for POLLER_RETRY too */
	uint8_t way;                /* what the kernel was asked for */
	bool given_up;              /* the kernel holds it, but its number: held.h; under the
	                             * slot's guard */
	uint16_t since;             /* when it was submitted */
	unsigned place;             /* in the kernel's queue */
	struct list age;            /* of those of its poller, the oldest first */
};

struct poller_ops {
	const char *name;
	/* The kernel performs operations: submit seldom says POLLER_DONE. */
	bool performs;
	/* IO_FILE too. It is not cancelled once the kernel has begun with it (an open is). */
	bool files;
	/* -ENOTSUP: this kernel does not have it, or does not let us; -EMFILE, -ENFILE, -ENOMEM. */
	int (*open)(struct poller **out);
	/* All operations submitted to it must be back (checked). What it watches for others
	 * moves. */
	void (*close)(struct poller *);
	/* POLLER_DONE, POLLER_IN_FLIGHT, POLLER_WOULD_BLOCK. Operations of others that are to go on
	 * now are appended to `back` (an empty list of the caller's; mostly it stays so). */
	int (*submit)(struct poller *, struct poller_op *, struct list *back);
	/* True: it is back, result -ECANCELED (or what it had already reached). False: it was
	 * already on its way, and comes from a `wait` or is in the `back` of somebody's submit or
	 * forget. */
	bool (*cancel)(struct poller *, struct poller_op *);
	/* Waits for something to happen until the time `until` (0: only looks; OS_NEVER: no limit),
	 * and appends what is back to `back`, in the order of the events. Returns how many (0:
	 * time, signal or wake), never fails for EINTR. */
	int (*wait)(struct poller *, int64_t until, struct list *back);
	/* Ends the `wait` that is in progress, or the next one that would sleep. Any thread. */
	void (*wake)(struct poller *);
	/* Before a descriptor is closed or given away: deletes the registration, starts a new
	 * generation, appends the operations that were in flight to `back`, result -EBADF, and
	 * waits (spinning: they never block) for system calls in progress on the number, whose
	 * operations also end with -EBADF if they would have to wait. Any number may be passed.
	 * What only another thread can take back comes from a `wait` there; poller_leaving tells
	 * when all has. */
	void (*forget)(fiber_fd, struct list *back);
	/* System calls made so far by this poller and by submit on it (statistics). */
	uint64_t (*syscalls)(const struct poller *);
};

/* Every backend of this build, best first; ends with NULL. */
extern const struct poller_ops *const poller_backends[];
/* The backend by name (NULL: $FIBER_POLLER, else the best that opens). NULL: no such backend. */
const struct poller_ops *poller_choose(const char *name);

/* One attempt, without a poller and without waiting, for plain threads and helper threads.
 * POLLER_DONE; POLLER_IN_FLIGHT here means "would have to wait": poll(2) the descriptor for
 * poller_events(op); POLLER_WOULD_BLOCK as above. Nothing stays behind. */
int poller_try(struct poller_op *);
short poller_events(const struct poller_op *);
/* poll(2) that does not wait: how many are ready, their revents; -errno. */
int poller_look(struct pollfd *, nfds_t);

/* Operations on a number that were forgotten, and are still in the hands of other threads' pollers.
 * While there are any the number must not be closed. */
unsigned poller_leaving(fiber_fd);

/* Bytes of a stream socket are taken by IO_RECV and IO_READ of fibers only, until the number is
 * forgotten (connections of a listener: by IO_ACCEPT): they may be taken ahead. -EBADF, -ENOTSOCK,
 * -EOPNOTSUPP: no stream; -EBUSY: somebody waits on it already. Where that is done, whatever else
 * takes bytes or waits for them there ends with -EBUSY. */
int poller_own(fiber_fd);
/* Ends that until somebody reads again; when poller_leaving says 0 it has ended. False: nothing is
 * received ahead. */
bool poller_stop_ahead(fiber_fd, struct list *back);
/* Bytes that were received ahead, and are not read yet. */
size_t poller_ahead(fiber_fd);

/* A descriptor number that one of our calls has just made: its slot starts a new generation, known
 * to be non-blocking (and, if the caller knows, what it is). Never fails: without memory for the
 * slot the number stays unknown. */
enum poller_born { BORN_UNKNOWN, BORN_STREAM_INET, BORN_STREAM_UNIX, BORN_DATAGRAM, BORN_LISTENER,
                   BORN_PIPE, BORN_FILE };
void poller_born(fiber_fd, enum poller_born);

/* In a forked child: everything known about descriptors belongs to the parent. Its pollers stay
 * open, for they are the parent's too, and must not be used; they are close-on-exec. */
void poller_forked(void);

#endif
