/* More than any queue of the poller's holds; and numbers given up by a thread that is not the
 * poller's. */
#include "hands.h"

#include <sys/resource.h>

#include "base/must.h"

static int descriptors_for(int pairs)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return (rlim_t)pairs * 2 + 64 < limit.rlim_max ? pairs : (int)(limit.rlim_max - 64) / 2;
}

/* Submitted in one go, and back in one go: neither queue has room for all of them. */
POLLER_LAW(poller_many, five_thousand_wait_for_one_event)
{
	enum { N = 5000 };
	static struct task t[N];
	int pair[2], early = 0;

	stage_unix_pair(SOCK_STREAM, pair);
	for (int i = 0; i < N; i++) {
		t[i] = stage_poll(pair[0], POLLIN);
		cr_expect(stage_start(st, &t[i]) == POLLER_IN_FLIGHT);
	}
	stage_settle(st);
	for (int i = 0; i < N; i++)
		early += t[i].done;
	cr_expect(early == 0);
	cr_expect(write(pair[1], "x", 1) == 1);
	for (int i = 0; i < N; i++)
		cr_expect(stage_finish(st, &t[i]) == POLLIN);
	stage_settle(st); /* would notice a second time */
	stage_forget(st, pair[0]);
	close(pair[0]);
	close(pair[1]);
}

/* Each of many connections has a byte, before anybody looks; half of the readers give up. */
POLLER_LAW(poller_many, cancelled_or_not_each_of_many_has_its_byte)
{
	enum { MOST = 4000 };
	static struct task t[MOST];
	static int pair[MOST][2];
	static char byte[MOST];
	int n = descriptors_for(MOST), back = 0;

	for (int i = 0; i < n; i++) {
		stage_unix_pair(SOCK_STREAM, pair[i]);
		t[i] = stage_recv(pair[i][0], &byte[i], 1, 0);
		cr_expect(stage_start(st, &t[i]) == POLLER_IN_FLIGHT);
	}
	stage_settle(st);
	for (int i = 0; i < n; i++)
		cr_expect(write(pair[i][1], "x", 1) == 1);
	for (int i = 0; i < n; i += 2) {
		stage_cancel(st, &t[i]);
		cr_expect(stage_finish(st, &t[i]) == 1 || t[i].op.result == -ECANCELED);
		back += t[i].op.result == -ECANCELED;
	}
	for (int i = 1; i < n; i += 2)
		cr_expect(stage_finish(st, &t[i]) == 1);
	/* Who was cancelled has taken nothing. */
	for (int i = 0; i < n; i++) {
		char left;
		bool cancelled = t[i].op.result == -ECANCELED;

		cr_expect((recv(pair[i][0], &left, 1, MSG_DONTWAIT) == 1) == cancelled);
		back -= cancelled;
		stage_forget(st, pair[i][0]);
		close(pair[i][0]);
		close(pair[i][1]);
	}
	cr_expect(back == 0);
}

/* ---- given up by others -----------------------------------------------------------------------*/
struct giving_up {
	struct stage *st;
	const int (*pair)[2];
	int n;
	_Atomic bool over;
};

/* As fiber_close on another worker. */
static void *give_up_all(void *arg)
{
	struct giving_up *g = arg;
	struct list back = {0}, *node;

	for (int i = 0; i < g->n; i++)
		g->st->ops->forget(g->pair[i][0], &back);
	while ((node = list_pop(&back))) {
		struct task *t = container_of(node, struct task, op.link);

		cr_expect(t->op.result == -EBADF);
		atomic_store_explicit(&t->op.back, 1, memory_order_release);
	}
	for (int i = 0; i < g->n; i++)
		while (poller_leaving(g->pair[i][0]))
			sched_yield();
	atomic_store(&g->over, true);
	g->st->ops->wake(g->st->poller);
	return NULL;
}

/*	the poller's thread			another
 *	submits (the kernel may not know yet)
 *						forget
 *	wait					  waits until none is left
 *	-EBADF					close(2) could follow
 * No byte that comes then is taken. */
static void give_up_elsewhere(struct stage *st, int n, bool known)
{
	enum { MOST = 100 };
	static struct task t[MOST];
	static int pair[MOST][2];
	static char byte[MOST];
	struct giving_up g = {.st = st, .pair = (const int (*)[2])pair, .n = n};
	pthread_t thread;

	for (int i = 0; i < n; i++) {
		stage_unix_pair(SOCK_STREAM, pair[i]);
		t[i] = stage_recv(pair[i][0], &byte[i], 1, 0);
		cr_expect(stage_start(st, &t[i]) == POLLER_IN_FLIGHT);
		if (known) { /* what it is, was looked at: now it is the kernel's from the start */
			cr_expect(stage_cancel(st, &t[i]));
			stage_start(st, &t[i]);
		}
	}
	if (known)
		stage_settle(st);
	pthread_create(&thread, NULL, give_up_all, &g);
	while (!atomic_load(&g.over))
		stage_turn(st, OS_NEVER);
	pthread_join(thread, NULL);
	stage_settle(st);
	for (int i = 0; i < n; i++) {
		bool told = atomic_load_explicit(&t[i].op.back, memory_order_acquire);

		cr_expect(told != t[i].done && t[i].op.result == -EBADF);
		cr_expect(write(pair[i][1], "x", 1) == 1);
		stage_settle(st);
		cr_expect(recv(pair[i][0], &byte[i], 1, MSG_DONTWAIT) == 1);
		close(pair[i][0]);
		close(pair[i][1]);
	}
}

POLLER_LAW(poller_many, a_number_given_up_elsewhere_before_the_kernel_knows)
{
	give_up_elsewhere(st, 1, false);
}

POLLER_LAW(poller_many, a_number_given_up_elsewhere)
{
	give_up_elsewhere(st, 1, true);
}

POLLER_LAW(poller_many, a_hundred_numbers_given_up_elsewhere_at_once)
{
	give_up_elsewhere(st, 100, true);
}
