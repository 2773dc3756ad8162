/* histogram.h - latencies counted in buckets a 256th of their octave wide, so a percentile is
 * within 0.4 per cent, in 115 KB and without sorting. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <string.h>

enum {
	HISTOGRAM_BITS = 8,
	HISTOGRAM_FINE = 1 << HISTOGRAM_BITS,
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS) * HISTOGRAM_FINE,
};

struct histogram {
	uint64_t total;
	uint64_t counts[HISTOGRAM_BUCKETS];
};

static inline void histogram_clear(struct histogram *h)
{
	memset(h, 0, sizeof *h);
}

/* Small values have a bucket each; above, the octave and the bits behind its highest one. */
static inline unsigned histogram_bucket(int64_t value)
{
	unsigned octave;

	if (value < HISTOGRAM_FINE)
		return value < 0 ? 0 : (unsigned)value;
	octave = 63 - (unsigned)__builtin_clzll((uint64_t)value) - HISTOGRAM_BITS;
	return (octave + 1) * HISTOGRAM_FINE + (unsigned)(value >> octave) - HISTOGRAM_FINE;
}

static inline void histogram_add(struct histogram *h, int64_t value)
{
	h->counts[histogram_bucket(value)]++;
	h->total++;
}

/* The lowest value of the bucket in which that share of all values is reached. */
static inline int64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)h->total), sum = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		sum += h->counts[i];
		if (sum <= wanted)
			continue;
		if (i < HISTOGRAM_FINE)
			return i;
		return (int64_t)(i % HISTOGRAM_FINE + HISTOGRAM_FINE) << (i / HISTOGRAM_FINE - 1);
	}
	return 0;
}

#endif
