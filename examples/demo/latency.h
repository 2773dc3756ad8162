/* latency.h - a histogram of durations: 32 buckets to each power of two, so 3% fine at any size. */
#ifndef DEMO_LATENCY_H
#define DEMO_LATENCY_H

#include <stdint.h>

enum { LATENCY_FINE = 5, LATENCY_BUCKETS = 64 << LATENCY_FINE };

struct latency {
	uint64_t count;
	uint64_t buckets[LATENCY_BUCKETS];
};

static inline void latency_add(struct latency *l, int64_t ns)
{
	uint64_t value = ns < 1 << LATENCY_FINE ? 1 << LATENCY_FINE : (uint64_t)ns;
	unsigned power = 63 - (unsigned)__builtin_clzll(value);

	l->count++;
	l->buckets[(power << LATENCY_FINE) +
		   (value >> (power - LATENCY_FINE) & ((1 << LATENCY_FINE) - 1))]++;
}

/* In nanoseconds, what `part` (0.5: the median) of all durations did not exceed. */
static inline int64_t latency_quantile(const struct latency *l, double part)
{
	uint64_t rank = (uint64_t)((double)l->count * part), seen = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		unsigned power = i >> LATENCY_FINE;
		uint64_t fine = (i & ((1 << LATENCY_FINE) - 1)) + (1 << LATENCY_FINE) + 1;

		seen += l->buckets[i];
		if (seen > rank)
			return (int64_t)(fine << (power - LATENCY_FINE));
	}
	return 0;
}

#endif
