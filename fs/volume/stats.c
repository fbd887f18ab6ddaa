/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counters and times of the engine as members of a JSON object.  Those of requests are the mount's (fs/fuse/stats.c). */
#include "fs/base/json.h"
#include "fs/volume/internal.h"

const struct histogram *fs_times(struct fs *fs, unsigned i, const char **name)
{
	static const char *const names[] = {
		[FS_TIME_COMMIT] = "set_commit", [FS_TIME_GATE] = "set_gate", [FS_TIME_APPLY] = "apply", [FS_TIME_CHECKPOINT] = "checkpoint",
	};

	if (i < FS_TIME_COUNT) {
		*name = names[i];
		return &fs->times[i];
	}
	*name = "log_flush";
	return i == FS_TIME_COUNT ? log_flush_times(fs->log) : NULL;
}

static double ratio(double part, double whole)
{
	return part / whole; /* nothing yet: not a number, shown as null */
}

static void put_ops(struct fs *fs, struct json *j)
{
	json_open(j, "ops");
	json_u64(j, "changes", atomic_load(&fs->stat.ops));
	json_u64(j, "retries", atomic_load(&fs->stat.retries));
	json_u64(j, "reads", atomic_load(&fs->stat.reads));
	json_u64(j, "read_bytes", atomic_load(&fs->stat.read_bytes));
	json_u64(j, "writes", atomic_load(&fs->stat.writes));
	json_u64(j, "write_bytes", atomic_load(&fs->stat.write_bytes));
	json_u64(j, "commits", atomic_load(&fs->stat.commits));
	json_close(j);
}

static void put_log(const struct log_stats *lg, struct json *j)
{
	json_open(j, "log");
	json_u64(j, "end", lg->end);
	json_u64(j, "durable", lg->durable);
	json_u64(j, "used_bytes", lg->used_bytes);
	json_u64(j, "capacity_bytes", lg->capacity_bytes);
	json_number(j, "fill", ratio((double)lg->used_bytes, (double)lg->capacity_bytes));
	json_u64(j, "flushes", lg->flushes);
	json_u64(j, "records", lg->records);
	json_u64(j, "flushed_bytes", lg->flushed_bytes);
	json_u64(j, "reserve_waits", lg->reserve_waits);
	json_close(j);
}

/* How far the database is behind: in records, in log bytes, in time; and the file bytes among that still to become blocks. */
static void put_apply(struct fs *fs, const struct log_stats *lg, struct json *j)
{
	uint64_t applied, count, bytes, age_ms;

	pthread_mutex_lock(&fs->pending.lock);
	count = fs->pending.count;
	bytes = atomic_load(&fs->pending.bytes);
	age_ms = fs->pending.head ? (uint64_t)(clock_monotonic_ns() - fs->pending.head->at_ns) / 1000000 : 0;
	applied = atomic_load(&fs->pending.applied);
	pthread_mutex_unlock(&fs->pending.lock);
	json_open(j, "apply");
	json_u64(j, "applied_lsn", applied);
	json_u64(j, "lag_records", count);
	json_u64(j, "lag_bytes", lg->end > applied ? lg->end - applied : 0);
	json_u64(j, "lag_ms", age_ms);
	json_u64(j, "queue_bytes", bytes);
	json_u64(j, "records", atomic_load(&fs->stat.applied_records));
	json_u64(j, "batches", atomic_load(&fs->stat.batches));
	json_u64(j, "reclaim_steps", atomic_load(&fs->stat.reclaim_steps));
	json_close(j);
	json_open(j, "convert");
	json_u64(j, "lag_bytes", atomic_load(&fs->inodes.dirty_bytes));
	json_u64(j, "extents", atomic_load(&fs->inodes.extents));
	json_u64(j, "blocks", atomic_load(&fs->stat.converted_blocks));
	json_close(j);
}

/* Ratios are of what was converted since the mount: references made per block stored; plain bytes per byte stored. */
static void put_blocks(struct fs *fs, const struct store_stats *st, struct json *j)
{
	uint64_t dedup = atomic_load(&fs->stat.dedup_hits);

	json_open(j, "blocks");
	json_u64(j, "appended", st->appended_blocks);
	json_u64(j, "plain_bytes", st->appended_plain_bytes);
	json_u64(j, "stored_bytes", st->appended_stored_bytes);
	json_u64(j, "dedup_hits", dedup);
	json_number(j, "dedup_ratio", ratio((double)(atomic_load(&fs->stat.stored_blocks) + dedup), (double)atomic_load(&fs->stat.stored_blocks)));
	json_number(j, "compression_ratio", ratio((double)st->appended_plain_bytes, (double)st->appended_stored_bytes));
	json_u64(j, "compacted", atomic_load(&fs->stat.compacted_blocks));
	json_u64(j, "dropped_packs", atomic_load(&fs->stat.dropped_packs));
	json_u64(j, "read", st->read_blocks);
	json_u64(j, "verify_failures", st->verify_failures);
	json_u64(j, "reserved_bytes", st->reserved_bytes);
	json_close(j);
}

static void put_cache(struct json *j, const char *name, const struct cache_stats *c)
{
	json_open(j, name);
	json_u64(j, "hits", c->hits);
	json_u64(j, "misses", c->misses);
	json_number(j, "hit_ratio", ratio((double)c->hits, (double)(c->hits + c->misses)));
	json_u64(j, "bytes", c->bytes);
	json_close(j);
}

static void put_caches(struct fs *fs, const struct store_stats *st, struct json *j)
{
	struct cache_stats sums = {st->sums_hits, st->sums_misses, st->sums_bytes}, c;

	json_open(j, "caches");
	rows_get_stats(fs->rows, &c);
	put_cache(j, "rows", &c);
	bcache_get_stats(fs->bcache, &c);
	put_cache(j, "blocks", &c);
	put_cache(j, "chunk_sums", &sums);
	json_close(j);
}

void fs_stats(struct fs *fs, struct json *j)
{
	struct store_stats st;
	struct log_stats lg;

	log_get_stats(fs->log, &lg);
	store_get_stats(fs->store, &st);
	put_ops(fs, j);
	put_log(&lg, j);
	put_apply(fs, &lg, j);
	put_blocks(fs, &st, j);
	put_caches(fs, &st, j);
	memory_stats(fs, j);
	json_u64(j, "volumes", fs->vtab.count);
	json_u64(j, "poisoned", atomic_load(&fs->poisoned) != 0);
}
