/* programs.c - see programs.h.
 *
 * The oracle knows nothing of queues, guards and wake-ups, only of what each step means: a case on
 * a channel with room or items goes alone; on one without capacity two go together, of which one
 * must have waited. It walks every order of steps, and leaves a path as soon as it contradicts what
 * was seen. */
#include "programs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "law.h"

struct world {
	int pc[MOST_ACTORS];
	unsigned ruled_out[MOST_ACTORS]; /* cases that a `now` has found impossible so far */
	struct { bool closed; int count, items[MOST_CAPACITY]; } chan[CHANNELS];
};

static bool search(const struct program *, struct world);

/* ---- what each step means ---------------------------------------------------------------------*/
static const struct op *next_op(const struct program *p, const struct world *w, int actor)
{
	return w->pc[actor] < p->ops[actor] ? &p->op[actor][w->pc[actor]] : NULL;
}

/* Does case i go without a partner? Does it in `w`, and tells how it ends. */
static bool alone(const struct program *p, struct world *w, const struct op *op, int i,
		  struct outcome *how)
{
	int c = op->cases[i].chan, capacity = p->capacity[c];

	*how = (struct outcome){.at = i};
	if (op->cases[i].act == CLOSE) {
		how->result = w->chan[c].closed ? -EALREADY : 0;
		w->chan[c].closed = true;
		return true;
	}
	if (op->cases[i].act == RECV && w->chan[c].count > 0) {
		how->value = w->chan[c].items[0];
		w->chan[c].count--;
		memmove(w->chan[c].items, w->chan[c].items + 1,
			sizeof(int) * (size_t)w->chan[c].count);
		return true;
	}
	if (w->chan[c].closed) {
		how->result = -EPIPE;
		return true;
	}
	if (op->cases[i].act == RECV || w->chan[c].count == capacity)
		return false;
	w->chan[c].items[w->chan[c].count++] = op->cases[i].value;
	return true;
}

/* Do case i of the one, which sends, and case j of the other meet? */
static bool meet(const struct program *p, const struct world *w, const struct op *one, int i,
		 const struct op *other, int j)
{
	int c = one->cases[i].chan;

	return one->cases[i].act == SEND && other->cases[j].act == RECV &&
	       other->cases[j].chan == c && p->capacity[c] == 0 && !w->chan[c].closed &&
	       !(one->now && other->now);
}

/* Whether anybody but the closer could do anything that is not about to end with -EAGAIN: then a
 * patient closer waits. */
static bool can_move(const struct program *p, const struct world *w)
{
	for (int a = 1; a < p->actors; a++) {
		const struct op *op = next_op(p, w, a);

		if (op && op->now)
			return true;
		for (int i = 0; op && i < op->n; i++) {
			struct world copy = *w;
			struct outcome how;

			if (alone(p, &copy, op, i, &how))
				return true;
			for (int b = 1; b < p->actors; b++) {
				const struct op *other = b == a ? NULL : next_op(p, w, b);

				for (int j = 0; other && j < other->n; j++)
					if (meet(p, w, op, i, other, j))
						return true;
			}
		}
	}
	return false;
}

/* ---- the walk ---------------------------------------------------------------------------------*/
static bool same(const struct outcome *one, const struct outcome *other)
{
	return one->at == other->at && one->result == other->result && one->value == other->value;
}

static struct world after(struct world w, int actor)
{
	w.pc[actor]++;
	w.ruled_out[actor] = 0;
	return w;
}

static bool goes_alone(const struct program *p, const struct world *w, int a)
{
	const struct op *op = next_op(p, w, a);
	const struct outcome *seen = &p->seen[a][w->pc[a]];
	struct world copy = *w;
	struct outcome how;

	return seen->at >= 0 && alone(p, &copy, op, seen->at, &how) && same(&how, seen) &&
	       search(p, after(copy, a));
}

/* a sends, b receives. */
static bool go_together(const struct program *p, const struct world *w, int a, int b)
{
	const struct op *one = next_op(p, w, a), *other = b == a ? NULL : next_op(p, w, b);
	const struct outcome *sent = &p->seen[a][w->pc[a]], *received;

	if (!other)
		return false;
	received = &p->seen[b][w->pc[b]];
	return sent->at >= 0 && received->at >= 0 && sent->result == 0 && received->result == 0 &&
	       meet(p, w, one, sent->at, other, received->at) &&
	       received->value == one->cases[sent->at].value &&
	       search(p, after(after(*w, a), b));
}

/* A call that does not wait looks at its cases one after the other. */
static bool gives_up(const struct program *p, const struct world *w, int a)
{
	const struct op *op = next_op(p, w, a);
	struct world copy = *w;

	if (!op->now || p->seen[a][w->pc[a]].at != -EAGAIN)
		return false;
	if (w->ruled_out[a] == (1u << op->n) - 1)
		return search(p, after(*w, a));
	for (int i = 0; i < op->n; i++) {
		struct world ignored = *w;
		struct outcome how;

		if (!alone(p, &ignored, op, i, &how))
			copy.ruled_out[a] |= 1u << i;
	}
	return copy.ruled_out[a] != w->ruled_out[a] && search(p, copy);
}

static bool search(const struct program *p, struct world w)
{
	bool over = true;

	for (int a = 0; a < p->actors; a++) {
		if (!next_op(p, &w, a))
			continue;
		over = false;
		if (a == 0 && p->patient && can_move(p, &w))
			continue;
		if (goes_alone(p, &w, a) || gives_up(p, &w, a))
			return true;
		for (int b = 0; b < p->actors; b++)
			if (go_together(p, &w, a, b))
				return true;
	}
	return over;
}

bool program_permits(const struct program *p)
{
	return search(p, (struct world){0});
}

/* ---- programs ---------------------------------------------------------------------------------*/
static struct op random_op(uint64_t *random, int value)
{
	struct op op = {.n = 1};

	if (law_random(random) % 16 == 0) {
		op.cases[0].act = CLOSE;
		op.cases[0].chan = (int)(law_random(random) % CHANNELS);
		return op;
	}
	op.select = law_random(random) % 2;
	op.now = law_random(random) % 6 == 0;
	if (op.select)
		op.n = (int)(law_random(random) % MOST_CASES) + 1;
	for (int i = 0; i < op.n; i++) {
		op.cases[i].act = law_random(random) % 2 ? SEND : RECV;
		op.cases[i].chan = (int)(law_random(random) % CHANNELS);
		op.cases[i].value = value + i;
	}
	return op;
}

struct program program_random(uint64_t *random)
{
	struct program p = {.actors = 3 + (int)(law_random(random) % (MOST_ACTORS - 2))};

	for (int c = 0; c < CHANNELS; c++) {
		p.capacity[c] = (int)(law_random(random) % (MOST_CAPACITY + 1));
		p.op[0][c] = (struct op){.n = 1, .cases[0] = {CLOSE, c, 0}};
	}
	p.ops[0] = CHANNELS;
	for (int a = 1; a < p.actors; a++) {
		p.ops[a] = 1 + (int)(law_random(random) % MOST_OPS);
		for (int i = 0; i < p.ops[a]; i++)
			p.op[a][i] = random_op(random, 100 * a + 10 * i + 1);
	}
	return p;
}

static void print_op(const struct op *op, const struct outcome *seen)
{
	static const char *const name[] = {"send", "recv", "close"};

	fprintf(stderr, "  %s%s", op->select ? "select" : "", op->now ? " now" : "");
	for (int i = 0; i < op->n; i++)
		fprintf(stderr, " %s(%d, %d)", name[op->cases[i].act], op->cases[i].chan,
			op->cases[i].value);
	fprintf(stderr, " -> %d: %d, %d\n", seen->at, seen->result, seen->value);
}

void program_print(const struct program *p)
{
	fprintf(stderr, "%s\n", p->patient ? "a patient closer" : "");
	for (int c = 0; c < CHANNELS; c++)
		fprintf(stderr, "channel %d holds %d\n", c, p->capacity[c]);
	for (int a = 0; a < p->actors; a++) {
		fprintf(stderr, "actor %d\n", a);
		for (int i = 0; i < p->ops[a]; i++)
			print_op(&p->op[a][i], &p->seen[a][i]);
	}
}
