/* local.h - fiber-locals of one fiber. Private to src/sched/. */
#ifndef FB_SCHED_LOCAL_H
#define FB_SCHED_LOCAL_H

#include "sched/fiber.h"

/* Runs the destructors of what is set, then frees the table. May park. */
void locals_destroy(struct cold *);
/* Around a fork: the table of keys. */
void locals_guard(bool take);

#endif
