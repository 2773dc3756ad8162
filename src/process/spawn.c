/* spawn.c - starting a program: its descriptors, and posix_spawn on a helper thread.
 *
 * posix_spawn and not fork: a process that runs fibers has threads, stacks by the thousand and
 * locks in every state, and posix_spawn copies nothing of them. It holds its caller up until the
 * program is loaded; hence the helper.
 *
 * Every pipe is born close-on-exec at both ends, so no other child of the process can get hold of
 * one; the ends that this child is to have are copied to 0, 1 and 2 in it, which takes that flag
 * off. Whatever is to be copied there is above 2 first, or one copy might overwrite the source of
 * the next. The child's ends block, as programs expect; ours do not: each end has flags of its
 * own. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "poller/poller.h"
#include "process/child.h"
#include "sched/wait.h"

extern char **environ;

struct launch {
	const fiber_process_options_t *options;
	fiber_fd theirs[3];            /* to become 0, 1, 2; -1: as the actions say otherwise */
	fiber_fd ours[3];              /* -1: none */
	struct child child;
	pid_t pid;
};

/* ---- checks -----------------------------------------------------------------------------------*/
static int check_stdio(const fiber_stdio_t *s, bool is_err)
{
	if (s->kind < FIBER_STDIO_INHERIT || s->kind > FIBER_STDIO_SAME_AS_OUT)
		return -EINVAL;
	if (s->kind == FIBER_STDIO_SAME_AS_OUT && !is_err)
		return -EINVAL;
	if (s->kind == FIBER_STDIO_FD && (s->fd < 0 || fcntl(s->fd, F_GETFD) < 0))
		return -EBADF;
	return 0;
}

static int check(const fiber_process_t *out, const fiber_process_options_t *o)
{
	int r;

	if (!out || !o || !o->argv || !o->argv[0] || (o->flags & ~(unsigned)FIBER_PROCESS_GROUP))
		return -EINVAL;
	for (size_t i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++)
		if (o->reserved[i])
			return -EINVAL;
	if ((r = check_stdio(&o->in, false)) < 0 || (r = check_stdio(&o->out, false)) < 0)
		return r;
	return check_stdio(&o->err, true);
}

/* ---- descriptors ------------------------------------------------------------------------------*/
static void close_all(fiber_fd fds[3])
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* A copy above 2. */
static int copy_high(fiber_fd fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? -errno : copy;
}

/* Ours is only known to the poller when all has succeeded: until then plain close does. */
static int open_pipe(struct launch *l, int which)
{
	int ends[2], mine = which == 0 ? 1 : 0, r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	l->ours[which] = ends[mine];
	l->theirs[which] = ends[!mine];
	fcntl(ends[mine], F_SETFL, O_NONBLOCK | (which == 0 ? O_WRONLY : O_RDONLY));
	if (ends[!mine] > 2)
		return 0;
	r = copy_high(ends[!mine]);
	close(ends[!mine]);
	l->theirs[which] = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int open_one(struct launch *l, int which, const fiber_stdio_t *s)
{
	int r;

	l->ours[which] = l->theirs[which] = -1;
	if (s->kind == FIBER_STDIO_PIPE)
		return open_pipe(l, which);
	if (s->kind != FIBER_STDIO_FD)
		return 0;
	r = copy_high(s->fd);
	l->theirs[which] = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int open_all(struct launch *l)
{
	const fiber_stdio_t *stdio[] = { &l->options->in, &l->options->out, &l->options->err };
	int r = 0;

	for (int i = 0; i < 3; i++)
		l->ours[i] = l->theirs[i] = -1;
	for (int i = 0; i < 3 && r == 0; i++)
		r = open_one(l, i, stdio[i]);
	return r;
}

/* ---- posix_spawn ------------------------------------------------------------------------------*/
/* 0 or an errno. */
static int add_stdio(posix_spawn_file_actions_t *actions, const struct launch *l)
{
	const fiber_stdio_t *stdio[] = { &l->options->in, &l->options->out, &l->options->err };
	int r = 0;

	for (int i = 0; i < 3 && r == 0; i++) {
		if (l->theirs[i] >= 0)
			r = posix_spawn_file_actions_adddup2(actions, l->theirs[i], i);
		else if (stdio[i]->kind == FIBER_STDIO_NULL)
			r = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
		else if (stdio[i]->kind == FIBER_STDIO_SAME_AS_OUT)
			r = posix_spawn_file_actions_adddup2(actions, 1, 2);
	}
	return r;
}

/* Nothing blocked, nothing ignored: a program that was not asked should find what it expects. */
static int set_attributes(posix_spawnattr_t *attributes, const fiber_process_options_t *o)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	if (o->flags & FIBER_PROCESS_GROUP) {
		posix_spawnattr_setpgroup(attributes, 0);
		flags |= POSIX_SPAWN_SETPGROUP;
	}
	return posix_spawnattr_setflags(attributes, flags);
}

static int spawn(struct launch *l, posix_spawn_file_actions_t *actions,
		 posix_spawnattr_t *attributes)
{
	const fiber_process_options_t *o = l->options;
	int r = set_attributes(attributes, o);

	if (r == 0)
		r = add_stdio(actions, l);
	if (r == 0 && o->cwd)
		r = posix_spawn_file_actions_addchdir_np(actions, o->cwd);
	if (r == 0)
		r = posix_spawnp(&l->pid, o->program ? o->program : o->argv[0], actions, attributes,
				 o->argv, o->env ? o->env : environ);
	return r;
}

/* On a helper thread. */
static int launch(void *argument)
{
	struct launch *l = argument;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = spawn(l, &actions, &attributes);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	if (r == 0)
		child_born(&l->child, l->pid);
	return -r;
}

/* ---- public -----------------------------------------------------------------------------------*/
static void hand_over(fiber_process_t *out, const struct launch *l)
{
	*out = (fiber_process_t){ .pid = l->pid, .in = l->ours[0], .out = l->ours[1],
				  .err = l->ours[2] };
	for (int i = 0; i < 3; i++)
		if (l->ours[i] >= 0)
			poller_born(l->ours[i], BORN_PIPE);
	*child_of(out) = l->child;
}

PUBLIC int fiber_process_start(fiber_process_t *out, const fiber_process_options_t *options)
{
	struct launch l = { .options = options };
	int r = check(out, options);

	if (r < 0)
		return r;
	fiber_check(); /* looks at the clock, as nothing interrupts what comes */
	r = wait_check();
	if (r < 0)
		return r;
	l.child = (struct child){ .pidfd = -1, .parent = getpid(), .grace_ns = options->grace_ns,
				  .group = options->flags & FIBER_PROCESS_GROUP };
	r = open_all(&l);
	if (r == 0)
		r = wait_offload(launch, &l);
	close_all(l.theirs);
	if (r < 0)
		close_all(l.ours);
	else
		hand_over(out, &l);
	return r;
}
