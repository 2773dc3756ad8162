/* quarantine.c - closures that were freed, for a while; closure.h tells the protocol. */
#include <stdlib.h>

#include "foreign/closure.h"
#include "os/spin.h"

enum { KEPT = 256 };

static struct spin guard;
static struct fiber_closure *oldest, **end = &oldest; /* guarded, as is count */
static unsigned count;

static void append(struct fiber_closure *c)
{
	c->next = NULL;
	*end = c;
	end = &c->next;
	count++;
}

static struct fiber_closure *take_oldest(void)
{
	struct fiber_closure *c = oldest;

	oldest = c->next;
	if (!oldest)
		end = &oldest;
	count--;
	return c;
}

/* One that can go, if there are too many. Looks at the oldest only: while calls of it last, the
 * queue may grow by one for each free. */
static struct fiber_closure *surplus(void)
{
	struct fiber_closure *c;

	if (count <= KEPT)
		return NULL;
	c = take_oldest();
	/* Acquire: pairs with the release of a call's end, after which it uses nothing in here. */
	if (atomic_load_explicit(&c->calls, memory_order_acquire) == 0)
		return c;
	append(c);
	return NULL;
}

void quarantine(struct fiber_closure *c)
{
	struct fiber_closure *gone[2];

	spin_lock(&guard);
	append(c);
	for (int i = 0; i < 2; i++) /* two, so that a queue that has grown shrinks again */
		gone[i] = surplus();
	spin_unlock(&guard);
	for (int i = 0; i < 2; i++) {
		if (gone[i])
			ffi_closure_free(gone[i]->ffi);
		free(gone[i]);
	}
}
