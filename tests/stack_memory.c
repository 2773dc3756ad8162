/* Stacks and memory: what they cost, when it is given back, and what happens when there is none. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/os.h"
#include "os/sanitize.h"
#include "stack/stack.h"

#if defined(FB_ASAN) || defined(FB_TSAN)
enum { SHADOWED = 1, MANY = 10000 }; /* a sanitizer's own memory comes and goes with ours */
#else
enum { SHADOWED = 0, MANY = 100000 };
#endif

static struct stack_cache cache;
static struct stack *stacks[MANY];

/* In KiB; of a line of /proc/self/status. */
static long status(const char *what)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, what, strlen(what)) == 0)
			kib = strtol(line + strlen(what), NULL, 10);
	if (file)
		fclose(file);
	cr_assert(kib >= 0, "%s", what);
	return kib;
}

static int mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	int lines = 0, c;

	while (file && (c = getc(file)) != EOF)
		lines += c == '\n';
	if (file)
		fclose(file);
	return lines;
}

static void get_all(int n, size_t bytes)
{
	for (int i = 0; i < n; i++) {
		int r = stack_get(&cache, bytes, &stacks[i]);

		cr_assert(r == 0, "stack %d: %d", i, r);
	}
}

static void put_all(int n)
{
	while (n-- > 0)
		stack_put(&cache, stacks[n]);
}

/* As a parked fiber leaves it: some frames below the top. */
static void touch(struct stack *s, size_t bytes)
{
	memset((char *)stack_top(s) - bytes, 1, bytes);
}

static void touch_all(int n, size_t bytes)
{
	for (int i = 0; i < n; i++)
		touch(stacks[i], bytes);
}

Test(stack_memory, a_hundred_thousand_shallow_stacks_cost_a_page_each_and_few_mappings,
     .timeout = 120)
{
	long before = status("VmRSS:") + status("VmPTE:"), cost;
	int mappings_before = mappings();
	struct stack_stats stats;

	get_all(1, 0);
	stack_stats(&stats);
	if (!stats.guard_advice)
		cr_skip_test("guards by advice need Linux 6.13; others are limited");
	put_all(1);
	get_all(MANY, 0);
	touch_all(MANY, 1500);
	stack_stats(&stats);
	cr_expect_eq(stats.slots, MANY);
	cr_expect(stats.mappings < 40, "%lu", stats.mappings);
	cost = (status("VmRSS:") + status("VmPTE:") - before) * 1024 / MANY;
	if (SHADOWED)
		return;
	cr_expect(mappings() - mappings_before <= 40, "%d more",
		  mappings() - mappings_before);
	cr_expect(cost <= 4450, "%ld bytes each", cost);
	cr_expect(labs(cost - (long)(stats.resident_bytes / MANY)) < 400, "the estimate was %lu",
		  stats.resident_bytes / MANY);
}

Test(stack_memory, what_was_not_needed_since_the_last_trim_goes_back, .timeout = 60)
{
	long before, peak, after;
	int deep = 0;

	get_all(2000, 0);
	before = status("VmRSS:");
	touch_all(2000, 20000);
	peak = status("VmRSS:");
	put_all(2000);
	cr_expect_eq(stack_cache_trim(&cache, 5000), 0, "all were needed until now");
	get_all(500, 0);
	put_all(500);
	cr_expect_eq(stack_cache_trim(&cache, 5000), 1500);
	after = status("VmRSS:");
	cr_expect(peak - before > 2000 * 15, "%ld -> %ld KiB", before, peak);
	cr_expect(SHADOWED || peak - after > 1500 * 15, "%ld -> %ld KiB", peak, after);
	for (int i = 0; i < 500; i++)
		deep += stack_used(stacks[i]) > 16384;
	cr_expect(deep > 480, "the hottest stay, few without their deep pages: %d", deep);
	cr_expect_eq(stack_cache_trim(&cache, 5000), 500);
}

Test(stack_memory, a_trim_gives_back_no_more_than_asked_for, .timeout = 60)
{
	get_all(300, 0);
	put_all(300);
	stack_cache_trim(&cache, 0);
	cr_expect_eq(stack_cache_trim(&cache, 7), 7);
	cr_expect_eq(stack_cache_trim(&cache, 200), 200);
	cr_expect_eq(stack_cache_trim(&cache, 200), 93);
	cr_expect_eq(stack_cache_trim(&cache, 200), 0);
}

Test(stack_memory, odd_ones_go_back_too, .timeout = 60)
{
	struct stack_stats stats;

	get_all(100, 1 << 20);
	put_all(100);
	stack_cache_trim(&cache, 0);
	cr_expect_eq(stack_cache_trim(&cache, 1000), 100);
	stack_stats(&stats);
	cr_expect_eq(stats.slots, 0);
}

Test(stack_memory, no_more_than_a_bounded_number_of_odd_ones_is_kept, .timeout = 60)
{
	struct stack_stats stats;

	get_all(3000, 200000);
	put_all(3000);
	stack_stats(&stats);
	cr_expect_eq(stats.slots, 1024);
}

Test(stack_memory, the_end_of_a_thread_leaves_its_stacks_to_others, .timeout = 60)
{
	struct stack_cache other = { .count = 0 };
	struct stack_stats stats;
	struct stack *s;

	get_all(3000, 0);
	put_all(3000);
	stack_cache_drain(&cache);
	cr_expect_eq(cache.count, 0);
	stack_stats(&stats);
	cr_expect_eq(stats.slots, 1024, "warm ones, a bounded number");
	cr_expect_eq(stack_get(&other, 0, &s), 0);
	stack_stats(&stats);
	cr_expect_eq(stats.slots, 1024, "one of them was taken");
}

Test(stack_memory, used_is_the_deepest_page_touched, .timeout = 60)
{
	long page = (long)os_page_bytes();

	for (int size = 0; size < 3; size++) {
		get_all(1, (size_t)size << 21);
		for (size_t depth = 100; depth < stacks[0]->bytes; depth = depth * 2 + 1000) {
			long used;

			((char *)stack_top(stacks[0]))[-(long)depth] = 1;
			used = (long)stack_used(stacks[0]);
			cr_expect(used >= (long)depth && used < (long)depth + page, "%ld of %zu",
				  used, depth);
		}
		stacks[0]->bottom[0] = 1;
		cr_expect_eq(stack_used(stacks[0]), stacks[0]->bytes);
	}
}

Test(stack_memory, a_stack_that_is_used_again_and_again_loses_its_deep_pages, .timeout = 60)
{
	size_t page = os_page_bytes();

	for (int size = 0; size < 2; size++) {
		get_all(1, (size_t)size * 200000);
		touch(stacks[0], 90000);
		cr_expect(stack_used(stacks[0]) >= 90000);
		for (int i = 0; i < 300; i++) {
			put_all(1);
			get_all(1, (size_t)size * 200000);
		}
		cr_expect(stack_used(stacks[0]) <= 16384 + page, "%zu", stack_used(stacks[0]));
		cr_expect(stack_used(stacks[0]) >= 16384 - page, "the upper ones are kept");
	}
}

/* ---- when there is none -----------------------------------------------------------------------*/

static int get_until_refused(int most, size_t bytes)
{
	int n = 0, r = 0;

	while (n < most && (r = stack_get(&cache, bytes, &stacks[n])) == 0)
		n++;
	cr_expect(n == most || r == -ENOMEM, "%d after %d", r, n);
	return n;
}

Test(stack_memory, without_address_space_a_stack_is_refused_and_the_others_go_on, .timeout = 60)
{
	const int room = (64 << 20) / (STACK_DEFAULT_BYTES + STACK_GUARD_BYTES);
	struct rlimit limit, was;
	int before, n;

	if (SHADOWED)
		cr_skip("a sanitizer's shadow needs all address space there is");
	get_all(20, 0);
	getrlimit(RLIMIT_AS, &was);
	limit = was;
	limit.rlim_cur = (rlim_t)(status("VmSize:") + 64 * 1024) * 1024;
	cr_assert(setrlimit(RLIMIT_AS, &limit) == 0);
	n = before = get_until_refused(MANY, 0);
	cr_expect(n > room * 7 / 8 && n < room * 2, "%d stacks in 64 MiB", n);
	for (int size = 1; size < 5; size++)
		cr_expect_eq(stack_get(&cache, (size_t)size << 24, &stacks[n]), -ENOMEM);
	touch_all(n, 5000);
	put_all(n);
	n = get_until_refused(MANY, 0);
	cr_expect_eq(n, before, "what was refused has changed nothing");
	cr_assert(setrlimit(RLIMIT_AS, &was) == 0);
	cr_expect_eq(stack_get(&cache, 0, &stacks[n]), 0, "and the limit was all that it was");
	cr_expect_eq(stack_get(&cache, 1 << 24, &stacks[n]), 0);
}

static void *do_nothing(void *argument)
{
	return argument;
}

/* What the program still needs at the limit: memory and threads. */
static void the_program_can_go_on(void)
{
	pthread_t thread;
	void *memory = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_expect(memory != MAP_FAILED);
	cr_expect(mprotect(memory, 4096, PROT_NONE) == 0);
	cr_expect(pthread_create(&thread, NULL, do_nothing, NULL) == 0);
	pthread_join(thread, NULL);
}

/* What is written to stderr from here on; -1: could not. */
static int catch_stderr(void)
{
	FILE *file = tmpfile();

	return file && dup2(fileno(file), STDERR_FILENO) >= 0 ? fileno(file) : -1;
}

Test(stack_memory, mprotected_guards_end_with_one_message_well_before_the_kernels_limit,
     .timeout = 120)
{
	char text[2048] = "";
	struct stack *other;
	int n, errors, kept;

	if (SHADOWED)
		cr_skip("MANY are not enough with a sanitizer");
	setenv("FIBER_TEST_NO_GUARD_ADVICE", "1", 1);
	kept = dup(STDERR_FILENO);
	errors = catch_stderr();
	n = get_until_refused(MANY, 0);
	cr_expect(n < MANY && n > 1000, "%d", n);
	cr_expect_eq(stack_get(&cache, 1 << 20, &other), -ENOMEM);
	cr_expect_eq(stack_get(&cache, 0, &other), -ENOMEM);
	stack_put(&cache, stacks[7]);
	cr_expect_eq(stack_get(&cache, 0, &other), 0);
	dup2(kept, STDERR_FILENO);
	the_program_can_go_on();
	cr_expect(pread(errors, text, sizeof text - 1, 0) > 0);
	cr_expect(strstr(text, "vm.max_map_count") != NULL, "%s", text);
	cr_expect(strchr(text, '\n') && strchr(text, '\n')[1] == 0, "one line: %s", text);
}
