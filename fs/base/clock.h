/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nanoseconds, from the two clocks in use: time of day for what is stored, monotonic for what is waited for. */
#ifndef FS_BASE_CLOCK_H
#define FS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns_(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail for these ids */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}
/* Since 1970, UTC; negative before.  Jumps when the administrator sets the clock. */
static inline int64_t clock_realtime_ns(void)
{
	return clock_ns_(CLOCK_REALTIME);
}
static inline int64_t clock_monotonic_ns(void)
{
	return clock_ns_(CLOCK_MONOTONIC);
}
static inline struct timespec ns_to_timespec(int64_t ns)
{
	return (struct timespec){ns / 1000000000, ns % 1000000000};
}

#endif
