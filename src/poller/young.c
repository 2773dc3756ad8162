/* young.c - a wait that lasts is checked once: does its number still mean the same file?
 *
 * A descriptor that was closed with plain close(2), and its number given out again, leaves no
 * trace: the kernel drops the registration silently, the slot still says "watched, and empty", and
 * whoever waits would wait for ever. Asking the kernel costs a system call (200 ns), so asking at
 * each wait would cost every echo a third one. Instead a slot on which somebody begins to wait is
 * queued with the poller of the waiter, and looked at when it is no longer young:
 *
 *	nobody waits any more          dropped. A busy connection costs this much, once an age.
 *	SLOT_NO_EDGE                   the writers try again, and it goes on:
 *	somebody began to wait lately  queued again.
 *	otherwise                      checked. -ENOENT: it means another file; it is watched anew,
 *	                               and what is ready is reported. -EPERM: one that cannot be
 *	                               watched; all try again. -EBADF: all come back so.
 *
 * The queue is the poller thread's own, about in the order of time. An idle poller is woken once
 * an age while it is not empty. A busy one checks seldom enough not to be noticed: one for every
 * CREDIT events, or one a wait when they come singly, and ALLOWANCE in an epoch. In a closed loop
 * of a thousand connections each of them waits for about an age, every time. Who cannot be checked
 * yet goes to the end, so that writers whom no edge tells are not kept waiting behind him. */
#include "poller/young.h"

#include <errno.h>

#include "poller/waiters.h"
#include "poller/watch.h"

enum {
	ALLOWANCE = 8,       /* checks in an epoch */
	IDLE_ALLOWANCE = 64, /* ... and after an age in which nothing happened */
	IDLE_STEPS = 1024,   /* looked at then, checked or not */
	CREDIT = 256,        /* events that allow a check, if they come many at a time */
	CREDIT_MOST = 16 * CREDIT,
	FEW = 4,
	AHEAD_MOST = 1000,   /* epochs */
};

bool young_checks = true;

void young_tick(struct ready *r, int64_t now)
{
	uint16_t epoch = (uint16_t)(now / YOUNG_EPOCH_NS);

	if (epoch == r->epoch)
		return;
	r->epoch = epoch;
	r->allowance = ALLOWANCE;
}

/* Epochs since `then`; 0 also where another poller is a little ahead of us. */
static unsigned age(const struct ready *r, uint16_t then)
{
	uint16_t epochs = (uint16_t)(r->epoch - then);

	return epochs > UINT16_MAX - AHEAD_MOST ? 0 : epochs;
}

static bool may_check(struct ready *r, unsigned events)
{
	if (!r->allowance)
		return false;
	if (events > FEW) {
		if (r->credit < CREDIT)
			return false;
		r->credit -= CREDIT;
	}
	r->allowance--;
	return true;
}

/* Watched by r from now on, if the new file can be. */
static unsigned watch_anew(struct ready *r, struct slot *s, struct list *back)
{
	int e;

	watch_end(s);
	slot_renew(s);
	s->bits |= SLOT_WATCH_OUT; /* whatever they wait for */
	count_up(&r->calls);
	e = watch_adopt(r, s, s->fd);
	if (e == 0)
		return 0;
	return waiters_give_all(s, e == -EPERM ? POLLER_RETRY : e, back);
}

static unsigned check(struct ready *r, struct slot *s, struct list *back)
{
	struct ready *home = watch_home(s);
	int e = home->kernel->check(home, s->fd, s->generation,
				    s->bits & SLOT_WATCH_OUT);

	count_up(&r->calls);
	if (e == -ENOENT || e == -EPERM)
		return watch_anew(r, s, back);
	if (e != -EBADF)
		return 0;
	watch_end(s);
	slot_renew(s);
	return waiters_give_all(s, -EBADF, back);
}

enum step {
	DROP,
	KEEP,  /* it is young again */
	LATER, /* it is not, but enough were checked */
};

/* The oldest of the queue, under its guard. */
static enum step look_at(struct ready *r, struct slot *s, unsigned events, struct list *back,
			 unsigned *n)
{
	if (waiters_none(s))
		return DROP;
	if (s->bits & SLOT_NO_EDGE) {
		s->bits &= ~(SLOT_NO_EDGE | SLOT_EMPTY_OUT);
		*n += waiters_retry_all(s, SLOT_OUT, back);
	}
	if (age(r, s->parked) < YOUNG_EPOCHS)
		return KEEP;
	if (!young_checks)
		return DROP;
	if (!may_check(r, events))
		return LATER;
	*n += check(r, s, back);
	return DROP;
}

unsigned young_check(struct ready *r, unsigned events, bool idle, struct list *back)
{
	unsigned steps = idle ? IDLE_STEPS : 2 + events / 8, n = 0;

	if (idle)
		r->allowance = IDLE_ALLOWANCE;
	r->credit = r->credit + events < CREDIT_MOST ? r->credit + events : CREDIT_MOST;
	while (steps-- && !list_empty(&r->young)) {
		struct slot *s = container_of(r->young.next, struct slot, young);
		enum step step;

		if (age(r, s->since) < YOUNG_EPOCHS)
			break;
		spin_lock(&s->guard);
		step = look_at(r, s, events, back, &n);
		list_remove(&s->young);
		if (step == DROP)
			s->bits &= ~SLOT_QUEUED;
		else
			list_append(&r->young, &s->young);
		if (step == KEEP)
			s->since = s->parked;
		spin_unlock(&s->guard);
	}
	return n;
}

void young_end(struct ready *r)
{
	while (!list_empty(&r->young)) {
		struct slot *s = container_of(r->young.next, struct slot, young);

		spin_lock(&s->guard);
		list_remove(&s->young);
		s->bits &= ~SLOT_QUEUED;
		spin_unlock(&s->guard);
	}
}
