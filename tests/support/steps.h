/* steps.h - stops before every instruction of a function in assembly, and has it looked at.
 *
 * One file a processor: steps.c in the folder of its name. */
#ifndef TESTS_STEPS_H
#define TESTS_STEPS_H

#include <stdint.h>

/* Called in a signal handler, on a stack of its own. */
typedef void steps_fn(uintptr_t pc, uintptr_t sp);

/* From now on arming works. Once in a process. */
void steps_begin(steps_fn *);
/* Every instruction of `function` that the caller executes next, until it leaves it. */
void steps_arm(const void *function);
void steps_end(void);

#endif
