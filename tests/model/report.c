/* report.c - a run that broke a law, step by step; and what came out of litmus tests. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

enum { OUTCOMES = 64, OUTCOME_BYTES = 64 };

extern const char __executable_start[];
static char outcome[OUTCOMES][OUTCOME_BYTES];
static unsigned outcomes;

const char *report_code(const void *code)
{
	static char text[100];

	snprintf(text, sizeof text, "addr2line: %#zx",
		 (size_t)((const char *)code - __executable_start));
	return text;
}

static const char *order_name(unsigned order)
{
	static const char *const name[] = {
		"relaxed", "acquire", "release", "acq_rel", "?", "?", "?", "seq_cst",
	};

	return name[order & 7];
}

static const char *kind_name(const struct event *e)
{
	static const char *const name[] = {
		[OP_NONE] = "ends", [OP_LOAD] = "load", [OP_STORE] = "store",
		[OP_CHANGE] = "change", [OP_COMPARE] = "cas", [OP_FENCE] = "fence",
		[OP_RING] = "ring", [OP_WAIT] = "wait", [OP_HUSH] = "hush",
		[OP_ENTER] = "enter", [OP_SLEEP] = "sleep", [OP_WAKE] = "wake",
	};

	return e->op.kind == OP_COMPARE && e->written < 0 ? "cas fails" : name[e->op.kind];
}

/* Which step made that store. */
static int made_by(int location, int store)
{
	for (unsigned i = 0; i < events; i++)
		if (event[i].op.location == location && event[i].written == store)
			return (int)i + 1;
	return 0;
}

static void print_step(unsigned number, const struct event *e)
{
	const struct model_site *s = e->op.site;
	const char *base = strrchr(s->file, '/');
	bool fails = e->op.kind == OP_COMPARE && e->written < 0;

	printf("# %3u  %*sT%u %s", number, 2 * (e->thread - 1), "", e->thread - 1u, kind_name(e));
	if (e->op.location >= 0 || e->op.kind == OP_FENCE)
		printf(" %s", order_name(fails ? e->op.failure : e->op.order));
	printf(" %s", s->what);
	if (e->op.location >= 0)
		printf(" [%d]", e->op.location);
	if (e->read >= 0) {
		int from = made_by(e->op.location, e->read);

		printf(" = %#llx", (unsigned long long)e->op.was);
		if (from)
			printf(" of step %d", from);
		else
			printf(" as it began");
		if (e->stale)
			printf(" (there is newer)");
	}
	if (e->written >= 0)
		printf(" := %#llx", (unsigned long long)e->value);
	printf("   %s:%d %s\n", base ? base + 1 : s->file, s->line, s->function);
}

void report_run(void)
{
	printf("# %s\n", failure);
	for (unsigned i = 0; i < events; i++)
		print_step(i + 1, &event[i]);
	for (int i = 1; i < THREADS; i++)
		if (thread[i].op.kind != OP_NONE && thread[i].op.site)
			printf("#      T%d is at %s (%s:%d)\n", i - 1, thread[i].op.site->what,
			       thread[i].op.site->file, thread[i].op.site->line);
}

/* ---- litmus tests -----------------------------------------------------------------------------*/
void model_report(const char *format, ...)
{
	char text[OUTCOME_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	for (unsigned i = 0; i < outcomes; i++)
		if (strcmp(outcome[i], text) == 0)
			return;
	if (outcomes == OUTCOMES)
		model_fail("more than %d outcomes", OUTCOMES);
	strcpy(outcome[outcomes++], text);
}

void outcomes_reset(void)
{
	outcomes = 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

bool outcomes_complete(void)
{
	static char all[OUTCOMES * (OUTCOME_BYTES + 1)];
	char *end = all;

	if (!scenario->outcomes)
		return true;
	qsort(outcome, outcomes, sizeof outcome[0], compare);
	*end = '\0';
	for (unsigned i = 0; i < outcomes; i++)
		end += sprintf(end, "%s ", outcome[i]);
	if (strcmp(all, scenario->outcomes) == 0)
		return true;
	snprintf(failure, sizeof failure, "out came %.900s\n# instead of %.900s", all,
		 scenario->outcomes);
	events = 0;
	return false;
}
