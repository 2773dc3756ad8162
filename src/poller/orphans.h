/* orphans.h - operations that nobody's list can take at the moment they end: their number was given
 * out anew while they waited on it. The next `wait` of any poller gives them back. */
#ifndef FB_POLLER_ORPHANS_H
#define FB_POLLER_ORPHANS_H

#include "poller/ready.h"

/* Empties the list, and wakes r so that somebody comes for them (NULL: the caller wakes one). */
void orphans_leave(struct list *, struct ready *r);
/* How many. */
unsigned orphans_take(struct list *back);
/* The forked child's. */
void orphans_forget_all(void);

#endif
