/* atomics.h - what the model's <stdatomic.h> turns atomics into. Orders are those of enum
 * memory_order, in the order in which C lists them. */
#ifndef FB_MODEL_ATOMICS_H
#define FB_MODEL_ATOMICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One place in the source where an atomic stands. */
struct model_site {
	const char *file;
	int line;
	const char *function, *what;
	int id; /* 0: not met yet (sites.c) */
};

#define MODEL_SITE(what)                                                                           \
	({                                                                                         \
		static struct model_site model_site_ = { __FILE__, __LINE__, __func__, what, 0 };  \
		&model_site_;                                                                      \
	})

enum model_change { MODEL_EXCHANGE, MODEL_ADD, MODEL_SUB, MODEL_OR, MODEL_AND };

void model_init(volatile void *, const void *value, size_t bytes, struct model_site *);
void model_load(const volatile void *, void *value, size_t bytes, int order, struct model_site *);
void model_store(volatile void *, const void *value, size_t bytes, int order, struct model_site *);
void model_change(volatile void *, const void *operand, void *was, size_t bytes,
		  enum model_change, int order, struct model_site *);
bool model_compare(volatile void *, void *expected, const void *value, size_t bytes, int order,
		   int failure, struct model_site *);
void model_fence(int order, struct model_site *);

/* The next atomic of this thread is to be known by this site instead of its own. */
void model_at(struct model_site *);
/* A loop that spins: what was last read tells nothing new until it has changed. */
void model_pause(void);
/* The same for this word, unless what it was last seen to hold is `good`. */
void model_pause_on(const volatile void *, uint64_t good);

#endif
