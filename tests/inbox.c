/* The inbox: nothing is lost or taken twice, and the owner is woken exactly as often as it is
 * owed. */
#include "os/inbox.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "law.h"
#include "os/atomic.h"
#include "os/os.h"

static struct inbox box;

Test(inbox, it_gives_back_oldest_first, .timeout = 10)
{
	struct inbox_node node[3];

	cr_expect(inbox_empty(&box));
	cr_expect(inbox_take(&box) == NULL);
	for (int i = 0; i < 3; i++)
		cr_expect(inbox_put(&box, &node[i]) == INBOX_PUT);
	cr_expect(!inbox_empty(&box));
	cr_expect(inbox_take(&box) == &node[0]);
	cr_expect(node[0].next == &node[1] && node[1].next == &node[2] && !node[2].next);
	cr_expect(inbox_empty(&box));
}

Test(inbox, only_who_ends_a_sleep_owes_a_wake_up, .timeout = 10)
{
	struct inbox_node node[2];

	cr_expect(!inbox_rouse(&box), "nobody sleeps");
	cr_expect(inbox_sleep(&box));
	cr_expect(inbox_empty(&box));
	cr_expect(inbox_put(&box, &node[0]) == INBOX_PUT_WAKE);
	cr_expect(inbox_put(&box, &node[1]) == INBOX_PUT);
	cr_expect(!inbox_rouse(&box));
	cr_expect(inbox_wake_up(&box), "somebody else ended it");
	cr_expect(!inbox_sleep(&box), "there is something to take");
	cr_expect(inbox_take(&box) == &node[0]);

	cr_expect(inbox_sleep(&box));
	cr_expect(inbox_rouse(&box));
	cr_expect(!inbox_rouse(&box));
	cr_expect(inbox_wake_up(&box));

	cr_expect(inbox_sleep(&box));
	cr_expect(!inbox_wake_up(&box), "the owner itself ended it");
	cr_expect(inbox_put(&box, &node[0]) == INBOX_PUT);
}

Test(inbox, after_the_end_a_putter_keeps_its_node, .timeout = 10)
{
	struct inbox_node node[2];

	cr_expect(inbox_put(&box, &node[0]) == INBOX_PUT);
	cr_expect(inbox_close(&box) == &node[0]);
	cr_expect(inbox_put(&box, &node[1]) == INBOX_PUT_CLOSED);
	cr_expect(!inbox_rouse(&box));
	cr_expect(!inbox_sleep(&box));
	cr_expect(inbox_empty(&box));
}

/*	putters				rouser				owner
 *	put a numbered node		news += 1; barrier; rouse	take all
 *	told to wake: wake		told to wake: wake		sleep; barrier; see news
 *					wait until that was seen	wait for the bell, or turn
 *									round
 *
 * A lost node or wake-up leaves the owner asleep for ever; the test's time limit finds that. */
enum { PUTTERS = 3 };

struct letter {
	struct inbox_node node; /* first */
	unsigned from, number;
};

static unsigned letters;
static _Atomic uint32_t bell;      /* wake-ups paid and not yet noticed */
static _Atomic uint64_t paid;
static _Atomic uint32_t news, news_seen;
static _Atomic bool over;          /* the rouser may stop */

static void pay(void)
{
	atomic_fetch_add_explicit(&paid, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&bell, 1, memory_order_release);
	os_word_wake(&bell, 1);
}

static void putter(void *argument)
{
	unsigned from = (unsigned)(uintptr_t)argument;
	struct letter *mine = calloc(letters, sizeof *mine);

	for (unsigned i = 0; mine && i < letters; i++) {
		mine[i].from = from;
		mine[i].number = i;
		if (inbox_put(&box, &mine[i].node) == INBOX_PUT_WAKE)
			pay();
		if (i % 64 == 0)
			os_yield();
	}
	/* The owner frees the first of each with all of them. */
}

static void rouser(void *argument)
{
	(void)argument;
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		uint32_t now = atomic_load_explicit(&news, memory_order_relaxed) + 1;

		atomic_store_explicit(&news, now, memory_order_relaxed);
		os_barrier(); /* pairs with the owner's, after it went to sleep */
		if (inbox_rouse(&box))
			pay();
		while (atomic_load_explicit(&news_seen, memory_order_relaxed) != now &&
		       !atomic_load_explicit(&over, memory_order_relaxed))
			os_yield();
	}
}

static struct {
	struct letter *first[PUTTERS];
	unsigned next[PUTTERS], out_of_order, total;
	uint64_t owed;
} owner;

static void read_letters(void)
{
	struct inbox_node *node = inbox_take(&box);

	while (node) {
		struct letter *l = (struct letter *)node;

		node = node->next;
		if (l->number == 0)
			owner.first[l->from] = l;
		owner.out_of_order += l->number != owner.next[l->from];
		owner.next[l->from] = l->number + 1;
		owner.total++;
	}
}

static bool see_news(void)
{
	uint32_t now = atomic_load_explicit(&news, memory_order_relaxed);
	bool fresh = now != atomic_load_explicit(&news_seen, memory_order_relaxed);

	atomic_store_explicit(&news_seen, now, memory_order_relaxed);
	return fresh;
}

static void await_bell(void)
{
	owner.owed++;
	while (atomic_load_explicit(&bell, memory_order_acquire) == 0)
		os_word_sleep(&bell, 0, OS_NEVER);
	atomic_fetch_sub_explicit(&bell, 1, memory_order_relaxed);
}

/* Now and then the owner ends its sleep itself, as for a due timer. */
static void sleep_or_turn_round(bool turn_round)
{
	if (!inbox_sleep(&box))
		return;
	os_barrier(); /* pairs with the rouser's */
	if (see_news() || turn_round) {
		if (inbox_wake_up(&box))
			await_bell();
		return;
	}
	await_bell();
}

Test(inbox, no_node_and_no_wake_up_is_lost, .timeout = 60)
{
	struct os_thread *thread[PUTTERS + 1];
	struct inbox_node late;
	uint64_t random = law_seed();

	letters = law_rounds(300000);
	for (uintptr_t i = 0; i < PUTTERS; i++)
		cr_assert(os_thread_start(&thread[i], putter, (void *)i, "putter") == 0);
	cr_assert(os_thread_start(&thread[PUTTERS], rouser, NULL, "rouser") == 0);
	while (owner.total < PUTTERS * letters) {
		read_letters();
		see_news();
		if (owner.total < PUTTERS * letters)
			sleep_or_turn_round(law_random(&random) % 4 == 0);
	}
	atomic_store(&over, true);
	for (int i = 0; i <= PUTTERS; i++)
		os_thread_join(thread[i]);
	cr_expect(owner.total == PUTTERS * letters);
	cr_expect(owner.out_of_order == 0, "%u letters out of order", owner.out_of_order);
	cr_expect(atomic_load(&paid) == owner.owed, "%zu wake-ups paid, %zu owed",
		  (size_t)atomic_load(&paid), (size_t)owner.owed);
	cr_expect(owner.owed > 0);
	cr_expect(atomic_load(&bell) == 0);
	cr_expect(inbox_close(&box) == NULL);
	cr_expect(inbox_put(&box, &late) == INBOX_PUT_CLOSED);
	for (int i = 0; i < PUTTERS; i++)
		free(owner.first[i]);
	law_no_leaks();
}
