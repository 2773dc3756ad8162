/* child.h - the server under load: another process, started here, looked at through /proc. */
#ifndef DEMO_CHILD_H
#define DEMO_CHILD_H

#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	char address[128]; /* where it listens: what it printed after "listening on " */
};

/* Runs `program address`. 0, or -errno. Blocks until it listens. */
int child_start(struct child *, const char *program, const char *address);
/* A field of /proc/PID/status: "VmRSS:" in KiB, "Threads:". -1: not there. */
long child_status(const struct child *, const char *field);
/* SIGINT, as Ctrl-C would; then its exit status, or minus the signal that ended it. */
int child_stop(struct child *);

/* Room for that many descriptors, here and in what is started from here. The limit reached. */
size_t descriptors_for(size_t wanted);

#endif
