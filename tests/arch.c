/* The switch, contract 1: what survives it, what it hands over, where a context begins. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "arch.h"
#include "law.h"
#include "registers.h"

/* A context of the test's, and the one it comes back to. */
static _Alignas(64) char stack[128 * 1024];
static void *here, *there;

static void *const top = stack + sizeof stack;

/* Two that differ from each other, and from what a thread begins with. */
#define BEGINNING_WORDS nth_words(33)
#define ENDING_WORDS nth_words(22)

/* ---- registers --------------------------------------------------------------------------------*/

struct exchange {
	const void *go;
	uint64_t control_words;
	uint64_t random;
};

static void registers_survive(const struct exchange *x, void **save, void *to, uint64_t *random)
{
	uint64_t in[REGISTERS], out[REGISTERS];

	adversarial(in, random);
	memset(out, 0x5c, sizeof out);
	switch_with(in, out, save, to, (uintptr_t)x, x->go, x->control_words);
	for (int i = 0; i < REGISTERS; i++)
		cr_expect(in[i] == out[i], "register %d: %#lx became %#lx", i, in[i], out[i]);
}

static void other_side(uintptr_t message)
{
	const struct exchange *x = (const struct exchange *)message;
	uint64_t random = ~x->random;

	for (;;)
		registers_survive(x, &there, here, &random);
}

static void exchange(const void *go)
{
	struct exchange x = { go, arch_control_words(), law_seed() };
	unsigned rounds = law_rounds(20000);
	uint64_t random = x.random;

	there = arch_frame(top, other_side, x.control_words);
	for (unsigned i = 0; i < rounds; i++)
		registers_survive(&x, &here, there, &random);
}

Test(arch, every_register_that_a_function_must_keep_survives_a_switch, .timeout = 60)
{
	exchange(arch_switch);
}

Test(arch, every_register_that_a_function_must_keep_survives_a_bare_switch, .timeout = 60)
{
	exchange(arch_switch_bare);
}

/* ---- messages and the first frame -------------------------------------------------------------*/

static uintptr_t received[4];

static void take_and_answer(uintptr_t message)
{
	received[0] = message;
	received[1] = arch_switch(&there, here, 0xb0b);
	received[2] = arch_switch_bare(&there, here, UINTPTR_MAX, arch_control_words());
	for (;;)
		arch_switch(&there, here, 0);
}

Test(arch, each_side_receives_what_the_other_gave, .timeout = 10)
{
	there = arch_frame(top, take_and_answer, arch_control_words());
	cr_expect(arch_switch(&here, there, 0xa11ce) == 0xb0b);
	cr_expect(received[0] == 0xa11ce);
	cr_expect(arch_switch(&here, there, UINTPTR_MAX) == UINTPTR_MAX);
	cr_expect(received[1] == UINTPTR_MAX);
	cr_expect(arch_switch_bare(&here, there, 0, arch_control_words()) == 0);
	cr_expect(received[2] == 0);
}

/* Not on a stack that AddressSanitizer was told about, which it would mention. */
__attribute__((__no_sanitize__("address"))) static void give_up(uintptr_t message)
{
	set_words(ENDING_WORDS);
	arch_leave(here, message + 1);
}

Test(arch, a_context_that_gives_up_resumes_another_as_a_switch_does, .timeout = 10)
{
	uint64_t random = law_seed(), before = arch_control_words();
	uint64_t in[REGISTERS], out[REGISTERS];

	for (uintptr_t i = 0; i < 1000; i++) {
		adversarial(in, &random);
		there = arch_frame(top, give_up, before);
		cr_expect(switch_with(in, out, &here, there, i, arch_switch, before) == i + 1);
		cr_expect(memcmp(in, out, sizeof in) == 0, "registers were lost");
		cr_expect(arch_control_words() == before);
	}
}

static uintptr_t frame_address;

/* Faults where the stack is not aligned as the compiler relies on. */
static void store_aligned(uintptr_t value)
{
	typedef uint64_t two __attribute__((__vector_size__(16)));
	volatile two on_stack = { value, value };

	frame_address = (uintptr_t)__builtin_frame_address(0);
	received[0] = on_stack[0];
	for (;;)
		arch_switch(&there, here, 0);
}

Test(arch, a_first_frame_is_aligned_below_any_top, .timeout = 10)
{
	for (size_t odd = 0; odd < 65; odd++) {
		char *below = stack + sizeof stack - odd;

		there = arch_frame(below, store_aligned, arch_control_words());
		cr_expect((char *)there < below && (char *)there >= below - 15 - FIRST_FRAME_BYTES);
		arch_switch(&here, there, odd + 1);
		cr_expect(received[0] == odd + 1);
		cr_expect(frame_address % 16 == 0, "top - %zu: frame at %#lx", odd, frame_address);
		cr_expect(frame_address < (uintptr_t)below);
	}
}

Test(arch, a_frame_stays_below_its_top, .timeout = 10)
{
	char *below = stack + sizeof stack - 4096;

	memset(below, 0xa5, 4096);
	there = arch_frame(below, store_aligned, arch_control_words());
	arch_switch(&here, there, 1);
	for (size_t i = 0; i < 4096; i++)
		cr_expect((unsigned char)below[i] == 0xa5, "byte %zu above it was written", i);
}

/* ---- starting ---------------------------------------------------------------------------------*/

static uintptr_t started[2];
static bool aligned[2];
static uint64_t started_words[2];

/* The first goes on with another empty stack, the second where it all began. */
static struct arch_next start_twice(uintptr_t message)
{
	bool second = message >= 100;

	started[second] = message;
	started_words[second] = arch_control_words();
	aligned[second] = (uintptr_t)__builtin_frame_address(0) % 16 == 0;
	set_words(ENDING_WORDS);
	if (second)
		return (struct arch_next){ here, message + 1 };
	return (struct arch_next){ stack + sizeof stack / 2 + 1, message + 100 };
}

static uintptr_t start_keeps_registers(void **save, void *entry, uintptr_t message)
{
	(void)entry;
	return arch_start(save, top, start_twice, message, BEGINNING_WORDS);
}

Test(arch, what_is_started_gets_its_words_and_says_where_to_go_on, .timeout = 10)
{
	uint64_t in[REGISTERS], out[REGISTERS], random = law_seed();
	uint64_t before = arch_control_words();

	adversarial(in, &random);
	switch_with(in, out, &here, NULL, 7, start_keeps_registers, before);
	for (int i = 0; i < REGISTERS; i++)
		cr_expect(in[i] == out[i], "register %d: %#lx became %#lx", i, in[i], out[i]);
	cr_expect(started[0] == 7 && started[1] == 107);
	cr_expect(aligned[0] && aligned[1]);
	cr_expect(started_words[0] == BEGINNING_WORDS);
	cr_expect(started_words[1] == BEGINNING_WORDS);
	cr_expect(arch_control_words() == before);
	cr_expect(arch_start(&here, top, start_twice, 1, before) == 102);
	cr_expect(arch_control_words() == before);
}

/* ---- control words ----------------------------------------------------------------------------*/

/* What a third is depends on how this context rounds. */
static double third(void)
{
	volatile double one = 1, three = 3;

	return one / three;
}

static uint64_t found_at_entry;

static void other_words(uintptr_t n)
{
	found_at_entry = arch_control_words();
	for (;;) {
		uint64_t mine = nth_words((unsigned)n + 29);

		set_words(mine);
		n = arch_switch(&there, here, 0);
		cr_expect(arch_control_words() == mine);
	}
}

Test(arch, each_context_has_control_words_of_its_own, .timeout = 10)
{
	uint64_t before = arch_control_words();

	there = arch_frame(top, other_words, BEGINNING_WORDS);
	for (unsigned n = 0; n < 64; n++) {
		uint64_t mine = nth_words(n);

		set_words(mine);
		arch_switch(&here, there, n);
		cr_expect(arch_control_words() == mine, "%#lx became %#lx", mine,
			  arch_control_words());
	}
	set_words(before);
	cr_expect(found_at_entry == BEGINNING_WORDS);
}

static double third_there;

static void divide_there(uintptr_t message)
{
	(void)message;
	for (;;) {
		third_there = third();
		arch_switch(&there, here, 0);
	}
}

Test(arch, contexts_round_each_in_its_own_direction, .timeout = 10)
{
	uint64_t before = arch_control_words();

	there = arch_frame(top, divide_there, rounding_up(before));
	set_words(rounding_down(before));
	arch_switch(&here, there, 0);
	double third_here = third();
	set_words(before);
	cr_expect(third_there > third_here);
}

static uint64_t shared_words, after_full;

/* Bare here and there: leaves the words alone, both ways. Then a full switch back into it. */
static void bare_side(uintptr_t message)
{
	(void)message;
	shared_words = arch_control_words();
	arch_switch_bare(&there, here, 0, ENDING_WORDS);
	after_full = arch_control_words();
	for (;;)
		arch_switch_bare(&there, here, 0, arch_control_words());
}

Test(arch, a_bare_switch_leaves_the_words_in_force_and_a_full_one_loads_those_it_was_given,
     .timeout = 10)
{
	uint64_t before = arch_control_words();
	uint64_t mine = BEGINNING_WORDS;

	there = arch_frame(top, bare_side, before);
	set_words(mine);
	arch_switch_bare(&here, there, 0, mine);
	cr_expect(shared_words == mine, "a bare switch loaded %#lx", shared_words);
	cr_expect(arch_control_words() == mine);
	arch_switch(&here, there, 0);
	cr_expect(after_full == ENDING_WORDS, "a full switch loaded %#lx", after_full);
	/* The bare one that came back did not load ours. */
	cr_expect(arch_control_words() == ENDING_WORDS);
	set_words(before);
}
