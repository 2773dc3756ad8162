/* thread.c - a plain thread waits as a fiber does, in a control block it borrows; only its park is
 * a sleep on a word (`reasons`) instead of a switch.
 *
 * Such a block has no home: nobody but the thread itself ends a wait by deadline, and there is no
 * handle by which it could be cancelled. A waker sets POST_WAKE and wakes the word's sleepers;
 * since blocks are never unmapped, it may do so when the thread is already gone. */
#include "sched/thread.h"

#include <pthread.h>
#include <stdlib.h>

#include "os/os.h"
#include "sched/local.h"
#include "sched/worker.h"

static __thread struct fiber *mine;
/* What its block points to; here too, because leak checkers look at thread-locals, and not into the
 * slab. Volatile, or the compiler sees that nobody reads it. */
static __thread struct cold *volatile mine_cold;
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void give_back(void *argument)
{
	struct fiber *f = argument;
	struct cold *cold = fiber_cold(f);

	locals_destroy(cold);
	mine = NULL;
	mine_cold = NULL;
	fiber_block_back(f);
	free(cold);
}

static void make_key(void)
{
	must(pthread_key_create(&at_exit, give_back) == 0);
}

void thread_make_key(void)
{
	pthread_once(&once, make_key);
}

static struct fiber *borrow(void)
{
	struct cold *cold = calloc(1, sizeof *cold);
	struct fiber *f = cold ? fiber_block_lend() : NULL;

	if (!f) {
		free(cold);
		return NULL;
	}
	mine_cold = cold;
	f->flags = F_THREAD | F_STARTED;
	f->scope = NULL;
	f->wake_at = OS_NEVER;
	atomic_store_explicit(&f->deadline, OS_NEVER, memory_order_relaxed);
	atomic_store_explicit(&f->home, NULL, memory_order_relaxed);
	atomic_store_explicit(&f->cold, cold, memory_order_relaxed);
	return f;
}

struct fiber *thread_block_if_any(void)
{
	return mine;
}

COLD struct fiber *thread_block(void)
{
	if (mine)
		return mine;
	if (runtime_forked())
		return NULL;
	thread_make_key();
	mine = borrow();
	if (mine && pthread_setspecific(at_exit, mine) != 0) {
		give_back(mine);
		return NULL;
	}
	return mine;
}

void thread_forget(void)
{
	if (!mine)
		return;
	pthread_setspecific(at_exit, NULL);
	mine = NULL;
}

void thread_wake(struct fiber *f)
{
	/* Release: pairs with the acquire of woken. */
	atomic_fetch_or_explicit(&f->reasons, POST_WAKE, memory_order_release);
	os_word_wake(&f->reasons, 1);
}

static bool woken(struct fiber *self)
{
	return atomic_load_explicit(&self->reasons, memory_order_acquire) & POST_WAKE;
}

int thread_park(struct fiber *self, int64_t until, int64_t deadline)
{
	uint64_t ticket = CLAIM_TICKET(atomic_load_explicit(&self->claim, memory_order_relaxed));
	int64_t limit = until < deadline ? until : deadline;

	while (!woken(self)) {
		if (limit != OS_NEVER && os_now() >= limit) {
			if (wait_end(self, ticket, 0, CLAIM_TIMED_OUT))
				return wait_outcome(self, until, deadline);
			limit = OS_NEVER; /* claimed: its wake-up is on the way */
		}
		os_word_sleep(&self->reasons, 0, limit);
	}
	atomic_store_explicit(&self->reasons, 0, memory_order_relaxed);
	return wait_outcome(self, until, deadline);
}
