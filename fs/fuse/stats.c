/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/fuse/stats.h"

#include <errno.h>

#include "fs/base/json.h"
#include "fs/fuse/mnt.h"

#define SCHEMA_VERSION 2 /* 2: times, lags, ratios, caches */

_Static_assert(KAGEFS_TIMES_BUCKETS == HISTOGRAM_BUCKETS, "the ABI shows the buckets as they are");

/* All distributions, requests first, as one list.  NULL: there are no more. */
static const struct histogram *times_at(struct mnt *m, unsigned i, const char **name)
{
	if (i >= LATENCY_COUNT)
		return fs_times(m->fs, i - LATENCY_COUNT, name);
	*name = latency_name((enum latency_op)i);
	return &m->latency.op[i];
}

int stats_times(struct mnt *m, struct kagefs_ioc_times *a)
{
	const struct histogram *h;
	struct histogram_sum s;
	const char *name;

	if (a->flags)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(a->reserved); i++)
		if (a->reserved[i])
			return -EINVAL;
	h = times_at(m, a->index, &name);
	if (!h)
		return -ENOENT;
	histogram_read(h, &s);
	memset(a->name, 0, sizeof(a->name));
	memcpy(a->name, name, strnlen(name, sizeof(a->name) - 1));
	a->sum_ns = s.sum;
	a->max_ns = s.max;
	memcpy(a->bucket, s.bucket, sizeof(a->bucket));
	return 0;
}

int stats_json(struct mnt *m, struct kagefs_ioc_stats *a)
{
	const struct histogram *h;
	struct histogram_sum s;
	const char *name;
	struct json j;
	int n;

	if (a->flags)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(a->reserved); i++)
		if (a->reserved[i])
			return -EINVAL;
	json_begin(&j, a->json, sizeof(a->json));
	json_open(&j, NULL);
	json_u64(&j, "schema_version", SCHEMA_VERSION);
	fs_stats(m->fs, &j);
	ring_stats(m->wire.ring ? m->ring : NULL, &j);
	json_open(&j, "times_ns");
	for (unsigned i = 0; (h = times_at(m, i, &name)); i++) {
		histogram_read(h, &s);
		json_times(&j, name, &s);
	}
	json_close(&j);
	json_close(&j);
	n = json_end(&j);
	if (n < 0)
		return n;
	a->len = (__u32)n;
	return 0;
}
