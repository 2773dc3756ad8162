/* explore.c - every run of a scenario, one after the other, by replay: a run is the list of the
 * choices made in it (path), and the next run follows it up to the last choice that has something
 * left, and goes another way there.
 *
 * Two kinds of choices. WAY: which store is read, which place a store takes. THREAD: who goes next.
 * Most orders of threads differ in nothing, and these are left out:
 *
 *  - Another thread is tried at a choice only when something that happened later showed that it may
 *    matter (dynamic partial order reduction): a store that an earlier load could have read, had it
 *    come first; or two operations that clash (op_clash), because both are seq_cst or both are
 *    about one bell. Not where one depends on the other: then the order was no accident.
 *  - A store that comes before a load, or two stores in either order, need not be tried the other
 *    way round: the load may read the older stores all the same, and the store may take the earlier
 *    place.
 *  - A thread that was tried at a choice sleeps in all that is tried there afterwards, until
 *    something clashes with what it wants to do (sleep sets); or until there are stores that it
 *    could not read then, and then it reads one of these. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "inside.h"

enum { NODES = 2 * EVENTS };

struct node {
	bool is_way;
	uint8_t ways, way;           /* of a way */
	uint8_t chosen;              /* a thread */
	uint8_t live, tried, wanted; /* bits of threads: that can go; that went; that should */
};

struct event event[EVENTS];
unsigned events;

bool explore_blindly;

static struct node path[NODES];
static unsigned made, at;            /* nodes that exist; the next one in this run */
static int last;                     /* who ran last */
static jmp_buf broken;

void explore_abort(void)
{
	longjmp(broken, 1);
}

static struct node *next_node(bool *new)
{
	if (at == NODES)
		model_fail("a run with more than %d choices", NODES);
	*new = at == made;
	if (*new)
		memset(&path[made++], 0, sizeof path[0]);
	return &path[at++];
}

unsigned explore_choice(unsigned n)
{
	bool new;
	struct node *node;

	if (n < 2)
		return 0;
	node = next_node(&new);
	if (new) {
		node->is_way = true;
		node->ways = (uint8_t)n;
	}
	return node->way;
}

/* ---- which thread -----------------------------------------------------------------------------*/
static unsigned first_of(unsigned bits)
{
	return (unsigned)__builtin_ctz(bits);
}

static void fall_asleep(unsigned tried)
{
	for (; tried; tried &= tried - 1) {
		struct thread *t = &thread[first_of(tried)];

		t->asleep = true;
		t->seen = t->op.location >= 0 ? memory[t->op.location].stores : 0;
	}
}

/* -1: what is left was done before. */
static int choose_thread(unsigned live)
{
	bool new;
	struct node *node;

	if (!live)
		return -1;
	node = next_node(&new);
	if (new) {
		node->live = (uint8_t)live;
		node->chosen = (uint8_t)(live & 1u << last ? (unsigned)last : first_of(live));
		node->wanted = (uint8_t)(explore_blindly ? live : 1u << node->chosen);
	}
	fall_asleep(node->tried);
	return node->chosen;
}

/* ---- what should be tried the other way round -------------------------------------------------*/
static void try_before(const struct event *e, int number)
{
	struct node *node = &path[e->node];
	unsigned bit = 1u << number;

	node->wanted |= (uint8_t)(node->live & bit ? bit : node->live);
}

static void look_back(int number)
{
	const struct thread *t = &thread[number];
	const struct op *op = &t->op;
	bool writes = op_writes(op);

	if (!writes && !op->object && !(op->order & TOTAL)) /* a load matters to nobody */
		return;
	for (unsigned i = events; i-- > 0;) {
		const struct event *e = &event[i];

		if (e->thread == number || e->number <= t->past[e->thread])
			continue;
		if ((writes && e->op.location == op->location && op_reads(&e->op)) ||
		    op_clash(op, &e->op))
			try_before(e, number);
	}
}

static void wake_sleepers(const struct op *done)
{
	for (int i = 1; i < THREADS; i++)
		if (thread[i].asleep && op_clash(done, &thread[i].op))
			thread[i].asleep = false;
}

/* ---- one run ----------------------------------------------------------------------------------*/
static void step(int number)
{
	struct thread *t = &thread[number];
	struct event *e = &event[events];

	if (events == EVENTS)
		model_fail("a run of more than %d steps: does it end?", EVENTS);
	look_back(number);
	events++;
	memset(e, 0, sizeof *e);
	e->op = t->op;
	e->thread = (uint8_t)number;
	e->number = (uint16_t)(t->past[number] + 1);
	e->node = (uint16_t)(at - 1);
	e->read = e->written = -1;
	op_do(number, explore_choice(op_ways(number)));
	t->asleep = false;
	wake_sleepers(&e->op);
	last = number;
}

/* Nobody can go on. */
static bool conclude(void)
{
	for (int i = 1; i < THREADS; i++) {
		enum op_kind kind = thread[i].op.kind;

		if (kind == OP_NONE || (scenario->may_sleep && kind == OP_WAIT))
			continue;
		snprintf(failure, sizeof failure, "thread %d waits for ever", i - 1);
		return false;
	}
	return threads_check();
}

static bool run_once(bool *cut)
{
	*cut = false;
	events = at = 0;
	last = 0;
	memory_reset();
	plain_reset();
	op_reset();
	model_on_time();
	if (!threads_setup())
		return false;
	for (int i = 1; i < THREADS; i++) {
		thread[i].op.kind = OP_NONE;
		thread[i].asleep = false;
		if (scenario->thread[i - 1] && !threads_start(i))
			return false;
	}
	for (;;) {
		unsigned enabled = 0, live = 0;
		int number;

		for (int i = 1; i < THREADS; i++) {
			enabled |= (unsigned)op_enabled(i) << i;
			live |= (unsigned)(op_ways(i) > 0) << i;
		}
		if (!enabled && bells_time_out())
			continue;
		if (!enabled)
			return conclude();
		number = choose_thread(live);
		if (number < 0) {
			*cut = true;
			return true;
		}
		step(number);
		if (!threads_resume(number))
			return false;
	}
}

/* False: there is no other run. */
static bool next_run(void)
{
	for (; made > 0; made--) {
		struct node *node = &path[made - 1];
		unsigned left;

		if (node->is_way) {
			if (++node->way < node->ways)
				return true;
			continue;
		}
		node->tried |= (uint8_t)(1u << node->chosen);
		left = node->wanted & node->live & ~(unsigned)node->tried;
		if (left) {
			node->chosen = (uint8_t)first_of(left);
			return true;
		}
	}
	return false;
}

struct totals explore(const struct scenario *s)
{
	static struct totals totals;

	memset(&totals, 0, sizeof totals);
	scenario = s;
	made = 0;
	outcomes_reset();
	if (setjmp(broken)) {
		totals.failed = true;
		return totals;
	}
	do {
		bool cut;

		if (!run_once(&cut)) {
			totals.failed = true;
			return totals;
		}
		totals.runs += !cut;
		totals.cut += cut;
	} while (next_run());
	totals.failed = !outcomes_complete();
	return totals;
}
