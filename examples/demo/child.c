/* child.c - see child.h. Plain blocking code, called before and after the fibers. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the new process. Its standard output goes into the pipe; should we die, it is interrupted too.
 * */
static _Noreturn void become(const char *program, const char *address, int output)
{
	prctl(PR_SET_PDEATHSIG, SIGINT);
	if (dup2(output, STDOUT_FILENO) >= 0)
		execl(program, program, address, (char *)NULL);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

/* What it says is read until the end of the first line. */
static int read_address(struct child *child, int from)
{
	FILE *said = fdopen(from, "r");
	int words = said ? fscanf(said, "listening on %127s", child->address) : 0;

	if (said)
		fclose(said);
	return words == 1 ? 0 : -ESRCH;
}

int child_start(struct child *child, const char *program, const char *address)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child->pid = fork();
	if (child->pid == 0)
		become(program, address, ends[1]);
	r = child->pid < 0 ? -errno : 0;
	close(ends[1]);
	if (r < 0) {
		close(ends[0]);
		return r;
	}
	r = read_address(child, ends[0]);
	if (r < 0)
		child_stop(child);
	return r;
}

long child_status(const struct child *child, const char *field)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)child->pid);
	if (!(file = fopen(path, "r")))
		return -1;
	while (fgets(line, sizeof line, file))
		if (strncmp(line, field, strlen(field)) == 0)
			sscanf(line + strlen(field), "%ld", &value);
	fclose(file);
	return value;
}

int child_stop(struct child *child)
{
	int status;

	kill(child->pid, SIGINT);
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

size_t descriptors_for(size_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur >= wanted)
		return limit.rlim_cur;
	/* Above the hard limit only root may go, and only up to the system's own. */
	struct rlimit more = {wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted};

	if (setrlimit(RLIMIT_NOFILE, &more) < 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}
