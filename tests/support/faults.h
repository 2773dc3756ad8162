/* faults.h - what the tests of SIGSEGV share: ways to cause it on a fiber, and how a child process
 * that did is to end. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <criterion/criterion.h>
#include <fiber.h>
#include <pthread.h>
#include <signal.h>

#include "base/must.h"
#include "death.h"

/* Exit statuses of children. */
enum { REACHED = 40, WRONG_ADDRESS, WRONG_MASK, NOT_RESTORED, RECURSED };

static struct death death;
static struct sigaction saved; /* what `install` covered */
static char *volatile nowhere = (char *)64; /* the compiler must not know */

static inline int crash(void *argument)
{
	*(volatile char *)(argument ? argument : nowhere) = 1;
	return 0;
}

/* Endless, but the compiler should not know. */
static NOINLINE int recurse(void *argument)
{
	volatile char frame[512];

	frame[0] = 1;
	return argument ? recurse((char *)argument + 1) + frame[0] : 0;
}

static int overflow(void *argument)
{
	(void)argument;
	return recurse(nowhere);
}

static int runs(fiber_fn *main, unsigned flags)
{
	return fiber_run(&(fiber_options_t){ .workers = 1, .flags = flags }, main, NULL);
}

static inline void install(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaddset(&a.sa_mask, SIGUSR1);
	sigaction(SIGSEGV, &a, &saved);
}

static void dies_silently_by_sigsegv(int (*run)(void))
{
	die_of(run, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d", death.signal, death.status);
	cr_expect(strstr(death.text, "stack overflow") == NULL, "%s", death.text);
}

static void dies_with_a_report(int (*run)(void))
{
	die_of(run, &death);
	cr_expect_eq(death.signal, SIGSEGV, "signal %d, status %d", death.signal, death.status);
	cr_expect(strstr(death.text, "fiber: stack overflow: ") != NULL, "%s", death.text);
}

static void exits_with(int (*run)(void), int status)
{
	die_of(run, &death);
	cr_expect_eq(death.status, status, "signal %d, status %d, %s", death.signal, death.status,
		     death.text);
}

#endif
