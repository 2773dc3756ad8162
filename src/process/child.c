/* child.c - see child.h.
 *
 * The end is waited for in the poller, where a pidfd is ready when its process has ended. Without
 * one, SIGCHLD tells (fiber/signal.h): the channel is opened before the child is looked at, so no
 * end is missed; and because the program may put a handler of its own on top of ours, it is looked
 * at every LOOK_NS anyway. */
#include "process/child.h"

#include <errno.h>
#include <fiber/signal.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "poller/poller.h"
#include "sched/wait.h"

#define LOOK_NS (100 * FIBER_MILLISECOND)

enum { BY_PIDFD = 3 };  /* P_PIDFD; older C libraries do not name it */

bool child_without_pidfd;

static int look(const struct child *c, pid_t pid, int options, siginfo_t *info)
{
	*info = (siginfo_t){ 0 };
	if (c->pidfd >= 0)
		return waitid((idtype_t)BY_PIDFD, (id_t)c->pidfd, info, options);
	return waitid(P_PID, (id_t)pid, info, options);
}

/* It has just been started, but if the program ignores SIGCHLD or waits for everybody, the number
 * may be another's by now: then the look says ECHILD. */
void child_born(struct child *c, pid_t pid)
{
	siginfo_t info;

	c->pidfd = child_without_pidfd ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (c->pidfd >= 0)
		poller_born(c->pidfd, BORN_UNKNOWN);
	if (look(c, pid, WEXITED | WNOHANG | WNOWAIT, &info) == 0)
		return;
	if (errno == EINVAL && c->pidfd >= 0) { /* Linux 5.3: no waitid by pidfd */
		close(c->pidfd);
		c->pidfd = -1;
	} else {
		c->state = CHILD_LOST;
	}
}

/* ---- its end ----------------------------------------------------------------------------------*/
static int result_of(const struct child *c)
{
	return c->state == CHILD_LOST ? -ECHILD : c->state == CHILD_ENDED;
}

/* Under guard. */
static void reap(struct child *c, pid_t pid)
{
	siginfo_t info;

	/* While the leader is a zombie its number is the group's, and nobody else's. */
	if (c->stopping && c->group && look(c, pid, WEXITED | WNOHANG | WNOWAIT, &info) == 0 &&
	    info.si_pid)
		kill(-pid, SIGKILL);
	if (look(c, pid, WEXITED | WNOHANG, &info) < 0) {
		c->state = CHILD_LOST;
		return;
	}
	if (!info.si_pid)
		return;
	c->state = CHILD_ENDED;
	c->code = (int16_t)(info.si_code == CLD_EXITED ? info.si_status : -1);
	c->signal = (int16_t)(info.si_code == CLD_EXITED ? 0 : info.si_status);
}

int child_reap(struct child *c, pid_t pid)
{
	int r;

	spin_lock(&c->guard);
	if (c->state == CHILD_RUNS)
		reap(c, pid);
	r = result_of(c);
	spin_unlock(&c->guard);
	return r;
}

static int await_pidfd(int pidfd)
{
	struct poller_op op = { .kind = IO_POLL, .fd = pidfd, .events = POLLIN };

	return wait_on_fiber() ? (int)wait_op(&op, WAIT_PROCESS, OS_NEVER)
			       : fiber_wait_fd(pidfd, POLLIN);
}

static int await_signal(struct child *c, pid_t pid)
{
	static const int number = SIGCHLD;
	fiber_chan_t *signals;
	int r = fiber_signal_open(&signals, &number, 1), ended;

	if (r < 0)
		return r;
	while ((ended = child_reap(c, pid)) == 0 && r == 0) {
		r = fiber_chan_recv_until(signals, NULL, fiber_after(LOOK_NS));
		if (r == -ETIMEDOUT)
			r = 0;
	}
	fiber_signal_close(signals);
	return ended ? ended : r;
}

int child_await(struct child *c, pid_t pid)
{
	int r = wait_check();

	if (r < 0)
		return r;
	while ((r = child_reap(c, pid)) == 0) {
		r = c->pidfd >= 0 ? await_pidfd(c->pidfd) : await_signal(c, pid);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

/* ---- signals ----------------------------------------------------------------------------------*/
/* Under guard, and it is not reaped. */
static int signal_it(const struct child *c, pid_t pid, int signal)
{
	int r;

	if (c->group)
		r = kill(-pid, signal);
	else if (c->pidfd < 0)
		r = kill(pid, signal);
	else
		r = (int)syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0);
	if (r < 0 && errno == ENOSYS) /* some sandboxes know one of the calls only */
		r = kill(pid, signal);
	return r < 0 ? -errno : 0;
}

int child_kill(struct child *c, pid_t pid, int signal)
{
	int r = -ESRCH;

	spin_lock(&c->guard);
	if (c->state == CHILD_RUNS)
		r = signal_it(c, pid, signal);
	spin_unlock(&c->guard);
	return r;
}

/* Asks kindly, and waits that long. */
static int end_kindly(struct child *c, pid_t pid, int64_t grace_ns)
{
	fiber_scope_t scope;

	child_kill(c, pid, SIGTERM);
	child_kill(c, pid, SIGCONT); /* one that is stopped sees nothing else */
	fiber_shield(&scope, fiber_after(grace_ns));
	return (int)fiber_scope_end(&scope, child_await(c, pid));
}

/* It is being killed. Without memory to wait with the thread is held up for that moment. */
static int await_kill(struct child *c, pid_t pid)
{
	fiber_scope_t scope;
	int r;

	fiber_shield(&scope, FIBER_NEVER);
	r = (int)fiber_scope_end(&scope, child_await(c, pid));
	if (r == 0 || r == -ECHILD)
		return r;
	while ((r = child_reap(c, pid)) == 0)
		os_yield();
	return r < 0 ? r : 0;
}

int child_stop(struct child *c, pid_t pid, int64_t grace_ns)
{
	int r;

	spin_lock(&c->guard);
	c->stopping = true;
	spin_unlock(&c->guard);
	r = child_reap(c, pid);
	if (r != 0)
		return r < 0 ? r : 0;
	if (grace_ns > 0 && end_kindly(c, pid, grace_ns) == 0)
		return 0;
	child_kill(c, pid, SIGKILL);
	return await_kill(c, pid);
}
