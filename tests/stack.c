/* Stacks: guarded, of the size asked for, found by address, handed out newest first. */
#include "stack/stack.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"
#include "stack/check.h"

static struct stack_cache cache;

static struct stack *get(size_t bytes)
{
	struct stack *s = NULL;
	int r = stack_get(&cache, bytes, &s);

	cr_assert(r == 0, "stack_get of %zu bytes: %d", bytes, r);
	return s;
}

/* Asks the kernel, which answers EFAULT where an access of ours would fault. */
static bool accessible(const void *address)
{
	static int pipes[2] = { -1, -1 };
	char byte;

	if (pipes[0] < 0)
		cr_assert(pipe(pipes) == 0);
	if (write(pipes[1], address, 1) != 1) {
		cr_expect(errno == EFAULT);
		return false;
	}
	cr_expect(read(pipes[0], &byte, 1) == 1);
	return true;
}

static void is_guarded(const struct stack *s)
{
	for (size_t below = 1; below < STACK_GUARD_BYTES; below += 1023)
		cr_expect(!accessible(s->bottom - below), "%zu below", below);
	cr_expect(!accessible(s->bottom - STACK_GUARD_BYTES));
	cr_expect(accessible(s->bottom));
	cr_expect(accessible((const char *)s - 1));
}

static void guards_begin_right_below(void)
{
	static const size_t sizes[] = { 0, 1, STACK_DEFAULT_BYTES, STACK_DEFAULT_BYTES + 1,
					1 << 20, 5 << 20, 200 << 20 };

	for (int round = 0; round < 40; round++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
			is_guarded(get(sizes[i]));
}

Test(stack, the_first_byte_below_the_usable_part_faults, .timeout = 60)
{
	struct stack_stats stats;

	guards_begin_right_below();
	stack_stats(&stats);
	cr_expect_eq(stats.slots, 280);
}

Test(stack, the_same_where_guards_are_mprotected, .timeout = 60)
{
	struct stack_stats stats;

	setenv("FIBER_TEST_NO_GUARD_ADVICE", "1", 1);
	guards_begin_right_below();
	stack_stats(&stats);
	cr_expect(!stats.guard_advice);
}

Test(stack, a_guard_survives_that_the_memory_is_given_back, .timeout = 60)
{
	struct stack *s[100];

	for (int i = 0; i < 100; i++)
		s[i] = get(0);
	for (int i = 0; i < 100; i++)
		stack_put(&cache, s[i]);
	stack_cache_trim(&cache, 0); /* low water is 100 from here on */
	cr_expect_eq(stack_cache_trim(&cache, 100), 100);
	for (int i = 0; i < 100; i++)
		is_guarded(get(0));
}

Test(stack, what_is_asked_for_fits_between_guard_and_header, .timeout = 60)
{
	for (size_t bytes = 1; bytes <= (size_t)1 << 30; bytes = bytes * 5 / 3 + 1) {
		struct stack *s = get(bytes);

		cr_expect(s->bytes >= bytes, "%zu of %zu bytes", s->bytes, bytes);
		cr_expect(s->bottom + s->bytes == (char *)s);
		cr_expect(stack_top(s) == s, "the first frame goes right below the header");
		cr_expect((uintptr_t)s % 64 == 0);
		cr_expect(s->owner == NULL);
		s->bottom[0] = 1;
		s->bottom[s->bytes - 1] = 1;
		stack_put(&cache, s);
	}
}

Test(stack, sizes_that_nobody_has_room_for_are_refused_and_nothing_is_lost, .timeout = 60)
{
	static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2, (size_t)1 << 47 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct stack *s;

		cr_expect_eq(stack_get(&cache, sizes[i], &s), -ENOMEM);
		stack_put(&cache, get(0));
		stack_put(&cache, get(1 << 20));
	}
}

Test(stack, the_newest_is_handed_out_first, .timeout = 10)
{
	for (size_t bytes = 0; bytes <= 1 << 20; bytes += 1 << 18) {
		struct stack *a = get(bytes), *b = get(bytes), *c = get(bytes);

		stack_put(&cache, b);
		stack_put(&cache, a);
		stack_put(&cache, c);
		cr_expect(get(bytes) == c);
		cr_expect(get(bytes) == a);
		cr_expect(get(bytes) == b);
	}
}

Test(stack, an_odd_one_serves_all_requests_of_its_size_and_no_other, .timeout = 10)
{
	struct stack *s = get(140000);

	stack_put(&cache, s);
	cr_expect(get(STACK_DEFAULT_BYTES) != s);
	cr_expect(get(300000) != s);
	cr_expect(get(200000) == s);
}

Test(stack, an_address_leads_to_its_stack, .timeout = 10)
{
	static char elsewhere[64];
	struct stack *found;

	for (int i = 0; i < 100; i++) {
		struct stack *s = get(i % 2 ? 0 : 150000);

		cr_expect(stack_locate(s->bottom, &found) == STACK_INSIDE && found == s);
		cr_expect(stack_locate((char *)s - 1, &found) == STACK_INSIDE && found == s);
		cr_expect(stack_locate(s, &found) == STACK_INSIDE && found == s);
		cr_expect(stack_locate(s->bottom - 1, &found) == STACK_GUARD && found == s);
		cr_expect(stack_locate(s->bottom - STACK_GUARD_BYTES, &found) == STACK_GUARD &&
			  found == s);
		if (stack_locate(s->bottom - STACK_GUARD_BYTES - 1, &found) != STACK_NOT_OURS)
			cr_expect(found != s);
	}
	cr_expect_eq(stack_locate(elsewhere, &found), STACK_NOT_OURS);
	cr_expect_eq(stack_locate(&found, &found), STACK_NOT_OURS);
	cr_expect_eq(stack_locate(NULL, &found), STACK_NOT_OURS);
	cr_expect_eq(stack_locate((void *)UINTPTR_MAX, &found), STACK_NOT_OURS);
}

Test(stack, a_stack_that_nobody_uses_has_no_owner, .timeout = 10)
{
	struct stack *s = get(0), *found;
	const char *bottom = s->bottom;

	s->owner = &cache;
	stack_put(&cache, s);
	cr_expect(s->owner == NULL);
	stack_cache_drain(&cache);
	stack_cache_trim(&cache, 0);
	cr_expect_eq(stack_cache_trim(&cache, 1000), 1);
	cr_expect(stack_locate(bottom - 1, &found) == STACK_GUARD && found == s);
	cr_expect(found->owner == NULL, "the slot is found and its header reads as zeros");
}

/* 64 tops in the same cache set are what the colour is there to prevent. */
Test(stack, tops_are_spread_over_the_cache_and_leave_room_on_their_page, .timeout = 10)
{
	size_t page = os_page_bytes(), used[64] = { 0 }, lines = 0;

	for (int i = 0; i < 240; i++) {
		size_t offset = (uintptr_t)get(0) % page;

		cr_expect(offset >= page - 1536, "the first frames have %zu bytes of the page",
			  offset);
		lines += used[offset % 4096 / 64]++ == 0;
	}
	cr_expect_eq(lines, 24);
	for (int i = 0; i < 64; i++)
		cr_expect(used[i] == 0 || (used[i] >= 8 && used[i] <= 12), "%zu", used[i]);
}

Test(stack, neighbours_are_an_odd_number_of_pages_apart, .timeout = 10)
{
	size_t page = os_page_bytes();

	for (size_t bytes = 0; bytes <= 8 << 20; bytes = bytes * 2 + 100000) {
		struct stack *first = get(bytes); /* perhaps alone in its mapping */
		struct stack *a = get(bytes), *b = get(bytes);
		size_t apart = (size_t)llabs(a->bottom - b->bottom);

		cr_expect(first != a);
		cr_expect(apart % page == 0 && apart / page % 2 == 1, "%zu bytes", apart);
	}
}

Test(stack, a_call_fits_unless_it_or_its_buffer_is_below_the_stack, .timeout = 10)
{
	static char elsewhere[64];
	struct stack *below = get(0), *s = get(0);
	const char *sp = (const char *)s - 1000;

	cr_expect(stack_fits(NULL, sp, elsewhere), "a plain thread's stack is its own affair");
	cr_expect(stack_fits(s, sp, elsewhere));
	cr_expect(stack_fits(s, sp, sp));
	cr_expect(stack_fits(s, sp, NULL));
	cr_expect(stack_fits(s, sp, s->bottom));
	cr_expect(stack_fits(s, s->bottom, s->bottom));
	cr_expect(stack_fits(s, sp, below->bottom), "another fiber's frame");
	cr_expect(!stack_fits(s, sp, s->bottom - 1));
	cr_expect(!stack_fits(s, sp, s->bottom - STACK_GUARD_BYTES));
	cr_expect(!stack_fits(s, s->bottom - 1, elsewhere));
	cr_expect(!stack_fits(s, below->bottom + 100, elsewhere));
	cr_expect(!stack_fits(s, (const char *)s + 4096, elsewhere));
}
