/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counters as JSON. */
#include <stdarg.h>
#include <stdio.h>

#include "fs/volume/internal.h"

struct out {
	char *p;
	size_t size, len;
};

static void add(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->p + o->len, o->size - o->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len = MIN(o->len + (size_t)n, o->size - 1);
}

static void num(struct out *o, const char *name, uint64_t v)
{
	add(o, "%s\"%s\":%llu", o->p[o->len - 1] == '{' ? "" : ",", name, (unsigned long long)v);
}

int fs_stats_json(struct fs *fs, char *buf, size_t size)
{
	struct out o = { buf, size, 0 };
	struct store_stats st;
	struct log_stats lg;

	if (size < 2)
		return -EINVAL;
	log_get_stats(fs->log, &lg);
	store_get_stats(fs->store, &st);
	add(&o, "{\"schema_version\":1,\"ops\":{");
	num(&o, "changes", atomic_load(&fs->stat.ops));
	num(&o, "retries", atomic_load(&fs->stat.retries));
	num(&o, "reads", atomic_load(&fs->stat.reads));
	num(&o, "read_bytes", atomic_load(&fs->stat.read_bytes));
	num(&o, "writes", atomic_load(&fs->stat.writes));
	num(&o, "write_bytes", atomic_load(&fs->stat.write_bytes));
	num(&o, "commits", atomic_load(&fs->stat.commits));
	num(&o, "gate_ns_max", atomic_load(&fs->stat.gate_ns_max));
	num(&o, "gate_ns_sum", atomic_load(&fs->stat.gate_ns_sum));
	add(&o, "},\"log\":{");
	num(&o, "end", lg.end);
	num(&o, "durable", lg.durable);
	num(&o, "used_bytes", lg.used_bytes);
	num(&o, "capacity_bytes", lg.capacity_bytes);
	num(&o, "flushes", lg.flushes);
	num(&o, "records", lg.records);
	num(&o, "flushed_bytes", lg.flushed_bytes);
	num(&o, "reserve_waits", lg.reserve_waits);
	add(&o, "},\"apply\":{");
	pthread_mutex_lock(&fs->pending.lock);
	num(&o, "pending_records", fs->pending.count);
	num(&o, "pending_bytes", fs->pending.bytes);
	pthread_mutex_unlock(&fs->pending.lock);
	num(&o, "applied_lsn", atomic_load(&fs->pending.applied));
	num(&o, "records", atomic_load(&fs->stat.applied_records));
	num(&o, "batches", atomic_load(&fs->stat.batches));
	num(&o, "extents", atomic_load(&fs->inodes.extents));
	num(&o, "reclaim_steps", atomic_load(&fs->stat.reclaim_steps));
	add(&o, "},\"blocks\":{");
	num(&o, "converted", atomic_load(&fs->stat.converted_blocks));
	num(&o, "dedup_hits", atomic_load(&fs->stat.dedup_hits));
	num(&o, "compacted", atomic_load(&fs->stat.compacted_blocks));
	num(&o, "dropped_packs", atomic_load(&fs->stat.dropped_packs));
	num(&o, "appended", st.appended_blocks);
	num(&o, "plain_bytes", st.appended_plain_bytes);
	num(&o, "stored_bytes", st.appended_stored_bytes);
	num(&o, "read", st.read_blocks);
	num(&o, "verify_failures", st.verify_failures);
	num(&o, "reserved_bytes", st.reserved_bytes);
	add(&o, "},\"memory\":{");
	num(&o, "rows_bytes", rows_bytes(fs));
	num(&o, "bound_bytes", fs->opt.memory_bytes);
	add(&o, "},\"volumes\":%llu,\"poisoned\":%d}", (unsigned long long)fs->vtab.count, atomic_load(&fs->poisoned));
	return (int)o.len;
}
