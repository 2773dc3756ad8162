/* switch.c - the rare halves of a switch. switch.h says how a switch goes. */
#include "sched/switch.h"

void switch_land(struct worker *w, uintptr_t message)
{
	struct fiber *f = (struct fiber *)(message & ~(uintptr_t)SWITCH_MASK);

	switch ((enum switch_message)(message & SWITCH_MASK)) {
	case SWITCH_DEAD:
		life_bury(w, (struct stack *)(message & ~(uintptr_t)SWITCH_MASK));
		break;
	case SWITCH_LANDED: /* release: pairs with the acquire of wait_wake */
		atomic_store_explicit(&f->landed, 1, memory_order_release);
		break;
	case SWITCH_YIELDED:
		worker_ready(w, f);
		break;
	case SWITCH_NOTHING:
	case SWITCH_MASK:
		break;
	}
}

NO_SANITIZE_THREAD struct worker *switch_unusual(struct worker *w, struct fiber *me,
						 struct fiber *to, uintptr_t *message)
{
	struct exceptions kept = { NULL, 0 };

	if (switch_is_fresh(to))
		life_frame(w, to);
	if (w->exceptions)
		kept = *w->exceptions;
#if defined(FB_TSAN)
	void *own = switch_note(me);

	sanitize_switch(fiber_cold(to)->sanitizer);
#endif
	if (me->flags & to->flags & F_NO_FPU)
		*message = arch_switch_bare(&me->sp, to->sp, *message, w->control_words);
	else
		*message = arch_switch(&me->sp, to->sp, *message);
#if defined(FB_TSAN)
	switch_note_back(me, own);
#endif
	if (me->flags & F_ROAM)
		w = worker_self();
	if (w->exceptions)
		*w->exceptions = kept;
	return w;
}
