/* stall_probe_posix.c - the frames of a thread of ours that is busy with something else.
 *
 * One probe at a time (`guard`). The asker writes what it asks, then ASKED; the thread gets a
 * signal, and its handler takes the probe (ASKED -> TAKEN), looks whether the fiber in question
 * still runs, walks its own stack, and says DONE. An asker that has waited long enough takes its
 * question back by the same word (ASKED -> IDLE); a handler that comes later finds nothing to do.
 * TAKEN ends soon: the handler is running.
 *
 * backtrace() is not on POSIX' list of what handlers may call; glibc's takes no lock and no memory
 * once its library is loaded, which stall_probe_prepare sees to. The handler runs on the thread's
 * alternate stack, where there is one: the fiber's may be nearly full. */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "os/os.h"
#include "sched/kick.h"
#include "sched/stall.h"
#include "sched/worker.h"

enum { IDLE, ASKED, TAKEN, DONE };
enum { LOOK_AGAIN_NS = 200 * 1000 };
enum { OURS = 2 }; /* frames: the handler's and the signal's come first */

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int signal_number; /* 0: none yet; -1: none is free */

/* The asker's until ASKED and from DONE on, the handler's in between. */
static struct {
	_Atomic uint32_t state;
	struct worker *worker;
	const struct fiber *fiber;
	unsigned ticks;
	bool still;
	int frames;
	void *frame[sizeof ((struct stall_place *)0)->frame / sizeof(void *)];
} probe;

static bool still_there(const struct worker *w)
{
	return w && w == probe.worker && worker_current(w) == probe.fiber &&
	       atomic_load_explicit(&w->ticks, memory_order_relaxed) == probe.ticks;
}

/* Of any thread that somebody sends this signal to. */
static void answer(int number)
{
	struct worker *w = worker_self();
	uint32_t asked = ASKED;
	int kept = errno;

	(void)number;
	if (!w || atomic_load_explicit(&probe.state, memory_order_acquire) != ASKED ||
	    w != probe.worker ||
	    !atomic_compare_exchange_strong_explicit(&probe.state, &asked, TAKEN,
						     memory_order_acquire, memory_order_relaxed))
		return;
	probe.still = still_there(w);
	if (probe.still)
		probe.frames = backtrace(probe.frame, sizeof probe.frame / sizeof *probe.frame);
	/* Release: the frames; pairs with the acquire in wait_for_answer. */
	atomic_store_explicit(&probe.state, DONE, memory_order_release);
	errno = kept;
}

void stall_probe_prepare(void)
{
	void *frame[2];

	pthread_mutex_lock(&guard);
	if (signal_number == 0) {
		(void)backtrace(frame, 2);
		signal_number = kick_install(answer, SA_RESTART | SA_ONSTACK);
	}
	pthread_mutex_unlock(&guard);
}

void stall_probe_forked(void)
{
	guard = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	atomic_store_explicit(&probe.state, IDLE, memory_order_relaxed);
}

/* True: DONE. False: it was asked in vain, and is asked no more. */
static bool wait_for_answer(int64_t until)
{
	uint32_t state, asked = ASKED;

	while ((state = atomic_load_explicit(&probe.state, memory_order_acquire)) != DONE) {
		if (state == ASKED && os_now() >= until &&
		    atomic_compare_exchange_strong_explicit(&probe.state, &asked, IDLE,
							    memory_order_acq_rel,
							    memory_order_acquire))
			return false;
		asked = ASKED;
		os_word_sleep(&probe.state, state, os_now() + LOOK_AGAIN_NS);
	}
	return true;
}

static bool ask(struct worker *w, const struct fiber *f, unsigned ticks, int64_t until)
{
	probe.worker = w;
	probe.fiber = f;
	probe.ticks = ticks;
	probe.still = true;
	probe.frames = 0;
	/* Release: the question; pairs with the acquire in answer. */
	atomic_store_explicit(&probe.state, ASKED, memory_order_release);
	if (pthread_kill(w->self, signal_number) != 0)
		until = 0;
	return wait_for_answer(until);
}

bool stall_probe(struct worker *w, const struct fiber *f, unsigned ticks, int64_t until,
		 struct stall_place *out)
{
	bool still = true;

	out->frames = 0;
	if (signal_number <= 0)
		return true;
	pthread_mutex_lock(&guard);
	if (ask(w, f, ticks, until)) {
		still = probe.still;
		for (int i = probe.frames > OURS ? OURS : 0; i < probe.frames; i++)
			out->frame[out->frames++] = probe.frame[i];
	}
	atomic_store_explicit(&probe.state, IDLE, memory_order_relaxed);
	pthread_mutex_unlock(&guard);
	return still;
}
