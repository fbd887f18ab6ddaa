/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * 4 KiB of test data that say themselves what they must be: place, a number, and bytes that follow from both.  70 % of the
 * bytes are noise, the rest is zero, so that about 30 % can be compressed away.
 */
#ifndef BENCH_CELL_H
#define BENCH_CELL_H

#include <stdint.h>
#include <string.h>

#define CELL 4096
#define CELL_WORDS (CELL / 8)
#define CELL_NOISE (CELL_WORDS * 7 / 10)

static inline uint64_t cell_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/* Fill `cell` (8-byte aligned) for place `at`, number `seq`. */
static inline void cell_fill(void *cell, uint64_t at, uint64_t seq)
{
	uint64_t *w = cell, x = cell_mix(at ^ cell_mix(seq));

	w[0] = at;
	w[1] = seq;
	for (int i = 2; i < CELL_NOISE; i++)
		w[i] = x = x * 6364136223846793005ull + 1442695040888963407ull;
	memset(w + CELL_NOISE, 0, CELL - CELL_NOISE * 8);
}

/* Whether `cell` is whole and was written for place `at`. */
static inline int cell_good(const void *cell, uint64_t at)
{
	const uint64_t *w = cell;
	uint64_t want[CELL_WORDS];

	cell_fill(want, at, w[1]);
	return memcmp(want, cell, CELL) == 0;
}

#endif
