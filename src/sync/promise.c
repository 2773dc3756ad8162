/* promise.c - what a fiber or thread has promised to set, and what becomes of it when it ends.
 *
 * The promised futures that are not set yet are in a list behind a fiber-local, whose destructor
 * fails what is left. Only the promiser may set or destroy them, so the list is its own, and needs
 * no guard. `promiser` in a future is guarded by that future. */
#include <pthread.h>
#include <stdlib.h>

#include "sync/future.h"

struct promised {
	struct future *first;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static fiber_key_t key;
static int key_error;

/* Its fiber or thread ends. */
static void break_all(void *value)
{
	struct promised *all = value;
	struct future *f;

	/* The local is gone already: promise_kept, called by this, must not look for it there. */
	while ((f = all->first)) {
		all->first = f->next_promised;
		f->next_promised = f;
		future_settle(f, -EOWNERDEAD, NULL);
	}
	free(all);
}

static void make_key(void)
{
	key_error = fiber_key_create(&key, break_all);
}

void promise_kept(struct future *f)
{
	struct promised *all;
	struct future **at;

	f->promiser = 0;
	if (f->next_promised == f) /* break_all has it */
		return;
	all = fiber_getspecific(key);
	for (at = &all->first; *at != f; at = &(*at)->next_promised)
		must(*at != NULL);
	*at = f->next_promised;
}

/* The caller's list; NULL: no memory, or (why) no key. */
static struct promised *my_promises(int *why)
{
	struct promised *all;
	int r;

	pthread_once(&once, make_key);
	*why = key_error;
	if (*why < 0)
		return NULL;
	all = fiber_getspecific(key);
	if (all)
		return all;
	all = calloc(1, sizeof *all);
	r = all ? fiber_setspecific(key, all) : -ENOMEM;
	if (r == 0)
		return all;
	free(all);
	*why = r;
	return NULL;
}

PUBLIC int fiber_future_promise(fiber_future_t *future)
{
	struct future *f = future_inside(future);
	struct promised *mine;
	uintptr_t self = wait_identity();
	uint64_t word;
	int r = 0;

	if (!f)
		return -EINVAL;
	mine = my_promises(&r);
	if (!mine)
		return r;
	word = word_guard(&f->queue.word);
	if (word & FUTURE_SET || f->promiser == self) {
		r = -EALREADY;
	} else if (f->promiser) {
		r = -EPERM;
	} else {
		f->promiser = self;
		f->next_promised = mine->first;
		mine->first = f;
	}
	word_release(&f->queue.word, word);
	return r;
}
