/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random numbers that depend on the seed alone (splitmix64). */
#ifndef TESTS_MODEL_RNG_H
#define TESTS_MODEL_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s;
};
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}
/* 0 .. n - 1; n > 0 */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}
static inline bool rng_one_in(struct rng *r, uint64_t n)
{
	return rng_below(r, n) == 0;
}

#endif
