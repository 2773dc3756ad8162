/* lock.c - see lock.h. */
#include "sync/lock.h"

#include <errno.h>

#include "os/os.h"

enum {
	PATIENCE_NS = 1000 * 1000,      /* passed over for so long, one is handed the lock */
	PAUSES_MOST = 32,               /* of the longest look; a handful of microseconds in all */
};

/* What a wait is granted as. */
enum { WOKEN, HANDED };

struct lock_waiter {
	struct waiter base;
	struct lock_waiter *next; /* among those who were claimed together */
	uintptr_t who;
	bool shared;
	bool woken;             /* it has been in the queue, and LOCK_WOKEN is its own */
	bool starving;          /* passed over for PATIENCE_NS */
	uint32_t losses;        /* woken in vain */
	uint32_t look_at;       /* so many losses: look at the clock again */
	int64_t since;          /* the first loss */
};

/* ---- states ----------------------------------------------------------------------------------*/
/* Could one more of this kind hold it too? Who is before it in the queue is another question. */
static bool fits(uint64_t holders, bool shared)
{
	return holders == 0 || (shared && (holders & LOCK_SHARED));
}

static uint64_t with(uint64_t holders, uintptr_t who, bool shared)
{
	if (!shared)
		return who;
	return (holders | LOCK_SHARED) + LOCK_READER;
}

static uint64_t without_reader(uint64_t holders)
{
	holders -= LOCK_READER;
	return holders == LOCK_SHARED ? 0 : holders;
}

/* Under guard: the holders as a word to release the guard with. */
static uint64_t as_word(const struct lock *l, uint64_t holders)
{
	return holders | waitqueue_bit(&l->queue) |
	       (l->queue.own & LOCK_WOKEN ? WORD_QUEUED : 0);
}

/* ---- who is next -----------------------------------------------------------------------------*/
static struct lock_waiter *oldest(struct lock *l)
{
	if (list_empty(&l->queue.waiters))
		return NULL;
	return container_of(l->queue.waiters.next, struct lock_waiter, base.link);
}

/* Under guard, with these holders: claims who can go on, into a chain from `claimed`, and returns
 * who holds it then. Restores the invariants. */
static uint64_t advance(struct lock *l, uint64_t holders, struct lock_waiter **claimed)
{
	struct lock_waiter *w;

	while (!(l->queue.own & LOCK_WOKEN) && (w = oldest(l)) && fits(holders, w->shared)) {
		bool handed = w->shared || w->starving;

		list_remove(&w->base.link);
		if (!wait_claim(w->base.fiber, w->base.ticket, handed ? HANDED : WOKEN)) {
			l->queue.leaving++;
			continue;
		}
		*claimed = w;
		claimed = &w->next;
		if (handed)
			holders = with(holders, w->who, w->shared);
		else
			l->queue.own |= LOCK_WOKEN;
	}
	*claimed = NULL;
	return holders;
}

static void advance_and_release(struct lock *l, uint64_t holders)
{
	struct lock_waiter *claimed, *next;

	holders = advance(l, holders, &claimed);
	word_release(&l->queue.word, as_word(l, holders));
	for (; claimed; claimed = next) {
		next = claimed->next;
		wait_wake(claimed->base.fiber);
	}
}

/* ---- taking ----------------------------------------------------------------------------------*/
/* May it be taken past those who wait? A writer may, a reader must not. */
static bool is_open(uint64_t word, bool shared)
{
	return !(word & WORD_GUARDED) && fits(LOCK_HOLDERS(word), shared) &&
	       !(shared && (word & WORD_QUEUED));
}

bool lock_barge(struct lock *l, uintptr_t who, bool shared)
{
	uint64_t word = lock_word(l);

	while (is_open(word, shared))
		if (atomic_cas64(&l->queue.word, &word,
				 (word & WORD_QUEUED) | with(LOCK_HOLDERS(word), who, shared)))
			return true;
	return false;
}

bool lock_try(struct lock *l, uintptr_t who, bool shared)
{
	uint64_t word;
	bool open;

	if (likely(lock_barge(l, who, shared)))
		return true;
	word = lock_word(l);
	if (!(word & WORD_GUARDED))
		return false;
	/* Somebody is at the queue: what the word will say is not known yet. */
	word = word_guard(&l->queue.word);
	open = is_open(word, shared);
	word_release(&l->queue.word,
		     open ? (word & WORD_QUEUED) | with(LOCK_HOLDERS(word), who, shared) : word);
	return open;
}

/* Its holder runs elsewhere, so it may be free sooner than a park takes. */
static void look_on(const struct lock *l)
{
	if (os_alone())
		return;
	for (unsigned pauses = 1; pauses <= PAUSES_MOST; pauses *= 2) {
		uint64_t holders = LOCK_HOLDERS(lock_word(l));

		if (holders == 0 || (holders & LOCK_SHARED) || !wait_elsewhere((uintptr_t)holders))
			return;
		for (unsigned i = 0; i < pauses; i++)
			os_pause();
	}
}

/* Woken in vain, it seems. Counted, because the clock costs as much as all the rest; so it is told
 * somewhere between one and two milliseconds, or at once where locks are held for long. */
static void count_loss(struct lock_waiter *w)
{
	int64_t now;

	if (++w->losses < w->look_at)
		return;
	now = os_now();
	w->look_at = 2 * w->losses;
	if (w->losses == 1)
		w->since = now;
	w->starving = now - w->since >= PATIENCE_NS;
}

/* One attempt under the guard: took it, or is queued, its wait begun. */
static bool take_or_enter(struct lock *l, struct lock_waiter *w, const struct lock_wish *wish)
{
	uint64_t word = word_guard(&l->queue.word), holders = LOCK_HOLDERS(word);
	struct list *waiters = &l->queue.waiters;

	if (w->woken)
		l->queue.own &= ~(uint32_t)LOCK_WOKEN;
	if (fits(holders, w->shared) && !(w->shared && (word & WORD_QUEUED))) {
		word_release(&l->queue.word, as_word(l, with(holders, w->who, w->shared)));
		return true;
	}
	w->base.ticket = wait_begin(w->base.fiber, wish->what, l, wish->mode);
	if (w->woken) /* it has waited longer than all of them */
		list_prepend(waiters, &w->base.link);
	else
		list_append(waiters, &w->base.link);
	word_release(&l->queue.word, as_word(l, holders));
	return false;
}

/* Its wait was interrupted: those behind it may go on now. */
static void give_up(struct lock *l, struct lock_waiter *w)
{
	uint64_t word = word_guard(&l->queue.word);

	if (list_linked(&w->base.link))
		list_remove(&w->base.link);
	else
		l->queue.leaving--;
	advance_and_release(l, LOCK_HOLDERS(word));
}

/* There is no memory to wait with. */
static int take_by_polling(struct lock *l, const struct lock_wish *wish)
{
	int why = wait_why();

	if (why == -ECHILD || wish->mode != WAIT_HARD)
		return why;
	while (!lock_try(l, wish->who, wish->shared))
		os_yield();
	return 0;
}

int lock_take(struct lock *l, const struct lock_wish *wish)
{
	struct lock_waiter w = { .who = wish->who, .shared = wish->shared };

	for (;;) {
		int r;

		look_on(l);
		if (!w.woken && lock_barge(l, w.who, w.shared))
			return 0;
		if (!w.base.fiber && !(w.base.fiber = wait_self()))
			return take_by_polling(l, wish);
		if (w.woken && !is_open(lock_word(l), w.shared))
			count_loss(&w);
		if (take_or_enter(l, &w, wish))
			return 0;
		r = wait_park(w.base.fiber, wish->until);
		if (r == HANDED)
			return 0;
		if (r < 0) {
			give_up(l, &w);
			return r;
		}
		w.woken = true;
	}
}

/* ---- letting go ------------------------------------------------------------------------------*/
int lock_leave(struct lock *l, uintptr_t who, bool shared)
{
	uint64_t word = word_guard(&l->queue.word), holders = LOCK_HOLDERS(word);

	if (shared ? !(holders & LOCK_SHARED) : holders != who) {
		word_release(&l->queue.word, word);
		return -EPERM;
	}
	advance_and_release(l, shared ? without_reader(holders) : 0);
	return 0;
}

int lock_busy(struct lock *l)
{
	uint64_t word = word_guard(&l->queue.word);
	bool busy = word != 0 || l->queue.leaving != 0;

	word_release(&l->queue.word, word);
	return busy ? -EBUSY : 0;
}
