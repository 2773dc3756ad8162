/* The laws of poller/poller.h, on every backend: what is submitted comes back, once. */
#include "stage.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

static void push(int fd, const char *text)
{
	cr_expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void close_both(struct stage *st, int pair[2])
{
	stage_forget(st, pair[0]);
	stage_forget(st, pair[1]);
	close(pair[0]);
	close(pair[1]);
}

POLLER_LAW(poller, what_is_there_is_had_at_once)
{
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	push(pair[1], "hello");
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	cr_expect(stage_at_once(st, &t) == 5 && memcmp(buffer, "hello", 5) == 0);
	close_both(st, pair);
}

POLLER_LAW(poller, what_has_to_be_waited_for_comes_back_once)
{
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	stage_settle(st);
	cr_expect(!t.done);
	push(pair[1], "hello");
	cr_expect(stage_finish(st, &t) == 5);
	stage_settle(st); /* would notice a second time */
	close_both(st, pair);
}

POLLER_LAW(poller, cancel_gives_back_and_touches_no_byte)
{
	int pair[2];
	char buffer[16] = "untouched";

	law_tcp_pair(pair);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(stage_cancel(st, &t));
	cr_expect(t.op.result == -ECANCELED);
	push(pair[1], "hello");
	stage_settle(st);
	cr_expect_str_eq(buffer, "untouched");
	t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(stage_finish(st, &t) == 5);
	close_both(st, pair);
}

POLLER_LAW(poller, cancel_leaves_what_is_on_its_way)
{
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	push(pair[1], "hello");
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	cr_expect(!stage_cancel(st, &t));
	cr_expect(stage_finish(st, &t) == 5);
	close_both(st, pair);
}

/* One round of an echo whose connection is known: receive, send, and the wait that others share. */
POLLER_LAW(poller, a_round_of_echo_is_two_calls_and_a_wait)
{
	enum { ROUNDS = 100 };
	int pair[2];
	char buffer[4096];
	uint64_t before = 0;

	law_tcp_pair(pair);
	for (int round = 0; round < ROUNDS + 1; round++) {
		struct iovec in = {buffer, sizeof buffer}, out = {buffer, 5};
		struct task t = stage_read(pair[0], &in), u = stage_write(pair[0], &out);

		if (round == 1)
			before = stage_syscalls(st);
		cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
		push(pair[1], "hello");
		cr_expect(stage_finish(st, &t) == 5);
		cr_expect(stage_at_once(st, &u) == 5);
		cr_expect(read(pair[1], buffer, sizeof buffer) == 5);
	}
	before = stage_syscalls(st) - before;
	cr_expect(before == 3 * ROUNDS || (st->ops->performs && before < 3 * ROUNDS), "%lu calls",
		  (unsigned long)before);
	close_both(st, pair);
}

POLLER_LAW(poller, looking_costs_nothing_where_nothing_is_watched)
{
	uint64_t before = 0;

	for (int i = 0; i < 100; i++) {
		cr_expect(st->ops->wait(st->poller, 0, &st->back) == 0);
		if (i == 0) /* it may begin with something */
			before = stage_syscalls(st);
	}
	cr_expect(stage_syscalls(st) == before);
}

POLLER_LAW(poller, wait_ends_at_its_time_and_not_before)
{
	for (int64_t ns = 1; ns < 100000000; ns *= 10) {
		int64_t until = os_now() + ns;

		cr_expect(st->ops->wait(st->poller, until, &st->back) == 0);
		cr_expect(os_now() >= until);
	}
	cr_expect(st->ops->wait(st->poller, os_now() - 1, &st->back) == 0);
}

static void *wake_it(void *stage)
{
	struct stage *st = stage;

	st->ops->wake(st->poller);
	return NULL;
}

POLLER_LAW(poller, wake_ends_a_wait_from_any_thread)
{
	for (int i = 0; i < 100; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, wake_it, st);
		cr_expect(st->ops->wait(st->poller, OS_NEVER, &st->back) == 0);
		pthread_join(thread, NULL);
	}
}

POLLER_LAW(poller, a_wake_before_the_wait_counts_and_many_are_one)
{
	for (int i = 0; i < 1000; i++)
		st->ops->wake(st->poller);
	cr_expect(st->ops->wait(st->poller, OS_NEVER, &st->back) == 0);
	/* None is left over. */
	int64_t until = os_now() + 1000000;
	cr_expect(st->ops->wait(st->poller, until, &st->back) == 0);
	cr_expect(os_now() >= until);
	st->ops->wake(st->poller);
	cr_expect(st->ops->wait(st->poller, OS_NEVER, &st->back) == 0);
}

static void on_alarm(int number)
{
	(void)number;
}

/* A wait may end early by a signal, as by nothing; an attempt is made again. */
POLLER_LAW(poller, an_interrupted_call_is_never_seen)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval every = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int64_t end = os_now() + 30000000; os_now() < end;)
		cr_expect(st->ops->wait(st->poller, end, &st->back) == 0);
	for (int i = 0; i < 1000; i++) {
		struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);

		stage_start(st, &t);
		push(pair[1], "hello");
		cr_expect(stage_finish(st, &t) == 5);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	close_both(st, pair);
}

POLLER_LAW(poller, nothing_asked_for_is_had_at_once)
{
	int pair[2];
	char buffer[16];
	struct iovec none = {buffer, 0};

	law_tcp_pair(pair);
	struct task waiting = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &waiting); /* the direction is known to be empty now */
	struct task t = stage_read(pair[0], &none);
	cr_expect(stage_at_once(st, &t) == 0);
	struct task u = stage_write(pair[0], &none);
	cr_expect(stage_at_once(st, &u) == 0);
	struct task v = stage_send(pair[0], buffer, 0, 0);
	cr_expect(stage_at_once(st, &v) == 0);
	cr_expect(stage_cancel(st, &waiting));
	close_both(st, pair);
}

POLLER_LAW(poller, who_says_dontwait_never_waits)
{
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	for (int i = 0; i < 2; i++) {
		struct task t = stage_recv(pair[0], buffer, sizeof buffer, MSG_DONTWAIT);
		cr_expect(stage_at_once(st, &t) == -EAGAIN);
		cr_expect(poller_try(&t.op) == POLLER_DONE && t.op.result == -EAGAIN);
	}
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	push(pair[1], "hello");
	struct task u = stage_recv(pair[0], buffer, sizeof buffer, MSG_DONTWAIT);
	cr_expect(stage_at_once(st, &u) == 5);
	cr_expect(stage_cancel(st, &t) || t.done);
	stage_settle(st);
	if (!t.done)
		stage_cancel(st, &t);
	close_both(st, pair);
}

POLLER_LAW(poller, poll_tells_what_is_true_now)
{
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	struct task out = stage_poll(pair[0], POLLIN | POLLOUT);
	cr_expect(stage_at_once(st, &out) == POLLOUT);
	struct task in = stage_poll(pair[0], POLLIN), other = stage_poll(pair[0], POLLIN);
	cr_expect(stage_start(st, &in) == POLLER_IN_FLIGHT);
	cr_expect(stage_start(st, &other) == POLLER_IN_FLIGHT);
	push(pair[1], "hello");
	cr_expect(stage_finish(st, &in) == POLLIN && stage_finish(st, &other) == POLLIN);
	/* Level: nobody has read it. */
	struct task still = stage_poll(pair[0], POLLIN);
	cr_expect(stage_at_once(st, &still) == POLLIN);
	cr_expect(read(pair[0], buffer, sizeof buffer) == 5);
	struct task no_more = stage_poll(pair[0], POLLIN);
	cr_expect(stage_start(st, &no_more) == POLLER_IN_FLIGHT);
	cr_expect(stage_cancel(st, &no_more) && no_more.op.result == -ECANCELED);
	close_both(st, pair);
}

POLLER_LAW(poller, poll_for_nothing_waits_for_the_hang_up)
{
	int pair[2];

	stage_unix_pair(SOCK_STREAM, pair);
	struct task t = stage_poll(pair[0], 0);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	push(pair[1], "hello");
	stage_settle(st);
	cr_expect(!t.done);
	close(pair[1]);
	cr_expect(stage_finish(st, &t) & POLLHUP);
	stage_forget(st, pair[0]);
	close(pair[0]);
}

POLLER_LAW(poller, poll_knows_urgent_data)
{
	int pair[2];

	law_tcp_pair(pair);
	struct task t = stage_poll(pair[0], POLLPRI);
	cr_expect(stage_start(st, &t) == POLLER_IN_FLIGHT);
	push(pair[1], "hello");
	stage_settle(st);
	cr_expect(!t.done);
	cr_expect(send(pair[1], "!", 1, MSG_OOB) == 1);
	cr_expect(stage_finish(st, &t) == POLLPRI);
	close_both(st, pair);
}

POLLER_LAW(poller, a_half_closed_connection_still_sends)
{
	int pair[2];
	char buffer[16];

	law_tcp_pair(pair);
	struct task t = stage_recv(pair[0], buffer, sizeof buffer, 0);
	stage_start(st, &t);
	cr_expect(shutdown(pair[1], SHUT_WR) == 0);
	cr_expect(stage_finish(st, &t) == 0);
	struct task u = stage_send(pair[0], "hello", 5, 0);
	cr_expect(stage_at_once(st, &u) == 5);
	cr_expect(read(pair[1], buffer, sizeof buffer) == 5);
	struct task again = stage_recv(pair[0], buffer, sizeof buffer, 0);
	cr_expect(stage_at_once(st, &again) == 0);
	close_both(st, pair);
}

POLLER_LAW(poller, a_reset_wakes_everybody)
{
	enum { N = 3 };
	struct linger now = {1, 0};
	struct task in[N], poll;
	int pair[2], resets = 0, woken = 0;
	char buffer[16];

	law_tcp_pair(pair);
	for (int i = 0; i < N; i++) {
		in[i] = stage_recv(pair[0], buffer, sizeof buffer, 0);
		stage_start(st, &in[i]);
	}
	poll = stage_poll(pair[0], POLLIN);
	stage_start(st, &poll);
	setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(pair[1]);
	while (list_empty(&st->back))
		st->ops->wait(st->poller, OS_NEVER, &st->back);
	for (struct list *node = st->back.next; node != &st->back; node = node->next)
		woken++;
	cr_expect(woken == N + 1); /* at once, not by turns */
	for (int i = 0; i < N; i++) {
		ssize_t r = stage_finish(st, &in[i]);

		cr_expect(r == -ECONNRESET || r == 0);
		resets += r == -ECONNRESET;
	}
	cr_expect(resets == 1); /* the kernel tells it once */
	cr_expect(stage_finish(st, &poll) & (POLLERR | POLLHUP));
	stage_forget(st, pair[0]);
	close(pair[0]);
}

POLLER_LAW(poller, a_poller_without_descriptors_is_refused)
{
	struct rlimit before, few;
	struct poller *p = NULL;
	int descriptors = law_descriptors(), spare = dup(2);

	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	int r = -EMFILE;
	close(spare);
	for (few.rlim_cur = (rlim_t)spare; r < 0 && few.rlim_cur < before.rlim_cur;
	     few.rlim_cur++) {
		setrlimit(RLIMIT_NOFILE, &few);
		r = st->ops->open(&p);
		setrlimit(RLIMIT_NOFILE, &before);
		cr_expect(r == 0 || r == -EMFILE, "%d", r);
		cr_expect(r == 0 || law_descriptors() == descriptors);
	}
	cr_expect(r == 0 && few.rlim_cur > (rlim_t)spare + 1, "it needs none at all?");
	if (r == 0)
		st->ops->close(p);
	cr_expect(law_descriptors() == descriptors);
}

Test(poller, is_chosen_by_name, .timeout = 10)
{
	unsetenv("FIBER_POLLER");
	cr_expect(poller_choose(NULL) != NULL);
	for (size_t i = 0; poller_backends[i]; i++) {
		cr_expect(poller_choose(poller_backends[i]->name) == poller_backends[i]);
		setenv("FIBER_POLLER", poller_backends[i]->name, 1);
		cr_expect(poller_choose(NULL) == poller_backends[i]);
	}
	cr_expect(poller_choose("no such thing") == NULL);
}
