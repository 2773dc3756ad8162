/* forks.h - has this process been forked since? For what a child must not touch. */
#ifndef FB_OS_FORKS_H
#define FB_OS_FORKS_H

#include <stdatomic.h>
#include <stdint.h>

/* Begins to count, once for all; -ENOMEM. */
int os_forks_watch(void);

/* Forks that led to this process since then: the same number means the same process. */
extern _Atomic uint32_t os_forks_count;
static inline uint32_t os_forks(void)
{
	return atomic_load_explicit(&os_forks_count, memory_order_relaxed);
}

#endif
