/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/volume/memory.h"

#include <stdio.h>
#include <unistd.h>

#include "fs/base/json.h"
#include "fs/volume/internal.h"

#define MIB (1ull << 20)
#define PROGRAM_BYTES (16 * MIB)
#define LEAST_REST (6 * MIB)
#define LEAST_CACHE (1 * MIB)
#define LEAST_DIRTY (2 * MIB)
#define WAIT_NS 1000000000ll

static uint64_t between(uint64_t least, uint64_t v, uint64_t most)
{
	return MAX(least, MIN(v, most));
}

/* Most of what is left: the more writes wait to be converted, the more of them meet in one block.  Caches have the rest, and all
 * of it while nobody writes. */
static uint64_t dirty_share(uint64_t bytes)
{
	return bytes / 4 * 3;
}

static uint64_t fixed_bytes(const struct memory *m)
{
	return m->program + m->front + m->log_buffer + m->database + m->chunk_sums + m->streams + m->convert;
}

void memory_plan(struct memory *m, uint64_t bound, uint64_t front, uint32_t record_max)
{
	m->bound = bound;
	m->front = front;
	m->program = between(2 * MIB, bound / 5, PROGRAM_BYTES);
	m->log_buffer = between(4ull * record_max, bound / 16, 32 * MIB);
	m->database = MAX(bound * 3 / 16, 4 * MIB);
	m->chunk_sums = between(MIB / 4, bound / 32, 32 * MIB);
	m->streams = between(2 * MIB, bound / 64, 16 * MIB);
}

void memory_plan_blocks(struct memory *m, uint32_t block_size)
{
	m->convert = convert_bytes(m->bound / 32 * 3, block_size);
	m->rest = m->bound > fixed_bytes(m) + LEAST_REST ? m->bound - fixed_bytes(m) : LEAST_REST;
	atomic_store(&m->dirty_max, dirty_share(m->rest));
}

/* ---- what there is ---- */

static uint64_t queue_bytes(struct fs *fs)
{
	return atomic_load_explicit(&fs->pending.bytes, memory_order_relaxed);
}

static uint64_t extent_bytes(struct fs *fs)
{
	return atomic_load_explicit(&fs->inodes.collected, memory_order_relaxed) +
	       atomic_load_explicit(&fs->inodes.extents, memory_order_relaxed) * (sizeof(struct extent) + ALLOC_BYTES) +
	       atomic_load_explicit(&fs->inodes.count, memory_order_relaxed) * (sizeof(struct inode) + sizeof(struct layer) + 2 * ALLOC_BYTES);
}

uint64_t memory_dirty(struct fs *fs)
{
	return queue_bytes(fs) + extent_bytes(fs) + rows_dirty_bytes(fs->rows);
}

static uint64_t tables_bytes(struct fs *fs)
{
	return vtab_bytes(&fs->vtab) + atomic_load_explicit(&fs->sets.bytes, memory_order_relaxed) + nodes_bytes(&fs->nodes);
}

/* ---- what is done about it ---- */

void memory_adjust(struct fs *fs)
{
	struct memory *m = &fs->memory;
	uint64_t tables = tables_bytes(fs), dirty = memory_dirty(fs);
	uint64_t free = m->rest > tables ? m->rest - tables : 0, cache;

	atomic_store_explicit(&m->dirty_max, MAX(dirty_share(free), LEAST_DIRTY), memory_order_relaxed);
	cache = MAX(free > dirty ? free - dirty : 0, LEAST_CACHE);
	rows_limit(fs->rows, cache / 2);
	bcache_limit(fs->bcache, cache / 2);
}

static bool full(struct fs *fs)
{
	return memory_dirty(fs) > atomic_load_explicit(&fs->memory.dirty_max, memory_order_relaxed);
}

/* Nobody applies by himself: do it here. */
static int make_room(struct fs *fs)
{
	int r = 1;

	while (r > 0 && full(fs))
		r = fs_run_background(fs, FS_BG_APPLY);
	return r < 0 && r != -ENOSPC ? r : 0;
}

static void wait_for_room(struct fs *fs)
{
	struct timespec ts = ns_to_timespec(clock_realtime_ns() + WAIT_NS);

	pthread_mutex_lock(&fs->pending.lock);
	apply_want_locked(fs, atomic_load(&fs->pending.applied) + 1);
	if ((fs->pending.head || fs->pending.taken) && full(fs))
		pthread_cond_timedwait(&fs->pending.cond, &fs->pending.lock, &ts);
	pthread_mutex_unlock(&fs->pending.lock);
}

int memory_admit(struct fs *fs, bool patient)
{
	int r;

	if (!full(fs))
		return 0;
	r = nowait_check();
	if (r)
		return r;
	atomic_fetch_add_explicit(&fs->memory.waits, 1, memory_order_relaxed);
	if (fs->opt.manual)
		return make_room(fs);
	while (full(fs) && (patient || !atomic_load(&fs->apply_stuck))) {
		if (fs_check_poison(fs))
			return -EROFS;
		wait_for_room(fs);
	}
	return 0;
}

/* ---- shown ---- */

/* What the kernel says this process has in memory; 0: it does not say. */
static uint64_t resident_bytes(void)
{
	unsigned long long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%llu %llu", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void memory_stats(struct fs *fs, struct json *j)
{
	const struct memory *m = &fs->memory;
	struct cache_stats rows, blocks;
	uint64_t dirty_rows = rows_dirty_bytes(fs->rows), volumes = vtab_bytes(&fs->vtab);
	uint64_t sets = atomic_load(&fs->sets.bytes), nodes = nodes_bytes(&fs->nodes);

	rows_get_stats(fs->rows, &rows);
	bcache_get_stats(fs->bcache, &blocks);
	json_open(j, "memory");
	json_u64(j, "bound_bytes", m->bound);
	json_u64(j, "used_bytes", fixed_bytes(m) + queue_bytes(fs) + extent_bytes(fs) + dirty_rows + rows.bytes + blocks.bytes + volumes +
					  sets + nodes);
	json_u64(j, "resident_bytes", resident_bytes());
	json_u64(j, "program", m->program);
	json_u64(j, "request_buffers", m->front);
	json_u64(j, "log_buffer", m->log_buffer);
	json_u64(j, "database", m->database);
	json_u64(j, "chunk_sums", m->chunk_sums);
	json_u64(j, "streams", m->streams);
	json_u64(j, "convert", m->convert);
	json_u64(j, "volumes", volumes);
	json_u64(j, "sets", sets);
	json_u64(j, "nodes", nodes);
	json_u64(j, "dirty_queue", queue_bytes(fs));
	json_u64(j, "dirty_extents", extent_bytes(fs));
	json_u64(j, "dirty_rows", dirty_rows);
	json_u64(j, "dirty_max", atomic_load(&m->dirty_max));
	json_u64(j, "cached_rows", rows.bytes);
	json_u64(j, "cached_blocks", blocks.bytes);
	json_u64(j, "waits", atomic_load(&m->waits));
	json_close(j);
}
