/* The end of a child process that is brought about: kindly, by force, by a cancellation; and that
 * nothing is ever left of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/signal.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "children.h"
#include "death.h"
#include "until.h"

static const fiber_stdio_t a_pipe = { FIBER_STDIO_PIPE, 0 };

/* A shell that has said "r": so it has come to where its script goes on. */
static fiber_process_t ready(const char *script, int64_t grace_ns, unsigned flags)
{
	fiber_process_t p = child_started(&(fiber_process_options_t){
		.argv = SHELL(script), .out = a_pipe, .grace_ns = grace_ns, .flags = flags });
	char byte = 0;

	cr_expect(fiber_read_full(p.out, &byte, 1, NULL) == 1 && byte == 'r');
	return p;
}

#define DEAF  "trap '' TERM; printf r; exec sleep 1000"
#define MILD  "trap 'exit 7' TERM; printf r; while :; do sleep 0.01; done"
#define STILL "printf r; kill -STOP $$; exec sleep 1000"

/* ---- stop -------------------------------------------------------------------------------------*/
static int stops(void *arg)
{
	fiber_process_status_t status = { -2, -2 };
	fiber_process_t p = ready(MILD, 0, 0);

	(void)arg;
	cr_expect(fiber_process_stop(&p, FIBER_NEVER, &status) == 0);
	cr_expect(status.code == 7 && status.signal == 0, "asked by SIGTERM, it cleans up");
	cr_expect(fiber_process_stop(&p, 0, &status) == 0 && status.code == 7, "it has ended");
	cr_expect(fiber_process_close(&p) == 0);
	p = ready(DEAF, 0, 0);
	cr_expect(fiber_process_stop(&p, FIBER_MILLISECOND, &status) == 0);
	cr_expect(status.signal == SIGKILL && status.code == -1, "deaf to that, it is killed");
	cr_expect(fiber_process_close(&p) == 0);
	p = ready(MILD, 0, 0);
	cr_expect(fiber_process_stop(&p, 0, &status) == 0 && status.signal == SIGKILL, "at once");
	cr_expect(fiber_process_close(&p) == 0);
	p = ready(STILL, 0, 0);
	cr_expect(fiber_process_stop(&p, FIBER_NEVER, &status) == 0 && status.signal == SIGTERM,
		  "one that was stopped is let go on");
	return fiber_process_close(&p);
}

Test(process_end, it_is_asked_first_and_killed_when_the_grace_is_over, .timeout = 60)
{
	children_law(stops);
}

/* ---- close ------------------------------------------------------------------------------------*/
static int closes(void *arg)
{
	fiber_process_t p = ready(DEAF, -1, 0);
	fiber_process_t full = ready("printf r; exec cat /dev/zero", 0, 0);

	(void)arg;
	cr_expect(fiber_process_close(&p) == 0 && p.pid == 0 && p.out == -1);
	cr_expect(fiber_process_close(&full) == 0, "it sits in a full pipe");
	p = ready("printf r", 0, 0);
	cr_expect(fiber_process_close(&p) == 0, "it has ended, and nobody has waited");
	return 0;
}

Test(process_end, closing_ends_whatever_still_runs, .timeout = 60)
{
	children_law(closes);
}

/* What the shell started has the pipe, too: its end is the end of all of them. */
static int groups(void *arg)
{
	fiber_process_t p = ready("sleep 1000 & (trap '' TERM; printf r; sleep 1000) & wait",
				  FIBER_SECOND, FIBER_PROCESS_GROUP);
	fiber_process_status_t status = { 0, 0 };
	char byte;

	(void)arg;
	cr_expect(getpgid(p.pid) == p.pid);
	cr_expect(fiber_process_stop(&p, FIBER_SECOND, &status) == 0 && status.signal == SIGTERM);
	cr_expect(fiber_read(p.out, &byte, 1) == 0, "nobody else holds it");
	return fiber_process_close(&p);
}

Test(process_end, a_group_ends_with_its_leader, .timeout = 60)
{
	children_law(groups);
}

/* ---- cancelled --------------------------------------------------------------------------------*/
struct story {
	const char *script;
	int result;
	bool left;
	atomic_bool begun;
};

static int owns_one(void *arg)
{
	struct story *s = arg;
	fiber_process_t p FIBER_CLEANUP(fiber_process_close) =
		ready(s->script, FIBER_MILLISECOND, FIBER_PROCESS_GROUP);

	atomic_store(&s->begun, true);
	s->result = fiber_process_wait(&p, NULL);
	s->left = true;
	return s->result;
}

static int in_a_group(void *arg)
{
	struct story stories[] = { { .script = DEAF }, { .script = MILD }, { .script = STILL } };
	fiber_group_t g = FIBER_GROUP_INIT;

	(void)arg;
	for (int i = 0; i < 3; i++)
		cr_expect(fiber_group_spawn(&g, NULL, owns_one, &stories[i]) == 0);
	for (int i = 0; i < 3; i++)
		UNTIL(atomic_load(&stories[i].begun));
	cr_expect(FIBER_TIMEOUT(1, fiber_group_wait(&g)) == -ETIMEDOUT);
	for (int i = 0; i < 3; i++)
		cr_expect(stories[i].left && stories[i].result == -ECANCELED);
	cr_expect(children_none(), "before the group's wait returns they are gone");
	return 0;
}

Test(process_end, the_children_of_cancelled_fibers_are_gone_with_them, .timeout = 60)
{
	for (int without = 0; without < 2; without++) {
		child_without_pidfd = without;
		law_holds(in_a_group, NULL);
	}
	cr_expect(children_none());
}

/* ---- others of the program --------------------------------------------------------------------*/
static int not_ours(void *arg)
{
	fiber_process_t p = ready(DEAF, -1, 0);
	int status = 0;
	pid_t other = fork();

	(void)arg;
	if (other == 0)
		_exit(9);
	cr_expect(fiber_process_stop(&p, 0, NULL) == 0);
	cr_expect(fiber_process_close(&p) == 0);
	cr_expect(waitpid(other, &status, 0) == other && WEXITSTATUS(status) == 9);
	return 0;
}

Test(process_end, other_children_of_the_program_are_left_to_it, .timeout = 60)
{
	children_law(not_ours);
}

static int stolen(void *arg)
{
	fiber_process_t p = ready("printf r", 0, 0);

	(void)arg;
	cr_expect(waitpid(p.pid, NULL, 0) == p.pid);
	cr_expect(fiber_process_wait(&p, NULL) == -ECHILD);
	cr_expect(fiber_process_wait(&p, NULL) == -ECHILD);
	cr_expect(fiber_process_kill(&p, SIGTERM) == -ESRCH);
	cr_expect(fiber_process_stop(&p, FIBER_NEVER, NULL) == -ECHILD);
	cr_expect(fiber_process_close(&p) == 0);
	signal(SIGCHLD, SIG_IGN);
	p = ready("printf r; exit 3", 0, 0);
	cr_expect(fiber_process_wait(&p, NULL) == -ECHILD, "the system has taken it");
	cr_expect(fiber_process_close(&p) == 0);
	signal(SIGCHLD, SIG_DFL);
	return 0;
}

Test(process_end, a_status_that_others_took_is_lost_and_said_to_be, .timeout = 60)
{
	children_law(stolen);
}

static int told_by_sigchld(void *arg)
{
	static const int number = SIGCHLD;
	fiber_signal_t s = { 0 };
	fiber_chan_t *c = NULL;
	fiber_process_t p;

	(void)arg;
	cr_expect(fiber_signal_open(&c, &number, 1) == 0);
	p = child_started(&(fiber_process_options_t){ .argv = SHELL("exit 4") });
	cr_expect(fiber_chan_recv(c, &s) == 0 && s.sender == p.pid);
	cr_expect(child_ends_with(&p, 4, 0), "which takes nothing from who waits");
	return fiber_signal_close(c);
}

/* Blocked, so that the library's own thread gets it: ThreadSanitizer calls no handler in a thread
 * that sits in a call it does not know. */
Test(process_end, a_channel_of_sigchld_says_which_child, .timeout = 60)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	children_law(told_by_sigchld);
}

/* ---- fork -------------------------------------------------------------------------------------*/
static fiber_process_t parents;

static int in_a_child(void)
{
	if (fiber_process_wait(&parents, NULL) != -ECHILD)
		return 1;
	if (fiber_process_kill(&parents, SIGKILL) != -ECHILD)
		return 2;
	if (fiber_process_stop(&parents, 0, NULL) != -ECHILD)
		return 3;
	return fiber_process_close(&parents) == 0 ? 40 : 4;
}

static int forks(void *arg)
{
	static struct death death;

	(void)arg;
	parents = child_started(&(fiber_process_options_t){ .argv = SHELL("exec cat"),
							    .in = a_pipe, .out = a_pipe });
	die_of(in_a_child, &death);
	cr_expect(death.status == 40, "the child says %d", death.status);
	cr_expect(fiber_process_kill(&parents, 0) == 0, "it still runs");
	cr_expect(fiber_process_close_input(&parents) == 0);
	return child_ends_with(&parents, 0, 0) ? 0 : -1;
}

Test(process_end, a_forked_child_does_nothing_to_its_parents_children, .timeout = 60)
{
	children_law(forks);
}
