/* stage.h - plays the scheduler for a poller: starts operations, submits them again when they
 * come back so, and knows which have ended. Every law of poller/poller.h is run on every
 * backend:
 *
 *	POLLER_LAW(poller, a_law_in_words)
 *	{
 *		struct task t = {.op = {.kind = IO_RECV, ...}};
 *		stage_start(st, &t);
 *		...
 *		cr_expect(stage_finish(st, &t) == 5);
 *	}
 *
 * Waits that last are not checked (young.h) unless a law asks for it: a check reports what is
 * ready, and a lost edge would go unnoticed. */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <unistd.h>

#include "law.h"
#include "os/os.h"
#include "poller/poller.h"

struct task {
	struct poller_op op;
	bool done;
	unsigned submits;
};

struct stage {
	const struct poller_ops *ops;
	struct poller *poller;
	struct list back;
};

void stage_open(struct stage *, size_t backend);
void stage_close(struct stage *);
/* Lasting waits are checked after all. */
void stage_check_numbers(void);
/* Behind stage_open: they are not. */
void stage_trust_numbers(void);

/* What submit said. */
int stage_start(struct stage *, struct task *);
/* What need not wait: its result, had by submit, or where the kernel performs operations, soon. */
ssize_t stage_at_once(struct stage *, struct task *);
/* Waits until the time `until` for something to come back, and carries it on. False: nothing
 * did. */
bool stage_turn(struct stage *, int64_t until);
/* Carries on all that can go on at once. */
void stage_settle(struct stage *);
/* Until it has ended: its result. A failure of the test after some seconds. */
ssize_t stage_finish(struct stage *, struct task *);
bool stage_cancel(struct stage *, struct task *);
/* Carries on what forget(fd) gave back. */
void stage_forget(struct stage *, int fd);
uint64_t stage_syscalls(const struct stage *);

struct task stage_recv(int fd, void *buffer, size_t bytes, int flags);
struct task stage_send(int fd, const void *buffer, size_t bytes, int flags);
struct task stage_read(int fd, struct iovec *);
struct task stage_write(int fd, struct iovec *);
struct task stage_poll(int fd, short events);
struct task stage_accept(int listener);

/* Two connected Unix sockets, blocking. */
void stage_unix_pair(int type, int out[2]);

/* Whether a pipe can be tried without blocking (RWF_NOWAIT, Linux 6.3); else it is a helper's. */
bool stage_pipes_can_be_tried(void);
#define STAGE_NEEDS_PIPES_THAT_CAN_BE_TRIED()                                                      \
	do                                                                                         \
		if (!stage_pipes_can_be_tried())                                                   \
			cr_skip_test("pipes are tried without blocking since Linux 6.3");          \
	while (0)

struct criterion_test_params stage_backends(void);

#define POLLER_LAW(suite, law)                                                                     \
	static void suite##_##law(struct stage *);                                                 \
	ParameterizedTestParameters(suite, law)                                                    \
	{                                                                                          \
		return stage_backends();                                                           \
	}                                                                                          \
	ParameterizedTest(size_t *backend, suite, law, .timeout = 50)                              \
	{                                                                                          \
		struct stage stage;                                                                \
		stage_open(&stage, *backend);                                                      \
		suite##_##law(&stage);                                                             \
		stage_close(&stage);                                                               \
		law_no_leaks();                                                                    \
	}                                                                                          \
	static void suite##_##law(struct stage *st)

#endif
