/* all.h - what the scenarios share: the atomics of the model, its system, and themselves. */
#ifndef FB_MODEL_ALL_H
#define FB_MODEL_ALL_H

#include <string.h>

#include "model.h"
#include "os/os.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define SCENARIO(title, begin, end, ...)                                                           \
	{ .name = title, .setup = begin, .check = end, .thread = { __VA_ARGS__ } }

/* Each ends with one that has no name. */
extern const struct scenario scenarios_litmus[], scenarios_deque[], scenarios_inbox[],
	scenarios_guard[], scenarios_sleepers[], scenarios_post[], scenarios_join[],
	scenarios_door[], scenarios_chan[], scenarios_lock[], scenarios_request[];

#endif
