/* atomic.h - the library's own os/atomic.h. Its functions are called from many places, and each of
 * these calls is a site of its own to the explorer: or one could only be weakened with all. */
#ifndef FB_MODEL_OS_ATOMIC_H
#define FB_MODEL_OS_ATOMIC_H

#include "../../../../src/os/atomic.h"

#define atomic_cas64(p, ...) (model_at(MODEL_SITE("cas64 " #p)), atomic_cas64(p, __VA_ARGS__))
#define atomic_cas32(p, ...) (model_at(MODEL_SITE("cas32 " #p)), atomic_cas32(p, __VA_ARGS__))
/* Two operations: the barrier is known by its own place. */
#define atomic_cas64_barrier(p, ...)                                                               \
	(model_at(MODEL_SITE("cas64_barrier " #p)), atomic_cas64_barrier(p, __VA_ARGS__))
#define atomic_swap64(p, v) (model_at(MODEL_SITE("swap64 " #p)), atomic_swap64(p, v))
#define atomic_or64(p, v) (model_at(MODEL_SITE("or64 " #p)), atomic_or64(p, v))
#define atomic_and64(p, v) (model_at(MODEL_SITE("and64 " #p)), atomic_and64(p, v))
#define atomic_add64(p, v) (model_at(MODEL_SITE("add64 " #p)), atomic_add64(p, v))
#define atomic_swap32(p, v) (model_at(MODEL_SITE("swap32 " #p)), atomic_swap32(p, v))
#define atomic_or32(p, v) (model_at(MODEL_SITE("or32 " #p)), atomic_or32(p, v))
#define os_barrier() (model_at(MODEL_SITE("os_barrier")), os_barrier())

#endif
