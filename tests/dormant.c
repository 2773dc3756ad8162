/* Fibers without a stack until a descriptor is ready: every way to wake, and every way to lose. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fiber/ready.h>

#include "law.h"
#include "on_a_thread.h"
#include "until.h"

static void pair(fiber_fd out[2])
{
	cr_expect(fiber_socketpair(AF_UNIX, SOCK_STREAM, 0, out) == 0);
}

static void close_both(const fiber_fd pair[2])
{
	fiber_close(pair[0]);
	fiber_close(pair[1]);
}

/* What the fiber learnt of its waking. */
static int tell(void *arg)
{
	(void)arg;
	return fiber_became_ready();
}

static fiber_t dormant(fiber_fd fd, short events, int64_t when)
{
	fiber_t f = {0};

	cr_expect(fiber_spawn_ready_until(&f, NULL, fd, events, tell, NULL, when) == 0);
	return f;
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

/* ---- spawned so -------------------------------------------------------------------------------*/
static int wakes(void *arg)
{
	fiber_info_t info;
	fiber_fd fd[2];
	fiber_t f;

	(void)arg;
	pair(fd);
	f = dormant(fd[0], POLLIN, FIBER_NEVER);
	cr_expect(fiber_info(f, &info) == 0 && !strcmp(info.state, "dormant"), "%s", info.state);
	cr_expect(!strcmp(info.waits_for, "poll") && info.fd == fd[0] && info.stack_bytes == 0);
	cr_expect(write(fd[1], "x", 1) == 1);
	cr_expect(result_of(f) == POLLIN);
	f = dormant(fd[0], POLLIN | POLLPRI, FIBER_NEVER);
	cr_expect(result_of(f) == POLLIN, "it was ready already");
	cr_expect(result_of(dormant(fd[1], POLLOUT, FIBER_NEVER)) == POLLOUT);
	cr_expect(fiber_became_ready() == 0, "this one was not");
	close_both(fd);
	return 0;
}

Test(dormant, it_runs_when_its_descriptor_is_ready, .timeout = 20)
{
	law_holds(wakes, NULL);
}

static int interrupted(void *arg)
{
	fiber_fd fd[2];
	fiber_t f;

	(void)arg;
	pair(fd);
	f = dormant(fd[0], POLLIN, FIBER_NEVER);
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	cr_expect(result_of(dormant(fd[0], POLLIN, fiber_after(FIBER_MILLISECOND))) == -ETIMEDOUT);
	cr_expect(result_of(dormant(fd[0], POLLIN, 0)) == -ETIMEDOUT, "long ago");
	f = dormant(fd[0], POLLIN, fiber_after(1000 * FIBER_SECOND));
	cr_expect(write(fd[1], "x", 1) == 1 && result_of(f) == POLLIN);
	cr_expect(read(fd[0], &(char){0}, 1) == 1);
	f = dormant(fd[0], POLLIN, FIBER_NEVER);
	fiber_close(fd[1]);
	cr_expect(result_of(f) & (POLLIN | POLLHUP), "the other side hung up");
	fiber_close(fd[0]);
	pair(fd);
	f = dormant(fd[0], POLLIN, FIBER_NEVER);
	fiber_close(fd[0]);
	cr_expect(result_of(f) == -EBADF);
	fiber_close(fd[1]);
	return 0;
}

Test(dormant, cancellation_deadline_hangup_and_close_wake_it, .timeout = 20)
{
	law_holds(interrupted, NULL);
}

static int ways_in(void *arg)
{
	fiber_fd fd[2];
	fiber_t f;

	for (unsigned i = 1; i <= fiber_workers(); i++) {
		fiber_attr_t there = {.worker = i, .name = "far"};

		pair(fd);
		cr_expect(fiber_spawn_ready(&f, &there, fd[0], POLLIN, arg, NULL) == 0);
		until_dormant(f);
		cr_expect(write(fd[1], "x", 1) == 1);
		cr_expect(result_of(f) == (int)i);
		close_both(fd);
	}
	return 0;
}

static int on_which_worker(void *arg)
{
	(void)arg;
	return fiber_became_ready() == POLLIN ? (int)fiber_worker() : -1;
}

Test(dormant, it_stays_on_the_worker_that_it_was_placed_on, .timeout = 20)
{
	law_holds(ways_in, (void *)on_which_worker);
}

static int sum_of_copy(void *arg)
{
	const int *numbers = arg;

	return fiber_became_ready() == POLLIN ? numbers[0] + numbers[1] : -1;
}

static int from_a_thread(void *runtime)
{
	fiber_attr_t attr = {.runtime = runtime, .copy_bytes = 2 * sizeof(int)};
	int numbers[2] = {40, 2}, ends[2], result = 0;
	fiber_t f;

	cr_expect(fiber_became_ready() == 0);
	cr_expect(pipe(ends) == 0);
	cr_expect(fiber_spawn_ready(&f, &attr, ends[0], POLLIN, sum_of_copy, numbers) == 0);
	numbers[0] = 0;
	cr_expect(write(ends[1], "x", 1) == 1);
	cr_expect(fiber_join(f, &result) == 0 && result == 42, "%d", result);
	cr_expect(fiber_spawn_ready(NULL, NULL, ends[0], POLLIN, tell, NULL) == -EINVAL,
		  "there is no runtime here");
	close(ends[0]);
	close(ends[1]);
	return 0;
}

Test(dormant, plain_threads_spawn_them_into_a_runtime, .timeout = 20)
{
	fiber_runtime_t *runtime = NULL;

	cr_assert(fiber_runtime_create(&runtime, &(fiber_options_t){.workers = 2}) == 0);
	cr_expect(on_a_thread(from_a_thread, runtime) == 0);
	cr_expect(fiber_runtime_free(runtime) == 0);
	law_no_leaks();
}

static _Atomic int cancelled;

static int count_cancelled(void *arg)
{
	(void)arg;
	atomic_fetch_add(&cancelled, fiber_became_ready() == -ECANCELED);
	return 0;
}

static int left_behind[2];

static int leave(void *arg)
{
	(void)arg;
	pair(left_behind);
	for (int i = 0; i < 100; i++)
		cr_expect(fiber_spawn_ready(NULL, NULL, left_behind[0], POLLIN, count_cancelled,
					    NULL) == 0);
	return 0;
}

Test(dormant, those_that_main_leaves_behind_are_cancelled_and_run, .timeout = 20)
{
	for (unsigned workers = 1; workers <= 8; workers *= 2) {
		atomic_store(&cancelled, 0);
		cr_expect(law_run(workers, leave, NULL) == 0);
		cr_expect(atomic_load(&cancelled) == 100, "%d", atomic_load(&cancelled));
		close(left_behind[0]);
		close(left_behind[1]);
	}
	law_no_leaks();
}

/* ---- become so --------------------------------------------------------------------------------*/
static fiber_key_t key;
static _Atomic int destroyed;

static void destroy(void *value)
{
	atomic_fetch_add(&destroyed, *(int *)value);
}

struct talk {
	fiber_fd fd;
	fiber_t self;
	int rounds;
	int local;
};

/* Answers each byte by its successor; between two it has no stack. */
static int answer(void *arg)
{
	struct talk *t = arg;
	fiber_info_t info;
	char byte;

	cr_expect(fiber_equal(fiber_self(), t->self));
	cr_expect(fiber_getspecific(key) == &t->local, "fiber-locals go with it");
	cr_expect(fiber_info(t->self, &info) == 0 && !strcmp(info.name, "talker"));
	cr_expect(fiber_became_ready() & POLLIN, "%d", fiber_became_ready());
	if (fiber_read(t->fd, &byte, 1) <= 0)
		return t->rounds;
	byte++;
	cr_expect(fiber_write(t->fd, &byte, 1) == 1);
	t->rounds++;
	fiber_become_ready(t->fd, POLLIN, answer, t);
}

static int begin_to_talk(void *arg)
{
	struct talk *t = arg;

	t->self = fiber_self();
	cr_expect(fiber_setspecific(key, &t->local) == 0);
	fiber_become_ready(t->fd, POLLIN, answer, t);
}

static int conversation(void *arg)
{
	fiber_group_t g = FIBER_GROUP_INIT;
	struct talk talk = {.local = 7};
	fiber_fd fd[2];
	char byte;

	(void)arg;
	pair(fd);
	talk.fd = fd[0];
	atomic_store(&destroyed, 0);
	cr_expect(fiber_key_create(&key, destroy) == 0);
	cr_expect(fiber_group_spawn(&g, &(fiber_attr_t){.name = "talker"}, begin_to_talk, &talk) ==
		  0);
	for (int i = 0; i < 1000; i++) {
		byte = (char)i;
		cr_expect(fiber_write(fd[1], &byte, 1) == 1);
		cr_expect(fiber_read(fd[1], &byte, 1) == 1 && byte == (char)(i + 1));
	}
	cr_expect(atomic_load(&destroyed) == 0);
	fiber_close(fd[1]);
	cr_expect(fiber_group_wait(&g) == 0, "and it is still of its group");
	cr_expect(talk.rounds == 1000 && atomic_load(&destroyed) == 7);
	cr_expect(fiber_key_delete(key) == 0);
	fiber_close(fd[0]);
	return 0;
}

Test(dormant, the_same_fiber_goes_on_on_another_stack, .timeout = 40)
{
	law_holds(conversation, NULL);
}

Test(dormant, one_that_roams_goes_on_wherever_it_is_woken, .timeout = 40)
{
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, conversation, NULL);
}

struct become {
	fiber_fd fd;
	short events;
	int64_t when;
};

static int become(void *arg)
{
	struct become *b = arg;

	fiber_become_ready_until(b->fd, b->events, tell, NULL, b->when);
}

static fiber_t becoming(struct become *b)
{
	fiber_t f = {0};

	cr_expect(fiber_spawn(&f, NULL, become, b) == 0);
	return f;
}

static int become_and_lose(void *arg)
{
	struct become b = {.events = POLLIN, .when = FIBER_NEVER}, bad;
	fiber_fd fd[2];
	fiber_t f;

	(void)arg;
	pair(fd);
	b.fd = fd[0];
	f = becoming(&b);
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED, "known before it became so");
	f = becoming(&b);
	until_dormant(f);
	cr_expect(fiber_cancel(f) == 0 && result_of(f) == -ECANCELED);
	b.when = fiber_after(FIBER_MILLISECOND);
	cr_expect(result_of(becoming(&b)) == -ETIMEDOUT);
	bad = (struct become){.fd = fd[0], .when = FIBER_NEVER};
	cr_expect(result_of(becoming(&bad)) == -EINVAL);
	bad = (struct become){.fd = -1, .events = POLLIN, .when = FIBER_NEVER};
	cr_expect(result_of(becoming(&bad)) == -EBADF);
	b.when = FIBER_NEVER;
	f = becoming(&b);
	until_dormant(f);
	fiber_close(fd[0]);
	cr_expect(result_of(f) == -EBADF);
	fiber_close(fd[1]);
	return 0;
}

Test(dormant, whatever_ends_the_wait_lets_it_go_on, .timeout = 20)
{
	law_holds(become_and_lose, NULL);
}
