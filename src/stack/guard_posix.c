/* guard_posix.c - installs guards: by advice, many at a time; else by mprotect, one at a time.
 *
 * A slot is never handed out without its guard. Guards survive that the slot's memory is given
 * back, so each is installed once, in the order of the slots.
 *
 * Advice leaves the mapping in one piece. mprotect splits it: a guard and the usable part above
 * it are two of the ranges that vm.max_map_count limits (65530 by default, so 32,765 stacks at
 * the very most). At the limit everything fails that maps memory, malloc and thread creation in
 * the program's own code included; so the last eighth is left to the program, and who asks for a
 * stack beyond that gets -ENOMEM, with one message that names the cause and the remedy.
 *
 * All state here is guarded by the store's lock. */
#include "stack/guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/line.h"
#include "os/memory.h"
#include "os/os.h"

enum { BATCH = 128 }; /* 512 was no cheaper a guard, and lets one fiber wait four times as long */

enum way { BY_ADVICE, BY_MPROTECT };

static struct {
	_Atomic enum way way;    /* read without the lock by statistics */
	bool tested;             /* the test switch was looked at */
	bool told;               /* the message was written */
	size_t most;             /* guards by mprotect; 0: not asked yet */
	size_t installed;        /* by mprotect */
	struct os_range batch[BATCH]; /* not on the stack, which may be a fiber's */
} guards;

char *stack_first_limit(const struct stack_mapping *m, uint32_t slot)
{
	(void)m, (void)slot;
	return NULL;
}

void stack_discard(struct stack *s, char *end)
{
	os_pages_discard(s->bottom, (size_t)(end - s->bottom));
}

bool stack_guard_advice(void)
{
	return atomic_load_explicit(&guards.way, memory_order_relaxed) == BY_ADVICE;
}

static void use_mprotect(void)
{
	size_t limit = os_mappings_limit();

	guards.most = limit ? (limit - limit / 8) / 2 : SIZE_MAX;
	atomic_store_explicit(&guards.way, BY_MPROTECT, memory_order_relaxed);
}

/* $FIBER_TEST_NO_GUARD_ADVICE lets tests see what kernels before 6.13 do. */
static void look_at_test_switch(void)
{
	if (!guards.tested && getenv("FIBER_TEST_NO_GUARD_ADVICE"))
		use_mprotect();
	guards.tested = true;
}

static COLD int refuse(void)
{
	struct line l = { 0 };

	if (guards.told)
		return -ENOMEM;
	guards.told = true;
	line_text(&l, "fiber: no more stacks after ");
	line_number(&l, guards.installed, 10);
	line_text(&l, ": the guard of each takes two of the mappings that vm.max_map_count = ");
	line_number(&l, os_mappings_limit(), 10);
	line_text(&l, " allows a process. Raise it: sysctl -w vm.max_map_count=1000000; or use "
		      "Linux 6.13 or later, which does without.\n");
	line_flush(&l, STDERR_FILENO);
	return -ENOMEM;
}

static int by_mprotect(struct stack_mapping *m, uint32_t slot)
{
	while (m->guarded <= slot) {
		if (guards.installed >= guards.most)
			return refuse();
		/* The program may itself have used up what was left to it. */
		if (os_pages_protect(stack_mapping_slot(m, m->guarded), m->guard) < 0)
			return refuse();
		m->guarded++;
		guards.installed++;
	}
	return 0;
}

static int by_advice(struct stack_mapping *m, uint32_t slot)
{
	while (m->guarded <= slot) {
		uint32_t left = m->slots - m->guarded;
		uint32_t n = left < BATCH ? left : BATCH;
		int r;

		for (uint32_t i = 0; i < n; i++)
			guards.batch[i] = (struct os_range){
				.address = stack_mapping_slot(m, m->guarded + i),
				.bytes = m->guard,
			};
		r = os_guards_install(guards.batch, n);
		if (r < 0)
			return r;
		m->guarded += n;
	}
	return 0;
}

int stack_guard(struct stack_mapping *m, uint32_t slot)
{
	int r = -ENOTSUP;

	if (likely(slot < m->guarded))
		return 0;
	look_at_test_switch();
	if (stack_guard_advice())
		r = by_advice(m, slot);
	if (r == -ENOTSUP) {
		if (stack_guard_advice())
			use_mprotect();
		r = by_mprotect(m, slot);
	}
	return r < 0 ? -ENOMEM : 0;
}
