/* The work-stealing deque: every item comes out exactly once, whoever asks. */
#include "os/deque.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "law.h"
#include "os/os.h"
#include "os/sanitize.h"

static struct deque deque;

/* Items are numbers that are not NULL. */
static void *item(uintptr_t number)
{
	return (void *)(number + 1);
}

Test(deque, an_owner_takes_the_newest_and_a_thief_the_oldest, .timeout = 10)
{
	int64_t bottom;

	cr_assert(deque_init(&deque) == 0);
	cr_expect(deque_empty(&deque));
	cr_expect(!deque_pop_begin(&deque, &bottom));
	cr_expect(deque_pop(&deque) == NULL);
	cr_expect(deque_steal(&deque) == NULL);
	for (uintptr_t i = 0; i < 4; i++)
		cr_expect(deque_push(&deque, item(i)) == 0);
	cr_expect(deque_count(&deque) == 4);
	cr_expect(deque_pop_begin(&deque, &bottom) && deque_count(&deque) == 3);
	deque_pop_undo(&deque, bottom);
	cr_expect(deque_count(&deque) == 4);
	cr_expect(deque_pop(&deque) == item(3));
	cr_expect(deque_steal(&deque) == item(0));
	cr_expect(deque_pop(&deque) == item(2));
	cr_expect(deque_steal(&deque) == item(1));
	cr_expect(deque_empty(&deque));
	cr_expect(deque_pop(&deque) == NULL);
	cr_expect(deque_steal(&deque) == NULL);
	deque_destroy(&deque);
	law_no_leaks();
}

Test(deque, growth_keeps_every_item_in_order, .timeout = 10)
{
	const uintptr_t many = 100000;

	cr_assert(deque_init(&deque) == 0);
	/* Begins in the middle of the array, so that what is copied wraps around. */
	for (uintptr_t i = 0; i < 100; i++) {
		cr_expect(deque_push(&deque, item(i)) == 0);
		cr_expect(deque_steal(&deque) == item(i));
	}
	for (uintptr_t i = 0; i < many; i++)
		cr_expect(deque_push(&deque, item(i)) == 0);
	cr_expect(deque_count(&deque) == many);
	for (uintptr_t i = 0; i < many / 2; i++)
		cr_expect(deque_steal(&deque) == item(i));
	for (uintptr_t i = many; i-- > many / 2;)
		cr_expect(deque_pop(&deque) == item(i));
	cr_expect(deque_empty(&deque));
	deque_destroy(&deque);
	law_no_leaks();
}

/* Sanitizers reserve terabytes, and their allocators do not return NULL. */
#if !defined(FB_TSAN) && !defined(FB_ASAN)
Test(deque, a_push_without_memory_fails_and_changes_nothing, .timeout = 20)
{
	struct rlimit limit;
	uintptr_t pushed = 0;
	int r = 0;

	cr_assert(deque_init(&deque) == 0);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024); /* large arrays by mmap, which the limit ends */
	getrlimit(RLIMIT_AS, &limit);
	setrlimit(RLIMIT_AS, &(struct rlimit){ 0, limit.rlim_max });
	while (pushed < 1 << 26 && (r = deque_push(&deque, item(pushed))) == 0)
		pushed++;
	cr_expect(r == -ENOMEM, "push returned %d", r);
	cr_expect(deque_push(&deque, item(pushed)) == -ENOMEM);
	setrlimit(RLIMIT_AS, &limit);
	cr_expect(deque_count(&deque) == pushed);
	cr_expect(deque_push(&deque, item(pushed)) == 0, "with memory it goes on");
	for (uintptr_t i = pushed + 1; i-- > 0;)
		if (deque_pop(&deque) != item(i))
			cr_expect(false, "item %zu is not where it was", (size_t)i);
	deque_destroy(&deque);
}
#endif

/*	owner			thieves
 *	push, in bursts		steal until told to stop
 *	pop, in bursts
 *	pop until empty
 *
 * Each item is a box whose contents the taker changes, without an atomic: ThreadSanitizer would see
 * a box that two take, or one that is taken before it was filled. */
struct box {
	uintptr_t number;
	unsigned taken;
};

enum { THIEVES_MOST = 7, BURST_LONG = 3000 };

static struct box *boxes;
static _Atomic bool stop;
static _Atomic size_t taken[THIEVES_MOST + 1]; /* by each thief; last, by the owner */

static void take(struct box *box, size_t by)
{
	if (!box)
		return;
	if (box != &boxes[box->number])
		cr_expect(false, "a box of the wrong number");
	box->taken++;
	atomic_fetch_add_explicit(&taken[by], 1, memory_order_relaxed);
}

static void thief(void *argument)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct box *box = deque_steal(&deque);

		if (!box)
			os_yield();
		take(box, (size_t)argument);
	}
}

static size_t taken_by_all(void)
{
	size_t sum = 0;

	for (size_t i = 0; i <= THIEVES_MOST; i++)
		sum += atomic_load_explicit(&taken[i], memory_order_relaxed);
	return sum;
}

/* At once, in halves, or begun in vain. */
static struct box *pop(uint64_t random)
{
	int64_t bottom;

	if (random % 4 < 2)
		return deque_pop(&deque);
	if (!deque_pop_begin(&deque, &bottom))
		return NULL;
	if (random % 4 == 2) {
		deque_pop_undo(&deque, bottom);
		return NULL;
	}
	os_barrier();
	return deque_pop_end(&deque, bottom);
}

/* Mostly a few at a time, so that owner and thieves meet at the last item; now and then so many
 * that the array grows under the thieves. */
static void push_and_pop(size_t items, uint64_t random)
{
	for (size_t next = 0; next < items;) {
		uint64_t r = law_random(&random);
		unsigned pushes = r % 128 ? r % 5 : BURST_LONG, pops = (unsigned)(r >> 32) % 5;

		for (; pushes && next < items; pushes--, next++) {
			boxes[next].number = next;
			if (deque_push(&deque, &boxes[next]) < 0)
				cr_expect(false, "no memory");
		}
		for (; pops; pops--)
			take(pop(r >> (40 + pops)), THIEVES_MOST);
		if (next % 64 == 0)
			os_yield();
	}
	while (!deque_empty(&deque))
		take(deque_pop(&deque), THIEVES_MOST);
}

static void each_item_is_taken_once(unsigned thieves)
{
	size_t items = law_rounds(3000000);
	struct os_thread *thread[THIEVES_MOST];
	unsigned wrong = 0;

	boxes = calloc(items, sizeof *boxes);
	cr_assert(boxes && deque_init(&deque) == 0);
	for (size_t i = 0; i < thieves; i++)
		cr_assert(os_thread_start(&thread[i], thief, (void *)i, "thief") == 0);
	push_and_pop(items, law_seed());
	while (taken_by_all() < items)
		os_yield();
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (size_t i = 0; i < thieves; i++)
		os_thread_join(thread[i]);
	for (size_t i = 0; i < items; i++)
		wrong += boxes[i].taken != 1;
	cr_expect(wrong == 0, "%u items were not taken exactly once", wrong);
	cr_expect(taken_by_all() == items);
	cr_expect(atomic_load(&taken[THIEVES_MOST]) < items, "the thieves got nothing");
	deque_destroy(&deque);
	free(boxes);
	law_no_leaks();
}

Test(deque, every_item_is_taken_once_by_the_owner_or_a_thief, .timeout = 60)
{
	each_item_is_taken_once(1);
}

Test(deque, every_item_is_taken_once_with_two_thieves, .timeout = 60)
{
	each_item_is_taken_once(2);
}

Test(deque, every_item_is_taken_once_with_seven_thieves, .timeout = 60)
{
	each_item_is_taken_once(7);
}
