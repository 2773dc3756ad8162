/* operate.c - operations: what a thread may do next, in how many ways, and doing it. */
#include <string.h>

#include "inside.h"

static struct view total;            /* what is seen by all fences and accesses that are seq_cst */

void op_reset(void)
{
	memset(&total, 0, sizeof total);
}

bool op_reads(const struct op *op)
{
	return op->kind == OP_LOAD || op->kind == OP_CHANGE || op->kind == OP_COMPARE ||
	       op->kind == OP_ENTER;
}

bool op_writes(const struct op *op)
{
	return op->kind == OP_STORE || op->kind == OP_CHANGE || op->kind == OP_COMPARE;
}

static bool is_total(const struct op *op)
{
	return op->order & TOTAL;
}

bool op_clash(const struct op *a, const struct op *b)
{
	if (a->object && a->object == b->object)
		return !(a->kind == b->kind && (a->kind == OP_RING || a->kind == OP_WAKE));
	if ((a->kind == OP_ENTER && op_writes(b)) || (b->kind == OP_ENTER && op_writes(a)))
		return a->location == b->location;
	if (!is_total(a) || !is_total(b))
		return false;
	if (a->kind == OP_FENCE || b->kind == OP_FENCE)
		return true;
	return a->location == b->location && (op_writes(a) || op_writes(b));
}

/* ---- what may be read, and where a store may go -----------------------------------------------*/
/* A CAS on a store that does not hold what it expects fails; on one that does it must succeed. */
static bool would_change(const struct op *op, const struct store *s)
{
	return op->kind == OP_CHANGE || (op->kind == OP_COMPARE && s->value == op->expected);
}

static unsigned oldest_readable(const struct thread *t, const struct op *op)
{
	unsigned position = memory_position(op->location, t->now.store[op->location]);

	if (op->kind == OP_ENTER) /* the kernel looks behind a lock and a barrier */
		return memory[op->location].stores - 1u;
	if (t->stale_at == op->location) {
		unsigned fresh = memory_position(op->location, t->stale) + 1;

		position = fresh > position ? fresh : position;
	}
	return position;
}

static bool readable(const struct thread *t, const struct op *op, unsigned number)
{
	const struct store *s = &memory[op->location].store[number];

	if (t->asleep && number < t->seen)
		return false;
	if (is_total(op) && (op->kind == OP_LOAD || would_change(op, s)) &&
	    s->position < memory_position(op->location, total.store[op->location]))
		return false;
	return !(would_change(op, s) && s->taken);
}

/* The way-th store that can be read, newest first; or, if there are fewer, how many. */
static int read_from(const struct thread *t, unsigned way, unsigned *ways)
{
	const struct location *l = &memory[t->op.location];
	unsigned oldest = oldest_readable(t, &t->op), n = 0;

	for (unsigned i = l->stores; i-- > oldest;)
		if (readable(t, &t->op, l->order[i]) && n++ == way)
			return l->order[i];
	*ways = n;
	return -1;
}

/* The way-th position that a plain store may take, newest first; or how many. */
static int write_at(const struct thread *t, unsigned way, unsigned *ways)
{
	const struct location *l = &memory[t->op.location];
	unsigned after = memory_position(t->op.location, t->now.store[t->op.location]), n = 0;

	if (is_total(&t->op)) {
		unsigned least = memory_position(t->op.location, total.store[t->op.location]);

		after = least > after ? least : after;
	}
	for (unsigned i = l->stores; i > after; i--)
		if (!(i < l->stores && l->store[l->order[i]].changes) && n++ == way)
			return (int)i;
	*ways = n;
	return -1;
}

static unsigned ways_awake(const struct thread *t)
{
	unsigned ways = 0;

	switch (t->op.kind) {
	case OP_NONE:
		return 0;
	case OP_LOAD:
	case OP_CHANGE:
	case OP_COMPARE:
	case OP_ENTER:
		read_from(t, STORES, &ways);
		return ways;
	case OP_STORE:
		write_at(t, STORES, &ways);
		return ways;
	case OP_WAIT:
		return t->woken || ((struct bell *)t->op.object)->rung;
	case OP_SLEEP:
		return t->woken;
	case OP_FENCE:
	case OP_RING:
	case OP_HUSH:
	case OP_WAKE:
		return 1;
	}
	return 0;
}

unsigned op_ways(int number)
{
	const struct thread *t = &thread[number];

	if (t->asleep && !op_reads(&t->op))
		return 0;
	return ways_awake(t);
}

bool op_enabled(int number)
{
	struct thread *t = &thread[number];
	bool asleep = t->asleep, enabled;

	t->asleep = false;
	enabled = ways_awake(t) > 0;
	t->asleep = asleep;
	return enabled;
}

/* ---- doing it ---------------------------------------------------------------------------------*/
static void depend(uint16_t *past, const uint16_t *on)
{
	for (int i = 0; i < THREADS; i++)
		if (on[i] > past[i])
			past[i] = on[i];
}

static void do_read(struct thread *t, unsigned number, unsigned order)
{
	int location = t->op.location;
	struct store *s = &memory[location].store[number];

	t->op.was = s->value;
	t->now.store[location] = (uint8_t)number;
	view_join(&t->acquired, &s->view);
	if (order & ACQUIRE)
		view_join(&t->now, &s->view);
	depend(t->past, s->past);
	t->last_read = location;
	t->last_store = (uint8_t)number;
	if (t->stale_at == location)
		t->stale_at = -1;
}

static unsigned do_write(struct thread *t, int number, unsigned position, uint64_t value)
{
	int location = t->op.location;
	unsigned stored = memory_insert(location, position, value);
	struct store *s = &memory[location].store[stored];

	t->now.store[location] = (uint8_t)stored;
	s->view = t->op.order & RELEASE ? t->now : t->released;
	s->view.store[location] = (uint8_t)stored;
	s->writer = (uint8_t)number;
	memcpy(s->past, t->past, sizeof s->past);
	if (is_total(&t->op))
		total.store[location] = (uint8_t)stored;
	t->last_read = t->stale_at = -1;
	return stored;
}

static uint64_t changed(const struct op *op, uint64_t was)
{
	switch (op->change) {
	case MODEL_EXCHANGE: return op->operand;
	case MODEL_ADD: return was + op->operand;
	case MODEL_SUB: return was - op->operand;
	case MODEL_OR: return was | op->operand;
	case MODEL_AND: return was & op->operand;
	}
	return 0;
}

static void do_change(struct thread *t, int number, unsigned from, struct event *e)
{
	struct store *s = &memory[t->op.location].store[from];
	unsigned stored, bits = 8u * memory[t->op.location].bytes;
	uint64_t value = t->op.kind == OP_COMPARE ? t->op.operand : changed(&t->op, s->value);

	if (bits < 64)
		value &= (UINT64_C(1) << bits) - 1;
	do_read(t, from, t->op.order);
	stored = do_write(t, number, s->position + 1u, value);
	s->taken = true;
	memory[t->op.location].store[stored].changes = true;
	view_join(&memory[t->op.location].store[stored].view, &s->view);
	t->op.changed = true;
	e->written = (int16_t)stored;
	e->value = value;
}

static void do_load(struct thread *t, int number, unsigned from, struct event *e)
{
	const struct location *l = &memory[t->op.location];
	const struct store *s = &l->store[from];

	e->read = (int16_t)from;
	e->stale = s->position + 1u < l->stores;
	if (would_change(&t->op, s))
		do_change(t, number, from, e);
	else
		do_read(t, from, t->op.kind == OP_COMPARE ? t->op.failure : t->op.order);
}

/* Fences do not synchronise by their order alone: what is seen by it are stores, not what happened
 * before. */
static void do_fence(struct thread *t)
{
	if (t->op.order & ACQUIRE)
		view_join(&t->now, &t->acquired);
	if (is_total(&t->op)) {
		view_join_stores(&t->now, &total);
		view_join_stores(&total, &t->now);
	}
	if (t->op.order & RELEASE)
		t->released = t->now;
	view_join(&t->acquired, &t->now);
}

void op_do(int number, unsigned way)
{
	struct thread *t = &thread[number];
	struct event *e = &event[events - 1];
	unsigned ways;

	t->past[number]++;
	switch (t->op.kind) {
	case OP_LOAD:
	case OP_CHANGE:
	case OP_COMPARE:
		do_load(t, number, (unsigned)read_from(t, way, &ways), e);
		break;
	case OP_STORE:
		e->value = t->op.operand;
		e->written = (int16_t)do_write(t, number, (unsigned)write_at(t, way, &ways),
					       t->op.operand);
		break;
	case OP_FENCE:
		do_fence(t);
		break;
	case OP_ENTER:
		do_load(t, number, (unsigned)read_from(t, way, &ways), e);
		bells_do(t);
		break;
	default:
		bells_do(t);
		break;
	}
	e->op = t->op;
	t->now.clock[number]++;
}
