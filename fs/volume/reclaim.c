/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Giving space back, in steps of one short transaction each, in any order and resumable anywhere: punching freed ranges,
 * reaping nameless inodes, settling rows that no head sees.  Works on the database's state alone; nothing of it is logged.
 */
#include "fs/volume/internal.h"

#define ROWS_PER_STEP 1000
#define PUNCHES_PER_STEP 256
#define REAPS_PER_STEP 64

/* R11: the rows that freed these ranges are durable, so the bytes may go; only then the rows that remember them. */
static int punch_step(struct fs *fs)
{
	struct meta_freed f[PUNCHES_PER_STEP];
	int n, r;

	r = meta_begin(fs->meta);
	if (r)
		return r;
	n = meta_freed_list(fs->meta, f, PUNCHES_PER_STEP);
	if (n < 0)
		r = n;
	for (int i = 0; !r && i < n; i++) {
		r = store_free(fs->store, f[i].pack, f[i].off, f[i].stored);
		if (!r)
			r = meta_freed_done(fs->meta, &f[i]);
		fs->punched_bytes += f[i].stored;
	}
	if (!r && n)
		r = store_sync(fs->store); /* the holes are durable before the rows that remember them go */
	if (r || !n) {
		meta_rollback(fs->meta);
		return r;
	}
	r = meta_commit(fs->meta);
	return r ? r : 1;
}

/* Is anybody using it, or is a record about it still to be applied? */
static bool busy(struct fs *fs, const struct meta_orphan *o)
{
	struct row_key k;

	row_key_set(&k, o->vol, ROW_ATTR, o->ino, NULL, 0);
	return inode_busy(fs, o->vol, o->ino) || rows_dirty(fs, &k);
}

static void forget_inode(struct fs *fs, const struct meta_orphan *o)
{
	struct row_key k;

	row_key_set(&k, o->vol, ROW_ATTR, o->ino, NULL, 0);
	rows_forget(fs, &k);
}

/* R8: one batch of one nameless inode's rows. */
static int reap_step(struct fs *fs)
{
	struct meta_orphan o[REAPS_PER_STEP];
	int n, r, done = 0;

	r = meta_begin(fs->meta);
	if (r)
		return r;
	n = meta_orphan_list(fs->meta, fs->reap_vol, fs->reap_ino, o, REAPS_PER_STEP);
	for (int i = 0; !r && i < n; i++) {
		if (busy(fs, &o[i]))
			continue;
		done++;
		r = meta_reap(fs->meta, o[i].vol, o[i].ino, ROWS_PER_STEP);
		if (r == 1)
			n = i + 1; /* more of this one: it comes first next time */
		else if (!r)
			forget_inode(fs, &o[i]);
		if (r >= 0) {
			fs->reap_vol = o[i].vol;
			fs->reap_ino = r == 1 ? o[i].ino - 1 : o[i].ino;
			r = 0;
		}
	}
	if (n < 0)
		r = n;
	if (n < REAPS_PER_STEP && !r && !done)
		fs->reap_vol = fs->reap_ino = 0; /* round again next time */
	if (r || !done) {
		meta_rollback(fs->meta);
		return r;
	}
	r = meta_commit(fs->meta);
	return r ? r : 1;
}

static bool is_pinned(void *arg, uint64_t id)
{
	return pins_has(((struct fs *)arg)->pins, id);
}

static int rows_step(struct fs *fs)
{
	struct meta_reclaim rc = { .budget = ROWS_PER_STEP, .pinned = is_pinned, .arg = fs };
	int did, r;

	r = meta_begin(fs->meta);
	if (r)
		return r;
	did = meta_reclaim_step(fs->meta, &rc);
	if (did <= 0) {
		meta_rollback(fs->meta);
		return did;
	}
	r = meta_commit(fs->meta);
	if (r)
		return r;
	if (rc.gone_vol)
		vtab_gone(&fs->vtab, rc.gone_vol, rc.heir_vol);
	if (rc.tail_src)
		vtab_tail_done(&fs->vtab, rc.tail_src, rc.tail_line);
	return 1;
}

int reclaim_step(struct fs *fs)
{
	int r;

	atomic_fetch_add_explicit(&fs->stat.reclaim_steps, 1, memory_order_relaxed);
	r = punch_step(fs);
	if (!r)
		r = reap_step(fs);
	if (!r)
		r = rows_step(fs);
	if (!r) {
		bool look = fs->punched_bytes >= fs->opt.compact_after;

		if (look)
			fs->punched_bytes = 0;
		r = compact_step(fs, look);
	}
	return r;
}

/* ---- garbage that a crash left in packs ---- */

struct garbage {
	struct fs *fs;
	uint64_t found, used; /* used: of the pack at hand */
};

static int garbage_record(void *arg, const struct store_record *rec)
{
	struct garbage *g = arg;
	int used = meta_place_used(g->fs->meta, rec->hash, rec->loc.pack, rec->loc.off);

	if (used) {
		g->used++;
		return used < 0 ? used : 0;
	}
	g->found++;
	return store_free(g->fs->store, rec->loc.pack, rec->loc.off, rec->loc.stored);
}

static int last_pack(void *arg, const struct store_pack_info *info)
{
	uint32_t *last = arg;

	if (!info->current)
		*last = MAX(*last, info->pack);
	return 0;
}

/* Records appended but never committed come last: go back from the newest pack to the first that has a committed one.  (What a
 * transaction that failed left further back is compaction's.) */
int reclaim_garbage_at_mount(struct fs *fs)
{
	struct garbage g = { .fs = fs };
	uint32_t last = 0;
	int r = store_list_packs(fs->store, last_pack, &last);

	for (uint32_t p = last; !r && p && !g.used; p--) {
		r = store_scan(fs->store, p, garbage_record, &g);
		if (r == -ENOENT)
			r = 0;
	}
	if (g.found)
		msg(LOG_INFO, "gave back %llu blocks that were stored but not committed before the last stop", (unsigned long long)g.found);
	return r;
}
