/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/base/histogram.h"

#include <string.h>

/* Threads take the copies in turn. */
static unsigned my_copy(void)
{
	static _Atomic unsigned next;
	static _Thread_local unsigned mine; /* plus one */

	if (!mine)
		mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % HISTOGRAM_COPIES;
	return mine - 1;
}

void histogram_add(struct histogram *h, uint64_t v)
{
	struct histogram_copy *c = &h->copy[my_copy()];
	uint64_t max = atomic_load_explicit(&c->max, memory_order_relaxed);

	atomic_fetch_add_explicit(&c->bucket[histogram_bucket(v)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->sum, v, memory_order_release);
	while (max < v && !atomic_compare_exchange_weak_explicit(&c->max, &max, v, memory_order_release, memory_order_relaxed))
		;
}

void histogram_read(const struct histogram *h, struct histogram_sum *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < HISTOGRAM_COPIES; i++) {
		const struct histogram_copy *c = &h->copy[i];
		/* The other way round than they are added: never a maximum that the sum lacks. */
		uint64_t max = atomic_load_explicit(&c->max, memory_order_acquire);

		out->sum += atomic_load_explicit(&c->sum, memory_order_acquire);
		for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
			uint64_t n = atomic_load_explicit(&c->bucket[b], memory_order_relaxed);

			out->bucket[b] += n;
			out->count += n;
		}
		if (out->max < max)
			out->max = max;
	}
}

void histogram_since(const struct histogram_sum *now, const struct histogram_sum *before, struct histogram_sum *out)
{
	unsigned last = 0;

	memset(out, 0, sizeof(*out));
	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
		out->bucket[b] = now->bucket[b] - before->bucket[b];
		out->count += out->bucket[b];
		if (out->bucket[b])
			last = b;
	}
	out->sum = now->sum - before->sum;
	if (!out->count)
		return;
	out->max = now->max;
	if (last + 1 < HISTOGRAM_BUCKETS && histogram_low(last + 1) - 1 < out->max)
		out->max = histogram_low(last + 1) - 1;
}

uint64_t histogram_quantile(const struct histogram_sum *s, double q)
{
	double want = q * (double)s->count, below = 0;

	for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
		double n = (double)s->bucket[b];
		uint64_t low = histogram_low(b), end = b + 1 < HISTOGRAM_BUCKETS ? histogram_low(b + 1) - 1 : s->max, v;

		if (n > 0 && below + n >= want) {
			if (end > s->max)
				end = s->max;
			v = low + (uint64_t)((double)(end > low ? end - low : 0) * (want > below ? (want - below) / n : 0));
			return v < s->max ? v : s->max;
		}
		below += n;
	}
	return s->max;
}
