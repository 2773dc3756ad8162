/* The event queue under load, counted exactly: nothing that is raised, written or armed gets lost,
 * and nothing that was deregistered is told. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "queues.h"

enum {
	RAISERS = 3,
	WRITERS = 2,
	CHURNERS = 2,
	ROUNDS = 50000,
	CHURN_TOKENS = 1 << 20,      /* a churner's tokens: its number times this, and a count */
};

struct hall {
	fiber_queue_t *q;
	fiber_queue_user_t users[RAISERS];
	int fds[WRITERS];
	unsigned rounds;
	/* What a raise stands for: the waiter takes it away when it is told. */
	_Atomic unsigned owed[RAISERS];
	_Atomic unsigned calls;      /* the same for fiber_queue_wake */
	_Atomic unsigned ended[CHURNERS]; /* the last token that was deregistered */
	_Atomic unsigned churning;
};

struct actor {
	struct hall *hall;
	unsigned index;
	pthread_t thread;
};

/* ---- threads ----------------------------------------------------------------------------------*/
/*	raiser			waiter
 *	owed++
 *	raise			told: owed -> 0, summed up
 * If a raise got lost the waiter would sleep beside what is owed, for ever. */
static void *raises(void *arg)
{
	struct actor *a = arg;
	struct hall *h = a->hall;

	for (unsigned i = 0; i < h->rounds; i++) {
		atomic_fetch_add_explicit(&h->owed[a->index], 1, memory_order_relaxed);
		cr_expect(fiber_queue_user_raise(h->q, h->users[a->index], R) == 0);
	}
	return NULL;
}

static void *writes(void *arg)
{
	struct actor *a = arg;

	for (unsigned i = 0; i < a->hall->rounds; i++)
		cr_expect(eventfd_write(a->hall->fds[a->index], 1) == 0);
	return NULL;
}

static void *wakes(void *arg)
{
	struct hall *h = ((struct actor *)arg)->hall;

	for (unsigned i = 0; i < h->rounds; i++) {
		atomic_fetch_add_explicit(&h->calls, 1, memory_order_relaxed);
		cr_expect(fiber_queue_wake(h->q) == 0);
	}
	return NULL;
}

/* Registers, changes and deregisters, ready all the time: every wait may be about to tell of it.
 * Every fourth is never ready, but takes the place of one that was: what a wait fetched for that
 * one must not be told for this. */
static bool silent(unsigned i)
{
	return i % 4 == 3;
}

static void *churns(void *arg)
{
	static const unsigned modes[] = {0, EDGE, ONCE};
	struct actor *a = arg;
	struct hall *h = a->hall;
	unsigned token = a->index * CHURN_TOKENS, rounds = h->rounds / 4;
	int ready = eventfd(1, EFD_NONBLOCK), never = eventfd(0, EFD_NONBLOCK);
	fiber_queue_user_t user;

	for (unsigned i = 1; i <= rounds; i++) {
		unsigned mode = modes[i % 3];
		int fd = silent(i) ? never : ready;

		if (i % 20 == 0) {
			cr_expect(fiber_queue_user_add(h->q, &user, token + i, mode) == 0);
			cr_expect(fiber_queue_user_raise(h->q, user, P) == 0);
			cr_expect(fiber_queue_user_remove(h->q, user) == 0);
		} else {
			cr_expect(fiber_queue_register(h->q, fd, token + i, R | mode) == 0);
			if (i % 8 == 1)
				cr_expect(fiber_queue_reregister(h->q, fd, token + i, R) == 0);
			if (i % 64 == 1)
				sched_yield();
			cr_expect(fiber_queue_deregister(h->q, fd) == 0);
		}
		atomic_store_explicit(&h->ended[a->index], i, memory_order_release);
	}
	close(ready);
	close(never);
	atomic_fetch_sub_explicit(&h->churning, 1, memory_order_relaxed);
	cr_expect(fiber_queue_wake(h->q) == 0);
	return NULL;
}

/* ---- the waiter -------------------------------------------------------------------------------*/
enum { TOKEN_USER = CHURN_TOKENS * CHURNERS, TOKEN_FD = TOKEN_USER + RAISERS };

/* What had been deregistered before this wait began must not be told by it. */
static void not_ended(const fiber_queue_event_t *e, const unsigned *ended)
{
	unsigned churner = (unsigned)e->token / CHURN_TOKENS;
	unsigned token = (unsigned)e->token % CHURN_TOKENS;

	cr_expect(token > ended[churner], "%u, although %u had ended", token, ended[churner]);
	cr_expect(!silent(token), "%u, which was never ready", token);
}

static uint64_t tell(struct hall *h, const fiber_queue_event_t *e, const unsigned *ended)
{
	eventfd_t value = 0;

	if (e->token >= TOKEN_FD) {
		cr_expect(eventfd_read(h->fds[e->token - TOKEN_FD], &value) == 0 ||
			  errno == EAGAIN);
		return value;
	}
	if (e->token >= TOKEN_USER)
		return atomic_exchange_explicit(&h->owed[e->token - TOKEN_USER], 0,
						memory_order_relaxed);
	not_ended(e, ended);
	return 0;
}

static void wait_for_all(struct hall *h, uint64_t total, size_t max)
{
	fiber_queue_event_t events[16];
	unsigned ended[CHURNERS];
	uint64_t sum = 0;

	while (sum < total ||
	       atomic_load_explicit(&h->churning, memory_order_relaxed) > 0) {
		for (int i = 0; i < CHURNERS; i++)
			ended[i] = atomic_load_explicit(&h->ended[i], memory_order_acquire);
		int n = fiber_queue_wait(h->q, events, max, FIBER_NEVER);

		cr_expect(n >= 0);
		for (int i = 0; i < n; i++)
			sum += tell(h, &events[i], ended);
		sum += atomic_exchange_explicit(&h->calls, 0, memory_order_relaxed);
	}
	cr_expect(sum == total, "%llu, not %llu", (unsigned long long)sum,
		  (unsigned long long)total);
}

static void start(struct actor *actors, unsigned *n, struct hall *h, unsigned index,
		  void *(*run)(void *))
{
	struct actor *a = &actors[(*n)++];

	a->hall = h;
	a->index = index;
	cr_expect(pthread_create(&a->thread, NULL, run, a) == 0);
}

static void nothing_is_lost(size_t max, unsigned mode, bool pollable)
{
	struct hall h = {.q = queue_new(), .rounds = law_rounds(ROUNDS), .churning = CHURNERS};
	struct actor actors[RAISERS + WRITERS + CHURNERS + 1];
	unsigned n = 0;

	if (pollable)
		cr_expect(fiber_queue_fd(h.q) >= 0);
	for (unsigned i = 0; i < RAISERS; i++)
		cr_expect(fiber_queue_user_add(h.q, &h.users[i], TOKEN_USER + i, EDGE) == 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		h.fds[i] = eventfd(0, EFD_NONBLOCK);
		cr_expect(fiber_queue_register(h.q, h.fds[i], TOKEN_FD + i, R | mode) == 0);
	}
	for (unsigned i = 0; i < RAISERS; i++)
		start(actors, &n, &h, i, raises);
	for (unsigned i = 0; i < WRITERS; i++)
		start(actors, &n, &h, i, writes);
	for (unsigned i = 0; i < CHURNERS; i++)
		start(actors, &n, &h, i, churns);
	start(actors, &n, &h, 0, wakes);
	wait_for_all(&h, (uint64_t)h.rounds * (RAISERS + WRITERS + 1), max);
	for (unsigned i = 0; i < n; i++)
		pthread_join(actors[i].thread, NULL);
	for (unsigned i = 0; i < WRITERS; i++)
		close(h.fds[i]);
	queue_gone(h.q);
}

Test(queue_stress, nothing_is_lost_and_nothing_void_is_told, .timeout = 300)
{
	nothing_is_lost(16, 0, false);
	nothing_is_lost(16, EDGE, false);
	nothing_is_lost(3, EDGE, true);
}

Test(queue_stress, one_event_at_a_time_loses_nothing, .timeout = 300)
{
	nothing_is_lost(1, EDGE, false);
}

/* ---- one at a time ----------------------------------------------------------------------------*/
/* The raiser waits for its event to be told before it raises again, so that every round begins with
 * a queue that is going to sleep, or has just done so: each single ring counts. */
struct rally {
	fiber_queue_t *q, *back;
	fiber_queue_user_t there, here;
	unsigned rounds;
};

static void *answers(void *arg)
{
	struct rally *r = arg;

	for (unsigned i = 0; i < r->rounds; i++) {
		cr_expect(SOON(r->q, 1) == R);
		cr_expect(fiber_queue_user_raise(r->back, r->here, W) == 0);
	}
	return NULL;
}

Test(queue_stress, a_rally_of_single_raises_never_stops, .timeout = 300)
{
	struct rally r = {.q = queue_new(), .back = queue_new(), .rounds = law_rounds(100000)};
	pthread_t thread;

	cr_expect(fiber_queue_user_add(r.q, &r.there, 1, EDGE) == 0);
	cr_expect(fiber_queue_user_add(r.back, &r.here, 2, EDGE) == 0);
	cr_assert(pthread_create(&thread, NULL, answers, &r) == 0);
	for (unsigned i = 0; i < r.rounds; i++) {
		cr_expect(fiber_queue_user_raise(r.q, r.there, R) == 0);
		cr_expect(SOON(r.back, 2) == W);
	}
	pthread_join(thread, NULL);
	cr_expect(fiber_queue_destroy(r.back) == 0);
	queue_gone(r.q);
}
