/* sites.c - where atomics stand in the source, and the one that is weakened in this process. A site
 * is known by its file, its function and what it says; which line it stands on may change. */
#include <stdio.h>
#include <string.h>

#include "inside.h"

const char *const weakening_name[WEAKENINGS] = {
	[WEAKEN_ACQUIRE] = "without acquire",
	[WEAKEN_RELEASE] = "without release",
	[WEAKEN_TOTAL] = "without seq_cst",
	[WEAKEN_FAILURE] = "without acquire when it fails",
	[WEAKEN_FENCE] = "without the fence",
};
struct site site[SITES];
int sites = 1; /* 0 is none */
static int weak = -1;
static enum weakening how;

void sites_weaken(int number, enum weakening with)
{
	weak = number;
	how = with;
}

void sites_forget_met(void)
{
	for (int i = 0; i < sites; i++)
		site[i].met = false;
}

/* Is it the library's own? */
static bool ships(const char *file)
{
	const char *model = strstr(file, "/model/");

	return strstr(model ? model : file, "src/");
}

/* The same words twice in one function are one site. */
static int find(const struct model_site *s)
{
	const char *base = strrchr(s->file, '/');
	char name[NAME_BYTES];

	snprintf(name, sizeof name, "%s %s: %s", base ? base + 1 : s->file, s->function, s->what);
	for (int i = 1; i < sites; i++)
		if (strcmp(site[i].name, name) == 0)
			return i;
	if (sites == SITES)
		model_fail("more than %d sites", SITES);
	memcpy(site[sites].name, name, sizeof name);
	site[sites].ships = ships(s->file);
	return sites++;
}

static unsigned may(unsigned order, bool of_failure, bool fence)
{
	if (of_failure)
		return order & ACQUIRE ? 1u << WEAKEN_FAILURE : 0;
	if (fence)
		return 1u << WEAKEN_FENCE | (order & TOTAL ? 1u << WEAKEN_TOTAL : 0);
	if (order & TOTAL)
		return 1u << WEAKEN_TOTAL | 1u << WEAKEN_ACQUIRE | 1u << WEAKEN_RELEASE;
	return (order & ACQUIRE ? 1u << WEAKEN_ACQUIRE : 0) |
	       (order & RELEASE ? 1u << WEAKEN_RELEASE : 0);
}

static unsigned weaker(unsigned order, bool of_failure)
{
	switch (how) {
	case WEAKEN_ACQUIRE:
		return of_failure ? order : order & RELEASE;
	case WEAKEN_RELEASE:
		return of_failure ? order : order & ACQUIRE;
	case WEAKEN_TOTAL:
		return order & ~(unsigned)TOTAL;
	case WEAKEN_FAILURE:
		return of_failure ? 0 : order;
	case WEAKEN_FENCE:
		return 0;
	case WEAKENINGS:
		break;
	}
	return order;
}

unsigned site_order(int order, struct model_site *s, bool of_failure)
{
	static const uint8_t bits[] = {
		0, ACQUIRE, ACQUIRE, RELEASE, ACQUIRE | RELEASE, ACQUIRE | RELEASE | TOTAL,
	};
	unsigned strong = bits[order];
	bool fence = strstr(s->what, "fence") || strstr(s->what, "barrier");

	if (!s->id)
		s->id = find(s);
	if (running > 0) {
		site[s->id].may |= (uint8_t)may(strong, of_failure, fence);
		site[s->id].met = true;
	}
	return s->id == weak ? weaker(strong, of_failure) : strong;
}
