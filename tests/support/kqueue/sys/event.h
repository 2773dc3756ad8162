/* sys/event.h - a stand-in for the header of the BSDs, so that the kqueue.c of src/poller/ and
 * src/queue/ can be run on Linux: kqueue.c beside it says what of kevent(2) it has. */
#ifndef TESTS_KQUEUE_SYS_EVENT_H
#define TESTS_KQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

#define EVFILT_READ   (-1)
#define EVFILT_WRITE  (-2)
#define EVFILT_USER   (-10)
#define EVFILT_EXCEPT (-15)

#define EV_ADD     0x0001
#define EV_DELETE  0x0002
#define EV_ENABLE  0x0004
#define EV_DISABLE 0x0008
#define EV_CLEAR   0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080
#define EV_ERROR   0x4000
#define EV_EOF     0x8000

#define NOTE_OOB     0x00000002
#define NOTE_TRIGGER 0x01000000

struct kevent {
	uintptr_t ident;
	short filter;
	unsigned short flags;
	unsigned fflags;
	intptr_t data;
	void *udata;
};

#define EV_SET(event, identity, which, how, notes, number, user)                                   \
	(*(event) = (struct kevent){.ident = (identity),                                           \
				    .filter = (which),                                             \
				    .flags = (unsigned short)(how),                                \
				    .fflags = (notes),                                             \
				    .data = (number),                                              \
				    .udata = (user)})

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int change_count, struct kevent *events,
	   int event_count, const struct timespec *timeout);

#endif
