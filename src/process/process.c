/* process.c - the public calls on a process that runs, and its end. */
#include <errno.h>
#include <fiber/process.h>
#include <unistd.h>

#include "base/must.h"
#include "process/child.h"
#include "sched/wait.h"

_Static_assert(sizeof(struct child) <= sizeof(((fiber_process_t *)0)->private_), "private_");

#define GRACE_NS (5 * FIBER_SECOND)

/* 0; -EINVAL; -ECHILD: it is a child of our parent's. */
static int check(fiber_process_t *p)
{
	if (!p || p->pid <= 0)
		return -EINVAL;
	return child_of(p)->parent == getpid() ? 0 : -ECHILD;
}

static void tell(const struct child *c, fiber_process_status_t *status)
{
	if (status)
		*status = (fiber_process_status_t){ c->code, c->signal };
}

PUBLIC int fiber_process_wait(fiber_process_t *p, fiber_process_status_t *status)
{
	int r = check(p);

	if (r < 0)
		return r;
	r = child_await(child_of(p), p->pid);
	if (r == 0)
		tell(child_of(p), status);
	return r;
}

PUBLIC int fiber_process_wait_until(fiber_process_t *p, fiber_process_status_t *status,
				    int64_t when)
{
	fiber_scope_t scope;

	fiber_within(&scope, when);
	return (int)fiber_scope_end(&scope, fiber_process_wait(p, status));
}

PUBLIC int fiber_process_kill(fiber_process_t *p, int signal)
{
	int r = check(p);

	return r < 0 ? r : child_kill(child_of(p), p->pid, signal);
}

PUBLIC int fiber_process_stop(fiber_process_t *p, int64_t grace_ns, fiber_process_status_t *status)
{
	int r = check(p);

	if (r < 0)
		return r;
	r = child_stop(child_of(p), p->pid, grace_ns);
	if (r == 0)
		tell(child_of(p), status);
	return r;
}

static int close_end(fiber_fd *fd)
{
	int r = *fd < 0 ? -EBADF : fiber_close(*fd);

	*fd = -1;
	return r;
}

PUBLIC int fiber_process_close_input(fiber_process_t *p)
{
	return p && p->pid > 0 ? close_end(&p->in) : -EBADF;
}

PUBLIC int fiber_process_close(fiber_process_t *p)
{
	int64_t grace_ns;

	if (!p)
		return -EINVAL;
	if (p->pid <= 0)
		return 0;
	/* First, or it might wait for us to read before it ends. */
	close_end(&p->in);
	close_end(&p->out);
	close_end(&p->err);
	grace_ns = child_of(p)->grace_ns;
	if (check(p) == 0)
		child_stop(child_of(p), p->pid, grace_ns ? grace_ns : GRACE_NS);
	close_end(&child_of(p)->pidfd);
	p->pid = 0;
	return 0;
}
