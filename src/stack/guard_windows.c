/* guard_windows.c - what of a slot has memory, from the top down: committed pages, one page that is
 * committed and guarded, and then nothing.
 *
 * Whoever touches the guarded page on the stack it belongs to - the thread information block says
 * which that is (arch/win64/seat.h) - gets one more from the system, and the guard moves down. At
 * the bottom the system raises EXCEPTION_STACK_OVERFLOW instead. What lies below the bottom is
 * never committed, and so needs no protection: to touch it is an access violation.
 *
 * `limit` of struct stack is the lowest committed address while nobody runs on it. */
#include "stack/guard.h"

#include <errno.h>

#include "os/os.h"

/* What a slot is handed out with: room for its header and colour, for what the scheduler keeps
 * below them, and for a first frame. */
enum { FIRST_PAGES = 2 };

/* Nothing limits how many guards there can be. */
bool stack_guard_advice(void)
{
	return true;
}

static int commit(char *low, char *end)
{
	size_t page = os_page_bytes();
	int r = os_stack_commit(low, (size_t)(end - low), false);

	return r < 0 ? r : os_stack_commit(low - page, page, true);
}

int stack_guard(struct stack_mapping *m, uint32_t slot)
{
	char *end = stack_mapping_slot(m, slot + 1);

	if (slot >= m->guarded)
		m->guarded = slot + 1;
	return commit(end - FIRST_PAGES * os_page_bytes(), end);
}

char *stack_first_limit(const struct stack_mapping *m, uint32_t slot)
{
	return stack_mapping_slot(m, slot + 1) - FIRST_PAGES * os_page_bytes();
}

int stack_commit(struct stack *s, const void *low)
{
	size_t page = os_page_bytes();
	char *to = (char *)((uintptr_t)low & ~(uintptr_t)(page - 1));
	int r;

	if (to >= s->limit)
		return 0;
	must(to >= s->bottom + page);
	r = commit(to, s->limit);
	if (r == 0)
		s->limit = to;
	return r;
}

/* Nobody runs on it. Nothing to be done, and no system call, if it was never deep. */
void stack_discard(struct stack *s, char *end)
{
	size_t page = os_page_bytes();

	if (s->limit >= end)
		return;
	os_pages_discard(s->bottom, (size_t)(end - s->bottom));
	/* Without the guard it could not grow: what is left then is an access violation. */
	(void)os_stack_commit(end - page, page, true);
	s->limit = end;
}
