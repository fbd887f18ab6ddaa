/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A clock for measuring every request: 10 ns a reading where the kernel itself trusts the processor's counter for its clocks,
 * else CLOCK_MONOTONIC (30 ns).
 */
#ifndef FS_BASE_TICKS_H
#define FS_BASE_TICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/clock.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Read-only after ticks_start. */
extern struct ticks {
	bool counter;
	uint64_t ns_per_tick_32; /* times 2^32 */
} ticks;

/* Once, before the first thread.  Takes a few milliseconds where the counter is used: its rate is measured. */
void ticks_start(void);

static inline uint64_t ticks_now(void)
{
#if defined(__x86_64__)
	if (ticks.counter)
		return __rdtsc();
#endif
	return (uint64_t)clock_monotonic_ns();
}

/* Nanoseconds since `begin`; 0 if the processors' counters disagree by more than went by. */
static inline uint64_t ticks_ns_since(uint64_t begin)
{
	uint64_t d = ticks_now() - begin;

	if ((int64_t)d < 0)
		return 0;
#if defined(__x86_64__)
	if (ticks.counter)
		return (uint64_t)((unsigned __int128)d * ticks.ns_per_tick_32 >> 32);
#endif
	return d;
}

#endif
