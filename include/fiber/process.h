/* fiber/process.h - child processes. SPDX-License-Identifier: MIT
 *
 *	char *argv[] = {"sort", "-n", NULL};
 *	fiber_process_options_t options = {.argv = argv, .in = {FIBER_STDIO_PIPE, 0},
 *					   .out = {FIBER_STDIO_PIPE, 0}};
 *	fiber_process_t sort;
 *	int r = fiber_process_start(&sort, &options);
 *
 *	if (r < 0)
 *		return r;
 *	fiber_write_all(sort.in, "3\n1\n2\n", 6, NULL);
 *	fiber_process_close_input(&sort);
 *	n = fiber_read_full(sort.out, answer, sizeof answer, NULL);
 *	r = fiber_process_wait(&sort, &status);
 *	fiber_process_close(&sort);
 *
 * A child belongs to who started it, and does not outlive that: fiber_process_close ends it if it
 * still runs (SIGTERM; SIGKILL if that does not help in time), and always waits for it. A fiber
 * that is cancelled finds its calls fail, gets to its fiber_process_close as it gets to its other
 * clean-up, and leaves neither a process nor a zombie. fiber_process_run does all of this.
 *
 * Only these children are waited for, never others of the program. In return the program must not
 * take theirs, by waitpid(-1) or by ignoring SIGCHLD: the status is lost then (-ECHILD).
 *
 * What a child inherits: the descriptors below; others only if they are not close-on-exec (those
 * that were born in calls of this library are). No signal is blocked or ignored in it, SIGPIPE
 * included, whatever the program has set for itself. All else is as with fork(2) and exec(2).
 *
 * A child that asks for a signal when its parent dies (PR_SET_PDEATHSIG) gets it when the thread
 * ends that has started it. For fibers that is a helper thread, which ends after ten seconds
 * without work: start such a program from a plain thread that stays.
 *
 * Works in fibers and on plain threads, which it blocks. After fork(2) the children are those of
 * the parent: in its child every call says -ECHILD, and fiber_process_close only closes. */
#ifndef FIBER_PROCESS_H
#define FIBER_PROCESS_H
#include <fiber/io.h>
#ifdef __cplusplus
extern "C" {
#endif

enum {                                 /* fiber_stdio_t.kind */
	FIBER_STDIO_INHERIT,           /* the caller's */
	FIBER_STDIO_NULL,              /* /dev/null */
	FIBER_STDIO_PIPE,              /* a pipe; our end is in the fiber_process_t */
	FIBER_STDIO_FD,                /* `fd`, which stays the caller's. The child sees the file
	                                * as it is: non-blocking, if it was born in our calls */
	FIBER_STDIO_SAME_AS_OUT,       /* err only: wherever its out goes */
};
typedef struct fiber_stdio {
	int      kind;
	fiber_fd fd;
} fiber_stdio_t;

enum {                                 /* fiber_process_options_t.flags */
	FIBER_PROCESS_GROUP = 1u << 0, /* the child leads a process group of its own, and signals
	                                * go to the whole group: also to what a shell has started.
	                                * (At a terminal it is in the background.)
	                                * Whoever of it outlives the leader when it is stopped
	                                * gets SIGKILL */
};

/* All zero but argv: the defaults. Used while fiber_process_start runs, and no longer. */
typedef struct fiber_process_options {
	char *const  *argv;            /* ends with NULL */
	const char   *program;         /* NULL: argv[0]. Looked for in $PATH if it has no '/' */
	char *const  *env;             /* "NAME=value", ends with NULL; NULL: the caller's */
	const char   *cwd;             /* where it runs, and where a relative `program` is looked
	                                * for; NULL: here */
	fiber_stdio_t in, out, err;
	int64_t       grace_ns;        /* from SIGTERM to SIGKILL; 0: five seconds; negative:
	                                * SIGKILL at once */
	unsigned      flags;
	uintptr_t     reserved[4];     /* zero */
} fiber_process_options_t;

/* Lives in its owner's memory. Zero bytes are no process. fiber_process_wait and _kill may be
 * called by several fibers at the same time, the rest by the owner alone. */
typedef struct fiber_process {
	pid_t     pid;                 /* 0: none */
	fiber_fd  in, out, err;        /* our ends of pipes, non-blocking; -1 where there is none */
	uintptr_t private_[6];
} fiber_process_t;

/* How it ended: one of the two. */
typedef struct fiber_process_status {
	int code;                      /* what it gave to exit, 0..255; -1: it was killed */
	int signal;                    /* that killed it; 0: it exited */
} fiber_process_status_t;

/* Starts a program. The work is done on a helper thread (fiber/io.h), because loading a program
 * may wait for a disk.
 *
 * Parks. A cancellation point before it begins, not afterwards.
 *
 * Returns 0, and the process must be closed; or, and there is nothing to close,
 *	-EINVAL         a pointer is NULL; argv is empty; an unknown kind or flag; reserved words
 *	-EBADF          FIBER_STDIO_FD with what is no open descriptor
 *	-ENOENT         no such program, or no such cwd
 *	-EACCES, -ENOEXEC, -ENOTDIR, -E2BIG, ...  as execve(2), chdir(2)
 *	-EMFILE, -ENFILE, -ENOMEM, -EAGAIN  no descriptors, memory, processes or helper threads
 *	-ECANCELED      interrupted */
FIBER_CHECKED int fiber_process_start(fiber_process_t *out, const fiber_process_options_t *options);

/* Waits until it has ended. The status can be asked for again; `status` may be NULL. Interrupted,
 * the process goes on.
 *
 * Parks. A cancellation point.
 *
 * Returns 0, or
 *	-ECANCELED      interrupted
 *	-ETIMEDOUT      (until) `when` has passed
 *	-ECHILD         its status is lost (above)
 *	-EINVAL         NULL, or no process
 *	-EAGAIN, -ENOMEM  nothing to wait with */
int fiber_process_wait(fiber_process_t *process, fiber_process_status_t *status);
int fiber_process_wait_until(fiber_process_t *process, fiber_process_status_t *status,
			     int64_t when);

/* Sends it a signal; 0 sends none. Never reaches another process, even if the number is used again.
 * Never parks. Returns 0, or
 *	-ESRCH          it has ended, and was waited for
 *	-EPERM          it has changed its user
 *	-EINVAL         NULL, no process, no such signal */
int fiber_process_kill(fiber_process_t *process, int signal);

/* Ends it: SIGTERM (and SIGCONT, or a stopped one would not see it), after grace_ns SIGKILL; at
 * once if that is not positive. Waits until it has ended. Of one that has ended already it gives
 * the status. Parks; never interrupted, so it needs no shield. Returns as fiber_process_wait, but
 * neither -ECANCELED nor -ETIMEDOUT. */
int fiber_process_stop(fiber_process_t *process, int64_t grace_ns, fiber_process_status_t *status);

/* Closes our end of its standard input: it reads the end. Returns 0, or -EBADF if there is none. */
int fiber_process_close_input(fiber_process_t *process);

/* The end of the handle: closes our ends of its pipes, and stops it if it has not been waited for
 * (fiber_process_stop with options.grace_ns). The memory is no process then. Of no process nothing
 * is closed. Parks; never interrupted. Returns 0, or -EINVAL (NULL).
 *
 *	fiber_process_t p FIBER_CLEANUP(fiber_process_close) = FIBER_PROCESS_INIT; */
int fiber_process_close(fiber_process_t *process);
#define FIBER_PROCESS_INIT {0, -1, -1, -1, {0}}

/* ---- from start to end -----------------------------------------------------------------------*/
typedef struct fiber_process_result {
	fiber_process_status_t status;
	char  *out, *err;              /* what it wrote, each with a zero behind; NULL where its
	                                * stdio is no pipe */
	size_t out_bytes, err_bytes;
	uintptr_t reserved[2];
} fiber_process_result_t;

/* Starts a program, writes the input_bytes at `input` to its standard input and closes it, collects
 * what it writes, all at the same time, so that no full pipe can stop it, and waits for its end.
 * `in`, `out` and `err` of the options say which of these happen: those that are FIBER_STDIO_PIPE.
 * A program that does not read all its input is no error.
 *
 * It has ended writing when nobody has its pipes open any more: a background process that it leaves
 * behind with them is waited for too.
 *
 * limit: the most bytes of each of out and err; 0: 1 MiB.
 *
 * Parks. A cancellation point. Whatever is returned, the process has ended and was waited for:
 * interrupted, it is stopped as by fiber_process_close.
 *
 * Returns 0, whatever its status, and out->out and out->err are for fiber_process_result_free; or,
 * with nothing to free, the errors of fiber_process_start and
 *	-EMSGSIZE       it wrote more than limit; it was stopped
 *	-EINVAL         also: input without a pipe for it
 *	-ECANCELED      interrupted
 *	-ECHILD         its status is lost
 *
 *	r = FIBER_TIMEOUT(FIBER_SECOND, fiber_process_run(&result, &options, NULL, 0, 0)); */
FIBER_CHECKED int fiber_process_run(fiber_process_result_t *out,
				    const fiber_process_options_t *options, const void *input,
				    size_t input_bytes, size_t limit);

/* Frees out and err. NULL is allowed. Never parks. */
void fiber_process_result_free(fiber_process_result_t *result);
#ifdef __cplusplus
}
#endif
#endif
