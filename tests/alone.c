/* In a process with one thread the atomics of os/atomic.h are plain loads and stores. A program of
 * its own, because a Criterion worker has two threads from the start. */
#include <stdio.h>
#include <stdlib.h>

#include "os/atomic.h"
#include "os/deque.h"
#include "os/os.h"
#include "os/spin.h"

#define EXPECT(x) expect(x, #x, __LINE__)

static void expect(bool held, const char *what, int line)
{
	if (held)
		return;
	fprintf(stderr, "alone.c:%d: %s\n", line, what);
	exit(1);
}

static _Atomic uint64_t wide = 7;
static _Atomic uint32_t narrow = 7;
static struct deque deque;
static struct spin guard;
static uintptr_t stolen;
static _Atomic uint64_t sum;

/* The same answers, alone and not. */
static void words(void)
{
	uint64_t expected = 8;

	EXPECT(!atomic_cas64(&wide, &expected, 9) && expected == 7);
	EXPECT(atomic_cas64(&wide, &expected, 9) && wide == 9);
	EXPECT(atomic_swap64(&wide, 6) == 9 && wide == 6);
	EXPECT(atomic_or64(&wide, 1) == 6 && wide == 7);
	EXPECT(atomic_and64(&wide, 5) == 7 && wide == 5);
	EXPECT(atomic_add64(&wide, 2) == 5 && wide == 7);
	EXPECT(atomic_swap32(&narrow, 4) == 7 && narrow == 4);
	EXPECT(atomic_or32(&narrow, 3) == 4 && narrow == 7);
	EXPECT(spin_trylock(&guard) && !spin_trylock(&guard));
	spin_unlock(&guard);
	spin_lock(&guard);
	spin_unlock(&guard);
}

static void items(void)
{
	EXPECT(deque_pop(&deque) == NULL && deque_steal(&deque) == NULL);
	for (uintptr_t i = 1; i <= 1000; i++)
		EXPECT(deque_push(&deque, (void *)i) == 0);
	for (uintptr_t i = 1000; i >= 1; i--)
		EXPECT(deque_pop(&deque) == (void *)i);
	EXPECT(deque_pop(&deque) == NULL && deque_empty(&deque));
}

static void add_many(void *argument)
{
	(void)argument;
	for (int i = 0; i < 100000; i++)
		atomic_add64(&sum, 1);
}

/* What was left by plain stores is there for the first thread that comes. */
static void thief(void *argument)
{
	(void)argument;
	stolen = (uintptr_t)deque_steal(&deque);
	words();
	add_many(NULL);
}

int main(void)
{
	struct os_thread *thread;

	if (!os_alone()) {
		printf("this C library does not tell\n");
		return 77;
	}
	words();
	EXPECT(deque_init(&deque) == 0);
	items();
	for (uintptr_t i = 1; i <= 3; i++)
		EXPECT(deque_push(&deque, (void *)i) == 0);
	EXPECT(os_thread_start(&thread, thief, NULL, "thief") == 0);
	EXPECT(!os_alone());
	add_many(NULL);
	os_thread_join(thread);
	EXPECT(stolen == 1);
	EXPECT(sum == 200000);
	EXPECT(deque_pop(&deque) == (void *)3 && deque_pop(&deque) == (void *)2);
	items();
	words();
	deque_destroy(&deque);
	return 0;
}
