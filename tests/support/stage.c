/* stage.c - see stage.h. */
#include "stage.h"

#include "base/must.h"

static const int64_t PATIENCE_NS = 10000000000;

void stage_open(struct stage *st, size_t backend)
{
	int r;

	st->ops = poller_backends[backend];
	list_init(&st->back);
	stage_trust_numbers();
	r = st->ops->open(&st->poller);
	/* Emulators and old kernels have none, containers forbid it. */
	if (r == -ENOSYS || r == -EPERM || r == -ENOTSUP)
		cr_skip_test("no %s here", st->ops->name);
	cr_assert(r == 0);
}

void stage_close(struct stage *st)
{
	cr_expect(list_empty(&st->back));
	st->ops->close(st->poller);
}

int stage_start(struct stage *st, struct task *t)
{
	int r = st->ops->submit(st->poller, &t->op, &st->back);

	t->submits++;
	t->done = r != POLLER_IN_FLIGHT;
	return r;
}

/* What has come back so far; those that submits hand on to come in the next round. */
static bool carry_on(struct stage *st)
{
	struct list round = {0}, *node;
	bool any = false;

	while ((node = list_pop(&st->back)))
		list_append(&round, node);
	while ((node = list_pop(&round))) {
		struct task *t = container_of(node, struct task, op.link);

		any = true;
		cr_expect(!t->done, "an operation came back twice");
		if (t->op.result == POLLER_RETRY)
			stage_start(st, t);
		else
			t->done = true;
	}
	return any;
}

bool stage_turn(struct stage *st, int64_t until)
{
	if (list_empty(&st->back))
		st->ops->wait(st->poller, until, &st->back);
	return carry_on(st);
}

void stage_settle(struct stage *st)
{
	while (stage_turn(st, 0))
		;
}

ssize_t stage_finish(struct stage *st, struct task *t)
{
	int64_t limit = os_now() + PATIENCE_NS;

	while (!t->done && os_now() < limit)
		stage_turn(st, limit);
	cr_expect(t->done, "an operation did not come back");
	if (!t->done)
		_exit(1); /* what lies on the stack is still the poller's */
	return t->op.result;
}

ssize_t stage_at_once(struct stage *st, struct task *t)
{
	int r = stage_start(st, t);

	cr_expect(r == POLLER_DONE || (st->ops->performs && r == POLLER_IN_FLIGHT));
	return stage_finish(st, t);
}

bool stage_cancel(struct stage *st, struct task *t)
{
	bool is_back = st->ops->cancel(st->poller, &t->op);

	if (is_back)
		t->done = true;
	return is_back;
}

void stage_forget(struct stage *st, int fd)
{
	st->ops->forget(fd, &st->back);
	carry_on(st);
}

uint64_t stage_syscalls(const struct stage *st)
{
	return st->ops->syscalls(st->poller);
}

struct task stage_recv(int fd, void *buffer, size_t bytes, int flags)
{
	return (struct task){.op = {.kind = IO_RECV,
				    .fd = fd,
				    .buffer = buffer,
				    .bytes = bytes,
				    .flags = flags}};
}

struct task stage_send(int fd, const void *buffer, size_t bytes, int flags)
{
	return (struct task){.op = {.kind = IO_SEND,
				    .fd = fd,
				    .buffer = (void *)buffer,
				    .bytes = bytes,
				    .flags = flags}};
}

struct task stage_read(int fd, struct iovec *iov)
{
	return (struct task){.op = {.kind = IO_READ, .fd = fd, .iov = iov, .iov_count = 1}};
}

struct task stage_write(int fd, struct iovec *iov)
{
	return (struct task){.op = {.kind = IO_WRITE, .fd = fd, .iov = iov, .iov_count = 1}};
}

struct task stage_poll(int fd, short events)
{
	return (struct task){.op = {.kind = IO_POLL, .fd = fd, .events = events}};
}

struct task stage_accept(int listener)
{
	return (struct task){.op = {.kind = IO_ACCEPT, .fd = listener}};
}

struct criterion_test_params stage_backends(void)
{
	static size_t index[16];
	size_t n = 0;

	while (poller_backends[n] && n < sizeof index / sizeof *index) {
		index[n] = n;
		n++;
	}
	return cr_make_param_array(size_t, index, n);
}
