/* law.h - what many tests need: a law run on 1, 2 and 8 workers, listeners on the loopback, seeds,
 * and checks that nothing was left behind. For Criterion tests; uses cr_expect only, so that all of
 * it may be called on fibers. */
#ifndef TESTS_LAW_H
#define TESTS_LAW_H

#include <fiber.h>
#include <fiber/io.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs law(arg) as main fiber of a runtime with 1, 2 and then 8 workers; it must return 0 each
 * time. Ends with law_no_leaks(). */
void law_holds(fiber_fn *law, void *arg);
/* The same with options of one's own; `workers` in them is replaced. */
void law_holds_with(const fiber_options_t *, fiber_fn *law, void *arg);
/* Once, with that many workers; what main returned. */
int law_run(unsigned workers, fiber_fn *law, void *arg);

/* Fails the test if memory was leaked, in builds that can tell. Last line of a test's body. */
void law_no_leaks(void);
/* Open descriptors of this process. Compare two of them; the absolute number means nothing. */
int law_descriptors(void);
/* Threads of this process. */
int law_threads(void);

/* Whether this machine has an IPv6 loopback. Where it has none: cr_skip_test. */
bool law_ipv6(void);
/* A listening TCP socket on 127.0.0.1 and where to dial it: "tcp:127.0.0.1:PORT". Plain system
 * calls, non-blocking, close-on-exec. -errno on failure. */
int law_listener(char *address, size_t size);
/* Two connected TCP sockets on the loopback, as a client and a server have them: blocking. */
int law_tcp_pair(int out[2]);

/* A seed: $FIBER_SEED, or a new one; printed, so that a failure can be repeated. */
uint64_t law_seed(void);
/* The next of a sequence; *state is the seed at first. */
uint64_t law_random(uint64_t *state);
/* Fewer where everything is slower (sanitizers): n, or a tenth of it. For repetitions. */
unsigned law_rounds(unsigned n);

#ifdef __cplusplus
}
#endif
#endif
