/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arithmetic only. */
#include "agent/patience.h"

#include <errno.h>
#include <time.h>

int64_t patience_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct patience patience_ms(int64_t ms)
{
	return (struct patience){ .end_ms = patience_now_ms() + ms };
}

int patience_check(const struct patience *p)
{
	if (p->is_over && p->is_over(p->arg))
		return -ECANCELED;
	return patience_now_ms() >= p->end_ms ? -ETIMEDOUT : 0;
}

int patience_slice_ms(const struct patience *p)
{
	int64_t left = p->end_ms - patience_now_ms();

	return left < 0 ? 0 : (int)MIN(left, PATIENCE_SLICE_MS);
}
