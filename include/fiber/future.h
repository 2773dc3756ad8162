/* fiber/future.h - a value that will be known later. SPDX-License-Identifier: MIT
 *
 * A future is set once, with a value or with an error, and whoever waits for it goes on: fibers,
 * plain threads, or both. Who comes later finds it at once. It lies in its owner's memory, and zero
 * bytes are a future that is not set:
 *
 *	static fiber_future_t config = FIBER_FUTURE_INIT;
 *
 *	fiber_future_set(&config, parsed);             in the one who finds out
 *	r = fiber_future_wait(&config, &parsed);       in all who want to know
 *
 * The value is one pointer, not bytes of a size: so a future needs neither memory of its own nor
 * to be told a size, which zero bytes could not say, and nothing is copied more than once. What is
 * larger lies where the setter put it, and what was written before the set is seen by whoever has
 * waited; what is smaller fits into a pointer. */
#ifndef FIBER_FUTURE_H
#define FIBER_FUTURE_H
#include <fiber.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Must not be moved once others know of it. */
typedef struct fiber_future { uintptr_t private_[8]; } fiber_future_t;
#define FIBER_FUTURE_INIT {{0, 0, 0, 0, 0, 0, 0, 0}}

/* Makes it a future that is not set. Never parks. Returns 0, or -EINVAL: future is NULL. */
int fiber_future_init(fiber_future_t *future);

/* Says whether the future is out of use, and its memory may go: nobody waits, or was let go on a
 * moment ago and has yet to leave. (Who has waited for it alone may free it without asking.) A
 * promise of the caller's ends with it. Never parks. Returns 0, -EBUSY (somebody waits, or somebody
 * else has promised to set it) or -EINVAL. */
int fiber_future_destroy(fiber_future_t *future);

/* Sets it to a value, or to an error, which is negative. All who wait go on with that. Never parks.
 * From any thread. Returns 0, or (and nothing has changed)
 *	-EALREADY       it is set
 *	-EPERM          somebody else has promised to set it
 *	-EINVAL         future is NULL; error is not negative */
int fiber_future_set(fiber_future_t *future, void *value);
int fiber_future_fail(fiber_future_t *future, int error);

/* Promises that the caller will set it, and nobody else then may. If the fiber (or plain thread)
 * ends without having done so, however it ends, the future fails with -EOWNERDEAD, instead of
 * leaving everybody waiting. It must not go before that, unless the caller has destroyed it.
 *
 * A fiber calls it first of all; to be sure that it comes to that, give it its stack when it is
 * spawned (FIBER_STACK_NOW).
 *
 * Never parks. Returns 0, or
 *	-EALREADY       it is set, or the caller has promised that already
 *	-EPERM          somebody else has
 *	-EINVAL         future is NULL
 *	-ENOMEM -EAGAIN no memory, or no fiber-local key, to remember it by */
FIBER_CHECKED int fiber_future_promise(fiber_future_t *future);

/* Waits until it is set, and stores its value; `value` may be NULL. Any number may wait, and any
 * number of times. (The error it was set to is returned as it is: better not one of those below.)
 *
 * May park. A cancellation point. Returns 0, or (and *value is as it was)
 *	the error it was set to
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EAGAIN         (try) it is not set; never parks, and is no cancellation point
 *	-EINVAL         future is NULL */
FIBER_CHECKED int fiber_future_wait(fiber_future_t *future, void **value);
FIBER_CHECKED int fiber_future_wait_until(fiber_future_t *future, void **value, int64_t when);
FIBER_CHECKED int fiber_future_try(fiber_future_t *future, void **value);

/* ---- several -------------------------------------------------------------------------------- */

/* Wait for n futures, at most 65,536, in which the same may stand more than once:
 *
 *	all     until all are set to values; or the first fails
 *	any     until the first is set to a value; or all have failed
 *	race    until the first is set, to a value or an error
 *
 * In what is set already the first in the array comes first. Nobody is cancelled: a future does not
 * know who works on it. To start fibers and join all, or to take the first success and cancel the
 * rest: fiber_group_wait and fiber_group_race. One of several futures, channels, descriptors and
 * fibers: fiber_select.
 *
 * May park. Cancellation points. Return
 *	(all) 0, or the error of the first that failed
 *	(any) the index of the first that has a value, or the error of the first that failed
 *	(race) the index of the first that is set; its result: fiber_future_try
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-EINVAL         futures or one of them is NULL; n is too large; (any, race) n is 0
 *	-ENOMEM         (more than 8) no memory */
FIBER_CHECKED int fiber_future_all(fiber_future_t *const *futures, size_t n);
FIBER_CHECKED int fiber_future_all_until(fiber_future_t *const *futures, size_t n, int64_t when);
FIBER_CHECKED int fiber_future_any(fiber_future_t *const *futures, size_t n);
FIBER_CHECKED int fiber_future_any_until(fiber_future_t *const *futures, size_t n, int64_t when);
FIBER_CHECKED int fiber_future_race(fiber_future_t *const *futures, size_t n);
FIBER_CHECKED int fiber_future_race_until(fiber_future_t *const *futures, size_t n, int64_t when);
#ifdef __cplusplus
}
#endif
#endif
