/* Random programs of sends, receives, closes and selects, run on fibers: how each run ended must be
 * among the outcomes that an oracle permits (support/programs.h). */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <stdatomic.h>
#include <string.h>

#include "law.h"
#include "programs.h"
#include "waits.h"

static struct {
	struct program program;
	fiber_chan_t *chan[CHANNELS];
	fiber_t fiber[MOST_ACTORS];
	_Atomic bool ended[MOST_ACTORS];
} run;

/* ---- running ----------------------------------------------------------------------------------*/
static int plainly(const struct op *op, int *item)
{
	fiber_chan_t *c = run.chan[op->cases[0].chan];

	switch (op->cases[0].act) {
	case SEND:
		return op->now ? fiber_chan_try_send(c, item) : fiber_chan_send(c, item);
	case RECV:
		return op->now ? fiber_chan_try_recv(c, item) : fiber_chan_recv(c, item);
	default:
		return fiber_chan_close(c);
	}
}

static struct outcome perform(const struct op *op)
{
	fiber_case_t cases[MOST_CASES];
	int item[MOST_CASES], at = 0, r;

	for (int i = 0; i < op->n; i++) {
		fiber_chan_t *c = run.chan[op->cases[i].chan];

		item[i] = op->cases[i].act == SEND ? op->cases[i].value : 0;
		cases[i] = op->cases[i].act == SEND ? (fiber_case_t)FIBER_SEND(c, &item[i])
						    : (fiber_case_t)FIBER_RECV(c, &item[i]);
	}
	if (op->select) {
		at = op->now ? fiber_select_now(cases, (size_t)op->n)
			     : fiber_select(cases, (size_t)op->n);
		r = at < 0 ? 0 : cases[at].result;
	} else {
		r = plainly(op, &item[0]);
		if (r == -EAGAIN)
			at = r, r = 0;
	}
	return (struct outcome){
		.at = at, .result = r,
		.value = at >= 0 && op->cases[at].act == RECV ? item[at] : 0};
}

static int act(void *arg)
{
	int a = (int)(intptr_t)arg;

	for (int i = 0; i < run.program.ops[a]; i++)
		run.program.seen[a][i] = perform(&run.program.op[a][i]);
	atomic_store(&run.ended[a], true);
	return 0;
}

static bool all_wait(void)
{
	for (int a = 1; a < run.program.actors; a++) {
		fiber_info_t info;

		if (atomic_load(&run.ended[a]))
			continue;
		cr_expect(fiber_info(run.fiber[a], &info) == 0);
		if (strcmp(info.state, "parked") != 0)
			return false;
	}
	return true;
}

/* Patient: on one worker, where nobody runs while the closer looks. */
static void close_all(uint64_t *random)
{
	for (int i = 0; i < CHANNELS; i++) {
		if (run.program.patient)
			do
				fiber_yield();
			while (!all_wait());
		else
			for (uint64_t n = law_random(random) % 4; n > 0; n--)
				fiber_yield();
		run.program.seen[0][i] = perform(&run.program.op[0][i]);
	}
}

static void perform_all(uint64_t *random)
{
	for (int c = 0; c < CHANNELS; c++)
		cr_expect(fiber_chan_create(&run.chan[c], sizeof(int),
					    (size_t)run.program.capacity[c]) == 0);
	for (int a = 1; a < run.program.actors; a++) {
		atomic_store(&run.ended[a], false);
		run.fiber[a] = spawned(act, (void *)(intptr_t)a);
	}
	close_all(random);
	for (int a = 1; a < run.program.actors; a++)
		cr_expect(result_of(run.fiber[a]) == 0);
	for (int c = 0; c < CHANNELS; c++)
		fiber_chan_free(run.chan[c]);
}

static int random_programs(void *patient)
{
	uint64_t random = law_seed();
	unsigned wrong = 0;

	for (unsigned n = law_rounds(5000); n > 0 && wrong == 0; n--) {
		run.program = program_random(&random);
		run.program.patient = patient != NULL;
		perform_all(&random);
		if (program_permits(&run.program))
			continue;
		program_print(&run.program);
		wrong++;
	}
	cr_expect(wrong == 0, "this cannot be");
	return 0;
}

Test(select_oracle, programs_end_as_they_may, .timeout = 60)
{
	law_holds(random_programs, NULL);
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, random_programs, NULL);
}

/* So a wait that could have ended and did not is seen. */
Test(select_oracle, nobody_waits_for_what_is_there, .timeout = 60)
{
	cr_expect(law_run(1, random_programs, (void *)1) == 0);
	law_no_leaks();
}

/* ---- the oracle itself ------------------------------------------------------------------------*/
#define ONE(act, chan, value) {.n = 1, .cases = {{act, chan, value}}}
#define CLOSER {ONE(CLOSE, 0, 0), ONE(CLOSE, 1, 0)}
#define CLOSED {{0, 0, 0}, {0, 0, 0}}

/* Two are sent, two received; `first` and `second` are what came. */
static bool two_items(int capacity, int first, int second, int result)
{
	struct program p = {
		.capacity = {capacity, 0}, .actors = 3, .ops = {2, 2, 2}, .patient = true,
		.op = {CLOSER, {ONE(SEND, 0, 1), ONE(SEND, 0, 2)},
		       {ONE(RECV, 0, 0), ONE(RECV, 0, 0)}},
		.seen = {CLOSED, {{0, 0, 0}, {0, result, 0}}, {{0, 0, first}, {0, result, second}}},
	};

	return program_permits(&p);
}

/* A select that receives from either; nobody sends on the second channel. */
static bool either(int at, int value, bool now)
{
	struct program p = {
		.capacity = {0, 1}, .actors = 3, .ops = {2, 1, 1},
		.op = {CLOSER, {ONE(SEND, 0, 7)},
		       {{.n = 2, .select = true, .now = now,
			 .cases = {{RECV, 0, 0}, {RECV, 1, 0}}}}},
		.seen = {CLOSED, {{0, at == 0 && value ? 0 : -EPIPE, 0}},
			 {{at, at < 0 || value ? 0 : -EPIPE, value}}},
	};

	return program_permits(&p);
}

Test(select_oracle, the_oracle_permits_what_can_be_and_nothing_else)
{
	for (int capacity = 0; capacity < 3; capacity++) {
		cr_expect(two_items(capacity, 1, 2, 0));
		cr_expect(!two_items(capacity, 2, 1, 0), "out of order");
		cr_expect(!two_items(capacity, 1, 1, 0), "one item twice");
		cr_expect(!two_items(capacity, 1, 0, -EPIPE), "closed though both could go on");
	}
	cr_expect(either(0, 7, false) && either(0, 7, true));
	cr_expect(either(0, 0, false) && either(1, 0, false) && either(-EAGAIN, 0, true));
	cr_expect(!either(1, 7, false), "from the wrong channel");
	cr_expect(!either(0, 8, false), "nobody sent that");
	cr_expect(!either(-EAGAIN, 0, false), "it has to wait");
}
