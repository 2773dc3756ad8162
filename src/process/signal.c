/* signal.c - signals as messages: from the handlers (arrival.h) to the channels that are open.
 *
 * One thread of the library, there while any channel is open, carries what the handlers counted to
 * the channels. A fiber would do where there is a runtime; but channels belong to the process: to
 * several runtimes, each of which may end first, and to plain threads without any. And the thread
 * does not block what it carries, so the signals also reach a program that blocks them everywhere.
 *
 * A channel has room for one message of each number that it is for, and while one lies in it, more
 * of the same only make its count grow. So none is lost, none has to wait for room, and a channel
 * that nobody reads costs nothing.
 *
 * `changes` is held by open and close from begin to end; it guards users, carriers and the thread's
 * life, and nothing that the thread needs. `guard` guards the list of subscribers. Lock order:
 * changes, guard, a channel's guard. */
#include <errno.h>
#include <fiber/signal.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/must.h"
#include "os/os.h"
#include "os/spin.h"
#include "process/arrival.h"
#include "sync/chan.h"

struct subscriber {
	struct list link;
	struct fiber_chan *chan;
	uint64_t wants;                /* a bit for each number; 0: it is the parent's of a fork */
	uint64_t round;                /* the last that came by here */
};

static pthread_mutex_t changes = PTHREAD_MUTEX_INITIALIZER;
static struct spin guard;
static struct list subscribers;        /* the one that was served last is last */
static unsigned users[ARRIVAL_NUMBERS];
static unsigned carried;               /* subscribers for whom there is a thread */
static struct os_thread *thread;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What the thread is asked for: it answers by `applied`. */
static _Atomic uint64_t open_numbers;  /* that it does not block */
static _Atomic bool ending;
static _Atomic uint32_t asked, applied;

static uint64_t bit(int number)
{
	return UINT64_C(1) << (number - 1);
}

/* ---- the thread -------------------------------------------------------------------------------*/
static fiber_signal_t *queued(struct fiber_chan *c, int number)
{
	fiber_signal_t *items = (fiber_signal_t *)(void *)c->items;

	for (size_t i = 0; i < c->count; i++) {
		fiber_signal_t *s = &items[(c->head + i) % c->capacity];

		if (s->number == number)
			return s;
	}
	return NULL;
}

/* Whom to wake; NULL: nobody. */
static struct fiber *put(struct fiber_chan *c, const fiber_signal_t *s)
{
	struct fiber *woken = NULL;
	fiber_signal_t *before;

	spin_lock(&c->guard);
	before = queued(c, s->number);
	if (before) {
		unsigned room = UINT_MAX - before->count;

		before->count += s->count < room ? s->count : room;
		before->sender = s->sender;
		before->value = s->value;
	} else {
		chan_put(c, s, &woken);
	}
	spin_unlock(&c->guard);
	return woken;
}

/* One subscriber at a time, because nobody is woken under a guard. False: all have been served. */
static bool serve_next(uint64_t round, const fiber_signal_t *s)
{
	struct fiber *woken = NULL;
	struct subscriber *sub;
	struct list *first;

	spin_lock(&guard);
	first = list_pop(&subscribers);
	if (!first) {
		spin_unlock(&guard);
		return false;
	}
	sub = container_of(first, struct subscriber, link);
	if (sub->round == round) {
		list_prepend(&subscribers, first);
		spin_unlock(&guard);
		return false;
	}
	sub->round = round;
	list_append(&subscribers, first);
	if (sub->wants & bit(s->number))
		woken = put(sub->chan, s);
	spin_unlock(&guard);
	if (woken)
		wait_wake(woken);
	return true;
}

static void carry(int number)
{
	static uint64_t round; /* of this thread; there is one at a time */
	struct arrival a;

	while (arrival_take(number, &a)) {
		fiber_signal_t s = { number, a.count, a.sender, a.value };

		for (round++; serve_next(round, &s);)
			;
	}
}

/* A fault that is blocked kills without asking the program's handler. */
static void set_mask(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS };
	uint64_t numbers = atomic_load_explicit(&open_numbers, memory_order_relaxed);
	sigset_t mask;

	sigfillset(&mask);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(&mask, faults[i]);
	for (int number = 1; number < ARRIVAL_NUMBERS; number++)
		if (numbers & bit(number))
			sigdelset(&mask, number);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void apply(void)
{
	/* Acquire: pairs with ask. */
	uint32_t now = atomic_load_explicit(&asked, memory_order_acquire);

	if (atomic_load_explicit(&applied, memory_order_relaxed) == now)
		return;
	set_mask();
	/* Release: pairs with ask, which may then put back what was there before. */
	atomic_store_explicit(&applied, now, memory_order_release);
	os_word_wake(&applied, 1);
}

static void carry_all(void *unused)
{
	(void)unused;
	while (!atomic_load_explicit(&ending, memory_order_acquire)) {
		apply();
		for (int number = 1; number < ARRIVAL_NUMBERS; number++)
			carry(number);
		arrival_wait();
	}
	apply();
}

/* Under changes. Returns when the thread has seen it. */
static void ask(uint64_t numbers, bool end)
{
	uint32_t mine = atomic_load_explicit(&asked, memory_order_relaxed) + 1, seen;

	atomic_store_explicit(&open_numbers, numbers, memory_order_relaxed);
	atomic_store_explicit(&ending, end, memory_order_release);
	/* Release: pairs with apply: the numbers. */
	atomic_store_explicit(&asked, mine, memory_order_release);
	arrival_ring();
	while ((seen = atomic_load_explicit(&applied, memory_order_acquire)) != mine)
		os_word_sleep(&applied, seen, OS_NEVER);
}

/* ---- under changes ----------------------------------------------------------------------------*/
static void forget_numbers(uint64_t numbers)
{
	for (int number = 1; number < ARRIVAL_NUMBERS; number++)
		if ((numbers & bit(number)) && --users[number] == 0)
			arrival_remove(number);
}

static int watch_numbers(uint64_t numbers)
{
	for (int number = 1; number < ARRIVAL_NUMBERS; number++) {
		if (!(numbers & bit(number)))
			continue;
		if (users[number] == 0 && arrival_install(number) < 0) {
			forget_numbers(numbers & (bit(number) - 1));
			return -ENOMEM;
		}
		users[number]++;
	}
	return 0;
}

/* Those that nobody but `leaving` wants go. */
static uint64_t numbers_without(uint64_t leaving)
{
	uint64_t numbers = 0;

	for (int number = 1; number < ARRIVAL_NUMBERS; number++)
		if (users[number] > (leaving & bit(number) ? 1 : 0))
			numbers |= bit(number);
	return numbers;
}

static int start(void)
{
	int r = 0;

	if (carried++ == 0) {
		atomic_store_explicit(&ending, false, memory_order_relaxed);
		r = os_thread_start(&thread, carry_all, NULL, "fiber-signals");
		if (r < 0)
			carried--;
		else
			wait_from_outside(1);
	}
	return r;
}

static void stop(uint64_t leaving)
{
	bool last = --carried == 0;

	/* It blocks them before anything is put back, or a signal that the whole program blocks
	 * could kill it through this thread. */
	ask(numbers_without(leaving), last);
	if (!last)
		return;
	os_thread_join(thread);
	wait_from_outside(-1);
}

/* ---- fork -------------------------------------------------------------------------------------*/
static void prepare(void)
{
	pthread_mutex_lock(&changes);
	spin_lock(&guard);
}

static void release(void)
{
	spin_unlock(&guard);
	pthread_mutex_unlock(&changes);
}

/* The channels stay, for whoever closes them; nothing comes into them any more. */
static void child(void)
{
	for (struct list *n = subscribers.next; n && n != &subscribers; n = n->next) {
		struct subscriber *sub = container_of(n, struct subscriber, link);

		forget_numbers(sub->wants);
		sub->wants = 0;
	}
	if (carried > 0)
		wait_from_outside(-1);
	carried = 0;
	atomic_store_explicit(&applied, atomic_load_explicit(&asked, memory_order_relaxed),
			      memory_order_relaxed);
	arrival_forked();
	release();
}

static void begin(void)
{
	arrival_forked();
	must(pthread_atfork(prepare, release, child) == 0);
}

/* ---- public -----------------------------------------------------------------------------------*/
static int gather(const int *numbers, size_t count, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < count; i++) {
		int r = arrival_check(numbers[i]);

		if (r < 0)
			return r;
		*out |= bit(numbers[i]);
	}
	return 0;
}

static int subscribe(struct subscriber *sub)
{
	int r = watch_numbers(sub->wants);

	if (r < 0)
		return r;
	r = start();
	if (r < 0) {
		forget_numbers(sub->wants);
		return r;
	}
	spin_lock(&guard);
	list_append(&subscribers, &sub->link);
	spin_unlock(&guard);
	ask(numbers_without(0), false);
	return 0;
}

PUBLIC int fiber_signal_open(fiber_chan_t **out, const int *numbers, size_t count)
{
	struct subscriber *sub;
	uint64_t wants;
	int r;

	if (!out || !numbers || count == 0)
		return -EINVAL;
	r = gather(numbers, count, &wants);
	if (r < 0)
		return r;
	pthread_once(&once, begin);
	sub = calloc(1, sizeof *sub);
	if (!sub)
		return -ENOMEM;
	sub->wants = wants;
	r = fiber_chan_create(&sub->chan, sizeof(fiber_signal_t),
			      (size_t)__builtin_popcountll(wants));
	if (r < 0)
		goto no_chan;
	pthread_mutex_lock(&changes);
	r = subscribe(sub);
	pthread_mutex_unlock(&changes);
	if (r < 0)
		goto no_subscription;
	*out = sub->chan;
	return 0;

no_subscription:
	fiber_chan_free(sub->chan);
no_chan:
	free(sub);
	return r;
}

/* Under changes: out of the list. NULL: there is none. */
static struct subscriber *take(const fiber_chan_t *chan)
{
	struct subscriber *found = NULL;

	spin_lock(&guard);
	for (struct list *n = subscribers.next; n && n != &subscribers && !found; n = n->next)
		if (container_of(n, struct subscriber, link)->chan == chan)
			found = container_of(n, struct subscriber, link);
	if (found)
		list_remove(&found->link);
	spin_unlock(&guard);
	return found;
}

PUBLIC int fiber_signal_close(fiber_chan_t *chan)
{
	struct subscriber *sub;

	if (!chan)
		return -EINVAL;
	pthread_mutex_lock(&changes);
	sub = take(chan);
	if (sub && sub->wants) {
		stop(sub->wants);
		forget_numbers(sub->wants);
	}
	pthread_mutex_unlock(&changes);
	if (!sub)
		return -EINVAL;
	fiber_chan_close(chan);
	fiber_chan_free(chan);
	free(sub);
	return 0;
}
