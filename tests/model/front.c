/* front.c - atomics as scenarios and library call them: each becomes an operation that the thread
 * wants to do. In setup and check, when nobody else is there, they happen at once. */
#include <string.h>

#include "inside.h"

static uint64_t bits_of(const void *value, size_t bytes)
{
	return memory_get(value, bytes);
}

static void alone(struct op *op, volatile void *p, size_t bytes)
{
	uint64_t now = memory_get(p, bytes), value = op->operand;

	op->was = now;
	op->changed = op->kind != OP_COMPARE || now == op->expected;
	if (op->kind == OP_CHANGE)
		value = op->change == MODEL_ADD   ? now + value
			: op->change == MODEL_SUB ? now - value
			: op->change == MODEL_OR  ? now | value
			: op->change == MODEL_AND ? now & value
						  : value;
	if (op->kind != OP_LOAD && op->changed)
		memory_put(p, bytes, value);
}

/* What it was. */
static struct op *want(enum op_kind kind, const volatile void *p, size_t bytes, struct op op)
{
	struct thread *t = &thread[running];

	op.kind = kind;
	if (running <= 0) {
		t->at = NULL;
		t->op = op;
		alone(&t->op, (volatile void *)p, bytes);
		t->op.kind = OP_NONE;
		return &t->op;
	}
	plain_atomic(p);
	op.location = memory_find(p, bytes, op.site->what);
	t->op = op;
	thread_wants();
	return &t->op;
}

/* By whose name the operation goes, and how strong it is. */
static struct model_site *known_as(struct model_site *site)
{
	struct thread *t = &thread[running];

	if (t->at)
		site = t->at;
	t->at = NULL;
	return site;
}

void model_at(struct model_site *site)
{
	thread[running].at = site;
}

/* Memory that nobody can know of yet is written as by plain code: who reads it without having heard
 * of it by acquire is in a race with this. */
void model_init(volatile void *p, const void *value, size_t bytes, struct model_site *site)
{
	if (running > 0 && memory_known(p)) {
		model_store(p, value, bytes, 0, site);
		return;
	}
	plain_initialises(p, bytes);
	memory_put(p, bytes, bits_of(value, bytes));
}

void model_load(const volatile void *p, void *value, size_t bytes, int order,
		struct model_site *site)
{
	struct op op = { .site = known_as(site) };

	op.order = site_order(order, op.site, false);
	memory_put(value, bytes, want(OP_LOAD, p, bytes, op)->was);
}

void model_store(volatile void *p, const void *value, size_t bytes, int order,
		 struct model_site *site)
{
	struct op op = { .site = known_as(site), .operand = bits_of(value, bytes) };

	op.order = site_order(order, op.site, false);
	want(OP_STORE, p, bytes, op);
}

void model_change(volatile void *p, const void *operand, void *was, size_t bytes,
		  enum model_change change, int order, struct model_site *site)
{
	struct op op = {
		.site = known_as(site), .change = change, .operand = bits_of(operand, bytes),
	};

	op.order = site_order(order, op.site, false);
	memory_put(was, bytes, want(OP_CHANGE, p, bytes, op)->was);
}

bool model_compare(volatile void *p, void *expected, const void *value, size_t bytes, int order,
		   int failure, struct model_site *site)
{
	struct op op = {
		.site = known_as(site),
		.operand = bits_of(value, bytes),
		.expected = bits_of(expected, bytes),
	}, *done;

	op.order = site_order(order, op.site, false);
	op.failure = site_order(failure, op.site, true);
	done = want(OP_COMPARE, p, bytes, op);
	if (!done->changed)
		memory_put(expected, bytes, done->was);
	return done->changed;
}

void model_fence(int order, struct model_site *site)
{
	struct thread *t = &thread[running];
	struct op op = { .kind = OP_FENCE, .location = -1, .site = known_as(site) };

	if (running <= 0)
		return;
	op.order = site_order(order, op.site, false);
	t->op = op;
	thread_wants();
}

/* A spinner that reads the same store again does the same again. So every run in which it does is
 * like one in which it does not, or like one in which it spins for ever. */
void model_pause(void)
{
	struct thread *t = &thread[running];

	if (running <= 0 || t->last_read < 0)
		return;
	t->stale_at = t->last_read;
	t->stale = t->last_store;
}

void model_pause_on(const volatile void *p, uint64_t good)
{
	struct thread *t = &thread[running];
	int location;

	if (running <= 0 || !memory_known(p))
		return;
	location = memory_find(p, 0, NULL);
	if (memory[location].store[t->now.store[location]].value == good)
		return;
	t->stale_at = location;
	t->stale = t->now.store[location];
}
