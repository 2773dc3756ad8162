/* source.h - what an event queue tells of: descriptors and user events.
 *
 * Sources live in chunks that never move. One is named by its id, an index with a generation, which
 * is also its cookie in the kernel and what public handles hold. The generation grows when a source
 * is given back, and when a descriptor is registered again: what was fetched from the kernel before
 * no longer finds it.
 *
 * Two locks guard them, `changes` before `guard` (queue.h). Who changes what the words of a source
 * say, takes or gives one holds both; who reads holds either. Descriptors are found by number in
 * chains that only `changes` guards. What is raised, and the list of it, is the guard's alone. */
#ifndef FB_QUEUE_SOURCE_H
#define FB_QUEUE_SOURCE_H

#include <fiber/queue.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum source_type { SOURCE_FREE, SOURCE_DESCRIPTOR, SOURCE_USER };

struct source {
	struct list raised;     /* in the queue's list: a user event that is to be told */
	uint64_t token;
	fiber_fd fd;            /* a descriptor's */
	uint32_t index;
	uint32_t generation;    /* never 0, so that no id is */
	uint32_t next;          /* in the chain of its number, or the list of free ones; NONE */
	uint16_t flags;         /* interests and mode */
	uint8_t type;
	uint8_t kind;           /* a descriptor's: what kernel_add said */
	uint8_t ready;          /* a user event's: what it is raised for */
	bool told;              /* the guard's; a one-shot's: silent until armed anew */
};

enum { SOURCES_CHUNKS = 20, SOURCES_FIRST = 64 };

struct sources {
	struct source *chunks[SOURCES_CHUNKS]; /* each twice as long as the one before */
	uint32_t used;          /* indices below it have been given out */
	uint32_t free;          /* the first of those given back; NONE */
	uint32_t *chains;       /* by number; a power of two of them */
	uint32_t chains_mask;   /* one less than that */
	uint32_t descriptors;
};

void sources_init(struct sources *);
void sources_destroy(struct sources *);

static inline uint64_t source_id(const struct source *s)
{
	return (uint64_t)s->generation << 32 | s->index;
}

/* Under `changes`. Sees to it that the next source can be taken: 0, or -ENOMEM. */
int sources_reserve(struct sources *);
/* Under `changes`. NULL: not registered. */
struct source *sources_find(struct sources *, fiber_fd);

/* Under both, after sources_reserve. A descriptor is found by its number from now on. */
struct source *sources_take_descriptor(struct sources *, fiber_fd);
struct source *sources_take_user(struct sources *);
/* Under both; it is in no list. */
void sources_give(struct sources *, struct source *);
/* Under both. A new id: what was fetched so far is void. */
void source_renew(struct source *);

/* Under either. NULL: there is none of that id any more, or never was. */
struct source *sources_at(struct sources *, uint64_t id);

#endif
