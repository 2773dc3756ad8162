/* What may happen between two instructions, and on older kernels, made to happen: some system calls
 * of this program are its own, and do more before they return, or less. */
#include "stage.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "poller/slot.h"

/* Called once, after the system call and before its caller sees the result; on this thread, because
 * Criterion has threads that call the same. */
static _Thread_local void (*after_recv)(void *), (*after_wait)(void *);
static void *argument;

static void call_once(void (**hook)(void *))
{
	void (*now)(void *) = *hook;
	int error = errno;

	*hook = NULL;
	if (now)
		now(argument);
	errno = error;
}

ssize_t recv(int fd, void *buffer, size_t bytes, int flags)
{
	ssize_t n = syscall(SYS_recvfrom, fd, buffer, bytes, flags, NULL, NULL);

	call_once(&after_recv);
	return n;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int ms)
{
	int n = (int)syscall(SYS_epoll_pwait, epoll, events, most, ms, NULL, 0);

	if (n > 0)
		call_once(&after_wait);
	return n;
}

/* Linux before 5.11, and some emulators. */
static _Thread_local bool no_nanoseconds;

int epoll_pwait2(int epoll, struct epoll_event *events, int most, const struct timespec *limit,
		 const sigset_t *mask)
{
	if (!no_nanoseconds)
		return (int)syscall(SYS_epoll_pwait2, epoll, events, most, limit, mask, _NSIG / 8);
	errno = ENOSYS;
	return -1;
}

POLLER_LAW(poller_races, a_kernel_that_counts_milliseconds_waits_long_enough)
{
	no_nanoseconds = true;
	for (int64_t ns = 1; ns < 100000000; ns *= 10) {
		int64_t until = os_now() + ns;

		cr_expect(st->ops->wait(st->poller, until, &st->back) == 0);
		cr_expect(os_now() >= until);
	}
}

/* Linux before 6.3 knows no RWF_NOWAIT for pipes. */
static _Thread_local bool no_nowait;

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	if (!no_nowait)
		return syscall(SYS_preadv2, fd, iov, n, offset, 0, flags);
	errno = EOPNOTSUPP;
	return -1;
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	if (!no_nowait)
		return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
	errno = EOPNOTSUPP;
	return -1;
}

POLLER_LAW(poller_races, a_kernel_that_cannot_ask_a_pipe_not_to_wait)
{
	static char bulk[1 << 20];
	char byte;
	struct iovec one = {&byte, 1}, much = {bulk, sizeof bulk};
	int ends[2];

	/* Non-blocking, so the plain calls serve. */
	no_nowait = true;
	cr_assert(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	struct task in = stage_read(ends[0], &one), out = stage_write(ends[1], &much);
	cr_expect(stage_start(st, &in) == POLLER_IN_FLIGHT);
	cr_expect(stage_start(st, &out) == POLLER_DONE && out.op.result > 0);
	cr_expect(stage_finish(st, &in) == 1);
	struct task full = stage_write(ends[1], &much);
	cr_expect(stage_start(st, &full) == POLLER_IN_FLIGHT);
	stage_forget(st, ends[0]);
	close(ends[0]);
	cr_expect(stage_finish(st, &full) == -EPIPE);
	stage_forget(st, ends[1]);
	close(ends[1]);

	/* Blocking: what has to be waited for is, what is ready goes to a helper. */
	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	in = stage_read(ends[0], &one);
	out = stage_write(ends[1], &one);
	cr_expect(stage_start(st, &in) == POLLER_IN_FLIGHT);
	cr_expect(stage_start(st, &out) == POLLER_WOULD_BLOCK);
	cr_expect(write(ends[1], "x", 1) == 1);
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	cr_expect(list_pop(&st->back) == &in.op.link);
	cr_expect(stage_start(st, &in) == POLLER_WOULD_BLOCK);
	stage_forget(st, ends[0]);
	stage_forget(st, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

struct scene {
	struct stage *st; /* the other thread's poller, were it another thread */
	int pair[2], other[2];
	struct task task;
	char buffer[64];
	_Atomic bool over;
};

static void *forget_it(void *arg)
{
	struct scene *s = arg;
	struct list back = {0};

	s->st->ops->forget(s->pair[0], &back);
	atomic_store(&s->over, true);
	return NULL;
}

static void open_scene(struct stage *st, struct scene *s)
{
	*s = (struct scene){.st = st};
	cr_assert(law_tcp_pair(s->pair) == 0 && law_tcp_pair(s->other) == 0);
	argument = s;
}

static void close_scene(struct stage *st, struct scene *s)
{
	if (strcmp(st->ops->name, "epoll") == 0)
		cr_expect(!after_recv && !after_wait, "it did not come to the race");
	stage_forget(st, s->pair[0]);
	stage_forget(st, s->other[0]);
	close(s->pair[0]);
	close(s->pair[1]);
	close(s->other[0]);
	close(s->other[1]);
}

/* Data arrives, and the poller that watches tells of it. */
static void data_and_their_event(void *arg)
{
	struct scene *s = arg;
	struct list back = {0};

	cr_expect(write(s->pair[1], "hello", 5) == 5);
	cr_expect(s->st->ops->wait(s->st->poller, os_now() + 1000000000, &back) == 0);
}

static void watch_and_empty(struct stage *st, int fd)
{
	char byte;
	struct task t = stage_recv(fd, &byte, 1, 0);

	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	stage_settle(st);
	cr_expect(stage_cancel(st, &t));
}

/* At once where edges come whether anybody waits or not; else one of the pollers has to look. */
static ssize_t finish(struct stage *mine, struct stage *other, struct task *t)
{
	bool edges = strcmp(mine->ops->name, "epoll") == 0;

	cr_expect(stage_start(mine, t) == POLLER_DONE || !edges);
	call_once(&after_recv); /* where the kernel performs it nobody was there to call it */
	while (!t->done) {
		stage_turn(mine, os_now() + 1000000);
		if (other->ops->wait(other->poller, 0, &mine->back) > 0)
			stage_turn(mine, 0);
	}
	return t->op.result;
}

/*	reader				another worker
 *	recv: EAGAIN
 *					wait: the event; nobody waits
 *	does not park: tries again	*/
static void wait_during_the_attempt(struct stage *st, bool with_data)
{
	struct scene s;
	struct stage mine = {.ops = st->ops};

	open_scene(st, &s);
	cr_assert(st->ops->open(&mine.poller) == 0);
	watch_and_empty(st, s.pair[0]);
	/* Make it unknown again without an event on its way. */
	cr_expect(write(s.pair[1], "x", 1) == 1);
	while (stage_turn(st, os_now() + 1000000))
		;
	if (!with_data)
		cr_expect(syscall(SYS_recvfrom, s.pair[0], s.buffer, 1, 0, NULL, NULL) == 1);
	s.task = stage_recv(s.pair[0], s.buffer, sizeof s.buffer, 0);
	after_recv = data_and_their_event;
	ssize_t n = finish(&mine, st, &s.task);
	if (with_data && n == 1) { /* and the next does not take it for empty */
		s.task.op.again = false;
		n += finish(&mine, st, &s.task);
	}
	cr_expect(n == (with_data ? 6 : 5));
	close_scene(st, &s);
	st->ops->close(mine.poller);
}

POLLER_LAW(poller_races, an_event_between_eagain_and_the_park)
{
	wait_during_the_attempt(st, false);
}

POLLER_LAW(poller_races, an_event_between_a_short_read_and_its_conclusion)
{
	wait_during_the_attempt(st, true);
}

static void begin_forgetting(void *arg)
{
	struct scene *s = arg;
	struct slot *slot = slot_find(s->pair[0]);
	pthread_t thread;
	bool begun;

	pthread_create(&thread, NULL, forget_it, s);
	pthread_detach(thread);
	do {
		sched_yield();
		spin_lock(&slot->guard);
		begun = slot->leaving != 0;
		spin_unlock(&slot->guard);
	} while (!begun);
	for (int i = 0; i < 100; i++)
		sched_yield();
	cr_expect(!atomic_load(&s->over)); /* not before the call has ended */
}

/*	reader				another worker
 *	recv: EAGAIN			fiber_close: forget
 *	  ...				  waits for the call
 *	-EBADF, and no park
 *					  close(2) */
POLLER_LAW(poller_races, forget_during_the_attempt)
{
	struct scene s;

	open_scene(st, &s);
	watch_and_empty(st, s.pair[0]);
	cr_expect(write(s.pair[1], "x", 1) == 1);
	stage_settle(st);
	cr_expect(syscall(SYS_recvfrom, s.pair[0], s.buffer, 1, 0, NULL, NULL) == 1);
	s.task = stage_recv(s.pair[0], s.buffer, sizeof s.buffer, 0);
	s.task.op.again = true; /* as if woken: it tries */
	after_recv = begin_forgetting;
	cr_expect(stage_start(st, &s.task) == POLLER_DONE && s.task.op.result == -EBADF);
	while (!atomic_load(&s.over))
		sched_yield();
	close_scene(st, &s);
}

/* The number is forgotten and means another file, when the event of the first one is handled. */
static void reuse_the_number(void *arg)
{
	struct scene *s = arg;
	struct list back = {0};

	s->st->ops->forget(s->pair[0], &back);
	cr_expect(list_pop(&back) == &s->task.op.link && s->task.op.result == -EBADF);
	cr_expect(dup2(s->other[0], s->pair[0]) == s->pair[0]);
	s->task = stage_recv(s->pair[0], s->buffer, sizeof s->buffer, 0);
	cr_expect(stage_start(s->st, &s->task) == POLLER_IN_FLIGHT);
}

POLLER_LAW(poller_races, an_event_of_the_file_before)
{
	struct scene s;

	open_scene(st, &s);
	watch_and_empty(st, s.pair[0]);
	s.task = stage_recv(s.pair[0], s.buffer, sizeof s.buffer, 0);
	cr_expect(stage_start(st, &s.task) == POLLER_IN_FLIGHT);
	close(s.pair[1]);
	/* Elsewhere it is enough that the event has happened. */
	if (strcmp(st->ops->name, "epoll") == 0)
		after_wait = reuse_the_number;
	else
		reuse_the_number(&s);
	stage_settle(st);
	cr_expect(!s.task.done && s.task.submits == 1, "it was woken by another's event");
	cr_expect(write(s.other[1], "hello", 5) == 5);
	cr_expect(stage_finish(st, &s.task) == 5);
	s.pair[1] = dup(s.other[1]);
	close_scene(st, &s);
}
