/* What unwinders make of a context, and of every single instruction of the switch. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <unwind.h>

#include "arch.h"
#include "law.h"
#include "registers.h"
#include "steps.h"

static _Alignas(64) char stack[128 * 1024];
static void *here, *there;

static void *const top = stack + sizeof stack;

enum { FRAMES_MOST = 256 };

struct walk {
	unsigned frames;
	uintptr_t ip[FRAMES_MOST];
	uint64_t registers[FRAMES_MOST][REGISTERS];
	_Unwind_Reason_Code end;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
	static const int dwarf[REGISTERS] = REGISTERS_DWARF;
	struct walk *w = argument;

	if (w->frames == FRAMES_MOST)
		return _URC_NORMAL_STOP;
	w->ip[w->frames] = _Unwind_GetIP(context);
	if (!w->ip[w->frames]) /* libgcc shows the end of the stack as a frame, too */
		return _URC_NO_REASON;
	for (int i = 0; i < REGISTERS; i++)
		w->registers[w->frames][i] = _Unwind_GetGR(context, dwarf[i]);
	w->frames++;
	return _URC_NO_REASON;
}

static void walk(struct walk *w)
{
	w->frames = 0;
	w->end = _Unwind_Backtrace(note_frame, w);
}

/* The function that this return address belongs to, by the unwind tables: they name functions
 * without a symbol too, and look up the byte before. */
static void *function_of(uintptr_t return_address)
{
	return _Unwind_FindEnclosingFunction((void *)return_address);
}

static struct walk walked;

static __attribute__((__noinline__)) int descend(unsigned depth)
{
	volatile int below = 0;

	if (depth)
		below = descend(depth - 1);
	else
		walk(&walked);
	return below + 1; /* not a tail call */
}

static void walk_at(uintptr_t depth)
{
	for (;;) {
		volatile int frames = descend((unsigned)depth);

		(void)frames;
		depth = arch_switch(&there, here, 0);
	}
}

/* The trampoline: the address right behind its nop, as a first frame has it, leads there. */
static void *arch_entry(void)
{
	char memory[256];

	return function_of(first_instruction(arch_frame(memory + sizeof memory, walk_at, 0)));
}

Test(arch_walk, a_walk_from_any_depth_ends_at_the_entry, .timeout = 10)
{
	static const unsigned depths[] = { 0, 1, 7, 100 };

	there = arch_frame(top, walk_at, arch_control_words());
	for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
		unsigned last, n = 0;

		arch_switch(&here, there, depths[i]);
		last = walked.frames - 1;
		cr_expect(walked.end == _URC_END_OF_STACK, "it ended with %d", walked.end);
		cr_expect(function_of(walked.ip[last]) == arch_entry());
		cr_expect(function_of(walked.ip[last - 1]) == (void *)walk_at);
		for (unsigned f = 0; f < walked.frames; f++)
			n += function_of(walked.ip[f]) == (void *)descend;
		cr_expect(n == depths[i] + 1, "%u frames of %u", n, depths[i] + 1);
	}
}

/* Single steps: a stop before every instruction of a switch, and a walk from each. What must be
 * there is
 *
 *	before the exchange of stacks		after it
 *	the switch				the switch
 *	switch_with, registers as loaded	switch_with, registers as loaded by the other side
 *	... to main				... to the trampoline
 *
 * or the other way round. */
static struct {
	struct walk walk;
	uint64_t loaded[2][REGISTERS]; /* 0: on the test's own stack, 1: on the context's */
	unsigned steps, first_frames;
	unsigned wrong_caller, wrong_registers, wrong_end, both_sides;
} stepping;

static bool on_stack(uintptr_t sp)
{
	return sp - (uintptr_t)stack <= sizeof stack;
}

/* The frame that was interrupted: the one whose ip is exactly there. */
static unsigned interrupted_frame(const struct walk *w, uintptr_t pc)
{
	unsigned f = 0;

	while (f < w->frames && w->ip[f] != pc)
		f++;
	return f;
}

/* Not on a stack that AddressSanitizer was told about, which it would mention. */
__attribute__((__no_sanitize__("address"))) static void give_up(uintptr_t message)
{
	(void)message;
	steps_arm(arch_leave);
	arch_leave(here, 0);
}

static void check_walk(const struct walk *w, unsigned caller, bool away)
{
	void *function = function_of(w->ip[caller]);
	bool ends_at_entry = function_of(w->ip[w->frames - 1]) == arch_entry();

	if (w->end != _URC_END_OF_STACK || ends_at_entry != away)
		stepping.wrong_end++;
	if (function == arch_entry()) {
		stepping.first_frames++; /* never ran: nothing has called and nothing is loaded */
		return;
	}
	if (function == (void *)give_up && away)
		return; /* calls arch_leave, with registers that are the compiler's business */
	if (function != (void *)switch_with)
		stepping.wrong_caller++;
	if (memcmp(w->registers[caller], stepping.loaded[away], sizeof stepping.loaded[0]))
		stepping.wrong_registers++;
}

/* The switch keeps nothing below its stack pointer: rules that still look there are stale. */
__attribute__((__no_sanitize__("address", "thread"))) static void wipe_below(uintptr_t sp)
{
	for (int i = 1; i <= FIRST_FRAME_BYTES / 8; i++)
		((volatile uint64_t *)sp)[-i] = 0xdddddddddddddddd;
}

static void step(uintptr_t pc, uintptr_t sp)
{
	bool away = on_stack(sp);
	unsigned frame;

	stepping.steps++;
	stepping.both_sides |= 1u << away;
	wipe_below(sp);
	walk(&stepping.walk);
	frame = interrupted_frame(&stepping.walk, pc);
	if (frame + 1 >= stepping.walk.frames)
		stepping.wrong_end++;
	else
		check_walk(&stepping.walk, frame + 1, away);
}

struct exchange {
	const void *go;
	uint64_t control_words;
	uint64_t random;
};

static void step_there(uintptr_t message)
{
	const struct exchange *x = (const struct exchange *)message;
	uint64_t out[REGISTERS], random = ~x->random;

	for (;;) {
		adversarial(stepping.loaded[1], &random);
		steps_arm(x->go);
		switch_with(stepping.loaded[1], out, &there, here, 0, x->go, x->control_words);
	}
}

static void begin(void)
{
	steps_begin(step);
	walk(&stepping.walk); /* the first one of a process may load and allocate */
}

static void end(void)
{
	steps_end();
	cr_expect(stepping.both_sides == 3);
	cr_expect(stepping.wrong_caller == 0, "%u name another caller", stepping.wrong_caller);
	cr_expect(stepping.wrong_registers == 0, "%u find wrong registers",
		  stepping.wrong_registers);
	cr_expect(stepping.wrong_end == 0, "%u do not end cleanly", stepping.wrong_end);
}

static void walks_are_right_at_every_instruction(const void *go)
{
	struct exchange x = { go, arch_control_words(), law_seed() };
	uint64_t out[REGISTERS], random = x.random;

	begin();
	there = arch_frame(top, step_there, x.control_words);
	for (unsigned i = 0; i < 3; i++) {
		adversarial(stepping.loaded[0], &random);
		steps_arm(go);
		switch_with(stepping.loaded[0], out, &here, there, (uintptr_t)&x, go,
			    x.control_words);
	}
	end();
	/* Three switches there and three back, alike, of 15 instructions or more. */
	cr_expect(stepping.steps >= 6 * 15 && stepping.steps % 6 == 0, "%u steps", stepping.steps);
	cr_expect(stepping.first_frames > 0);
}

Test(arch_walk, walks_are_right_at_every_instruction_of_a_switch, .timeout = 60)
{
	walks_are_right_at_every_instruction(arch_switch);
}

Test(arch_walk, walks_are_right_at_every_instruction_of_a_bare_switch, .timeout = 60)
{
	walks_are_right_at_every_instruction(arch_switch_bare);
}

Test(arch_walk, walks_are_right_at_every_instruction_of_giving_up, .timeout = 60)
{
	uint64_t out[REGISTERS], random = law_seed();

	begin();
	there = arch_frame(top, give_up, arch_control_words());
	adversarial(stepping.loaded[0], &random);
	switch_with(stepping.loaded[0], out, &here, there, 0, arch_switch, 0);
	end();
	cr_expect(stepping.steps >= 10, "%u steps", stepping.steps);
}

/* ---- starting ---------------------------------------------------------------------------------*/
/* On the empty stack nothing has called: the walk ends where it begins. At home, before and after,
 * start_here has. */
static void step_start(uintptr_t pc, uintptr_t sp)
{
	bool away = on_stack(sp);
	struct walk *w = &stepping.walk;
	unsigned frame;

	stepping.steps++;
	stepping.both_sides |= 1u << away;
	wipe_below(sp);
	walk(w);
	frame = interrupted_frame(w, pc);
	stepping.first_frames += away;
	if (w->end != _URC_END_OF_STACK || frame >= w->frames || away != (frame + 1 == w->frames))
		stepping.wrong_end++;
}

/* The first goes on with another empty stack, the second where it all began. */
static struct arch_next start_twice(uintptr_t second)
{
	struct arch_next where = { stack + sizeof stack / 2 + 1, 1 };

	if (second)
		where = (struct arch_next){ here, 0 };
	steps_arm(arch_entry());
	return where;
}

static __attribute__((__noinline__)) uintptr_t start_here(void)
{
	volatile uintptr_t message;

	steps_arm(arch_start);
	message = arch_start(&here, top, start_twice, 0, arch_control_words());
	return message; /* not a tail call */
}

Test(arch_walk, walks_are_right_at_every_instruction_of_starting, .timeout = 60)
{
	steps_begin(step_start);
	walk(&stepping.walk);
	start_here();
	end();
	/* arch_start; behind the first return, up to the next call; behind the second. */
	cr_expect(stepping.steps >= 30, "%u steps", stepping.steps);
	cr_expect(stepping.first_frames >= 6, "%u on the empty stacks", stepping.first_frames);
}
