/* Fibers without a stack, and event, cancellation, deadline and close at the same moment. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fiber/ready.h>

#include "law.h"
#include "until.h"

static void pair(fiber_fd out[2])
{
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, out) == 0);
}

static void until_dormant(fiber_t f)
{
	fiber_info_t info;

	UNTIL(fiber_info(f, &info) != 0 || !strcmp(info.state, "dormant") ||
	      !strcmp(info.state, "ended"));
}

static int result_of(fiber_t f)
{
	int result = 0;

	cr_expect(fiber_join(f, &result) == 0);
	return result;
}

/*	dormant			main, by chance			another worker
 *	ready, cancelled,	writes, cancels, closes		the same to others
 *	timed out, closed:	lets the deadline pass
 *	one of them
 *
 * Each runs once, and learns one reason, which must be one that there was. */
enum { CROWD = 64 };

struct one {
	fiber_fd fd[2];
	fiber_t f;
	int64_t when;
	_Atomic int runs;
	bool written, cancelled, closed;
};

static int learn(void *arg)
{
	struct one *one = arg;
	int why = fiber_became_ready();

	atomic_fetch_add(&one->runs, 1);
	return why > 0 ? 0 : why;
}

static int learn_again(void *arg)
{
	struct one *one = arg;

	fiber_become_ready_until(one->fd[0], POLLIN, learn, one, one->when);
}

static void start(struct one *one, uint64_t chance)
{
	*one = (struct one){.when = FIBER_NEVER};
	pair(one->fd);
	if (chance & 1)
		one->when = fiber_after((int64_t)(chance >> 8) % 300000);
	if (chance & 2)
		cr_expect(fiber_spawn_ready_until(&one->f, NULL, one->fd[0], POLLIN, learn, one,
						  one->when) == 0);
	else
		cr_expect(fiber_spawn(&one->f, NULL, learn_again, one) == 0);
}

static void disturb(struct one *one, uint64_t chance)
{
	one->written = chance & 1;
	one->cancelled = chance & 2;
	one->closed = chance & 4;
	if (chance & 8)
		fiber_yield();
	if (one->written)
		cr_expect(write(one->fd[1], "x", 1) == 1);
	if (one->cancelled)
		cr_expect(fiber_cancel(one->f) == 0);
	if (one->closed) {
		until_dormant(one->f); /* or it would wait for whoever has the number next */
		fiber_close(one->fd[0]);
	}
	if (!one->written && !one->cancelled && !one->closed && one->when == FIBER_NEVER) {
		one->written = true;
		cr_expect(write(one->fd[1], "x", 1) == 1);
	}
}

static void finish(struct one *one)
{
	int why = result_of(one->f);

	cr_expect(atomic_load(&one->runs) == 1, "%d runs", atomic_load(&one->runs));
	cr_expect((why == 0 && one->written) || (why == -ECANCELED && one->cancelled) ||
			  (why == -EBADF && one->closed) ||
			  (why == -ETIMEDOUT && one->when != FIBER_NEVER),
		  "%d, but w%d c%d b%d", why, one->written, one->cancelled, one->closed);
	if (!one->closed)
		fiber_close(one->fd[0]);
	fiber_close(one->fd[1]);
}

static int crowd(void *arg)
{
	static struct one all[8][CROWD];
	uint64_t random = law_seed() + (uintptr_t)arg;
	struct one *mine = all[(uintptr_t)arg];

	for (unsigned round = 0; round < law_rounds(200); round++) {
		for (int i = 0; i < CROWD; i++)
			start(&mine[i], law_random(&random));
		for (int i = 0; i < CROWD; i++)
			disturb(&mine[i], law_random(&random));
		for (int i = 0; i < CROWD; i++)
			finish(&mine[i]);
	}
	return 0;
}

static int crowds(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (uintptr_t i = 0; i < 3; i++)
		cr_expect(fiber_group_spawn(&g, NULL, crowd, (void *)i) == 0);
	return fiber_group_wait(&g);
}

Test(dormant_stress, of_event_cancel_deadline_and_close_one_wakes_it_once, .timeout = 60)
{
	int before = law_descriptors();

	law_holds(crowds, NULL);
	cr_expect(law_descriptors() == before);
}
