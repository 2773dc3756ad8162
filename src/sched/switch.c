/* switch.c - the rare halves of a switch, and a fiber's first and last moments. switch.h says how a
 * switch goes. */
#include "sched/switch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cold *cold_of_stack(struct stack *s)
{
	return (struct cold *)(((uintptr_t)stack_top(s) - sizeof(struct cold)) & ~(uintptr_t)15);
}

void switch_land(struct worker *w, uintptr_t message)
{
	struct fiber *f = (struct fiber *)(message & ~(uintptr_t)SWITCH_MASK);
	struct stack *s = (struct stack *)(message & ~(uintptr_t)SWITCH_MASK);

	switch ((enum switch_message)(message & SWITCH_MASK)) {
	case SWITCH_LANDED: /* release: pairs with the acquire of wait_wake */
		atomic_store_explicit(&f->landed, 1, memory_order_release);
		break;
	case SWITCH_YIELDED:
		worker_ready(w, f);
		break;
	case SWITCH_DEAD:
#if defined(FB_TSAN)
		sanitize_destroy(cold_of_stack(s)->sanitizer);
#endif
		s->owner = NULL;
		stack_put(&w->stacks, s);
		break;
	case SWITCH_NOTHING:
	case SWITCH_MASK:
		break;
	}
}

NO_SANITIZE_THREAD _Noreturn void switch_leave(struct worker *w, struct fiber *next,
					       struct stack *dead)
{
	if (!next) {
		switch_tick(w);
		next = worker_pick(w);
	}
	if (!next)
		next = &w->loop;
	worker_show(w, next);
	count_up(&w->switches);
	sanitize_leave(NULL, fiber_cold(next)->stack_bottom, fiber_cold(next)->stack_bytes);
#if defined(FB_TSAN)
	sanitize_switch(fiber_cold(next)->sanitizer);
#endif
	arch_switch(&w->discarded_sp, next->sp, (uintptr_t)dead | SWITCH_DEAD);
	unreachable();
}

/* ---- the first moment ------------------------------------------------------------------------*/
static void fiber_main(uintptr_t message)
{
	struct worker *w = worker_self();
	struct fiber *me = worker_current(w);
	struct cold *cold = fiber_cold(me);
	int result;

	sanitize_arrive(NULL);
	if (unlikely(w->exceptions != NULL))
		*w->exceptions = (struct exceptions){ NULL, 0 };
	if (message != SWITCH_NOTHING)
		switch_land(w, message);
	result = cold->function(cold->argument);
	w = worker_self();
	if (unlikely(!w)) /* it forked, and this is the child: there is nobody to go on to */
		_exit(result < 0 ? 1 : result & 0xff);
	fiber_finish(w, me, result);
}

/* The argument's copy stands above the first frame; returns where the frame may begin. */
static void *copy_argument(struct cold *cold, const struct extra *extra)
{
	char *copy = (char *)cold - ((extra->copy_bytes + 15) & ~(size_t)15);

	memcpy(copy, extra->copy, extra->copy_bytes);
	cold->argument = copy;
	return copy;
}

static int first_stack(struct worker *w, struct extra *extra, struct stack **out)
{
	if (likely(!extra))
		return stack_get(&w->stacks, 0, out);
	if (extra->stack) {
		*out = extra->stack;
		return 0;
	}
	return stack_get(&w->stacks, extra->stack_bytes + extra->copy_bytes, out);
}

int switch_start(struct worker *w, struct fiber *f)
{
	struct extra *extra = f->extra;
	struct stack *s;
	struct cold *cold;
	void *top;
	int r = first_stack(w, extra, &s);

	if (unlikely(r < 0))
		return r;
	top = cold = cold_of_stack(s);
	cold->stack = s;
	cold->spawned_at = f->spawned_at;
	cold->function = f->function;
	cold->argument = f->argument;
	cold->locals = NULL;
	cold->member = NULL;
#if defined(FB_ASAN) || defined(FB_TSAN)
	cold->stack_bottom = s->bottom;
	cold->stack_bytes = s->bytes;
	cold->sanitizer = sanitize_create();
#endif
	atomic_store_explicit(&cold->name[0], 0, memory_order_relaxed);
	atomic_store_explicit(&cold->name[1], 0, memory_order_relaxed);
	if (unlikely(extra != NULL)) {
		atomic_store_explicit(&cold->name[0], extra->name[0], memory_order_relaxed);
		atomic_store_explicit(&cold->name[1], extra->name[1], memory_order_relaxed);
		cold->member = extra->member;
		if (extra->copy_bytes)
			top = copy_argument(cold, extra);
		free(extra);
	}
	s->owner = f;
	f->scope = NULL;
	f->wake_at = OS_NEVER;
	atomic_store_explicit(&f->deadline, OS_NEVER, memory_order_relaxed);
	atomic_store_explicit(&f->landed, 0, memory_order_relaxed);
	atomic_store_explicit(&f->cold, cold, memory_order_relaxed);
	atomic_store_explicit(&f->home, w, memory_order_relaxed);
	f->flags |= F_STARTED;
	f->sp = arch_frame(top, fiber_main, w->control_words);
	/* Release: home and cold; see "request" in fiber.h. */
	atomic_or64(&f->state, STATE_STARTED);
	return 0;
}
