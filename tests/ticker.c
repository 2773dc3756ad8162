/* Tickers and timers: ticks in step, each to one receiver, none later than its time; in a select.
 * Where a test needs a tick that has not come, it is an hour away. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/ticker.h>

#include "on_a_thread.h"
#include "worlds.h"

#define HOUR (3600 * FIBER_SECOND)

static fiber_chan_t *ticker(int64_t first, int64_t period)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_ticker_create_at(&c, first, period) == 0);
	return c;
}

static fiber_chan_t *timer(int64_t when)
{
	fiber_chan_t *c = NULL;

	cr_expect(fiber_timer_create(&c, when) == 0);
	return c;
}

/* ---- ticks ------------------------------------------------------------------------------------*/
static int in_step(void *arg)
{
	int64_t first = fiber_now(), next = first;
	fiber_chan_t *c = ticker(first, FIBER_MILLISECOND);
	fiber_tick_t tick;

	for (int i = 0; i < 20; i++) {
		cr_expect(fiber_chan_recv(c, &tick) == 0);
		next += (int64_t)tick.missed * FIBER_MILLISECOND;
		cr_expect(tick.when == next && fiber_now() >= tick.when);
		next += FIBER_MILLISECOND;
		if (i == 10) { /* late: it gets the newest, and is told of the others */
			fiber_sleep_until(next + 3 * FIBER_MILLISECOND);
			cr_expect(fiber_chan_count(c) == 1);
			cr_expect(fiber_chan_try_recv(c, &tick) == 0 && tick.missed >= 3);
			next += (int64_t)(tick.missed + 1) * FIBER_MILLISECOND;
		}
	}
	fiber_chan_free(c);
	(void)arg;
	return 0;
}

Test(ticker, its_ticks_do_not_drift, .timeout = 60)
{
	cr_expect(on_a_thread(in_step, NULL) == 0);
	law_holds(in_step, NULL);
}

enum { ACTORS = 4 };

static struct {
	fiber_chan_t *chan;
	atomic_ulong ticks;
} shared;

static int count_ticks(void *arg)
{
	fiber_tick_t tick;
	int r;

	(void)arg;
	while ((r = fiber_chan_recv(shared.chan, &tick)) == 0)
		atomic_fetch_add(&shared.ticks, tick.missed + 1);
	return r == -EPIPE ? 0 : r;
}

/* The books balance whoever got which: the last tick says how many there were. */
static int each_once(void *world)
{
	int64_t period = 100 * FIBER_MICROSECOND, first = fiber_now();
	struct actor actors[ACTORS];
	fiber_tick_t last = { 0, 0 };

	atomic_store(&shared.ticks, 0);
	shared.chan = ticker(first, period);
	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, count_ticks, NULL);
	UNTIL(atomic_load(&shared.ticks) >= 50);
	while (fiber_chan_recv(shared.chan, &last) != 0)
		;
	atomic_fetch_add(&shared.ticks, last.missed + 1);
	cr_expect(fiber_chan_close(shared.chan) == 0);
	cr_expect(actors_end(actors, ACTORS) == 0);
	cr_expect(atomic_load(&shared.ticks) >= (uint64_t)((last.when - first) / period) + 1);
	cr_expect(atomic_load(&shared.ticks) <= (uint64_t)((fiber_now() - first) / period) + 1);
	cr_expect(fiber_chan_recv(shared.chan, &last) == -EPIPE);
	fiber_chan_free(shared.chan);
	return 0;
}

Test(ticker, each_tick_goes_to_one_receiver, .timeout = 60)
{
	law_holds_in_all_worlds(each_once);
}

static int receive(void *c)
{
	return fiber_chan_recv(c, NULL);
}

static int one_tick(void *world)
{
	fiber_chan_t *c = timer(fiber_after(FIBER_MILLISECOND));
	struct actor actors[ACTORS];
	unsigned got = 0;

	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, receive, c);
	for (unsigned i = 0; i < ACTORS; i++) {
		int r = actor_end(&actors[i]);

		cr_expect(r == 0 || r == -EPIPE);
		got += r == 0;
	}
	cr_expect(got == 1, "%u got it", got);
	cr_expect(fiber_chan_recv(c, NULL) == -EPIPE && fiber_chan_count(c) == 0);
	cr_expect(fiber_chan_close(c) == -EALREADY);
	fiber_chan_free(c);
	return 0;
}

Test(ticker, a_timer_has_one_tick, .timeout = 60)
{
	law_holds_in_all_worlds(one_tick);
}

/* ---- waits that end otherwise -----------------------------------------------------------------*/
static int receive_soon(void *c)
{
	return fiber_chan_recv_until(c, NULL, fiber_after(FIBER_MILLISECOND));
}

static int receive_under_a_deadline(void *c)
{
	return (int)FIBER_TIMEOUT(FIBER_MILLISECOND, fiber_chan_recv(c, NULL));
}

static int interrupted(void *world)
{
	enum world w = (enum world)(intptr_t)world;
	fiber_chan_t *c = ticker(fiber_after(HOUR), HOUR);
	struct actor a;

	actor_start(&a, w, 1, receive_soon, c);
	cr_expect(actor_end(&a) == -ETIMEDOUT);
	actor_start(&a, w, 1, receive_under_a_deadline, c);
	cr_expect(actor_end(&a) == -ETIMEDOUT, "by its scope");
	cr_expect(fiber_chan_try_recv(c, NULL) == -EAGAIN && fiber_chan_count(c) == 0);
	if (w == FIBERS) {
		actor_start(&a, w, 0, receive, c);
		until_it_waits_for(a.fiber, "chan recv");
		fiber_cancel(a.fiber);
		cr_expect(actor_end(&a) == -ECANCELED);
	}
	actor_start(&a, w, 0, receive, c);
	if (a.fiber.id)
		until_it_waits_for(a.fiber, "chan recv");
	cr_expect(fiber_chan_close(c) == 0);
	cr_expect(actor_end(&a) == -EPIPE, "it was stopped");
	fiber_chan_free(c);
	return 0;
}

Test(ticker, time_deadline_cancellation_and_stop_end_a_wait, .timeout = 60)
{
	law_holds_in_all_worlds(interrupted);
}

/* ---- set anew ---------------------------------------------------------------------------------*/
static int set_anew(void *world)
{
	fiber_chan_t *c = timer(FIBER_NEVER);
	int64_t first = fiber_now() - 10;
	struct actor a;
	fiber_tick_t tick;

	actor_start(&a, (enum world)(intptr_t)world, 1, receive, c);
	if (a.fiber.id)
		until_it_waits_for(a.fiber, "chan recv");
	cr_expect(fiber_ticker_set(c, fiber_after(HOUR), HOUR) == 0);
	cr_expect(fiber_ticker_set(c, 0, 0) == 0, "now, and never again");
	cr_expect(actor_end(&a) == 0);
	cr_expect(fiber_chan_recv(c, NULL) == -EPIPE);
	cr_expect(fiber_ticker_set(c, first, HOUR) == 0, "it is open again");
	cr_expect(fiber_chan_recv(c, &tick) == 0 && tick.when == first && tick.missed == 0);
	cr_expect(fiber_chan_recv_until(c, &tick, 0) == -ETIMEDOUT);
	fiber_chan_free(c);
	return 0;
}

Test(ticker, who_waits_takes_note_of_new_times, .timeout = 60)
{
	law_holds_in_all_worlds(set_anew);
}

/* ---- in a select ------------------------------------------------------------------------------*/
struct choice {
	fiber_case_t cases[3];
	int64_t until;
};

static int choose(void *arg)
{
	struct choice *c = arg;

	return fiber_select_until(c->cases, 3, c->until);
}

static void begin(struct actor *a, void *world, struct choice *c)
{
	actor_start(a, (enum world)(intptr_t)world, 1, choose, c);
	if (a->fiber.id)
		until_it_waits_for(a->fiber, "select");
}

static int selected(void *world)
{
	fiber_chan_t *plain = NULL, *soon = timer(fiber_after(FIBER_MILLISECOND));
	fiber_chan_t *late = ticker(fiber_after(HOUR), HOUR);
	fiber_tick_t tick = { 0, 0 };
	struct choice c = {
		.cases = { FIBER_RECV(plain, NULL), FIBER_RECV(late, &tick),
			   FIBER_RECV(soon, NULL) },
		.until = FIBER_NEVER,
	};
	struct actor a;

	cr_expect(fiber_chan_create(&plain, 0, 0) == 0);
	c.cases[0].chan = plain;
	cr_expect(choose(&c) == 2 && c.cases[2].result == 0, "the first tick ends it");
	cr_expect(choose(&c) == 2 && c.cases[2].result == -EPIPE, "a timer that is over");
	c.cases[2].op = FIBER_OP_NONE;
	begin(&a, world, &c);
	cr_expect(fiber_chan_send(plain, NULL) == 0);
	cr_expect(actor_end(&a) == 0);
	begin(&a, world, &c);
	cr_expect(fiber_ticker_set(late, fiber_after(HOUR), HOUR) == 0, "nothing to receive yet");
	cr_expect(fiber_ticker_set(late, 17, HOUR) == 0);
	cr_expect(actor_end(&a) == 1 && c.cases[1].result == 0 && (tick.when - 17) % HOUR == 0);
	begin(&a, world, &c);
	cr_expect(fiber_chan_close(late) == 0);
	cr_expect(actor_end(&a) == 1 && c.cases[1].result == -EPIPE);
	cr_expect(fiber_ticker_set(late, fiber_after(HOUR), HOUR) == 0);
	c.until = fiber_after(FIBER_MILLISECOND);
	cr_expect(choose(&c) == -ETIMEDOUT);
	cr_expect(fiber_select_now(c.cases, 3) == -EAGAIN);
	fiber_chan_free(plain);
	fiber_chan_free(soon);
	fiber_chan_free(late);
	return 0;
}

Test(ticker, a_select_waits_for_it, .timeout = 60)
{
	law_holds_in_all_worlds(selected);
}

/* Selects that share a ticker: who was awoken for a tick that another one has waits again. */
static int select_ticks(void *arg)
{
	fiber_tick_t tick;
	fiber_case_t cases[] = { FIBER_RECV(arg, NULL), FIBER_RECV(shared.chan, &tick) };
	int at;

	while ((at = fiber_select(cases, 2)) == 1 && cases[1].result == 0)
		atomic_fetch_add(&shared.ticks, tick.missed + 1);
	return at == 0 || cases[1].result == -EPIPE ? 0 : at;
}

static int share(void *world)
{
	int64_t period = 100 * FIBER_MICROSECOND, first = fiber_now();
	struct actor actors[ACTORS];
	fiber_chan_t *silent = NULL;

	cr_expect(fiber_chan_create(&silent, 0, 0) == 0);
	atomic_store(&shared.ticks, 0);
	shared.chan = ticker(first, period);
	for (unsigned i = 0; i < ACTORS; i++)
		actor_start(&actors[i], (enum world)(intptr_t)world, i, select_ticks, silent);
	UNTIL(atomic_load(&shared.ticks) >= 50);
	cr_expect(fiber_chan_close(shared.chan) == 0);
	cr_expect(actors_end(actors, ACTORS) == 0);
	cr_expect(atomic_load(&shared.ticks) <= (uint64_t)((fiber_now() - first) / period) + 1);
	fiber_chan_free(shared.chan);
	fiber_chan_free(silent);
	return 0;
}

Test(ticker, selects_share_its_ticks, .timeout = 60)
{
	law_holds_in_all_worlds(share);
}

/* ---- misuse -----------------------------------------------------------------------------------*/
static int misuse(void *arg)
{
	fiber_chan_t *c = NULL, *plain = NULL;
	fiber_tick_t tick = { 0, 0 };

	(void)arg;
	cr_expect(fiber_ticker_create(NULL, 1) == -EINVAL);
	cr_expect(fiber_ticker_create(&c, 0) == -EINVAL && fiber_ticker_create(&c, -1) == -EINVAL);
	cr_expect(fiber_timer_create(NULL, 0) == -EINVAL);
	cr_expect(fiber_chan_create(&plain, sizeof tick, 1) == 0);
	cr_expect(fiber_ticker_set(plain, 0, 1) == -EINVAL);
	cr_expect(fiber_ticker_set(NULL, 0, 1) == -EINVAL);
	cr_expect(fiber_ticker_create(&c, FIBER_NEVER) == 0, "longer than time is");
	cr_expect(fiber_ticker_set(c, 0, -1) == -EINVAL);
	cr_expect(fiber_chan_send(c, &tick) == -EPERM && fiber_chan_try_send(c, &tick) == -EPERM);
	cr_expect(fiber_chan_try_recv(c, &tick) == -EAGAIN);
	cr_expect(fiber_ticker_set(c, -5, FIBER_NEVER) == 0);
	cr_expect(fiber_chan_try_recv(c, &tick) == 0 && tick.when == 0 && tick.missed == 0);
	cr_expect(fiber_chan_try_recv(c, &tick) == -EAGAIN);
	fiber_chan_free(plain);
	fiber_chan_free(c);
	return 0;
}

Test(ticker, misuse_has_a_clear_answer, .timeout = 20)
{
	on_a_thread(misuse, NULL);
	law_holds(misuse, NULL);
}
