/* death.h - lets a function run in a child process, and tells how that ended and what it wrote to
 * stderr. For what is to end by a signal. */
#ifndef TESTS_DEATH_H
#define TESTS_DEATH_H

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct death {
	int signal;           /* that killed it; 0: none */
	int status;           /* with which it exited; -1: it did not */
	char text[64 * 1024]; /* stderr, ended by a zero */
};

static void read_all(int fd, struct death *out)
{
	size_t length = 0;
	ssize_t n;

	do {
		n = read(fd, out->text + length, sizeof out->text - 1 - length);
		length += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	out->text[length] = 0;
}

/* The child's end: what run returns is its exit status. */
static void die_of(int (*run)(void), struct death *out)
{
	int ends[2], status = 0;
	pid_t child;

	memset(out, 0, sizeof *out);
	out->status = -1;
	if (pipe(ends) != 0)
		return;
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		signal(SIGSEGV, SIG_DFL); /* Criterion has one of its own */
		signal(SIGBUS, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		_exit(run());
	}
	close(ends[1]);
	read_all(ends[0], out);
	close(ends[0]);
	waitpid(child, &status, 0);
	out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	out->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
