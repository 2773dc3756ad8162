/* thread_posix.c - threads of the library's own: start, join, name.
 *
 * A thread keeps the signal mask of its creator, exactly. Blocking everything, as libraries often
 * do to leave the signals to the program, would do harm here, because these threads run the
 * program's code: a child forked by a fiber would inherit the blocked mask, raise() would go
 * nowhere, SIGPROF would see no fiber, and a blocked SIGSEGV kills without a report. Nor is it
 * needed. A program that waits for signals by sigwait, signalfd or ppoll has blocked them before it
 * makes threads, and those inherit that. One that leaves them open gets them on its main thread:
 * Linux gives a signal sent to the process to another thread only while the main one blocks it (for
 * a moment also inside pthread_create) or has one pending, or if that other changes its own mask
 * before the main one came to run. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "os/os.h"

struct os_thread {
	pthread_t thread;
	void (*run)(void *);
	void *argument;
	char name[16]; /* what the kernel keeps of it, with the terminating zero */
};

static void *begin(void *self)
{
	struct os_thread *t = self;

	/* The thread names itself: its creator may be slower than its first line of code. */
	pthread_setname_np(pthread_self(), t->name);
	t->run(t->argument);
	return NULL;
}

int os_thread_start(struct os_thread **out, void (*run)(void *), void *argument, const char *name)
{
	struct os_thread *t = malloc(sizeof *t);
	int error;

	if (!t)
		return -ENOMEM;
	t->run = run;
	t->argument = argument;
	snprintf(t->name, sizeof t->name, "%s", name);
	error = pthread_create(&t->thread, NULL, begin, t);
	if (error) {
		free(t);
		return -error;
	}
	*out = t;
	return 0;
}

void os_thread_join(struct os_thread *t)
{
	must(pthread_join(t->thread, NULL) == 0);
	free(t);
}

void os_yield(void)
{
	sched_yield();
}
