/* Ten thousand fibers in the middle of their calls, cancelled: nothing is left of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "law.h"
#include "waits.h"

enum { FIBERS = 10000, PAIRS = 100 };

struct crowd {
	fiber_fd fds[PAIRS][2];
	_Atomic unsigned waiting;
	_Atomic unsigned cancelled;
};

struct one {
	struct crowd *crowd;
	unsigned number;
};

static ssize_t does_something(struct crowd *c, unsigned i)
{
	fiber_fd fd = c->fds[i % PAIRS][0];
	struct pollfd set[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = c->fds[i % PAIRS][1], .events = POLLIN } };
	char byte[16];
	size_t done;

	switch (i / PAIRS % 5) {
	case 0:
		return fiber_read(fd, byte, 1);
	case 1:
		return fiber_poll(set, 2, 3600 * 1000);
	case 2:
		return fiber_read_full(fd, byte, sizeof byte, &done);
	case 3:
		return fiber_wait_fd(fd, POLLIN);
	default:
		return fiber_recv(fd, byte, 1, MSG_WAITALL);
	}
}

static int one_of_many(void *arg)
{
	struct one *one = arg;
	fiber_scope_t scope;
	ssize_t r;

	fiber_within(&scope, fiber_after(3600 * FIBER_SECOND));
	atomic_fetch_add(&one->crowd->waiting, 1);
	r = fiber_scope_end(&scope, does_something(one->crowd, one->number));
	atomic_fetch_add(&one->crowd->cancelled, r == -ECANCELED);
	return (int)r;
}

static int ten_thousand(void *arg)
{
	struct crowd *c = calloc(1, sizeof *c);
	fiber_t *f = calloc(FIBERS, sizeof *f);
	unsigned many = law_rounds(FIBERS);
	int before = law_descriptors();
	fiber_stats_t at_first, at_last;

	(void)arg;
	cr_expect(fiber_stats(NULL, &at_first) == 0);
	for (int i = 0; i < PAIRS; i++)
		cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, c->fds[i]) == 0);
	for (unsigned i = 0; i < many; i++) {
		struct one one = { c, i };
		fiber_attr_t attr = { .copy_bytes = sizeof one };

		cr_expect(fiber_spawn(&f[i], &attr, one_of_many, &one) == 0);
	}
	while (atomic_load(&c->waiting) < many)
		fiber_yield();
	for (unsigned i = 0; i < many; i++)
		cr_expect(fiber_cancel(f[i]) == 0);
	for (unsigned i = 0; i < many; i++)
		cr_expect(fiber_join(f[i], NULL) == 0);
	cr_expect(atomic_load(&c->cancelled) == many);
	for (int i = 0; i < PAIRS; i++)
		cr_expect(fiber_close(c->fds[i][0]) == 0 && fiber_close(c->fds[i][1]) == 0);
	cr_expect(law_descriptors() == before);
	do
		fiber_sleep(FIBER_MILLISECOND);
	while (fiber_stats(NULL, &at_last) == 0 && fiber_workers() == 1 &&
	       at_last.timers > at_first.timers + 1); /* of other workers it may be an old count */
	cr_expect(at_last.fibers == at_first.fibers);
	free(f);
	free(c);
	return 0;
}

Test(io_many, cancelling_ten_thousand_leaks_nothing, .timeout = 120)
{
	int before = law_descriptors();

	law_holds(ten_thousand, NULL);
	cr_expect(law_descriptors() == before);
}
