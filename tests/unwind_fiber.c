/* Walks from inside a fiber: every frame, from any depth, before and after it was parked, and an
 * end at the fiber's entry; in a generator at that one's. The instructions of the switch itself
 * are the business of arch_walk.c. */
#include <criterion/criterion.h>
#include <fiber/gen.h>
#include <stdint.h>
#include <stdlib.h>
#include <unwind.h>

#include "arch.h"
#include "law.h"
#include "processor.h"

enum { FRAMES_MOST = 256 };

struct walk {
	unsigned depth, parks;
	unsigned frames;
	void *function[FRAMES_MOST];
	_Unwind_Reason_Code end;
};

/* By the unwind tables: they name functions without a symbol too. */
static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
	struct walk *w = argument;
	uintptr_t ip = _Unwind_GetIP(context);

	if (w->frames == FRAMES_MOST)
		return _URC_NORMAL_STOP;
	if (ip) /* libgcc shows the end of the stack as a frame, too */
		w->function[w->frames++] = _Unwind_FindEnclosingFunction((void *)ip);
	return _URC_NO_REASON;
}

static void never_called(uintptr_t message)
{
	(void)message;
}

/* Where contexts begin: a first frame's return address leads there. */
static void *arch_entry(void)
{
	char memory[256];
	void *context = arch_frame(memory + sizeof memory, never_called, 0);

	return _Unwind_FindEnclosingFunction((void *)first_instruction(context));
}

static __attribute__((__noinline__)) int descend(struct walk *w, unsigned depth)
{
	volatile int below = 0; /* no tail call: each level is to be seen */

	if (depth)
		below = descend(w, depth - 1);
	for (unsigned i = 0; depth == 0 && i < w->parks; i++)
		fiber_yield();
	if (depth == 0)
		w->end = _Unwind_Backtrace(note_frame, w);
	return below + 1;
}

static __attribute__((__noinline__)) int walker(void *arg)
{
	struct walk *w = arg;
	volatile int levels = descend(w, w->depth);

	return levels;
}

static void *walks_inside(fiber_gen_t *self, void *arg)
{
	fiber_gen_yield(self, NULL, NULL);
	walker(arg);
	return NULL;
}

/* A generator ends the walk: the fiber's own frames are not seen. */
static int walker_in_a_generator(void *arg)
{
	struct walk *w = arg;
	fiber_gen_t *gen;

	cr_expect(fiber_gen_create(&gen, NULL, walks_inside, arg) == 0);
	while (fiber_gen_resume(gen, NULL, NULL) > 0)
		fiber_yield();
	cr_expect(fiber_gen_destroy(gen) == 0);
	for (unsigned f = 0; f < w->frames; f++)
		cr_expect(w->function[f] != (void *)walker_in_a_generator);
	return (int)w->depth + 1;
}

static void check(const struct walk *w)
{
	unsigned levels = 0, walkers = 0;

	cr_expect(w->end == _URC_END_OF_STACK, "it ended with %d", w->end);
	for (unsigned f = 0; f < w->frames; f++) {
		levels += w->function[f] == (void *)descend;
		walkers += w->function[f] == (void *)walker;
		cr_expect(w->function[f] != NULL, "frame %u of %u belongs to nobody", f, w->frames);
	}
	cr_expect(levels == w->depth + 1, "%u levels of %u", levels, w->depth + 1);
	cr_expect(walkers == 1);
	cr_expect(w->frames > 0 && w->function[w->frames - 1] == arch_entry());
}

static fiber_fn *walking = walker;

static int walks_from_any_depth(void *arg)
{
	static const unsigned depths[] = { 0, 1, 7, 100 };
	enum { DEPTHS = sizeof depths / sizeof *depths, PARKS = 3 };
	static struct walk walks[DEPTHS * PARKS];
	fiber_t fibers[DEPTHS * PARKS];
	const fiber_attr_t *attr = arg;

	/* All at once, so that a yield lets another run, and a roaming one may come back
	 * elsewhere. */
	for (unsigned i = 0; i < DEPTHS * PARKS; i++) {
		walks[i] = (struct walk){ .depth = depths[i % DEPTHS], .parks = i / DEPTHS };
		cr_expect(fiber_spawn(&fibers[i], attr, walking, &walks[i]) == 0);
	}
	for (unsigned i = 0; i < DEPTHS * PARKS; i++) {
		int levels = 0;

		cr_expect(fiber_join(fibers[i], &levels) == 0);
		cr_expect(levels == (int)walks[i].depth + 1);
		check(&walks[i]);
	}
	return 0;
}

Test(unwind_fiber, a_walk_shows_every_frame_and_ends_at_the_entry, .timeout = 20)
{
	law_holds(walks_from_any_depth, NULL);
}

Test(unwind_fiber, a_walk_shows_the_same_after_a_move_to_another_thread, .timeout = 20)
{
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds(walks_from_any_depth, &(fiber_attr_t){ .flags = FIBER_ROAM });
}

Test(unwind_fiber, a_fiber_that_leaves_the_control_words_alone_is_walked_as_well, .timeout = 20)
{
	law_holds(walks_from_any_depth, &(fiber_attr_t){ .flags = FIBER_NO_FPU });
}

Test(unwind_fiber, a_walk_from_inside_a_generator_ends_at_its_entry, .timeout = 20)
{
	walking = walker_in_a_generator;
	law_holds(walks_from_any_depth, NULL);
	setenv("FIBER_TEST_MOVE", "1", 1);
	law_holds(walks_from_any_depth, &(fiber_attr_t){ .flags = FIBER_ROAM });
}
