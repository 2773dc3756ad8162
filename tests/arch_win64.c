/* What Windows makes of a context: the thread information block, and what RtlVirtualUnwind finds at
 * every single instruction of the switch. See arch_walk.c for the same under the System V ABI. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <winsock2.h>

#include "arch.h"
#include "law.h"
#include "registers.h"

static _Alignas(64) char stack[128 * 1024];
static void *here, *there;

static void *const top = stack + sizeof stack;

/* ---- the thread information block -------------------------------------------------------------*/
struct bounds {
	uint64_t base, limit, fiber, lowest;
};

static struct bounds bounds_now(void)
{
	struct bounds b;

	__asm__ volatile("movq %%gs:0x08, %0" : "=r"(b.base));
	__asm__ volatile("movq %%gs:0x10, %0" : "=r"(b.limit));
	__asm__ volatile("movq %%gs:0x20, %0" : "=r"(b.fiber));
	__asm__ volatile("movq %%gs:0x1478, %0" : "=r"(b.lowest));
	return b;
}

static void set_limit(uint64_t limit)
{
	__asm__ volatile("movq %0, %%gs:0x10" : : "r"(limit));
}

static void set_fiber(uint64_t fiber)
{
	__asm__ volatile("movq %0, %%gs:0x20" : : "r"(fiber));
}

static bool same(struct bounds a, struct bounds b)
{
	return memcmp(&a, &b, sizeof a) == 0;
}

/* What a seat points to, and the seat. */
static struct { char *bottom, *limit; } seated;

static void seat(void)
{
	uintptr_t *words = (uintptr_t *)top - 2;

	seated.bottom = stack;
	seated.limit = stack + 4096;
	words[0] = (uintptr_t)&seated;
	words[1] = ~words[0];
}

static struct bounds found[3];

static void look(uintptr_t message)
{
	(void)message;
	found[0] = bounds_now();
	set_fiber(0xf1be);
	arch_switch(&there, here, 0);
	found[1] = bounds_now();
	set_limit((uint64_t)stack + 512);
	arch_switch_bare(&there, here, 0, arch_control_words());
	found[2] = bounds_now();
	arch_leave(here, 0);
}

Test(arch_win64, each_context_has_its_bounds_in_the_thread_information_block, .timeout = 10)
{
	struct bounds ours = bounds_now();

	seat();
	there = arch_frame(top, look, arch_control_words());
	arch_switch(&here, there, 0);
	cr_expect(same(ours, bounds_now()));
	cr_expect(found[0].base == (uint64_t)top - 16);
	cr_expect(found[0].limit == (uint64_t)seated.limit);
	cr_expect(found[0].lowest == (uint64_t)seated.bottom);
	cr_expect(found[0].fiber == ours.fiber, "a context begins with its maker's fiber data");
	arch_switch_bare(&here, there, 0, arch_control_words());
	cr_expect(same(ours, bounds_now()));
	cr_expect(found[1].fiber == 0xf1be && found[1].lowest == (uint64_t)stack);
	arch_switch(&here, there, 0);
	cr_expect(found[2].limit == (uint64_t)stack + 512, "the kernel's changes go with it");
	cr_expect(seated.limit == stack + 512, "the limit that it reached was not noted");
	cr_expect(same(ours, bounds_now()));
}

static struct arch_next look_and_end(uintptr_t message)
{
	found[message] = bounds_now();
	set_limit((uint64_t)stack + 1024);
	return (struct arch_next){ here, 7 };
}

Test(arch_win64, what_is_started_has_its_bounds_and_leaves_its_limit, .timeout = 10)
{
	struct bounds ours = bounds_now();

	seat();
	cr_expect(arch_start(&here, top, look_and_end, 0, arch_control_words()) == 7);
	cr_expect(same(ours, bounds_now()));
	cr_expect(found[0].base == (uint64_t)top - 16 && found[0].lowest == (uint64_t)stack);
	cr_expect(found[0].limit == (uint64_t)stack + 4096);
	cr_expect(seated.limit == stack + 1024);
	((uintptr_t *)top)[-1] = 0; /* no seat any more */
	cr_expect(arch_start(&here, top, look_and_end, 1, arch_control_words()) == 7);
	cr_expect(found[1].limit == 0 && found[1].lowest == 0);
}

/* ---- walks ------------------------------------------------------------------------------------*/
enum { FRAMES_MOST = 256 };

struct walk {
	unsigned frames;
	uint64_t ip[FRAMES_MOST];
	uint64_t registers[FRAMES_MOST][REGISTERS];
	bool ended;
};

static void note_registers(const CONTEXT *c, uint64_t out[REGISTERS])
{
	const uint64_t integers[] = { c->Rbx, c->Rbp, c->Rdi, c->Rsi,
				      c->R12, c->R13, c->R14, c->R15 };

	memcpy(out, integers, sizeof integers);
	memcpy(out + XMM6, &c->Xmm6, 20 * sizeof *out);
}

static void walk_from(CONTEXT context, struct walk *w)
{
	DWORD64 image, frame;
	void *handler;

	memset(w, 0, sizeof *w);
	while (context.Rip && w->frames < FRAMES_MOST) {
		PRUNTIME_FUNCTION f = RtlLookupFunctionEntry(context.Rip, &image, NULL);

		w->ip[w->frames] = context.Rip;
		note_registers(&context, w->registers[w->frames++]);
		if (!f)
			return;
		RtlVirtualUnwind(0, image, context.Rip, f, &context, &handler, &frame, NULL);
	}
	w->ended = !context.Rip;
}

static uint64_t function_of(uint64_t ip)
{
	DWORD64 image;
	PRUNTIME_FUNCTION f = RtlLookupFunctionEntry(ip, &image, NULL);

	return f ? image + f->BeginAddress : 0;
}

static struct walk walked;

static __attribute__((__noinline__)) int descend(unsigned depth)
{
	volatile int below = 0;
	CONTEXT context;

	if (depth) {
		below = descend(depth - 1);
	} else {
		RtlCaptureContext(&context);
		walk_from(context, &walked);
	}
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

/* The function that a first frame's return address leads into. */
static uint64_t entry_of(void *context)
{
	return function_of(first_instruction(context));
}

/* Traps from the next instruction on, until the handler sees that the switch is through. */
static __attribute__((__noinline__)) void arm(void)
{
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
}

Test(arch_win64, a_walk_from_any_depth_ends_at_the_entry, .timeout = 10)
{
	static const unsigned depths[] = { 0, 1, 7, 100 };
	uint64_t entry;

	there = arch_frame(top, walk_at, arch_control_words());
	entry = entry_of(there);
	for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
		unsigned n = 0;

		arch_switch(&here, there, depths[i]);
		cr_expect(walked.ended && walked.frames > 2);
		cr_expect(function_of(walked.ip[walked.frames - 1]) == entry);
		cr_expect(function_of(walked.ip[walked.frames - 2]) == (uint64_t)walk_at);
		for (unsigned f = 0; f < walked.frames; f++)
			n += function_of(walked.ip[f]) == (uint64_t)descend;
		cr_expect(n == depths[i] + 1, "%u frames of %u", n, depths[i] + 1);
	}
}

/* Single steps: a trap after every instruction, and a walk from each. One that began on either side
 * must name switch_with, with the registers that it loaded on that side, or the entry. */
static struct {
	struct walk walk;
	uint64_t loaded[2][REGISTERS]; /* 0: on the test's own stack, 1: on the context's */
	uint64_t entry;
	unsigned steps, first_frames;
	bool inside;
	unsigned wrong_caller, wrong_registers, wrong_end, both_sides;
} stepping;

static bool is_switch(uint64_t ip)
{
	/* From the first function of the file to the last; some of them have no public name. */
	return ip >= (uint64_t)arch_switch && ip < (uint64_t)arch_frame;
}

/* The frame right outside of the switch, whatever inner functions it consists of. */
static void check_walk(const struct walk *w, bool away)
{
	unsigned f = 0;

	stepping.wrong_end += !w->ended;
	while (f < w->frames && is_switch(w->ip[f]) && function_of(w->ip[f]) != stepping.entry)
		f++;
	if (f == w->frames) {
		stepping.wrong_end++;
		return;
	}
	if (function_of(w->ip[f]) == stepping.entry) {
		stepping.first_frames++;
		stepping.wrong_end += f + 1 != w->frames;
		return;
	}
	if (function_of(w->ip[f]) != (uint64_t)switch_with) {
		stepping.wrong_caller++;
		return;
	}
	stepping.wrong_registers += memcmp(w->registers[f], stepping.loaded[away],
					   sizeof stepping.loaded[0]) != 0;
}

static LONG CALLBACK step(EXCEPTION_POINTERS *e)
{
	bool away = e->ContextRecord->Rsp - (uint64_t)stack <= sizeof stack;

	if (e->ExceptionRecord->ExceptionCode != EXCEPTION_SINGLE_STEP)
		return EXCEPTION_CONTINUE_SEARCH;
	if (is_switch(e->ContextRecord->Rip)) {
		stepping.inside = true;
		stepping.steps++;
		stepping.both_sides |= 1u << away;
		walk_from(*e->ContextRecord, &stepping.walk);
		check_walk(&stepping.walk, away);
		e->ContextRecord->EFlags |= 0x100;
	} else {
		/* Not there yet, or through: then the steps end. */
		if (stepping.inside)
			e->ContextRecord->EFlags &= ~0x100u;
		else
			e->ContextRecord->EFlags |= 0x100;
		stepping.inside = false;
	}
	return EXCEPTION_CONTINUE_EXECUTION;
}

struct exchange {
	const void *go;
	uint64_t words, random;
};

static void step_there(uintptr_t message)
{
	const struct exchange *x = (const struct exchange *)message;
	uint64_t out[REGISTERS], random = ~x->random;

	for (;;) {
		adversarial(stepping.loaded[1], &random);
		arm();
		switch_with(stepping.loaded[1], out, &there, here, 0, x->go, x->words);
	}
}

static void end(void)
{
	cr_expect(stepping.both_sides == 3);
	cr_expect(stepping.wrong_caller == 0, "%u name another caller", stepping.wrong_caller);
	cr_expect(stepping.wrong_registers == 0, "%u find wrong registers",
		  stepping.wrong_registers);
	cr_expect(stepping.wrong_end == 0, "%u do not end cleanly", stepping.wrong_end);
	cr_expect(stepping.first_frames > 0);
}

static void walks_are_right(const void *go)
{
	struct exchange x = { go, arch_control_words(), law_seed() };
	uint64_t out[REGISTERS], random = x.random;

	AddVectoredExceptionHandler(1, step);
	there = arch_frame(top, step_there, arch_control_words());
	stepping.entry = entry_of(there);
	for (unsigned i = 0; i < 3; i++) {
		adversarial(stepping.loaded[0], &random);
		arm();
		switch_with(stepping.loaded[0], out, &here, there, (uintptr_t)&x, go, x.words);
	}
	end();
	cr_expect(stepping.steps >= 6 * 55, "%u steps", stepping.steps);
}

Test(arch_win64, walks_are_right_at_every_instruction_of_a_switch, .timeout = 60)
{
	walks_are_right(arch_switch);
}

Test(arch_win64, walks_are_right_at_every_instruction_of_a_bare_switch, .timeout = 60)
{
	walks_are_right(arch_switch_bare);
}

/* Ends where it began: only the steps on the way back are those of arch_entry's end. */
static struct arch_next end_at_once(uintptr_t message)
{
	arm();
	return (struct arch_next){ here, message };
}

static uintptr_t start(void **save, void *to, uintptr_t message)
{
	(void)to;
	return arch_start(save, top, end_at_once, message, arch_control_words());
}

Test(arch_win64, walks_are_right_at_every_instruction_of_a_start_and_an_end, .timeout = 60)
{
	uint64_t in[REGISTERS], out[REGISTERS], random = law_seed();

	adversarial(in, &random);
	AddVectoredExceptionHandler(1, step);
	stepping.entry = entry_of(arch_frame(top, walk_at, 0));
	arm();
	cr_expect(switch_with(in, out, &here, NULL, 9, start, 0) == 9);
	cr_expect(memcmp(in, out, sizeof in) == 0, "registers were lost");
	cr_expect(stepping.wrong_end == 0, "%u do not end cleanly", stepping.wrong_end);
	cr_expect(stepping.both_sides == 3 && stepping.steps > 60, "%u steps", stepping.steps);
}
