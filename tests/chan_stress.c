/* Channels under pressure: fibers and threads that send, receive and select, with random deadlines
 * and cancellations. Every attempt ends in one way, and every item that was sent is received once,
 * whole, or still inside at the end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/chan.h>
#include <pthread.h>
#include <stdatomic.h>

#include "law.h"
#include "waits.h"

enum { CHANS = 3, WORDS = 5, ACTORS = 8, TRY = -1 };

/* One channel each for meeting, for words, and for long items: a word repeated. */
static const struct { size_t bytes, capacity; } kinds[CHANS] = {{8, 0}, {8, 1}, {8 * WORDS, 5}};

struct tally {
	uint64_t attempts, granted, timed_out, cancelled, not_now, closed, broken, sent, received;
	uint64_t sum_sent, sum_received; /* of what mix makes of each: 0 if they are the same */
};

struct actor {
	uint64_t random, next_item;
	unsigned rounds;                /* 0: until it is cancelled, or the channels are closed */
	bool patient;                   /* may wait for ever: somebody cancels it, or closes */
	struct tally t;
};

static struct {
	fiber_chan_t *chan[CHANS];
	uint64_t seed;
	_Atomic unsigned running;
	struct tally all;
} arena;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static void note_sent(struct actor *a, const uint64_t *item)
{
	a->t.sent++;
	a->t.sum_sent += mix(item[0]);
}

static void note_received(struct actor *a, int chan, const uint64_t *item)
{
	a->t.received++;
	a->t.sum_received += mix(item[0]);
	for (size_t i = 1; i < kinds[chan].bytes / 8; i++)
		a->t.broken += item[i] != item[0];
}

/* ---- one attempt ------------------------------------------------------------------------------*/
static int by_sending(struct actor *a, int to, const uint64_t *out, int64_t until)
{
	fiber_chan_t *c = arena.chan[to];
	int r = until == TRY ? fiber_chan_try_send(c, out) : fiber_chan_send_until(c, out, until);

	if (r == 0)
		note_sent(a, out);
	return r;
}

static int by_receiving(struct actor *a, int from, int64_t until)
{
	fiber_chan_t *c = arena.chan[from];
	uint64_t in[WORDS];
	int r = until == TRY ? fiber_chan_try_recv(c, in) : fiber_chan_recv_until(c, in, until);

	if (r == 0)
		note_received(a, from, in);
	return r;
}

static int by_selecting(struct actor *a, int to, int from, const uint64_t *out, int64_t until)
{
	uint64_t in[WORDS];
	fiber_case_t cases[] = {
		FIBER_SEND(arena.chan[to], out), FIBER_RECV(arena.chan[from], in),
		FIBER_RECV(arena.chan[to], in)};
	int at = until == TRY ? fiber_select_now(cases, 3) : fiber_select_until(cases, 3, until);

	if (at < 0 || cases[at].result < 0)
		return at < 0 ? at : cases[at].result;
	if (at == 0)
		note_sent(a, out);
	else
		note_received(a, at == 1 ? from : to, in);
	return 0;
}

static int64_t some_time(struct actor *a)
{
	switch (law_random(&a->random) % 4) {
	case 0:
		return TRY;
	case 1:
		return 0;
	case 2:
		return fiber_after((int64_t)(law_random(&a->random) % 50000));
	default:
		return a->patient ? FIBER_NEVER
				  : fiber_after((int64_t)(law_random(&a->random) % 500000));
	}
}

static int attempt(struct actor *a)
{
	int to = (int)(law_random(&a->random) % CHANS);
	int from = (int)(law_random(&a->random) % CHANS);
	int64_t until = some_time(a);
	uint64_t out[WORDS];

	for (int i = 0; i < WORDS; i++)
		out[i] = a->next_item;
	a->next_item++;
	switch (law_random(&a->random) % 3) {
	case 0:
		return by_sending(a, to, out, until);
	case 1:
		return by_receiving(a, from, until);
	default:
		return by_selecting(a, to, from, out, until);
	}
}

/* ---- actors -----------------------------------------------------------------------------------*/
static void count(struct tally *t, int r)
{
	t->attempts++;
	t->granted += r == 0;
	t->timed_out += r == -ETIMEDOUT;
	t->cancelled += r == -ECANCELED;
	t->not_now += r == -EAGAIN;
	t->closed += r == -EPIPE;
}

static void act(struct actor *a)
{
	for (unsigned i = 0; a->rounds == 0 || i < a->rounds; i++) {
		fiber_scope_t scope;
		bool scoped = law_random(&a->random) % 4 == 0;
		int r;

		if (scoped)
			fiber_within(&scope,
				     fiber_after((int64_t)(law_random(&a->random) % 50000)));
		r = attempt(a);
		if (scoped)
			r = (int)fiber_scope_end(&scope, r);
		count(&a->t, r);
		if (r == -EPIPE || r == -ECANCELED)
			return;
		if (i % 16 == 0)
			fiber_yield();
	}
}

static int act_on_a_fiber(void *arg)
{
	act(arg);
	return 0;
}

static int act_and_tell(void *arg)
{
	act(arg);
	atomic_fetch_sub(&arena.running, 1);
	return 0;
}

static void *act_on_a_thread(void *arg)
{
	act_and_tell(arg);
	return NULL;
}

static struct actor actor_of(uint64_t number, unsigned rounds)
{
	return (struct actor){.random = mix(arena.seed + number) | 1, .next_item = number << 32,
			      .rounds = rounds, .patient = rounds == 0};
}

static void add(const struct tally *t)
{
	const uint64_t *from = (const uint64_t *)t;
	uint64_t *to = (uint64_t *)&arena.all;

	for (size_t i = 0; i < sizeof *t / sizeof *from; i++)
		to[i] += from[i];
}

/* Fibers that wait for ever are cancelled one after the other, while the actors are at it. */
static void cancel_meanwhile(uint64_t *random)
{
	for (uint64_t number = 100; atomic_load(&arena.running) > 0; number++) {
		struct actor victim = actor_of(number, 0);
		fiber_t f = spawned(act_on_a_fiber, &victim);

		for (uint64_t i = law_random(random) % 8; i > 0; i--)
			fiber_yield();
		cr_expect(fiber_cancel(f) == 0);
		cr_expect(fiber_join(f, NULL) == 0);
		add(&victim.t);
	}
}

static void settle_accounts(void)
{
	struct actor last = {0};
	struct tally *t = &arena.all;
	uint64_t inside = 0;

	for (int i = 0; i < CHANS; i++) {
		inside += fiber_chan_count(arena.chan[i]);
		while (by_receiving(&last, i, TRY) == 0)
			;
		cr_expect(fiber_chan_count(arena.chan[i]) == 0);
		fiber_chan_free(arena.chan[i]);
	}
	cr_expect(last.t.received == inside);
	add(&last.t);
	cr_expect(t->attempts == t->granted + t->timed_out + t->cancelled + t->not_now + t->closed);
	cr_expect(t->granted == t->sent + t->received - inside);
	cr_expect(t->sent == t->received, "%lu sent, %lu received", t->sent, t->received);
	cr_expect(t->sum_sent == t->sum_received, "other items came out than went in");
	cr_expect(t->broken == 0);
	fprintf(stderr, "%lu attempts: %lu granted, %lu timed out, %lu canceled, %lu not now\n",
		t->attempts, t->granted, t->timed_out, t->cancelled, t->not_now);
	cr_expect(t->sent > 0 && t->timed_out > 0 && t->not_now > 0 && t->cancelled > 0);
}

/* ---- the law ----------------------------------------------------------------------------------*/
static int pressure(void *threads)
{
	unsigned on_threads = (unsigned)(uintptr_t)threads;
	/* A wait of a plain thread costs a hundred times one of a fiber. */
	unsigned rounds = law_rounds(on_threads ? 10000 : 120000);
	struct actor actors[ACTORS], steady[2] = {actor_of(50, 0), actor_of(51, 0)};
	fiber_t f[ACTORS], s[2];
	pthread_t t[ACTORS];
	uint64_t random = arena.seed = law_seed();

	arena.all = (struct tally){0};
	atomic_store(&arena.running, ACTORS);
	for (int i = 0; i < CHANS; i++)
		cr_expect(fiber_chan_create(&arena.chan[i], kinds[i].bytes,
					    kinds[i].capacity) == 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		actors[i] = actor_of(i + 1, rounds);
		if (i >= on_threads)
			f[i] = spawned(act_and_tell, &actors[i]);
		else
			cr_expect(pthread_create(&t[i], NULL, act_on_a_thread, &actors[i]) == 0);
	}
	for (int i = 0; i < 2; i++)
		s[i] = spawned(act_on_a_fiber, &steady[i]);
	cancel_meanwhile(&random);
	for (int i = 0; i < CHANS; i++)
		cr_expect(fiber_chan_close(arena.chan[i]) == 0);
	for (unsigned i = 0; i < ACTORS; i++) {
		cr_expect((i < on_threads ? pthread_join(t[i], NULL)
					  : fiber_join(f[i], NULL)) == 0);
		add(&actors[i].t);
	}
	for (int i = 0; i < 2; i++) {
		cr_expect(fiber_join(s[i], NULL) == 0);
		add(&steady[i].t);
	}
	settle_accounts();
	return 0;
}

Test(chan_stress, among_fibers_nothing_is_lost_or_doubled, .timeout = 300)
{
	law_holds(pressure, (void *)0);
}

Test(chan_stress, among_roaming_fibers_nothing_is_lost_or_doubled, .timeout = 300)
{
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, pressure, (void *)0);
}

Test(chan_stress, among_threads_nothing_is_lost_or_doubled, .timeout = 300)
{
	law_holds(pressure, (void *)ACTORS);
}

Test(chan_stress, among_fibers_and_threads_nothing_is_lost_or_doubled, .timeout = 300)
{
	law_holds(pressure, (void *)(ACTORS / 2));
	law_holds_with(&(fiber_options_t){.flags = FIBER_ALL_ROAM}, pressure, (void *)2);
}
