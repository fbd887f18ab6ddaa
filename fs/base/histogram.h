/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A distribution of times that many threads add to without a lock.  Buckets are a quarter of a power of two wide, so a
 * quantile is off by less than a quarter, whatever its size.
 *
 * An add is two atomic additions in one of a few copies (a thread keeps to its own), so that threads seldom share a cache
 * line; a read sums the copies.  What is added while it reads may be missing from parts of the sum, nothing else.
 */
#ifndef FS_BASE_HISTOGRAM_H
#define FS_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 128
#define HISTOGRAM_COPIES 8

struct histogram { /* all zero: empty */
	struct histogram_copy {
		_Atomic uint64_t bucket[HISTOGRAM_BUCKETS], sum, max;
	} copy[HISTOGRAM_COPIES];
};

struct histogram_sum {
	uint64_t bucket[HISTOGRAM_BUCKETS];
	uint64_t count, sum, max; /* count: of all buckets */
};

/* Bucket of a value: 0 to 3 have their own; then four for each power of two; the last one has all from 7 * 2^30 on. */
static inline unsigned histogram_bucket(uint64_t v)
{
	unsigned e, b;

	if (v < 4)
		return (unsigned)v;
	e = 63 - (unsigned)__builtin_clzll(v);
	b = (e - 1) * 4 + (unsigned)(v >> (e - 2) & 3);
	return b < HISTOGRAM_BUCKETS ? b : HISTOGRAM_BUCKETS - 1;
}
/* The least value of bucket b. */
static inline uint64_t histogram_low(unsigned b)
{
	return b < 4 ? b : (uint64_t)(4 + b % 4) << (b / 4 - 1);
}

void histogram_add(struct histogram *h, uint64_t v);
void histogram_read(const struct histogram *h, struct histogram_sum *out);
/* What was added between two reads.  The greatest value in between is not known: that of the last bucket's end, or now->max. */
void histogram_since(const struct histogram_sum *now, const struct histogram_sum *before, struct histogram_sum *out);
/* The value that a share q (0..1) of all do not exceed, interpolated in its bucket and never above max.  0: empty. */
uint64_t histogram_quantile(const struct histogram_sum *s, double q);

#endif
