/* spin.h - the guard of a few lines of code. Held briefly, never across a park, a system call that
 * may block, or a wake-up. The holder may be preempted, and on a small machine its processor may be
 * the spinner's: after a hundred tries the spinner gives its own away. */
#ifndef FB_OS_SPIN_H
#define FB_OS_SPIN_H

#include "os/atomic.h"
#include "os/os.h"

struct spin {
	_Atomic uint32_t word; /* 0: free */
};

static inline bool spin_trylock(struct spin *s)
{
	return atomic_swap32(&s->word, 1) == 0;
}

static inline void spin_lock(struct spin *s)
{
	if (likely(spin_trylock(s)))
		return;
	for (unsigned tries = 1;; tries++) {
		while (atomic_load_explicit(&s->word, memory_order_relaxed)) {
			os_pause();
			if (++tries % 128 == 0)
				os_yield();
		}
		if (spin_trylock(s))
			return;
	}
}

static inline void spin_unlock(struct spin *s)
{
	atomic_store_explicit(&s->word, 0, memory_order_release);
}

#endif
