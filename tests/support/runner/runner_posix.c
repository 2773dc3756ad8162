/* runner_posix.c - processes of tests, elsewhere; see runner.h. For checking the runner itself. */
#include "runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct runner_process {
	pid_t pid;
	double end;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct runner_process *runner_start(const char *argument, double seconds)
{
	struct runner_process *p = malloc(sizeof *p);

	if (!p)
		return NULL;
	fflush(NULL);
	p->end = now() + seconds;
	p->pid = fork();
	if (p->pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/proc/self/exe", "test", "--only", argument, (char *)NULL);
		_exit(127);
	}
	if (p->pid > 0)
		return p;
	free(p);
	return NULL;
}

static bool has_ended(struct runner_process *p, int *status, char *how, size_t how_bytes)
{
	int end = 0;

	how[0] = 0;
	if (waitpid(p->pid, &end, WNOHANG) == p->pid) {
		*status = WIFEXITED(end) ? WEXITSTATUS(end) : 128 + WTERMSIG(end);
		if (WIFSIGNALED(end))
			snprintf(how, how_bytes, " (%s)", strsignal(WTERMSIG(end)));
		return true;
	}
	if (now() < p->end)
		return false;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, &end, 0);
	*status = RUNNER_TIMED_OUT;
	return true;
}

size_t runner_wait(struct runner_process **all, size_t n, int *status, char *how, size_t how_bytes)
{
	for (;; usleep(1000))
		for (size_t i = 0; i < n; i++)
			if (has_ended(all[i], status, how, how_bytes)) {
				free(all[i]);
				return i;
			}
}

unsigned runner_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}
