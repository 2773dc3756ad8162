/* closure.c - C functions made at run time, whose calls run a handler that may park. */
#include "foreign/closure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "os/atomic.h"
#include "sched/spawn.h"
#include "sched/symbol.h"
#include "sched/wait.h"

/* ---- what ends the process --------------------------------------------------------------------*/
static COLD _Noreturn void refuse(const struct fiber_closure *c, const char *what,
				  const void *where)
{
	fprintf(stderr, "fiber: a closure was %s", what);
	if (where)
		symbol_print(stderr, where);
	fprintf(stderr, "\n  made at ");
	symbol_print(stderr, c->created_at);
	fprintf(stderr, ", its code at %p\n", c->code);
	abort();
}

static void run_dead(ffi_cif *cif, void *result, void **args, void *self)
{
	const struct fiber_closure *c = self;

	(void)cif, (void)result, (void)args;
	refuse(c, "called after it was freed at ", c->freed_at);
}

/* ---- a call -----------------------------------------------------------------------------------*/
/* libffi wants a whole word where the result is a narrow integer. */
static void widen(const ffi_type *type, ffi_arg *wide, const void *value)
{
	switch (type->type) {
	case FFI_TYPE_SINT8:
		*wide = (ffi_arg)(ffi_sarg) * (const int8_t *)value;
		break;
	case FFI_TYPE_SINT16:
		*wide = (ffi_arg)(ffi_sarg) * (const int16_t *)value;
		break;
	case FFI_TYPE_SINT32:
	case FFI_TYPE_INT:
		*wide = (ffi_arg)(ffi_sarg) * (const int32_t *)value;
		break;
	case FFI_TYPE_UINT8:
		*wide = *(const uint8_t *)value;
		break;
	case FFI_TYPE_UINT16:
		*wide = *(const uint16_t *)value;
		break;
	default:
		*wide = *(const uint32_t *)value;
	}
}

struct visit {
	const struct fiber_closure *c;
	void *result;
	void **args;
	bool ran;
};

static int run_visit(void *argument)
{
	struct visit *v = argument;

	v->ran = true;
	v->c->handler(v->c->context, v->result, v->args);
	return 0;
}

/* Waited for whatever the thread's deadline: the handler uses the caller's memory. */
static int visit(const struct fiber_closure *c, void *result, void **args)
{
	fiber_attr_t attr = { .name = "closure", .runtime = c->runtime };
	struct visit v = { .c = c, .result = result, .args = args };
	fiber_scope_t shield;
	fiber_t fiber;
	int r, end = 0;

	if (!c->runtime)
		return -EINVAL;
	r = spawn_from(&fiber, &attr, run_visit, &v, c->created_at);
	if (r < 0)
		return r;
	fiber_shield(&shield, FIBER_NEVER);
	r = fiber_join(fiber, &end);
	fiber_scope_end(&shield, 0);
	must(r == 0);
	return v.ran ? 0 : end;
}

static COLD void run_otherwise(const struct fiber_closure *c, void *result, int why)
{
	char text[160];

	if (c->has_otherwise) {
		if (result)
			memcpy(result, c->otherwise, c->sig->cif.rtype->size);
		return;
	}
	snprintf(text, sizeof text, "called outside of fibers, and its handler cannot run: %s",
		 c->runtime ? fiber_strerror(why) : "it has no runtime");
	refuse(c, text, NULL);
}

static void handle(const struct fiber_closure *c, void *result, void **args)
{
	int r = 0;

	if (wait_on_fiber())
		c->handler(c->context, result, args);
	else
		r = visit(c, result, args);
	if (unlikely(r < 0))
		run_otherwise(c, result, r);
}

static void run(ffi_cif *cif, void *result, void **args, void *self)
{
	struct fiber_closure *c = self;
	const struct fiber_signature *sig = c->sig;
	uint64_t value = 0;

	atomic_add64(&c->calls, 1);
	if (unlikely(atomic_load_explicit(&c->freed, memory_order_relaxed)))
		refuse(c, "called after it was freed at ", c->freed_at);
	if (sig->narrow_bytes) {
		handle(c, &value, args);
		widen(cif->rtype, result, &value);
	} else if (cif->rtype == &ffi_type_void) {
		handle(c, NULL, args);
	} else {
		memset(result, 0, cif->rtype->size);
		handle(c, result, args);
	}
	/* Release: pairs with surplus (quarantine.c). */
	atomic_add64(&c->calls, (uint64_t)-1);
}

/* ---- from beginning to end --------------------------------------------------------------------*/
static struct fiber_closure *allocate(const struct fiber_signature *sig, const void *otherwise)
{
	size_t bytes = otherwise ? sig->cif.rtype->size : 0;
	struct fiber_closure *c = calloc(1, sizeof *c + bytes);

	if (!c)
		return NULL;
	c->ffi = ffi_closure_alloc(sizeof *c->ffi, &c->code);
	if (!c->ffi) {
		free(c);
		return NULL;
	}
	if (otherwise) {
		memcpy(c->otherwise, otherwise, bytes);
		c->has_otherwise = true;
	}
	return c;
}

static bool prepare(struct fiber_closure *c)
{
	ffi_cif *cif = (ffi_cif *)(uintptr_t)&c->sig->cif; /* libffi has no const */

	return ffi_prep_cif(&c->dead, FFI_DEFAULT_ABI, 0, &ffi_type_void, NULL) == FFI_OK &&
	       ffi_prep_closure_loc(c->ffi, cif, run, c, c->code) == FFI_OK;
}

PUBLIC int fiber_closure_create(fiber_closure_t **out, fiber_foreign_fn **code,
				const fiber_signature_t *sig, const fiber_closure_attr_t *attr,
				fiber_closure_fn *handler, void *context)
{
	static const fiber_closure_attr_t defaults;
	const fiber_closure_attr_t *a = attr ? attr : &defaults;
	struct fiber_closure *c;

	if (!out || !code || !sig || !handler || a->reserved[0] || a->reserved[1])
		return -EINVAL;
	c = allocate(sig, a->otherwise);
	if (!c)
		return -ENOMEM;
	c->sig = sig;
	c->handler = handler;
	c->context = context;
	c->runtime = a->runtime ? a->runtime : fiber_runtime();
	c->created_at = __builtin_return_address(0);
	if (!prepare(c)) {
		ffi_closure_free(c->ffi);
		free(c);
		return -ENOMEM;
	}
	*out = c;
	*code = FIBER_FOREIGN(c->code);
	return 0;
}

PUBLIC void fiber_closure_free(fiber_closure_t *c)
{
	if (!c)
		return;
	if (atomic_exchange_explicit(&c->freed, true, memory_order_relaxed))
		refuse(c, "freed again; the first time at ", c->freed_at);
	c->freed_at = __builtin_return_address(0);
	/* From here on it needs no signature. */
	must(ffi_prep_closure_loc(c->ffi, &c->dead, run_dead, c, c->code) == FFI_OK);
	quarantine(c);
}
