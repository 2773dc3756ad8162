/* overflow_fiber.c - what the report of an overflow and the check ask of the scheduler. Nothing
 * here takes a lock: the signal handler calls it. */
#include "gen/gen.h"
#include "sched/lend.h"
#include "sched/overflow.h"
#include "sched/worker.h"

static void describe_fiber(struct fiber *f, struct overflow_holder *out)
{
	struct cold *cold = fiber_cold(f);

	out->id = fiber_handle(f).id;
	out->name = (const char *)cold->name; /* ends with a zero: fiber_name_words */
	out->spawned_at = atomic_load_explicit(&cold->spawned_at, memory_order_relaxed);
}

void overflow_describe(const struct stack *s, struct overflow_holder *out)
{
	const struct fiber_gen *g = gen_of(s);

	*out = (struct overflow_holder){ .name = "" };
	if (g) {
		out->generator = g->name;
		out->deep = g->flags & GEN_DEEP;
		out->created_at = g->created_at;
		s = gen_base(g);
	}
	if (s && s->owner && !gen_of(s))
		describe_fiber(s->owner, out);
}

const struct stack *overflow_stack(void)
{
	struct worker *w = worker_self();
	struct fiber *f = likely(w != NULL) ? worker_current(w) : lend_fiber();

	return gen_innermost(f ? cold_stack(fiber_cold(f)) : NULL);
}
