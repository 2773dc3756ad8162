/* stall.c - a thread that looks at what the workers of a runtime do, and reports the fiber that
 * holds one for too long.
 *
 * A worker shows two things that the thread reads without disturbing it: who runs, and a counter
 * that moves with every pick, yield and operation that did not park. As long as both stay, the same
 * fiber is in the same stretch of running. The thread looks LOOKS times in the set time: so it has
 * seen a stretch begin at most a LOOKS-th after it did, reports it when it has watched it for the
 * set time, and is at most another LOOKS-th late. That leaves half the set time for the thread
 * itself to get a processor.
 *
 * `guard` is held while a worker is asked for its frames, and taken by a worker that enters or
 * leaves its loop: so the thread that gets the signal is there.
 *
 * Rejected: a timer signal for each worker, which interrupts its system calls all the time; looking
 * at processor time, because a fiber that blocks its thread in a system call uses none. */
#include "sched/stall.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/os.h"
#include "sched/overflow_trace.h"
#include "sched/symbol.h"
#include "sched/worker.h"

enum { LOOKS = 4 };
#define LEAST_NS INT64_C(1000000)
#define ANSWER_NS INT64_C(100000000) /* a thread may have to wait for a processor to answer */
#define PAUSE_NS INT64_C(1000000000) /* between two reports of the process */

struct sight {
	struct fiber *fiber;           /* that ran; NULL: none did */
	unsigned ticks;
	int64_t since;                 /* seen so first */
	bool reported, left_out;
};

struct stall {
	pthread_mutex_t guard;
	struct runtime *runtime;
	struct os_thread *thread;
	_Atomic uint32_t stop;
	struct sight sight[];          /* of each worker; the thread's own */
};

/* When the last report was written, and how many were left out since. Of all runtimes. */
static struct spin pace;
static int64_t last_report;
static unsigned left_out;

int64_t stall_wanted(int64_t option)
{
	const char *text = getenv("FIBER_STALL_MS");
	int64_t ms = option == 0 && text ? strtoll(text, NULL, 10) : 0;

	if (ms > 0)
		option = ms < OS_NEVER / 1000000 ? ms * 1000000 : OS_NEVER;
	return option > 0 && option < LEAST_NS ? LEAST_NS : option;
}

/* ---- reporting --------------------------------------------------------------------------------*/
/* False: too soon after the last one; this one is left out. */
static bool may_report(int64_t now, bool was_left_out)
{
	bool may;

	spin_lock(&pace);
	may = last_report == 0 || now - last_report >= PAUSE_NS;
	if (!may && !was_left_out)
		left_out++;
	spin_unlock(&pace);
	return may;
}

/* How many others were left out before. */
static unsigned count_report(int64_t now, bool was_left_out)
{
	unsigned before;

	spin_lock(&pace);
	last_report = now;
	before = left_out - (was_left_out && left_out > 0);
	left_out = 0;
	spin_unlock(&pace);
	return before;
}

static void print_frames(const struct stall_place *place)
{
	struct line l = { .length = 0 };

	if (place->frames == 0) {
		fprintf(stderr, "  its thread did not answer when asked for a backtrace\n");
		return;
	}
	fprintf(stderr, "  backtrace, innermost first:\n");
	fflush(stderr);
	for (int i = 0; i < place->frames; i++)
		overflow_trace_place(&l, place->frame[i]);
}

static void print(const struct worker *w, fiber_t handle, int64_t held,
		  const struct stall_place *place, unsigned before)
{
	fiber_info_t info;

	if (fiber_info(handle, &info) < 0)
		return;
	flockfile(stderr);
	fprintf(stderr, "fiber: stall: fiber %#llx \"%s\" has held worker %u for %lld ms\n",
		(unsigned long long)handle.id, info.name, w->number, (long long)(held / 1000000));
	fputs("  spawned at ", stderr);
	symbol_print(stderr, info.spawned_at);
	fputc('\n', stderr);
	print_frames(place);
	if (before > 0)
		fprintf(stderr, "  (%u other stalls since the last report)\n", before);
	funlockfile(stderr);
}

/* The block of a fiber that started: the acquire pairs with the RMW that said so (fiber.h). */
static fiber_t handle_of(struct fiber *f)
{
	(void)atomic_load_explicit(&f->state, memory_order_acquire);
	return fiber_handle(f);
}

/* ---- looking ----------------------------------------------------------------------------------*/
static void report(struct stall *s, struct worker *w, struct sight *sight, int64_t now)
{
	fiber_t handle = handle_of(sight->fiber);
	bool was_left_out = sight->left_out, still;
	struct stall_place place;

	if (!may_report(now, was_left_out)) {
		sight->left_out = true; /* looked at again, as long as it lasts */
		return;
	}
	sight->reported = true;
	pthread_mutex_lock(&s->guard);
	still = w->may_be_asked &&
		stall_probe(w, sight->fiber, sight->ticks, now + ANSWER_NS, &place);
	pthread_mutex_unlock(&s->guard);
	if (still)
		print(w, handle, now - sight->since, &place, count_report(now, was_left_out));
}

static void look_at(struct stall *s, struct worker *w, struct sight *sight, int64_t now)
{
	struct fiber *f = worker_current(w);
	unsigned ticks = atomic_load_explicit(&w->ticks, memory_order_relaxed);

	if (!f || f == &w->loop || f != sight->fiber || ticks != sight->ticks) {
		*sight = (struct sight){ f == &w->loop ? NULL : f, ticks, now, false, false };
		return;
	}
	if (!sight->reported && now - sight->since >= s->runtime->options.stall_ns)
		report(s, w, sight, now);
}

static void look(void *argument)
{
	struct stall *s = argument;
	struct runtime *rt = s->runtime;

	while (!atomic_load_explicit(&s->stop, memory_order_acquire)) {
		int64_t now = os_now();

		for (unsigned i = 0; i < rt->workers; i++)
			look_at(s, &rt->worker[i], &s->sight[i], now);
		os_word_sleep(&s->stop, 0, now + rt->options.stall_ns / LOOKS);
	}
}

/* The thread is not in the child, and may have held any of these. */
void stall_forked(void)
{
	pace = (struct spin){ 0 };
	stall_probe_forked();
}

/* ---- its life ---------------------------------------------------------------------------------*/
int stall_watch(struct runtime *rt)
{
	struct stall *s;
	int r;

	if (rt->options.stall_ns == 0)
		return 0;
	s = calloc(1, sizeof *s + rt->workers * sizeof s->sight[0]);
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->guard, NULL);
	s->runtime = rt;
	stall_probe_prepare();
	r = os_thread_start(&s->thread, look, s, "fiber stalls");
	if (r < 0)
		free(s);
	else
		rt->stall = s;
	return r;
}

void stall_end(struct runtime *rt)
{
	struct stall *s = rt->stall;

	if (!s)
		return;
	atomic_store_explicit(&s->stop, 1, memory_order_release);
	os_word_wake(&s->stop, 1);
	os_thread_join(s->thread);
	pthread_mutex_destroy(&s->guard);
	free(s);
	rt->stall = NULL;
}

static void let_be_asked(struct worker *w, bool may)
{
	struct stall *s = w->runtime->stall;

	if (!s)
		return;
	pthread_mutex_lock(&s->guard);
	w->self = pthread_self();
	w->may_be_asked = may;
	pthread_mutex_unlock(&s->guard);
}

void stall_enter(struct worker *w)
{
	let_be_asked(w, true);
}

void stall_leave(struct worker *w)
{
	let_be_asked(w, false);
}
