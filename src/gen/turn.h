/* turn.h - the two halves of a turn: from the resumer's stack to the generator's, and back. Two
 * files implement it, and Meson chooses: turn_hop.c where the ABI has arch_hop, turn_switch.c
 * elsewhere, and where a sanitizer must hear of every change of stack. */
#ifndef FB_GEN_TURN_H
#define FB_GEN_TURN_H

#include "gen/gen.h"

/* The resumer's: runs the body until its next gen_turn_out, and returns what that said. The state
 * is RUNNING before, and afterwards what that one left. */
int gen_turn_in(struct fiber_gen *g);

/* The body's: hands `said` to the resumer, and the generator to whoever claims it in state `next`.
 * Returns the message of the next gen_turn_in. */
int gen_turn_out(struct fiber_gen *g, int said, enum gen_state next);

/* The body's, first thing on its stack. */
void gen_turn_begin(struct fiber_gen *g);

/* Before every exchange of stacks in a program with C++: what was kept is put in force, and what
 * was in force is kept. */
void gen_swap_exceptions(struct fiber_gen *g);

#endif
