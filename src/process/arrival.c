/* arrival.c - see arrival.h.
 *
 * Protocol "former". What our handler replaced is a record that stays for ever, because a handler
 * may still read it when it has been replaced by another one; equal ones are used again, so opening
 * and closing does not add up.
 *
 * A program may put its handler on top of ours and pass on to ours. Then ours stays when the last
 * channel closes, and only passes on. If it is installed again, on top of that one, a signal comes
 * by twice: ours, theirs, ours, and beneath that what was there at first. `passing` knows the
 * second time by the signal's info and the depth of the stack (a handler may have been left by
 * siglongjmp, so a flag would not do). */
#include "process/arrival.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/must.h"
#include "sched/kick.h"

struct former {
	struct former *next;           /* all records there are */
	struct sigaction action;
	_Atomic bool used;             /* SA_RESETHAND: it was called */
};

static struct watch {
	_Atomic bool open;
	_Atomic unsigned count;        /* not taken yet */
	_Atomic uint64_t last;         /* sender and value of the last one */
	_Atomic(struct former *) first;/* what ours replaced when it was first installed */
	_Atomic(struct former *) former;
} watches[ARRIVAL_NUMBERS];

static struct former *records;         /* guarded by "changes" */
static sem_t bell;
static _Atomic bool rung;              /* one post is enough for all */

static _Thread_local struct {
	const siginfo_t *info;
	const char *frame;
} passing;

/* ---- the handler ------------------------------------------------------------------------------*/
void arrival_ring(void)
{
	/* Release: pairs with the exchange in arrival_wait: what was counted before. */
	if (!atomic_exchange_explicit(&rung, true, memory_order_acq_rel))
		sem_post(&bell);
}

static bool has_value(int code)
{
	return code == SI_QUEUE || code == SI_TIMER || code == SI_MESGQ;
}

static bool has_sender(int number, int code)
{
	return number == SIGCHLD || code == SI_USER || code == SI_TKILL || code == SI_QUEUE;
}

static void note(struct watch *w, int number, const siginfo_t *info)
{
	uint32_t sender = has_sender(number, info->si_code) ? (uint32_t)info->si_pid : 0;
	uint32_t value = has_value(info->si_code) ? (uint32_t)info->si_value.sival_int : 0;

	if (!atomic_load_explicit(&w->open, memory_order_relaxed))
		return;
	atomic_store_explicit(&w->last, (uint64_t)sender << 32 | value, memory_order_relaxed);
	/* Release: pairs with the exchange in arrival_take: `last`. */
	atomic_fetch_add_explicit(&w->count, 1, memory_order_release);
	arrival_ring();
}

static bool is_handler(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

/* Its mask is ours (install). */
static void call(struct former *f, int number, siginfo_t *info, void *context)
{
	if (!f || !is_handler(&f->action))
		return;
	if ((f->action.sa_flags & (int)SA_RESETHAND) &&
	    atomic_exchange_explicit(&f->used, true, memory_order_relaxed))
		return;
	if (f->action.sa_flags & SA_SIGINFO)
		f->action.sa_sigaction(number, info, context);
	else
		f->action.sa_handler(number);
}

/* The program's own handler goes first: it should find what it would find without us. */
static NOINLINE void on_signal(int number, siginfo_t *info, void *context)
{
	const char *frame = __builtin_frame_address(0);
	struct watch *w = &watches[number];
	typeof(passing) was = passing;
	bool again = was.info == info && frame < was.frame;
	int kept = errno;

	passing.info = info;
	passing.frame = frame;
	call(atomic_load_explicit(again ? &w->first : &w->former, memory_order_acquire), number,
	     info, context);
	passing = was;
	if (!again)
		note(w, number, info);
	errno = kept;
}

/* ---- installing -------------------------------------------------------------------------------*/
int arrival_check(int number)
{
	static const int never[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
				     SIGILL, SIGTRAP, SIGABRT, SIGSYS };

	if (number < 1 || number >= ARRIVAL_NUMBERS || number > SIGRTMAX)
		return -EINVAL;
	if (number > SIGSYS && number < SIGRTMIN)
		return -EINVAL; /* the C library's */
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (number == never[i])
			return -EINVAL;
	return kick_owns(number) ? -EBUSY : 0;
}

static bool is_ours(const struct sigaction *a)
{
	return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == on_signal;
}

static bool same_mask(const sigset_t *a, const sigset_t *b)
{
	for (int i = 1; i < ARRIVAL_NUMBERS; i++)
		if (sigismember(a, i) != sigismember(b, i))
			return false;
	return true;
}

static bool same(const struct sigaction *a, const struct sigaction *b)
{
	return a->sa_flags == b->sa_flags && a->sa_handler == b->sa_handler &&
	       same_mask(&a->sa_mask, &b->sa_mask);
}

/* A record that says this; NULL: no memory. */
static struct former *record(const struct sigaction *action)
{
	struct former *f;

	for (f = records; f; f = f->next)
		if (same(&f->action, action) &&
		    !atomic_load_explicit(&f->used, memory_order_relaxed))
			return f;
	f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->action = *action;
	f->next = records;
	records = f;
	return f;
}

static void put_on_top(struct watch *w, int number, struct former *f)
{
	struct sigaction ours = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	bool ignored = !is_handler(&f->action);

	/* System calls that the former action would not have interrupted go on. */
	ours.sa_flags |= ignored ? SA_RESTART : f->action.sa_flags & SA_RESTART;
	if (number == SIGCHLD) { /* children that need no wait(2) still need none */
		ours.sa_flags |= f->action.sa_flags & (SA_NOCLDSTOP | SA_NOCLDWAIT);
		ours.sa_flags |= f->action.sa_handler == SIG_IGN ? SA_NOCLDWAIT : 0;
	}
	ours.sa_mask = f->action.sa_mask;
	/* Release: the record, for the handler. */
	atomic_store_explicit(&w->former, f, memory_order_release);
	if (!atomic_load_explicit(&w->first, memory_order_relaxed))
		atomic_store_explicit(&w->first, f, memory_order_release);
	atomic_store_explicit(&w->open, true, memory_order_relaxed);
	sigaction(number, &ours, NULL);
}

int arrival_install(int number)
{
	struct watch *w = &watches[number];
	struct sigaction now;
	struct former *f;

	sigaction(number, NULL, &now);
	atomic_store_explicit(&w->count, 0, memory_order_relaxed);
	if (is_ours(&now)) { /* it was covered at the last close, and has been uncovered since */
		atomic_store_explicit(&w->open, true, memory_order_relaxed);
		return 0;
	}
	f = record(&now);
	if (!f)
		return -ENOMEM;
	put_on_top(w, number, f);
	return 0;
}

void arrival_remove(int number)
{
	struct watch *w = &watches[number];
	struct former *f = atomic_load_explicit(&w->former, memory_order_relaxed);
	struct sigaction now, back = f->action;

	atomic_store_explicit(&w->open, false, memory_order_relaxed);
	sigaction(number, NULL, &now);
	if (!is_ours(&now))
		return;
	if (atomic_load_explicit(&f->used, memory_order_relaxed))
		back.sa_handler = SIG_DFL; /* SA_RESETHAND */
	sigaction(number, &back, NULL);
	if (atomic_load_explicit(&w->first, memory_order_relaxed) == f)
		atomic_store_explicit(&w->first, NULL, memory_order_relaxed);
}

/* ---- the other end ----------------------------------------------------------------------------*/
bool arrival_take(int number, struct arrival *out)
{
	struct watch *w = &watches[number];
	uint64_t last;

	if (atomic_load_explicit(&w->count, memory_order_relaxed) == 0)
		return false;
	/* Acquire: pairs with note. */
	out->count = atomic_exchange_explicit(&w->count, 0, memory_order_acquire);
	last = atomic_load_explicit(&w->last, memory_order_relaxed);
	out->sender = (pid_t)(last >> 32);
	out->value = (int)(uint32_t)last;
	return out->count > 0;
}

void arrival_wait(void)
{
	while (sem_wait(&bell) < 0 && errno == EINTR)
		;
	/* Acquire: pairs with arrival_ring. Whoever rings from here on posts again. */
	atomic_exchange_explicit(&rung, false, memory_order_acq_rel);
}

void arrival_forked(void)
{
	for (int i = 0; i < ARRIVAL_NUMBERS; i++)
		atomic_store_explicit(&watches[i].count, 0, memory_order_relaxed);
	atomic_store_explicit(&rung, false, memory_order_relaxed);
	must(sem_init(&bell, 0, 0) == 0);
}
