/* spawn.h - new fibers, for those who spawn on somebody's behalf. */
#ifndef FB_SCHED_SPAWN_H
#define FB_SCHED_SPAWN_H

#include <fiber.h>

/* fiber_spawn; spawned_at is what reports and dumps show: a return address of the program's. */
int spawn_from(fiber_t *out, const fiber_attr_t *, fiber_fn *, void *argument,
	       const void *spawned_at);

#endif
