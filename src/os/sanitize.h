/* sanitize.h - what AddressSanitizer and ThreadSanitizer must hear of a switch. Nothing, and no
 * cost, in builds without them. */
#ifndef FB_OS_SANITIZE_H
#define FB_OS_SANITIZE_H

#include <stddef.h>

#include "os/atomic.h"

#if defined(__SANITIZE_ADDRESS__)
#define FB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FB_ASAN 1
#endif
#endif

#if defined(FB_ASAN)
void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t bytes);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom, size_t *bytes);
void __asan_unpoison_memory_region(void const volatile *address, size_t bytes);
#endif
#if defined(FB_TSAN)
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

/* Leaving for the stack [bottom, bottom + bytes). *fake is kept for the return; NULL: never. */
static inline void sanitize_leave(void **fake, const void *bottom, size_t bytes)
{
#if defined(FB_ASAN)
	__sanitizer_start_switch_fiber(fake, bottom, bytes);
#else
	(void)fake, (void)bottom, (void)bytes;
#endif
}

/* First thing on the stack arrived at. */
static inline void sanitize_arrive(void *fake)
{
#if defined(FB_ASAN)
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#else
	(void)fake;
#endif
}

/* The same, and tells which stack was left. */
static inline void sanitize_arrive_from(void *fake, const void **bottom, size_t *bytes)
{
#if defined(FB_ASAN)
	__sanitizer_finish_switch_fiber(fake, bottom, bytes);
#else
	(void)fake, (void)bottom, (void)bytes;
#endif
}

/* A stack that ended by a switch and not by returning leaves its frames poisoned. */
static inline void sanitize_fresh(void *bottom, size_t bytes)
{
#if defined(FB_ASAN)
	__asan_unpoison_memory_region(bottom, bytes);
#else
	(void)bottom, (void)bytes;
#endif
}

static inline void *sanitize_create(void)
{
#if defined(FB_TSAN)
	return __tsan_create_fiber(0);
#else
	return NULL;
#endif
}

static inline void *sanitize_current(void)
{
#if defined(FB_TSAN)
	return __tsan_get_current_fiber();
#else
	return NULL;
#endif
}

static inline void sanitize_destroy(void *context)
{
#if defined(FB_TSAN)
	__tsan_destroy_fiber(context);
#else
	(void)context;
#endif
}

/* Right before the switch, from a frame that is not instrumented (NO_SANITIZE_THREAD). */
static inline __attribute__((__always_inline__)) void sanitize_switch(void *context)
{
#if defined(FB_TSAN)
	__tsan_switch_to_fiber(context, 0);
#else
	(void)context;
#endif
}

/* clang's no_sanitize leaves calls in that mark the begin and end of a function; those would be
 * made for two fibers in turn. */
#if !defined(FB_TSAN)
#define NO_SANITIZE_THREAD
#elif __has_attribute(__disable_sanitizer_instrumentation__)
#define NO_SANITIZE_THREAD __attribute__((__disable_sanitizer_instrumentation__))
#else
#define NO_SANITIZE_THREAD __attribute__((__no_sanitize__("thread")))
#endif

#endif
