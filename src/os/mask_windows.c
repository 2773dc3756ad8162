/* mask_windows.c - there are no signals that a thread could keep out; see mask.h. */
#include "os/mask.h"

#include <string.h>

void os_mask_get(struct os_mask *m)
{
	memset(m, 0, sizeof *m);
}

void os_mask_set(const struct os_mask *m, struct os_mask *before)
{
	(void)m;
	if (before)
		os_mask_get(before);
}

void os_mask_all(struct os_mask *m)
{
	os_mask_get(m);
}

void os_mask_all_but_faults(struct os_mask *m)
{
	os_mask_get(m);
}
