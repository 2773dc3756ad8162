/* fiber/signal.h - signals of the system as messages of a channel.
 * SPDX-License-Identifier: MIT
 *
 *	static const int ends[] = {SIGINT, SIGTERM};
 *	fiber_chan_t *signals;
 *	fiber_signal_t s;
 *
 *	r = fiber_signal_open(&signals, ends, 2);
 *	...
 *	r = fiber_chan_recv(signals, &s);          or a FIBER_RECV of a fiber_select
 *	printf("signal %d\n", s.number);
 *	...
 *	fiber_signal_close(signals);
 *
 * Any number of channels may be open, in fibers of any runtime and in plain threads; each gets each
 * signal that it asked for. While one is open the signal does not do what it did before: SIGTERM
 * does not end the process. A handler that the program has installed is still called, first; what
 * was there before comes back with the last close. (A disposition that the program sets meanwhile
 * stays; the channels may then receive nothing more.)
 *
 * None is lost for want of room. Of each number at most one message is in the channel; if the
 * signal comes again before it was received, the message's `count` grows. (The system itself merges
 * signals that it could not deliver yet, save the real-time ones.) Messages of different numbers
 * that come at nearly the same time may change places.
 *
 * Blocked signals. A signal that is sent to the process arrives even if every thread of the program
 * blocks it, because the library has a thread that does not: so do not wait for it by sigwait or
 * signalfd too. One that is sent to a single thread (raise, pthread_kill) which blocks it waits
 * there as always.
 *
 * While a channel is open no deadlock is reported: the next signal may wake a fiber.
 *
 * In a child of fork(2) the signals do what they did before, and the channels receive nothing. */
#ifndef FIBER_SIGNAL_H
#define FIBER_SIGNAL_H
#include <fiber/chan.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct fiber_signal {
	int      number;     /* SIGTERM, ... */
	unsigned count;      /* how often it came since the last message of this number; at least
	                      * 1 */
	pid_t    sender;     /* of the last one: the process that sent it (for SIGCHLD: the child);
	                      * 0: the system did */
	int      value;      /* ... and what sigqueue(3) sent along; else 0 */
} fiber_signal_t;

/* Opens a channel of fiber_signal_t for `count` kinds of signals. Receive from it and select on it
 * as on any other; do not send into it, and end it by fiber_signal_close only.
 *
 * Never parks; the first one starts a thread. No cancellation point. Returns 0, or
 *	-EINVAL         out or numbers is NULL, or count is 0; a number that is no signal, or that
 *	                cannot be a message: SIGKILL, SIGSTOP; SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 *	                SIGTRAP, SIGABRT and SIGSYS, which stop the very code that runs
 *	-EBUSY          the library has taken this real-time signal for itself: the highest ones
 *	                that were free when it came to need them (fiber/io.h, "Inherited")
 *	-ENOMEM, -EAGAIN  no memory, or no thread */
FIBER_CHECKED int fiber_signal_open(fiber_chan_t **out, const int *numbers, size_t count);

/* No more signals come into it: receivers get what is still there, and then -EPIPE. Drops the
 * reference that fiber_signal_open gave; whoever else still receives needs one of its own
 * (fiber_chan_ref). What the last channel for a signal had replaced is back when this returns.
 *
 * Never parks; the last one waits for a thread to end. No cancellation point. Returns 0, or
 *	-EINVAL         NULL, or no open channel of fiber_signal_open */
int fiber_signal_close(fiber_chan_t *chan);
#ifdef __cplusplus
}
#endif
#endif
