/* must.h - checks that stay on, and the few GNU spellings the library uses. */
#ifndef FB_MUST_H
#define FB_MUST_H

#include <assert.h>
#include <stddef.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define NOINLINE    __attribute__((__noinline__))
#define INLINE      static inline __attribute__((__always_inline__))
#define COLD        __attribute__((__noinline__, __cold__))
#define PRINTF(f, a) __attribute__((__format__(__printf__, f, a)))

/* The public functions; everything else is hidden (-fvisibility=hidden). Never inlined, not even by
 * a link-time optimiser: two of them in one function of the caller's may run on two threads, and a
 * compiler may keep the address of a thread-local. */
#define PUBLIC __attribute__((__visibility__("default"), __noinline__))

#define container_of(pointer, type, member)                                                        \
	((type *)((char *)(pointer) - offsetof(type, member)))

/* must(x): x is what keeps memory whole. Checked in every build; says what and where, aborts. */
#define must(x) (likely(x) ? (void)0 : must_fail(#x, __FILE__, __LINE__, __func__))

/* The end of a switch over every state. */
#define unreachable() must_fail("unreachable", __FILE__, __LINE__, __func__)

_Noreturn void must_fail(const char *what, const char *file, int line, const char *function);

#endif
