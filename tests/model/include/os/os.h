/* os.h - the library's own os/os.h; but a pause in a loop that spins tells the explorer that
 * nothing comes of looking again before there is something new to see. */
#ifndef FB_MODEL_OS_H
#define FB_MODEL_OS_H

#define os_pause os_pause_of_the_processor
#include "../../../../src/os/os.h"
#undef os_pause

#include "../../atomics.h"

static inline void os_pause(void)
{
	model_pause();
}

#endif
