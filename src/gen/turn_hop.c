/* turn_hop.c - turns by arch_hop: each half ends in a jump straight to the other side's caller.
 *
 * So nothing is left to be done after the exchange: what a resume returns, the body's side chooses
 * before it hops, and the other way round; and the state, which must not change before the
 * body's registers are saved, is stored by the hop itself. That makes all of a turn predictable:
 * no return leads to where another call came from. */
#include "arch.h"
#include "gen/turn.h"

static NOINLINE int turn_in_as_flags_say(struct fiber_gen *g)
{
	if (g->flags & GEN_EXCEPTIONS)
		gen_swap_exceptions(g);
	if (g->flags & FIBER_GEN_NO_FPU)
		return arch_hop_bare(&g->resumer, g->sp, g->message, &g->state, GEN_RUNNING);
	return arch_hop(&g->resumer, g->sp, g->message, &g->state, GEN_RUNNING);
}

int gen_turn_in(struct fiber_gen *g)
{
	if (unlikely(g->flags))
		return turn_in_as_flags_say(g);
	return arch_hop(&g->resumer, g->sp, g->message, &g->state, GEN_RUNNING);
}

static NOINLINE int turn_out_as_flags_say(struct fiber_gen *g, int said, enum gen_state next)
{
	if (g->flags & GEN_EXCEPTIONS)
		gen_swap_exceptions(g);
	if (g->flags & FIBER_GEN_NO_FPU)
		return arch_hop_bare(&g->sp, g->resumer, (uintptr_t)said, &g->state, next);
	return arch_hop(&g->sp, g->resumer, (uintptr_t)said, &g->state, next);
}

int gen_turn_out(struct fiber_gen *g, int said, enum gen_state next)
{
	if (unlikely(g->flags))
		return turn_out_as_flags_say(g, said, next);
	return arch_hop(&g->sp, g->resumer, (uintptr_t)said, &g->state, next);
}

void gen_turn_begin(struct fiber_gen *g)
{
	(void)g;
}
