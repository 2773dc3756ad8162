/* fiber/ready.h - dormant fibers: no stack until a descriptor is ready.
 * SPDX-License-Identifier: MIT
 *
 * A parked fiber keeps its stack, of which at least one page is memory: 4.5 KB. A dormant one has
 * none: 256 bytes wait for the descriptor, and the stack comes with the first byte. It is for
 * servers with very many connections that are idle most of the time:
 *
 *	static int talk(void *connection)
 *	{
 *		struct connection *c = connection;
 *		ssize_t n = fiber_became_ready() < 0 ? 0 : fiber_read(c->fd, buf, sizeof buf);
 *
 *		if (n <= 0)
 *			return hang_up(c);                       closed, cancelled, timed out
 *		answer(c, buf, n);                               may wait as usual, on its stack
 *		fiber_become_ready(c->fd, POLLIN, talk, c);      until the next request
 *	}
 *
 *	r = fiber_spawn_ready(&f, NULL, c->fd, POLLIN, talk, c);
 *
 * A dormant fiber is a fiber: it has a handle, is joined, detached, cancelled, listed and counted
 * as any other. Nothing it waits for is missed: what is ready already lets it go on at once. */
#ifndef FIBER_READY_H
#define FIBER_READY_H
#include <fiber/io.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Spawns a fiber that runs fn(arg) when the descriptor is ready for one of `events` (POLLIN,
 * POLLOUT, POLLPRI), is hung up, has failed or is closed by fiber_close; or when the fiber is
 * cancelled; or (until) at the time `when`. fn finds out which by fiber_became_ready.
 *
 * As fiber_spawn: `out` NULL detaches it, `attr` may be NULL, and its function has to run in any
 * case, because `arg` is in its hands. (Unless there is no memory for a stack by then: as for any
 * fiber, -ENOMEM is its result.)
 *
 * Never parks; no cancellation point. From any thread, if attr.runtime says where.
 *
 * Returns 0, or, and there is no fiber, the errors of fiber_spawn and
 *	-EINVAL         events holds something else, or nothing
 *	-EBADF          the descriptor is not open (spawned from outside: fn finds that out)
 *	-ENOMEM         no memory */
FIBER_CHECKED int fiber_spawn_ready(fiber_t *out, const fiber_attr_t *attr, fiber_fd fd,
				    short events, fiber_fn *fn, void *arg);
FIBER_CHECKED int fiber_spawn_ready_until(fiber_t *out, const fiber_attr_t *attr, fiber_fd fd,
					  short events, fiber_fn *fn, void *arg, int64_t when);

/* Gives up the calling fiber's stack. The same fiber - its handle, its fiber-locals, its name, its
 * place in its group - goes on in fn(arg) on another stack, when the descriptor is ready, or what
 * else fiber_spawn_ready says. Whatever keeps it from waiting, known cancellation and errors too,
 * lets fn run soon, and fiber_became_ready tells. Nothing of the old stack may be used any more:
 * `arg` must not point into it; C++ destructors and FIBER_CLEANUPs of its frames do not run.
 *
 * Ends the process with a message if the caller is no fiber, is inside a generator, has a scope
 * open, or fn is NULL. Never returns; no cancellation point. */
FIBER_NORETURN void fiber_become_ready(fiber_fd fd, short events, fiber_fn *fn, void *arg);
FIBER_NORETURN void fiber_become_ready_until(fiber_fd fd, short events, fiber_fn *fn, void *arg,
					     int64_t when);

/* In a fiber that was dormant: why it runs. Asked at any time, any number of times. Returns
 *	> 0             the events that came: of those asked for, and POLLHUP and POLLERR
 *	-ECANCELED      it was cancelled
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EBADF          the descriptor was closed, or was not open
 *	-EINVAL         (fiber_become_ready) events holds something else, or nothing
 *	-ENOMEM         no memory to wait with
 *	0               the caller was never dormant, or is no fiber */
int fiber_became_ready(void);
#ifdef __cplusplus
}
#endif
#endif
