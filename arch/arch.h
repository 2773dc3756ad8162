/* arch.h - contract 1, the processor: lay out a first frame; switch stacks, handing over one word.
 *
 * A suspended context is one word, its stack pointer. One assembly file an ABI implements this, and
 * Meson chooses it; nothing else in the library differs by processor.
 *
 * Survives a switch: every register that the ABI calls non-volatile, and the control words (SysV:
 * mxcsr and the x87 control word). Not touched: the signal mask, errno, thread-local storage. What
 * C++ keeps of exceptions being handled is thread-local too: the scheduler moves those 16 bytes.
 *
 * The message makes a direct switch from fiber to fiber possible, with no trip through a
 * scheduler's stack: whoever lands receives what its predecessor left to be finished
 * (src/sched/worker.c).
 *
 * Unwind information is true at every instruction, across the exchange of the stacks. A walk from
 * inside a fiber ends cleanly at its entry. */
#ifndef FB_ARCH_H
#define FB_ARCH_H

#include <stdatomic.h>
#include <stdint.h>

/* The control words as one opaque value, as this thread has them now. */
uint64_t arch_control_words(void);

/* Lays out a frame below `top` (any alignment) such that the first switch to the returned context
 * calls entry(message) on that stack, with the given control words and a correctly aligned stack.
 * entry must not return. */
void *arch_frame(void *top, void (*entry)(uintptr_t message), uint64_t control_words);

/* Saves this context to *save and goes on in `to`. Returns, when somebody switches back, the
 * message they gave. */
uintptr_t arch_switch(void **save, void *to, uintptr_t message);

/* The same between two contexts which both promised not to change the control words: reads and
 * loads none (3 ns less). `control_words` is what both run with; it is stored, so that a full
 * switch may come back to this context. */
uintptr_t arch_switch_bare(void **save, void *to, uintptr_t message, uint64_t control_words);

/* For two contexts that take turns, each from a place of its own, as a generator and its resumer
 * do: the switch is left by a jump, and is the last thing that its caller does, so no return of
 * either side is mispredicted. Between many contexts of one place arch_switch is faster. Whoever
 * may take this context next is told by `value` in *word, stored with release once it is saved.
 * Returns the message that somebody hops back with, as an int: a conversion would be something to
 * do after the call. Not every ABI has these (src/gen/turn.h). */
int arch_hop(void **save, void *to, uintptr_t message, _Atomic uint32_t *word, uint32_t value);
/* Saves and loads no control words. Only between contexts that are left by this one always. */
int arch_hop_bare(void **save, void *to, uintptr_t message, _Atomic uint32_t *word,
		  uint32_t value);

/* Goes on in `to` and gives this context up: saves nothing, so it costs less than a switch. */
_Noreturn void arch_leave(void *to, uintptr_t message);

/* Where a function that ran on an empty stack wants to go on: a suspended context, or another empty
 * stack: its top, aligned to 16, with bit 0 set. */
struct arch_next {
	void *context;
	uintptr_t message;
};
typedef struct arch_next arch_start_fn(uintptr_t message);

/* Saves this context and calls entry(message) at the aligned top of an empty stack; when entry
 * returns, goes on where it says. Another empty stack is entered in the same way. The same as a
 * frame, a switch and a leave, but every return is matched by a call: if entry goes on in the
 * context that started it, the processor predicts all of them. */
uintptr_t arch_start(void **save, void *top, arch_start_fn *entry, uintptr_t message,
		     uint64_t control_words);

#endif
