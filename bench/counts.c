/* counts.c - loops whose instructions counts.py has callgrind count: nothing else in them, and one
 * thread, or a second one that sleeps.
 *
 *	bench-counts WHAT N
 *
 * counts.py runs each with two values of N and divides the difference, so that what a program
 * does once is not counted. */
#include <fiber/chan.h>
#include <fiber/gen.h>
#include <fiber/queue.h>
#include <fiber/sync.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arch.h"

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "counts: %s\n", #x), exit(1)))

static long n, turns;

/* ---- switch*/

static void *main_sp, *other_sp;
static uint64_t control_words;

static void other_bare(uintptr_t message)
{
	for (;; turns++)
		message = arch_switch_bare(&other_sp, main_sp, message, control_words);
}

static void other_full(uintptr_t message)
{
	for (;; turns++)
		message = arch_switch(&other_sp, main_sp, message);
}

static void prepare(void (*entry)(uintptr_t))
{
	static char stack[65536];

	control_words = arch_control_words();
	other_sp = arch_frame(stack + sizeof stack - 64, entry, control_words);
}

/* An operation is one switch: there and back are two. */
static int switch_bare(void *unused)
{
	(void)unused;
	prepare(other_bare);
	for (long i = 0; i < n; i += 2)
		arch_switch_bare(&main_sp, other_sp, 0, control_words);
	CHECK(turns == n / 2 - 1);
	return 0;
}

static int switch_full(void *unused)
{
	(void)unused;
	prepare(other_full);
	for (long i = 0; i < n; i += 2)
		arch_switch(&main_sp, other_sp, 0);
	CHECK(turns == n / 2 - 1);
	return 0;
}

/* ---- the scheduler*/

static int turn(void *unused)
{
	(void)unused;
	while (turns < n) {
		turns++;
		fiber_yield();
	}
	return 0;
}

static int yields(void *unused)
{
	fiber_t fibers[8];

	(void)unused;
	for (int i = 0; i < 8; i++)
		CHECK(fiber_spawn(&fibers[i], NULL, turn, NULL) == 0);
	for (int i = 0; i < 8; i++)
		CHECK(fiber_join(fibers[i], NULL) == 0);
	CHECK(turns == n);
	return 0;
}

static int nothing(void *i)
{
	turns++;
	return (int)(long)i;
}

static int spawn_and_join(void *unused)
{
	fiber_t fiber;
	int result;

	(void)unused;
	for (long i = 0; i < n; i++) {
		CHECK(fiber_spawn(&fiber, NULL, nothing, (void *)(i & 0xffff)) == 0);
		CHECK(fiber_join(fiber, &result) == 0 && result == (i & 0xffff));
	}
	CHECK(turns == n);
	return 0;
}

static int wait_often(void *unused)
{
	(void)unused;
	for (; turns < n; turns++)
		CHECK(fiber_park() == 0);
	return 0;
}

/* An operation is one wait: a park, an unpark, two switches, a yield. */
static int park_and_unpark(void *unused)
{
	fiber_t fiber;

	(void)unused;
	CHECK(fiber_spawn(&fiber, NULL, wait_often, NULL) == 0);
	while (turns < n) {
		fiber_unpark(fiber);
		fiber_yield();
	}
	CHECK(fiber_join(fiber, NULL) == 0);
	return 0;
}

/* ---- locks*/

static int lock_and_unlock(void *unused)
{
	static fiber_mutex_t mutex;

	(void)unused;
	for (; turns < n; turns++) {
		fiber_mutex_lock(&mutex);
		fiber_mutex_unlock(&mutex);
	}
	return 0;
}

static int lock_to_read(void *unused)
{
	static fiber_rwlock_t lock;

	(void)unused;
	for (; turns < n; turns++) {
		fiber_rwlock_rdlock(&lock);
		fiber_rwlock_unlock(&lock);
	}
	return 0;
}

static int lock_to_write(void *unused)
{
	static fiber_rwlock_t lock;

	(void)unused;
	for (; turns < n; turns++) {
		fiber_rwlock_wrlock(&lock);
		fiber_rwlock_unlock(&lock);
	}
	return 0;
}

static int post_and_wait(void *unused)
{
	static fiber_sem_t sem;

	(void)unused;
	for (; turns < n; turns++) {
		fiber_sem_post(&sem);
		CHECK(fiber_sem_wait(&sem) == 0);
	}
	return 0;
}

/* ---- channels*/

static fiber_chan_t *there, *back;

static int answer(void *unused)
{
	long message;

	(void)unused;
	for (long i = 0; i < n; i++) {
		CHECK(fiber_chan_recv(there, &message) == 0);
		CHECK(fiber_chan_send(back, &message) == 0);
	}
	return 0;
}

/* An operation is four calls: a message and its answer. */
static int there_and_back(void *unused)
{
	fiber_t fiber;
	long message;

	(void)unused;
	CHECK(fiber_chan_create(&there, sizeof(long), 0) == 0);
	CHECK(fiber_chan_create(&back, sizeof(long), 0) == 0);
	CHECK(fiber_spawn(&fiber, NULL, answer, NULL) == 0);
	for (; turns < n; turns++) {
		CHECK(fiber_chan_send(there, &turns) == 0);
		CHECK(fiber_chan_recv(back, &message) == 0 && message == turns);
	}
	return fiber_join(fiber, NULL);
}

/* Within one fiber: a send and a receive without any switch. */
static int through_a_buffer(void *unused)
{
	long message;

	(void)unused;
	CHECK(fiber_chan_create(&there, sizeof(long), 64) == 0);
	for (; turns < n; turns++) {
		CHECK(fiber_chan_send(there, &turns) == 0);
		CHECK(fiber_chan_recv(there, &message) == 0 && message == turns);
	}
	return 0;
}

/* ---- generators*/

static void *every_number(fiber_gen_t *self, void *unused)
{
	for (intptr_t i = 0; fiber_gen_yield(self, (void *)i, NULL) == 0; i++)
		turns++;
	return unused;
}

static int resume_and_yield(void *unused)
{
	fiber_gen_t *gen;
	void *value;

	(void)unused;
	CHECK(fiber_gen_create(&gen, NULL, every_number, NULL) == 0);
	for (long i = 0; i < n; i++)
		CHECK(fiber_gen_resume(gen, NULL, &value) == 1 && (intptr_t)value == i);
	CHECK(turns == n - 1);
	return fiber_gen_destroy(gen);
}

/* ---- the event queue*/

/* A byte goes to the other end and is waited for there: what the queue adds to epoll is the
 * difference of the two. */
static void pair_of(int fds[2])
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
}

static void hit(int from, int to)
{
	char ball = 'o';

	CHECK(write(from, &ball, 1) == 1 && read(to, &ball, 1) == 1);
}

static int queue_event(void *unused)
{
	fiber_queue_event_t event;
	fiber_queue_t *queue;
	int fds[2];

	(void)unused;
	pair_of(fds);
	CHECK(fiber_queue_create(&queue) == 0);
	CHECK(fiber_queue_register(queue, fds[0], 7, FIBER_QUEUE_WRITABLE) == 0);
	for (; turns < n; turns++) {
		CHECK(fiber_queue_wait(queue, &event, 1, FIBER_NEVER) == 1 && event.token == 7);
		hit(fds[0], fds[1]);
	}
	return fiber_queue_destroy(queue);
}

static int epoll_event(void *unused)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 7};
	int fds[2], epoll = epoll_create1(0);

	(void)unused;
	pair_of(fds);
	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event) == 0);
	for (; turns < n; turns++) {
		CHECK(epoll_wait(epoll, &event, 1, -1) == 1 && event.data.u64 == 7);
		hit(fds[0], fds[1]);
	}
	return 0;
}

static sem_t over;

static void *sleep_until_over(void *unused)
{
	sem_wait(&over);
	return unused;
}

/* Where a loop runs. */
enum { PLAIN = 0, FIBER = 1, SECOND_THREAD = 2 };

static const struct {
	const char *name;
	fiber_fn *run;
	int where;
} whats[] = {
	{"switch bare", switch_bare, PLAIN},
	{"switch full", switch_full, PLAIN},
	{"yield", yields, FIBER},
	{"spawn and join", spawn_and_join, FIBER},
	{"park and unpark", park_and_unpark, FIBER},
	{"lock and unlock", lock_and_unlock, FIBER},
	{"lock to read", lock_to_read, FIBER},
	{"lock to write", lock_to_write, FIBER},
	{"post and wait", post_and_wait, FIBER},
	{"there and back", there_and_back, FIBER},
	{"through a buffer", through_a_buffer, FIBER},
	{"resume and yield", resume_and_yield, FIBER},
	{"resume and yield on a thread", resume_and_yield, PLAIN},
	{"resume and yield, two threads", resume_and_yield, FIBER | SECOND_THREAD},
	{"event of bare epoll", epoll_event, PLAIN},
	{"event of a queue", queue_event, PLAIN},
	{"event of a queue, two threads", queue_event, SECOND_THREAD},
	{"lock and unlock on a thread", lock_and_unlock, PLAIN},
	{"lock and unlock, two threads", lock_and_unlock, FIBER | SECOND_THREAD},
	{"lock to read, two threads", lock_to_read, FIBER | SECOND_THREAD},
	{"lock to write, two threads", lock_to_write, FIBER | SECOND_THREAD},
	{"post and wait, two threads", post_and_wait, FIBER | SECOND_THREAD},
	{"there and back, two threads", there_and_back, FIBER | SECOND_THREAD},
	{"through a buffer, two threads", through_a_buffer, FIBER | SECOND_THREAD},
};

static int run(fiber_fn *loop, int where)
{
	fiber_options_t options = {.workers = 1};
	pthread_t thread;
	int r;

	if (where & SECOND_THREAD)
		CHECK(pthread_create(&thread, NULL, sleep_until_over, NULL) == 0);
	r = where & FIBER ? fiber_run(&options, loop, NULL) : loop(NULL);
	if (where & SECOND_THREAD) {
		sem_post(&over);
		pthread_join(thread, NULL);
	}
	return r != 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	n = atol(argv[2]);
	for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++)
		if (!strcmp(argv[1], whats[i].name))
			return run(whats[i].run, whats[i].where);
	return 2;
}
