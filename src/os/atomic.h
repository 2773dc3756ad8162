/* atomic.h - read-modify-writes that cost nothing while the process has one thread.
 *
 * A locked instruction costs 4-5 ns, a third of a channel's message. glibc tells in one byte
 * whether a second thread was ever started; until then a plain load and store do, because nothing
 * can come between them. The byte turns from true to false inside pthread_create, which the only
 * thread calls itself, so never in the middle of one of these functions. "One worker" would be no
 * sound test: any thread may take a static mutex.
 *
 * Not for words that a signal handler changes: it does come between. Those take the atomics of
 * C. */
#ifndef FB_OS_ATOMIC_H
#define FB_OS_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define FB_HAVE_SINGLE_THREADED 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define FB_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FB_TSAN 1
#endif
#endif

INLINE bool os_alone(void)
{
#if defined(FB_HAVE_SINGLE_THREADED)
	return __libc_single_threaded;
#else
	return false;
#endif
}

/* Each returns what the word held before; cas returns whether it changed, and reloads *expected. */
INLINE bool atomic_cas64(_Atomic uint64_t *word, uint64_t *expected, uint64_t desired)
{
	if (os_alone()) {
		uint64_t now = atomic_load_explicit(word, memory_order_relaxed);

		if (now != *expected) {
			*expected = now;
			return false;
		}
		atomic_store_explicit(word, desired, memory_order_relaxed);
		return true;
	}
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_acq_rel, memory_order_acquire);
}

INLINE bool atomic_cas32(_Atomic uint32_t *word, uint32_t *expected, uint32_t desired)
{
	if (os_alone()) {
		uint32_t now = atomic_load_explicit(word, memory_order_relaxed);

		if (now != *expected) {
			*expected = now;
			return false;
		}
		atomic_store_explicit(word, desired, memory_order_relaxed);
		return true;
	}
	return atomic_compare_exchange_strong_explicit(word, expected, desired,
						       memory_order_acq_rel, memory_order_acquire);
}

INLINE uint64_t atomic_swap64(_Atomic uint64_t *word, uint64_t value)
{
	if (os_alone()) {
		uint64_t was = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, value, memory_order_relaxed);
		return was;
	}
	return atomic_exchange_explicit(word, value, memory_order_acq_rel);
}

INLINE uint64_t atomic_or64(_Atomic uint64_t *word, uint64_t bits)
{
	if (os_alone()) {
		uint64_t was = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, was | bits, memory_order_relaxed);
		return was;
	}
	return atomic_fetch_or_explicit(word, bits, memory_order_acq_rel);
}

INLINE uint64_t atomic_and64(_Atomic uint64_t *word, uint64_t bits)
{
	if (os_alone()) {
		uint64_t was = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, was & bits, memory_order_relaxed);
		return was;
	}
	return atomic_fetch_and_explicit(word, bits, memory_order_acq_rel);
}

INLINE uint32_t atomic_swap32(_Atomic uint32_t *word, uint32_t value)
{
	if (os_alone()) {
		uint32_t was = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, value, memory_order_relaxed);
		return was;
	}
	return atomic_exchange_explicit(word, value, memory_order_acq_rel);
}

INLINE uint32_t atomic_or32(_Atomic uint32_t *word, uint32_t bits)
{
	if (os_alone()) {
		uint32_t was = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, was | bits, memory_order_relaxed);
		return was;
	}
	return atomic_fetch_or_explicit(word, bits, memory_order_acq_rel);
}

INLINE uint64_t atomic_add64(_Atomic uint64_t *word, uint64_t n)
{
	if (os_alone()) {
		uint64_t was = atomic_load_explicit(word, memory_order_relaxed);

		atomic_store_explicit(word, was + n, memory_order_relaxed);
		return was;
	}
	return atomic_fetch_add_explicit(word, n, memory_order_acq_rel);
}

/* Counters that one thread writes and others may read at any time: no locked instruction. */
INLINE void count_up(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

INLINE uint64_t count_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The full barrier of a store-load race: "I wrote mine, now I look at yours". Whoever calls it
 * names the other thread's barrier. ThreadSanitizer does not model fences, but needs none here:
 * both sides of such a race are atomics already, and a read-modify-write orders the hardware. */
INLINE void os_barrier(void)
{
	if (os_alone())
		return;
#if defined(FB_TSAN)
	_Atomic uint32_t word = 0;
	atomic_exchange_explicit(&word, 1, memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* atomic_cas64 and os_barrier in one, where it succeeds: on x86 the locked instruction is the
 * barrier already. */
INLINE bool atomic_cas64_barrier(_Atomic uint64_t *word, uint64_t *expected, uint64_t desired)
{
	bool changed = atomic_cas64(word, expected, desired);

#if (defined(__x86_64__) || defined(__i386__)) && !defined(FB_MODEL)
	atomic_signal_fence(memory_order_seq_cst); /* nor does the compiler move anything */
#else
	os_barrier();
#endif
	return changed;
}

#endif
