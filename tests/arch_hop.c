/* The hop: what survives it, what it hands over and says, and what unwinders make of each of its
 * instructions. As arch.c and arch_walk.c ask of the switch. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unwind.h>

#include "arch.h"
#include "registers.h"
#include "steps.h"

static _Alignas(64) char stack[128 * 1024];
static void *here, *there;
static _Atomic uint32_t said;

static void *const top = stack + sizeof stack;

/* switch_with hands its last argument over where a hop takes the word. */
static uint64_t word(void)
{
	return (uintptr_t)&said;
}

/* ---- registers, messages, the word ------------------------------------------------------------*/
static const void *hop;
static uint64_t seed;

static void registers_survive(void **save, void *to, uint64_t *random)
{
	uint64_t in[REGISTERS], out[REGISTERS];

	adversarial(in, random);
	memset(out, 0x5c, sizeof out);
	switch_with(in, out, save, to, 0, hop, word());
	for (int i = 0; i < REGISTERS; i++)
		cr_expect(in[i] == out[i], "register %d: %#lx became %#lx", i, in[i], out[i]);
}

static void other_side(uintptr_t message)
{
	uint64_t random = ~seed;

	(void)message;
	for (;;)
		registers_survive(&there, here, &random);
}

static void exchange(const void *go)
{
	uint64_t random = seed = law_seed();
	unsigned rounds = law_rounds(20000);

	hop = go;
	there = arch_frame(top, other_side, arch_control_words());
	for (unsigned i = 0; i < rounds; i++)
		registers_survive(&here, there, &random);
}

Test(arch_hop, every_register_that_a_function_must_keep_survives, .timeout = 60)
{
	exchange((const void *)arch_hop);
	exchange((const void *)arch_hop_bare);
}

static void *saved_when_told;
static int received;

static void answers(uintptr_t message)
{
	cr_expect(message == 0xa11ce);
	cr_expect(said == 7, "what was said there is known here");
	saved_when_told = here;
	received = arch_hop(&there, here, (uintptr_t)-3, &said, 8);
	cr_expect(said == UINT32_MAX);
	for (;;)
		arch_hop_bare(&there, here, 0, &said, 9);
}

Test(arch_hop, messages_are_handed_over_and_the_word_says_so, .timeout = 10)
{
	there = arch_frame(top, answers, arch_control_words());
	cr_expect(arch_hop(&here, there, 0xa11ce, &said, 7) == -3);
	cr_expect(saved_when_told == here);
	cr_expect(said == 8);
	cr_expect(arch_hop_bare(&here, there, 5, &said, UINT32_MAX) == 0);
	cr_expect(received == 5);
	cr_expect(said == 9);
}

static void keeps_its_words(uintptr_t n)
{
	for (;;) {
		uint64_t words = nth_words((unsigned)n);

		set_words(words);
		n = (uintptr_t)arch_hop(&there, here, 0, &said, 0);
		cr_expect(arch_control_words() == words);
	}
}

Test(arch_hop, each_side_keeps_its_control_words, .timeout = 10)
{
	uint64_t before = arch_control_words();

	there = arch_frame(top, keeps_its_words, before);
	for (unsigned n = 0; n < 48; n++) {
		arch_hop(&here, there, n, &said, 0);
		cr_expect(arch_control_words() == before);
	}
}

/* ---- walks ------------------------------------------------------------------------------------*/
enum { FRAMES_MOST = 64 };

static struct {
	uint64_t loaded[2][REGISTERS]; /* 0: on the test's own stack, 1: on the context's */
	unsigned steps, at_entry, both_sides;
	unsigned wrong_caller, wrong_registers, wrong_end;
} stepping;

struct walk {
	uintptr_t pc;           /* of the frame that was interrupted */
	bool inside, caller;    /* it was met; the one after it as well */
	bool away;              /* on the context's stack */
	void *last;
};

static void check_caller(struct walk *w, struct _Unwind_Context *context)
{
	static const int dwarf[REGISTERS] = REGISTERS_DWARF;
	uint64_t registers[REGISTERS];

	if (w->last != (void *)switch_with) {
		stepping.at_entry += w->away;
		stepping.wrong_caller += !w->away;
		return; /* never ran: nothing has called and nothing is loaded */
	}
	for (int i = 0; i < REGISTERS; i++)
		registers[i] = _Unwind_GetGR(context, dwarf[i]);
	if (memcmp(registers, stepping.loaded[w->away], sizeof registers))
		stepping.wrong_registers++;
}

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
	struct walk *w = argument;
	uintptr_t ip = _Unwind_GetIP(context);

	if (!ip)
		return _URC_NO_REASON; /* libgcc shows the end of the stack as a frame, too */
	w->last = _Unwind_FindEnclosingFunction((void *)ip);
	if (w->inside && !w->caller) {
		w->caller = true;
		check_caller(w, context);
	}
	w->inside |= ip == w->pc;
	return _URC_NO_REASON;
}

static void *arch_entry(void)
{
	char memory[128];

	return _Unwind_FindEnclosingFunction(
		(void *)first_instruction(arch_frame(memory + sizeof memory, other_side, 0)));
}

/* The hop keeps nothing below its stack pointer: rules that still look there are stale. */
__attribute__((__no_sanitize__("address", "thread"))) static void wipe_below(uintptr_t sp)
{
	for (int i = 1; i <= FIRST_FRAME_BYTES / 8; i++)
		((volatile uint64_t *)sp)[-i] = 0xdddddddddddddddd;
}

static void step(uintptr_t pc, uintptr_t sp)
{
	struct walk w = { .pc = pc, .away = sp - (uintptr_t)stack <= sizeof stack };

	stepping.steps++;
	stepping.both_sides |= 1u << w.away;
	wipe_below(sp);
	if (_Unwind_Backtrace(note_frame, &w) != _URC_END_OF_STACK || !w.caller ||
	    (w.last == arch_entry()) != w.away)
		stepping.wrong_end++;
}

static void hops_away(int side, void **save, void *to, uint64_t *random)
{
	uint64_t out[REGISTERS];

	adversarial(stepping.loaded[side], random);
	steps_arm(hop);
	switch_with(stepping.loaded[side], out, save, to, 0, hop, word());
}

static void hops_back(uintptr_t message)
{
	uint64_t random = ~seed;

	(void)message;
	for (;;)
		hops_away(1, &there, here, &random);
}

static void walks_are_right(const void *go)
{
	uint64_t random = seed = law_seed();

	hop = go;
	memset(&stepping, 0, sizeof stepping);
	there = arch_frame(top, hops_back, arch_control_words());
	for (int i = 0; i < 3; i++)
		hops_away(0, &here, there, &random);
	cr_expect(stepping.both_sides == 3);
	cr_expect(stepping.wrong_caller == 0, "%u name another caller", stepping.wrong_caller);
	cr_expect(stepping.wrong_registers == 0, "%u find wrong registers",
		  stepping.wrong_registers);
	cr_expect(stepping.wrong_end == 0, "%u do not end cleanly", stepping.wrong_end);
	/* Three hops there and three back, alike, of 15 instructions or more. */
	cr_expect(stepping.steps >= 6 * 15 && stepping.steps % 6 == 0, "%u steps", stepping.steps);
	cr_expect(stepping.at_entry > 0);
}

static _Unwind_Reason_Code ignore(struct _Unwind_Context *context, void *argument)
{
	(void)context, (void)argument;
	return _URC_NO_REASON;
}

Test(arch_hop, walks_are_right_at_every_instruction, .timeout = 60)
{
	_Unwind_Backtrace(ignore, NULL); /* the first one of a process may load and allocate */
	steps_begin(step);
	walks_are_right((const void *)arch_hop);
	walks_are_right((const void *)arch_hop_bare);
	steps_end();
}
