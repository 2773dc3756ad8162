/* What gdb_stack.py stops in: a fiber a few calls deep, before and after it was parked, one that
 * another thread runs, and a generator, whose stack is its own. */
#include <fiber/gen.h>

#define DEEP __attribute__((__noinline__))

/* Not a tail call: each caller is to be seen. */
#define FRAME __asm__ volatile("")

static DEEP void deepest(int stops)
{
	(void)stops;
	FRAME;
}

static DEEP void deeper(int stops)
{
	deepest(stops);
	for (int i = 1; i < stops; i++) {
		fiber_yield();
		deepest(stops);
	}
	FRAME;
}

static DEEP void deep(int stops)
{
	deeper(stops);
	FRAME;
}

static int task(void *arg)
{
	deep(*(int *)arg);
	return 0;
}

static void *generator(fiber_gen_t *self, void *arg)
{
	fiber_gen_yield(self, NULL, NULL);
	deep(*(int *)arg);
	return NULL;
}

static int resumer(void *arg)
{
	fiber_gen_t *gen;
	int r = fiber_gen_create(&gen, NULL, generator, arg);

	while (r == 0 && fiber_gen_resume(gen, NULL, NULL) > 0)
		;
	return r < 0 ? r : fiber_gen_destroy(gen);
}

static int spawner(void *arg)
{
	fiber_t fibers[2], elsewhere, inside;
	const fiber_attr_t second = { .worker = 2 };
	int r;

	for (int i = 0; i < 2; i++)
		if ((r = fiber_spawn(&fibers[i], NULL, task, arg)) < 0)
			return r;
	if ((r = fiber_spawn(&elsewhere, &second, task, arg)) < 0)
		return r;
	if ((r = fiber_spawn(&inside, NULL, resumer, arg)) < 0)
		return r;
	for (int i = 0; i < 2; i++)
		fiber_join(fibers[i], NULL);
	fiber_join(inside, NULL);
	return fiber_join(elsewhere, NULL);
}

int main(void)
{
	int stops = 2;

	return fiber_run(&(fiber_options_t){ .workers = 2 }, spawner, &stops) != 0;
}
