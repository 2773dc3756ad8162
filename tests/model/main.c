/* main.c - a model check of what is lock-free: every scenario, and then every weakening.
 *
 * What is checked is the library's own source: its headers and its .c files are compiled with the
 * <stdatomic.h> of include/ before the compiler's, which makes of each atomic a call of the
 * explorer, with its order and its place in the source; and with -fsanitize=thread, which makes
 * calls of the plain accesses. The explorer is in the place of processor, memory and system. Files
 * that name no order for an atomic do not link.
 *
 * A scenario (model.h) has up to four threads of a few calls each. All orders of them are explored,
 * for each load every store that C11 permits it to read, and for each store every place in the
 * order of its location (memory.c). A run fails by a law of the scenario, by must() or assert(), by
 * a data race of plain accesses, or if somebody waits for ever. It is printed step by step.
 *
 * Small scenarios are explored once more without the reduction of explore.c, and must come to the
 * same number of runs. Litmus tests compare the explorer itself with what is known of C11. It
 * leaves out
 *   - load buffering: a load never reads a store that comes after it in some order of the program;
 *     orders that only forbid this survive below;
 *   - with seq_cst, runs in which the total order of fences contradicts a chain of relaxed reads
 *     through a third thread: no processor is known to do that;
 *   - a weak CAS that fails for no reason; time, but for deadlines, which pass when a thread looks
 *     at its clock or when nothing else can happen.
 *
 * The test of the test: each order of each site that some scenario meets is weakened, alone, and a
 * scenario must fail (weaken.c); survivors.c says why some do not.
 *
 *	test-model                   all of it, as TAP
 *	test-model WORDS             the scenarios of a room, or whose names have these words
 *	test-model WORDS SITE HOW    the same with one order weakened: the run that it fails in
 *
 * How it works is told in inside.h and the files named there; what it finds in survivors.c. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "all.h"
#include "inside.h"
#include "weaken.h"


static const struct {
	const char *name;
	const struct scenario *scenarios;
} rooms[] = {
	{ "litmus", scenarios_litmus },
	{ "deque", scenarios_deque },
	{ "inbox", scenarios_inbox },
	{ "guard", scenarios_guard },
	{ "sleepers", scenarios_sleepers },
	{ "post", scenarios_post },
	{ "join", scenarios_join },
	{ "request", scenarios_request },
	{ "door", scenarios_door },
	{ "chan", scenarios_chan },
	{ "lock", scenarios_lock },
};

/* What is explored blindly, too: so many runs, and with a third thread so many steps in each. */
enum { BLIND_MOST = 1000, BLIND_STEPS = 40 };

static unsigned passed, failed;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The reduction of explore.c must leave out no run that differs from all others. */
static bool is_reduced_soundly(const struct scenario *s, uint64_t runs)
{
	struct totals blind;

	if (runs > BLIND_MOST || (s->thread[2] && events > BLIND_STEPS))
		return true;
	explore_blindly = true;
	blind = explore(s);
	explore_blindly = false;
	if (blind.failed || blind.runs == runs)
		return !blind.failed;
	printf("# the reduction leaves out %lld runs\n", (long long)(blind.runs - runs));
	return false;
}

static void run(const char *room, const struct scenario *s)
{
	double begin = now();
	struct totals totals;

	sites_forget_met();
	totals = explore(s);
	totals.failed = totals.failed || !is_reduced_soundly(s, totals.runs);
	printf("%s - %s: %s (%llu runs, %llu cut short, %.2f s)\n", totals.failed ? "not ok" : "ok",
	       room, s->name, (unsigned long long)totals.runs, (unsigned long long)totals.cut,
	       now() - begin);
	if (totals.failed)
		report_run();
	fflush(stdout);
	failed += totals.failed;
	passed += !totals.failed;
	if (!s->outcomes)
		weaken_note(s, totals.runs + totals.cut);
}

static bool chosen(const char *room, const struct scenario *s, const char *words)
{
	return !words || strstr(s->name, words) || strcmp(room, words) == 0;
}

int main(int argc, char **argv)
{
	const char *words = argc > 1 ? argv[1] : NULL;
	double begin = now();
	unsigned tried = 0, bad = 0;

	for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
		for (const struct scenario *s = rooms[i].scenarios; s->name; s++)
			if (chosen(rooms[i].name, s, words))
				run(rooms[i].name, s);
	if (argc > 3)
		return weaken_show(argv[2], argv[3]);
	if (!words)
		bad = weaken_all(&tried);
	printf("1..%u\n# %.1f s\n", passed + failed + tried, now() - begin);
	return failed || bad;
}
