/* inbox.c - os/inbox.h: many put, one takes and sleeps. Nothing is lost, nobody sleeps beside a
 * full inbox, and whoever owes a wake-up is told, exactly once. */
#include "os/inbox.h"

#include "all.h"

enum { NODES = 3 };

static struct inbox box;
static struct bell bell;
static struct letter {
	struct inbox_node node;
	int content;
	int read;
} letter[NODES];
static int got, owed, refused, paid[MODEL_THREADS];
static int roused;

static void begin(void)
{
	memset(&box, 0, sizeof box);
	memset(&bell, 0, sizeof bell);
	memset(letter, 0, sizeof letter);
	memset(paid, 0, sizeof paid);
	got = owed = refused = roused = 0;
}

/* ---- putting ----------------------------------------------------------------------------------*/
static void wake(void)
{
	paid[model_thread()]++;
	bell_ring(&bell);
}

static void put(int i)
{
	letter[i].content = i + 1;
	switch (inbox_put(&box, &letter[i].node)) {
	case INBOX_PUT:
		break;
	case INBOX_PUT_WAKE:
		wake();
		break;
	case INBOX_PUT_CLOSED:
		letter[i].read++; /* it is still ours */
		break;
	}
}

static void put_0(void)
{
	put(0);
}

static void put_1(void)
{
	put(1);
}

static void put_0_and_1(void)
{
	put(0);
	put(1);
}

/* ---- taking -----------------------------------------------------------------------------------*/
static void read_all(struct inbox_node *node)
{
	while (node) {
		struct letter *l = (struct letter *)(void *)node;

		node = node->next;
		law(l->content == l - letter + 1);
		l->read++;
		got++;
	}
}

/* As a worker does (idle.c). Its first sleep may end by itself, as by a timer. */
static void take(int n)
{
	bool early = model_choose(2);

	while (read_all(inbox_empty(&box) ? NULL : inbox_take(&box)), got < n) {
		if (!inbox_sleep(&box))
			continue;
		if (!early)
			bell_wait(&bell);
		early = false;
		if (inbox_wake_up(&box))
			owed++;
	}
}

static void take_1(void)
{
	take(1);
}

static void take_2(void)
{
	take(2);
}

static void all_read(int n)
{
	for (int i = 0; i < n; i++)
		law(letter[i].read == 1);
	law(paid[0] + paid[1] + paid[2] + paid[3] == owed);
}

static void one_read(void)
{
	all_read(1);
}

static void two_read(void)
{
	all_read(2);
}

/* ---- closing ----------------------------------------------------------------------------------*/
static void take_and_close(void)
{
	read_all(inbox_take(&box));
	read_all(inbox_close(&box));
}

/* ---- rousing ----------------------------------------------------------------------------------*/
static void rouse(void)
{
	roused = 1;
	if (inbox_rouse(&box))
		wake();
	else
		roused = 2;
}

/* Its sleep was ended by another's rouse, or by itself: then the rouser found nobody asleep, or
 * will not. */
static void sleep_once(void)
{
	law(inbox_sleep(&box));
	if (inbox_wake_up(&box)) {
		owed++;
		law(roused == 1); /* a data race, if it is not seen */
	}
}

static void debts_are_even(void)
{
	all_read(0);
}

/* A rouser's word reaches an owner that takes before it sleeps: it writes what it wants looked at,
 * then rouses; the owner is awake, or wakes and looks. */
static void rouse_and_put(void)
{
	if (inbox_rouse(&box))
		wake();
	put(0);
}

const struct scenario scenarios_inbox[] = {
	SCENARIO("one puts, one sleeps", begin, one_read,
		 take_1, put_0),
	SCENARIO("two put, one sleeps", begin, two_read,
		 take_2, put_0, put_1),
	SCENARIO("one puts two, one sleeps", begin, two_read, take_2, put_0_and_1),
	SCENARIO("a letter is read or returned by a closed inbox", begin, two_read,
		 take_and_close, put_0, put_1),
	SCENARIO("a rouser ends a sleep that its owner has ended, or not", begin, debts_are_even,
		 sleep_once, rouse),
	SCENARIO("one rouses and puts, one puts, one sleeps", begin, two_read,
		 take_2, rouse_and_put, put_1),
	{ .name = NULL },
};
