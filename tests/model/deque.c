/* deque.c - "last item" of os/deque.h: one owner and its thieves. Whatever was put in comes out
 * exactly once, and who takes it sees what it holds. */
#include "os/deque.h"

#include "all.h"

enum { ITEMS = 4 };

static struct deque deque;
static struct item {
	int content;                 /* written before it is pushed, read by who takes it */
	int taken;
} item[ITEMS];

static void begin(void)
{
	memset(&deque, 0, sizeof deque);
	memset(item, 0, sizeof item);
	deque_init(&deque);
}

static void push(int i)
{
	item[i].content = i + 1;
	law(deque_push(&deque, &item[i]) == 0);
}

static void take(void *p)
{
	struct item *it = p;

	if (!it)
		return;
	law(it >= item && it < item + ITEMS);
	law(it->content == it - item + 1);
	it->taken++; /* taken twice is a data race, if nothing worse */
}

static void steal(void)
{
	take(deque_steal(&deque));
}

static void steal_twice(void)
{
	steal();
	steal();
}

static void all_taken_once(int n)
{
	void *p;

	while ((p = deque_pop(&deque)))
		take(p);
	for (int i = 0; i < n; i++)
		law(item[i].taken == 1);
	deque_destroy(&deque);
}

/*	owner           thief           thief
 *	push 0
 *	pop             steal           steal   */
static void push_pop(void)
{
	push(0);
	take(deque_pop(&deque));
}

static void one_taken(void)
{
	all_taken_once(1);
}

/*	owner           thief
 *	push 0, 1       steal
 *	pop, pop        steal   */
static void push_2_pop_2(void)
{
	push(0);
	push(1);
	take(deque_pop(&deque));
	take(deque_pop(&deque));
}

static void two_taken(void)
{
	all_taken_once(2);
}

/* The array has two slots: the third item takes the first one's, or a larger array.
 *	owner           thief
 *	push 0, 1, 2    steal
 *	pop             steal   */
static void push_3_pop(void)
{
	push(0);
	push(1);
	push(2);
	take(deque_pop(&deque));
}

static void three_taken(void)
{
	all_taken_once(3);
}

/*	owner           thief
 *	pop             steal
 *	push 1
 *	pop   */
static void begin_with_one(void)
{
	begin();
	push(0);
}

static void pop_push_pop(void)
{
	take(deque_pop(&deque));
	push(1);
	take(deque_pop(&deque));
}

/* An owner who finds it empty may rely on it.
 *	owner           thief
 *	push 0
 *	pop             steal
 *	empty?   */
static void push_pop_empty(void)
{
	push_pop();
	law(deque_pop(&deque) == NULL);
	law(deque_empty(&deque));
}

const struct scenario scenarios_deque[] = {
	SCENARIO("the last item goes to its owner or to the thief", begin, one_taken,
		 push_pop, steal),
	SCENARIO("the last item, and two thieves", begin, one_taken,
		 push_pop, steal, steal),
	SCENARIO("two items, taken from both ends", begin, two_taken,
		 push_2_pop_2, steal_twice),
	SCENARIO("two items and two thieves", begin, two_taken,
		 push_2_pop_2, steal, steal),
	SCENARIO("an array that grows, or whose slots are used again", begin, three_taken,
		 push_3_pop, steal_twice),
	SCENARIO("one item after the other", begin_with_one, two_taken,
		 pop_push_pop, steal_twice),
	SCENARIO("what is empty to its owner stays so", begin, one_taken,
		 push_pop_empty, steal),
	{ .name = NULL },
};
