/* source.c - taking, giving back and finding sources (source.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "queue/source.h"

#define NONE UINT32_MAX

/* Chunk n begins at FIRST * (2^n - 1). */
static unsigned chunk_of(uint32_t index)
{
	return 31u - (unsigned)__builtin_clz(index / SOURCES_FIRST + 1);
}

static struct source *at(struct sources *all, uint32_t index)
{
	unsigned chunk = chunk_of(index);

	return &all->chunks[chunk][index - SOURCES_FIRST * ((1u << chunk) - 1)];
}

void sources_init(struct sources *all)
{
	memset(all, 0, sizeof *all);
	all->free = NONE;
}

void sources_destroy(struct sources *all)
{
	for (unsigned i = 0; i < SOURCES_CHUNKS; i++)
		free(all->chunks[i]);
	free(all->chains);
}

/* ---- by number --------------------------------------------------------------------------------*/
static uint32_t *chain(struct sources *all, fiber_fd fd)
{
	/* Handles of some systems are all multiples of four. */
	uint32_t mixed = (uint32_t)fd * 2654435769u;

	return &all->chains[(mixed ^ mixed >> 16) & all->chains_mask];
}

struct source *sources_find(struct sources *all, fiber_fd fd)
{
	uint32_t i;

	if (!all->chains)
		return NULL;
	for (i = *chain(all, fd); i != NONE; i = at(all, i)->next)
		if (at(all, i)->fd == fd)
			return at(all, i);
	return NULL;
}

static void link_number(struct sources *all, struct source *s)
{
	uint32_t *head = chain(all, s->fd);

	s->next = *head;
	*head = s->index;
}

static void unlink_number(struct sources *all, struct source *s)
{
	uint32_t *link = chain(all, s->fd);

	while (*link != s->index)
		link = &at(all, *link)->next;
	*link = s->next;
}

/* Twice as many chains when there is a descriptor for each. */
static int widen(struct sources *all)
{
	uint32_t n = all->chains ? 2 * (all->chains_mask + 1) : SOURCES_FIRST;
	uint32_t *chains;

	if (all->chains && all->descriptors <= all->chains_mask)
		return 0;
	chains = malloc(n * sizeof *chains);
	if (!chains)
		return -ENOMEM;
	free(all->chains);
	all->chains = chains;
	all->chains_mask = n - 1;
	for (uint32_t i = 0; i < n; i++)
		chains[i] = NONE;
	for (uint32_t i = 0; i < all->used; i++)
		if (at(all, i)->type == SOURCE_DESCRIPTOR)
			link_number(all, at(all, i));
	return 0;
}

/* ---- taking and giving back -------------------------------------------------------------------*/
int sources_reserve(struct sources *all)
{
	unsigned chunk = chunk_of(all->used);
	int r = widen(all);

	if (r < 0 || all->free != NONE)
		return r;
	if (chunk >= SOURCES_CHUNKS)
		return -ENOMEM;
	/* Nobody reads this word yet: no index that is given out lies there. */
	if (!all->chunks[chunk])
		all->chunks[chunk] = calloc((size_t)SOURCES_FIRST << chunk, sizeof(struct source));
	return all->chunks[chunk] ? 0 : -ENOMEM;
}

void source_renew(struct source *s)
{
	if (++s->generation == 0)
		s->generation = 1;
}

static struct source *take(struct sources *all, enum source_type type)
{
	uint32_t index = all->free;
	struct source *s;

	if (index != NONE) {
		s = at(all, index);
		all->free = s->next;
	} else {
		index = all->used++;
		s = at(all, index);
		s->index = index;
		s->generation = 1;
	}
	assert(s->type == SOURCE_FREE);
	s->type = (uint8_t)type;
	s->ready = 0;
	s->told = false;
	return s;
}

struct source *sources_take_descriptor(struct sources *all, fiber_fd fd)
{
	struct source *s = take(all, SOURCE_DESCRIPTOR);

	s->fd = fd;
	link_number(all, s);
	all->descriptors++;
	return s;
}

struct source *sources_take_user(struct sources *all)
{
	return take(all, SOURCE_USER);
}

void sources_give(struct sources *all, struct source *s)
{
	must(s->type != SOURCE_FREE && !list_linked(&s->raised));
	if (s->type == SOURCE_DESCRIPTOR) {
		unlink_number(all, s);
		all->descriptors--;
	}
	s->type = SOURCE_FREE;
	source_renew(s);
	s->next = all->free;
	all->free = s->index;
}

struct source *sources_at(struct sources *all, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	struct source *s;

	if (unlikely(index >= all->used))
		return NULL;
	s = at(all, index);
	return s->generation == id >> 32 ? s : NULL;
}
