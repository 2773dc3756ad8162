/* gen.c - generators. gen.h says who may do what when ("turns"), turn.h how the stacks are
 * exchanged.
 *
 * Who resumes is found by a claim, one CAS, so that of two at the same moment one is refused; it
 * costs a locked instruction where the process has more threads than one. Everything else of a turn
 * is plain loads and stores.
 *
 * Whether a caller is inside a generator is seen by its stack pointer, exactly. */
#include "gen/gen.h"

#include <errno.h>
#include <string.h>

#include "arch.h"
#include "seat.h"
#include "gen/turn.h"
#include "os/atomic.h"
#include "os/sanitize.h"
#include "stack/mapping.h"

enum { RETURNED = 0, YIELDED = 1 }; /* what fiber_gen_resume says */
enum { THREAD_PAGE = 4096 };        /* no page is smaller */

/* ---- who runs on what -------------------------------------------------------------------------*/
/* As `inner` of a stack, for the calling thread's own. */
static __thread struct fiber_gen *thread_inner;

const struct stack *gen_innermost(const struct stack *base)
{
	const struct stack *s = base;
	const struct fiber_gen *g = s ? s->inner : thread_inner;

	for (; g; g = s->inner)
		s = g->stack;
	return s;
}

static struct stack *stack_of(const void *address)
{
	struct stack *s;

	return stack_locate(address, &s) == STACK_INSIDE ? s : NULL;
}

/* Is the caller, of whose frames `address` is in one, in the body of g or in one nested in it? */
static bool is_inside(const struct fiber_gen *g, const void *address)
{
	const struct stack *s = stack_of(address);
	const struct fiber_gen *at = s ? gen_of(s) : NULL;

	while (at && at != g)
		at = at->under ? gen_of(at->under) : NULL;
	return at != NULL;
}

/* ---- turns ------------------------------------------------------------------------------------*/
static inline void note_inner(struct fiber_gen *g, struct fiber_gen *inner)
{
	if (g->under)
		g->under->inner = inner;
	else
		thread_inner = inner;
}

/* From here on the caller is in g. */
static inline int enter(struct fiber_gen *g)
{
	note_inner(g, g);
	return gen_turn_in(g);
}

/* Of a thread's own stack nobody knows the bounds; but a page of it is not one of ours, for so long
 * as no more of ours are mapped. */
static NOINLINE int enter_from(struct fiber_gen *g, const char *address)
{
	struct stack *s = stack_of(address);

	g->under = s;
	g->from = s ? s->bottom : address - (uintptr_t)address % THREAD_PAGE;
	g->from_bytes = s ? s->bytes : THREAD_PAGE;
	g->mappings = stack_mappings();
	return enter(g);
}

static inline bool is_elsewhere(const struct fiber_gen *g, const char *address)
{
	return (uintptr_t)address - (uintptr_t)g->from >= g->from_bytes ||
	       g->mappings != stack_mappings();
}

NOINLINE void gen_swap_exceptions(struct fiber_gen *g)
{
	struct exceptions *here = exceptions_here();
	struct exceptions was = *here;

	*here = g->exceptions;
	g->exceptions = was;
}

/* Acquire: pairs with the release that ended the last turn. */
static inline bool change(struct fiber_gen *g, uint32_t from, uint32_t to)
{
	return atomic_cas32(&g->state, &from, to);
}

/* It was not suspended. */
static COLD int refuse(struct fiber_gen *g, void **out)
{
	uint32_t state = atomic_load_explicit(&g->state, memory_order_acquire);

	switch ((enum gen_state)state) {
	case GEN_DONE:
		if (out)
			*out = g->result;
		return RETURNED;
	case GEN_RUNNING:
		return is_inside(g, __builtin_dwarf_cfa()) ? -EDEADLK : -EBUSY;
	case GEN_SUSPENDED: /* by now; a moment ago somebody else had it */
		return -EBUSY;
	case GEN_GONE:
		return -EINVAL;
	}
	unreachable();
}

PUBLIC int fiber_gen_resume(fiber_gen_t *g, void *in, void **out)
{
	if (unlikely(!g))
		return -EINVAL;
	if (unlikely(!change(g, GEN_SUSPENDED, GEN_RUNNING)))
		return refuse(g, out);
	g->out_to = out ? out : &g->nowhere;
	g->in = in;
	*g->in_to = in;
	/* An address in the caller's frame: one in our own would cost a frame pointer, 2 ns. */
	if (unlikely(is_elsewhere(g, __builtin_dwarf_cfa())))
		return enter_from(g, __builtin_dwarf_cfa());
	return enter(g);
}

PUBLIC int fiber_gen_yield(fiber_gen_t *g, void *value, void **in)
{
	if (unlikely(!g))
		return -EINVAL;
	if (unlikely(!gen_contains(g, __builtin_dwarf_cfa())))
		return -EPERM;
	if (unlikely(g->message))
		return (int)g->message;
	g->in_to = in ? in : &g->nowhere;
	*g->out_to = value;
	note_inner(g, NULL);
	return gen_turn_out(g, YIELDED, GEN_SUSPENDED);
}

PUBLIC void *fiber_gen_received(const fiber_gen_t *g)
{
	return g ? g->in : NULL;
}

/* ---- from beginning to end --------------------------------------------------------------------*/
static void body(uintptr_t message)
{
	struct fiber_gen *g = (struct fiber_gen *)message;

	gen_turn_begin(g);
	g->message = 0;
	g->result = g->fn(g, g->arg);
	*g->out_to = g->result;
	note_inner(g, NULL);
	gen_turn_out(g, RETURNED, GEN_DONE);
	unreachable();
}

static bool has_begun(const struct fiber_gen *g)
{
	return g->message != (uintptr_t)g;
}

static void lay_out(struct fiber_gen *g, const fiber_gen_attr_t *attr)
{
	struct stack *s = g->stack;

	g->in_to = &g->nowhere;
	g->message = (uintptr_t)g;
	g->bytes = (size_t)((char *)g - s->bottom);
	g->sanitizer = sanitize_create();
	g->control_words = arch_control_words();
	g->sp = arch_frame(seat_take(s, g), body, g->control_words);
	g->flags = exceptions_exist() ? GEN_EXCEPTIONS : 0;
	if (attr) {
		g->flags |= attr->flags;
		strncpy(g->name, attr->name ? attr->name : "", sizeof g->name - 1);
	}
	s->owner = (void *)((uintptr_t)g | GEN_OWNS);
}

static bool makes_sense(const fiber_gen_attr_t *attr)
{
	return !(attr->flags & ~(unsigned)FIBER_GEN_NO_FPU) && !attr->reserved[0] &&
	       !attr->reserved[1];
}

/* What a generator takes itself is on top of what was asked for. */
static size_t bytes_with_ours(size_t asked)
{
	size_t ours = sizeof(struct fiber_gen) + 64;

	return asked == 0 || asked > SIZE_MAX - ours ? asked : asked + ours;
}

static int make(struct fiber_gen **out, const fiber_gen_attr_t *attr, size_t bytes,
		fiber_gen_fn *fn, void *arg, const void *created_at)
{
	struct fiber_gen *g;
	struct stack *s;
	int r = stack_get_here(bytes, &s);

	if (r < 0)
		return r;
	g = (struct fiber_gen *)(((uintptr_t)stack_top(s) - sizeof *g) & ~(uintptr_t)63);
	*g = (struct fiber_gen){
		.fn = fn,
		.arg = arg,
		.stack = s,
		.created_at = created_at,
	};
	lay_out(g, attr);
	*out = g;
	return 0;
}

PUBLIC int fiber_gen_create(fiber_gen_t **out, const fiber_gen_attr_t *attr, fiber_gen_fn *fn,
			    void *arg)
{
	if (!out || !fn || (attr && !makes_sense(attr)))
		return -EINVAL;
	return make(out, attr, attr ? bytes_with_ours(attr->stack_bytes) : 0, fn, arg,
		    __builtin_return_address(0));
}

static void release(struct fiber_gen *g)
{
	sanitize_destroy(g->sanitizer);
	seat_leave(g->stack);
	stack_put_here(g->stack);
}

PUBLIC int fiber_gen_destroy(fiber_gen_t *g)
{
	int r = 0;

	if (!g)
		return 0;
	if (change(g, GEN_SUSPENDED, GEN_RUNNING)) {
		if (has_begun(g)) {
			g->out_to = &g->nowhere;
			g->message = (uintptr_t)-ECANCELED;
			enter_from(g, __builtin_dwarf_cfa());
			must(atomic_load_explicit(&g->state, memory_order_relaxed) == GEN_DONE);
		}
		atomic_store_explicit(&g->state, GEN_GONE, memory_order_relaxed);
	} else if (!change(g, GEN_DONE, GEN_GONE)) {
		r = refuse(g, NULL);
	}
	if (r == 0)
		release(g);
	return r;
}

/* ---- deep calls -------------------------------------------------------------------------------*/
struct dive {
	void (*fn)(void *);
	void *arg;
};

static void *dive(fiber_gen_t *self, void *arg)
{
	const struct dive *d = arg;

	(void)self;
	d->fn(d->arg);
	return NULL;
}

int gen_call_deep(void (*fn)(void *), void *arg, const void *called_at)
{
	struct dive d = { fn, arg };
	struct fiber_gen *g;
	int r = make(&g, NULL, GEN_DEEP_BYTES, dive, &d, called_at);

	if (r < 0)
		return r;
	g->flags |= GEN_DEEP;
	r = fiber_gen_resume(g, NULL, NULL);
	must(r == RETURNED);
	return fiber_gen_destroy(g);
}
