/* once.c - a function that is called once, by whoever comes first; the others wait for it.
 *
 * The word: 0, then the identity of the caller who runs it, then DONE. Waits here end by nothing
 * else, so an entry never leaves by itself, and the queue can be a plain stack. */
#include <errno.h>
#include <fiber/sync.h>

#include "base/must.h"
#include "os/os.h"
#include "sched/wait.h"
#include "sync/word.h"

struct once {
	_Atomic uint64_t word;
	struct waiter *waiters; /* chained by `data`; guarded by word */
};
_Static_assert(sizeof(struct once) <= sizeof(fiber_once_t), "private_ must hold it");

/* No identity: that has an address too. */
enum { DONE = WAIT_IS_THREAD };

static bool is_done(struct once *o)
{
	/* Acquire: what the function did. */
	return atomic_load_explicit(&o->word, memory_order_acquire) == DONE;
}

static void call(struct once *o, void (*function)(void))
{
	struct waiter *w, *next;

	function();
	word_guard(&o->word);
	w = o->waiters;
	o->waiters = NULL;
	word_release(&o->word, DONE);
	for (; w; w = next) {
		next = w->data;
		must(wait_claim(w->fiber, w->ticket, 0));
		wait_wake(w->fiber);
	}
}

/* Under guard, which it releases. */
static void await(struct once *o, uint64_t word, struct fiber *self)
{
	struct waiter w = { .fiber = self, .data = o->waiters };

	w.ticket = wait_begin(self, WAIT_ONCE, o, WAIT_HARD);
	o->waiters = &w;
	word_release(&o->word, word);
	wait_park(self, FIBER_NEVER);
}

/* There is no memory to wait with. */
static int poll_it(struct once *o)
{
	if (wait_why() == -ECHILD)
		return -ECHILD;
	while (!is_done(o))
		os_yield();
	return 0;
}

static int not_done(struct once *o, void (*function)(void), uintptr_t me)
{
	struct fiber *self = wait_self();
	uint64_t word = word_guard(&o->word);

	if (word == 0) {
		word_release(&o->word, me);
		call(o, function);
		return 0;
	}
	if (word != DONE && word != me && self) {
		await(o, word, self);
		return 0;
	}
	word_release(&o->word, word);
	if (word == me)
		return -EDEADLK;
	return word == DONE ? 0 : poll_it(o);
}

PUBLIC int fiber_once(fiber_once_t *public, void (*function)(void))
{
	struct once *o = (struct once *)(void *)public;

	if (!o || !function)
		return -EINVAL;
	return likely(is_done(o)) ? 0 : not_done(o, function, wait_identity());
}
