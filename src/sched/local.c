/* local.c - fiber-locals: a value per fiber and key, with destructors, as POSIX has them for
 * threads.
 *
 * Keys are process-wide: a place in a table, with a generation, so that a value set under a deleted
 * key is not found under its successor. The table is guarded by `guard` for changes; a key's word
 * is read without it. A fiber's values are an array on the heap, made at the first set. */
#include "sched/local.h"

#include <errno.h>
#include <stdlib.h>

#include "os/spin.h"
#include "sched/wait.h"
#include "sched/worker.h"

enum {
	KEYS = 1024,
	ROUNDS = 4, /* destructors may set values again; PTHREAD_DESTRUCTOR_ITERATIONS */
};

struct key {
	_Atomic uint32_t generation; /* odd: in use */
	void (*destroy)(void *);
};

struct value {
	uint32_t generation;
	void *value;
};

struct locals {
	unsigned capacity;
	struct value value[];
};

static struct spin guard;
static struct key keys[KEYS];

/* A public key: place + 1 in the low 10 bits and a bit, generation above; 0 is no key. */
static fiber_key_t name_key(unsigned place, uint32_t generation)
{
	return (fiber_key_t){ (generation << 11) | (place + 1) };
}

static bool find(fiber_key_t name, unsigned *place, uint32_t *generation)
{
	unsigned at = name.index & 2047;

	if (at == 0 || at > KEYS)
		return false;
	*place = at - 1;
	*generation = atomic_load_explicit(&keys[at - 1].generation, memory_order_acquire);
	return (*generation & 1) && (*generation << 11 | at) == name.index;
}

PUBLIC int fiber_key_create(fiber_key_t *out, void (*destroy)(void *))
{
	int r = -EAGAIN;

	if (!out)
		return -EINVAL;
	spin_lock(&guard);
	for (unsigned i = 0; i < KEYS && r < 0; i++) {
		uint32_t g = atomic_load_explicit(&keys[i].generation, memory_order_relaxed);

		if (g & 1)
			continue;
		keys[i].destroy = destroy;
		atomic_store_explicit(&keys[i].generation, g + 1, memory_order_release);
		*out = name_key(i, g + 1);
		r = 0;
	}
	spin_unlock(&guard);
	return r;
}

PUBLIC int fiber_key_delete(fiber_key_t name)
{
	uint32_t g;
	unsigned i;
	bool found;

	spin_lock(&guard);
	found = find(name, &i, &g);
	if (found)
		atomic_store_explicit(&keys[i].generation, g + 1, memory_order_release);
	spin_unlock(&guard);
	return found ? 0 : -EINVAL;
}

PUBLIC void *fiber_getspecific(fiber_key_t name)
{
	struct fiber *self = wait_self();
	struct locals *l = self ? fiber_cold(self)->locals : NULL;
	uint32_t g;
	unsigned i;

	if (!l || !find(name, &i, &g) || i >= l->capacity || l->value[i].generation != g)
		return NULL;
	return l->value[i].value;
}

static int grow(struct cold *cold, unsigned place)
{
	unsigned old = cold->locals ? cold->locals->capacity : 0;
	unsigned capacity = (place / 8 + 1) * 8;
	struct locals *l = realloc(cold->locals, sizeof *l + capacity * sizeof *l->value);

	if (!l)
		return -ENOMEM;
	for (unsigned i = old; i < capacity; i++)
		l->value[i] = (struct value){0};
	l->capacity = capacity;
	cold->locals = l;
	return 0;
}

PUBLIC int fiber_setspecific(fiber_key_t name, const void *value)
{
	struct fiber *self = wait_self();
	struct cold *cold;
	uint32_t g;
	unsigned i;
	int r;

	if (!self)
		return wait_why();
	if (!find(name, &i, &g))
		return -EINVAL;
	cold = fiber_cold(self);
	if ((!cold->locals || i >= cold->locals->capacity) && (r = grow(cold, i)) < 0)
		return r;
	cold->locals->value[i] = (struct value){ g, (void *)value };
	return 0;
}

/* Takes the value out, and returns what to call with it; NULL: nothing. */
static void (*taken(struct value *v, unsigned place, void **value))(void *)
{
	void (*destroy)(void *) = NULL;

	*value = v->value;
	v->value = NULL;
	spin_lock(&guard);
	if (*value && v->generation ==
			      atomic_load_explicit(&keys[place].generation, memory_order_relaxed))
		destroy = keys[place].destroy;
	spin_unlock(&guard);
	return destroy;
}

static bool destroy_once(struct cold *cold)
{
	bool any = false;

	for (unsigned i = 0; i < cold->locals->capacity; i++) {
		void *value;
		void (*destroy)(void *) = taken(&cold->locals->value[i], i, &value);

		if (!destroy)
			continue;
		destroy(value);
		any = true;
	}
	return any;
}

void locals_destroy(struct cold *cold)
{
	for (int round = 0; cold->locals && round < ROUNDS && destroy_once(cold); round++)
		;
	free(cold->locals);
	cold->locals = NULL;
}

void locals_guard(bool take)
{
	if (take)
		spin_lock(&guard);
	else
		spin_unlock(&guard);
}
