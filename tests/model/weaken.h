/* weaken.h - weaken.c for main.c, and the list of survivors. */
#ifndef FB_MODEL_WEAKEN_H
#define FB_MODEL_WEAKEN_H

#include <stdint.h>

#include "model.h"

struct survivor {
	const char *site;            /* as weaken.c prints it */
	const char *how;
	const char *why;
};
extern const struct survivor survivors[]; /* ends with one that has no site */

/* This scenario has just passed, in so many runs; the sites that it met. */
void weaken_note(const struct scenario *, uint64_t runs);
/* How many were not as expected. */
unsigned weaken_all(unsigned *tried);
int weaken_show(const char *words, const char *with);

#endif
