/* system.c - what the model has for an operating system: bells, words to sleep on, a clock that
 * only tells whether a deadline has passed. */
#include <errno.h>
#include <string.h>

#include "inside.h"
#include "os/os.h"

static void want(enum op_kind kind, void *object, bool limited)
{
	static struct model_site site[] = {
		[OP_RING] = { "model", 0, "", "bell_ring", 0 },
		[OP_WAIT] = { "model", 0, "", "bell_wait", 0 },
		[OP_HUSH] = { "model", 0, "", "bell_hush", 0 },
		[OP_SLEEP] = { "model", 0, "", "sleep on a word", 0 },
		[OP_WAKE] = { "model", 0, "", "wake a word", 0 },
	};
	struct op op = {
		.kind = kind, .location = -1, .object = object, .limited = limited,
		.site = &site[kind],
	};

	thread[running].op = op;
	thread_wants();
}

void bell_ring(struct bell *b)
{
	if (running <= 0)
		b->rung = 1;
	else
		want(OP_RING, b, false);
}

void bell_wait(struct bell *b)
{
	if (running > 0)
		want(OP_WAIT, b, false);
	else
		b->rung = 0;
}

void bell_wait_limited(struct bell *b)
{
	if (running > 0)
		want(OP_WAIT, b, true);
	else
		b->rung = 0;
}

bool bell_hush(struct bell *b)
{
	bool was = b->rung;

	if (running <= 0) {
		b->rung = 0;
		return was;
	}
	want(OP_HUSH, b, false);
	return thread[running].op.was;
}

/* ---- os.h -------------------------------------------------------------------------------------*/
static enum { NO_DEADLINE, ON_TIME, LATE } clock_of[THREADS];

void model_on_time(void)
{
	memset(clock_of, 0, sizeof clock_of);
}

void model_has_deadline(void)
{
	clock_of[running] = ON_TIME;
}

void os_word_sleep(_Atomic uint32_t *word, uint32_t value, int64_t until)
{
	static struct model_site site = { "model", 0, "", "enter a word", 0 };
	struct thread *t = &thread[running];
	struct op op = {
		.kind = OP_ENTER, .object = (void *)word, .site = &site,
	};
	bool limited = until != OS_NEVER;

	plain_atomic(word);
	op.location = memory_find(word, sizeof *word, "word slept on");
	op.expected = value;
	t->op = op;
	thread_wants();
	if (t->op.was != value)
		return;
	want(OP_SLEEP, (void *)word, limited);
}

void os_word_wake(_Atomic uint32_t *word, int n)
{
	(void)n;
	if (running > 0)
		want(OP_WAKE, (void *)word, false);
}

int64_t os_now(void)
{
	if (running > 0 && clock_of[running] == ON_TIME && model_choose(2) == 1)
		clock_of[running] = LATE;
	return running > 0 && clock_of[running] == LATE ? OS_NEVER - 1 : 1;
}

void os_yield(void)
{
	model_pause();
}

/* ---- doing them -------------------------------------------------------------------------------*/
void bells_do(struct thread *t)
{
	struct bell *b = t->op.object;

	switch (t->op.kind) {
	case OP_RING:
		b->rung = 1;
		break;
	case OP_WAIT:
	case OP_HUSH:
		t->woken = false;
		t->op.was = b->rung;
		b->rung = 0;
		break;
	case OP_ENTER:
		t->woken = false;
		break;
	case OP_SLEEP:
		t->woken = false;
		break;
	case OP_WAKE:
		for (int i = 1; i < THREADS; i++)
			if (thread[i].op.kind == OP_SLEEP && thread[i].op.object == t->op.object)
				thread[i].woken = true;
		break;
	default:
		break;
	}
}

/* A store is visible to all in the end, and time has passed: no deadline is shorter than what a
 * processor keeps a store to itself. But nothing happened before for having slept. */
static void see_all(struct thread *t)
{
	for (int i = 0; i < locations; i++)
		t->now.store[i] = memory[i].order[memory[i].stores - 1];
}

bool bells_time_out(void)
{
	for (int i = 1; i < THREADS; i++) {
		struct thread *t = &thread[i];

		if ((t->op.kind != OP_SLEEP && t->op.kind != OP_WAIT) || !t->op.limited || t->woken)
			continue;
		if (clock_of[i] == ON_TIME)
			clock_of[i] = LATE;
		see_all(t);
		t->woken = true;
		return true;
	}
	return false;
}
