/* turn_switch.c - turns by arch_switch, for every ABI, and for sanitizers.
 *
 * The state is stored by the resumer, once it is back on its own stack: the message says which. */
#include "arch.h"
#include "gen/turn.h"
#include "os/sanitize.h"

enum { SAID_BITS = 1 }; /* what the body says is 0 or 1; above it stands the next state */

/* Not instrumented: ThreadSanitizer follows calls and returns, and must not see one side's call
 * end with the other side's return. */
static NOINLINE NO_SANITIZE_THREAD uintptr_t switch_in(struct fiber_gen *g)
{
	g->resumer_sanitizer = sanitize_current();
	sanitize_switch(g->sanitizer);
	if (g->flags & FIBER_GEN_NO_FPU)
		return arch_switch_bare(&g->resumer, g->sp, g->message, g->control_words);
	return arch_switch(&g->resumer, g->sp, g->message);
}

static NOINLINE NO_SANITIZE_THREAD uintptr_t switch_out(struct fiber_gen *g, uintptr_t message)
{
	sanitize_switch(g->resumer_sanitizer);
	if (g->flags & FIBER_GEN_NO_FPU)
		return arch_switch_bare(&g->sp, g->resumer, message, g->control_words);
	return arch_switch(&g->sp, g->resumer, message);
}

int gen_turn_in(struct fiber_gen *g)
{
	void *fake = NULL;
	uintptr_t message;

	if (g->flags & GEN_EXCEPTIONS)
		gen_swap_exceptions(g);
	sanitize_leave(&fake, g->stack->bottom, g->stack->bytes);
	message = switch_in(g);
	sanitize_arrive(fake);
	/* Release: pairs with whoever claims it next. */
	atomic_store_explicit(&g->state, (uint32_t)(message >> SAID_BITS), memory_order_release);
	return (int)(message & 1);
}

int gen_turn_out(struct fiber_gen *g, int said, enum gen_state next)
{
	void *fake = NULL;
	uintptr_t message;

	if (g->flags & GEN_EXCEPTIONS)
		gen_swap_exceptions(g);
	/* After the end nobody comes back, and its fake stack goes. */
	sanitize_leave(next == GEN_DONE ? NULL : &fake, g->resumer_bottom, g->resumer_bytes);
	message = switch_out(g, (uintptr_t)next << SAID_BITS | (unsigned)said);
	sanitize_arrive_from(fake, &g->resumer_bottom, &g->resumer_bytes);
	return (int)message;
}

void gen_turn_begin(struct fiber_gen *g)
{
	sanitize_arrive_from(NULL, &g->resumer_bottom, &g->resumer_bytes);
}
