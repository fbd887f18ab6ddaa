/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Giving space back, in steps of one short transaction each, in any order and resumable anywhere: punching freed ranges,
 * reaping nameless inodes, settling rows that no head sees.  Works on the database's state alone; nothing of it is logged.
 */
#include "fs/volume/internal.h"

#define ROWS_PER_STEP 1000
#define PUNCHES_PER_STEP 1024
#define REAPS_PER_STEP 64

/* R11: the rows that freed these ranges are durable, so the bytes may go; only then the rows that remember them. */
static int punch_step(struct fs *fs)
{
	struct meta_freed f[PUNCHES_PER_STEP];
	struct store_place v[PUNCHES_PER_STEP];
	int n, r;

	r = meta_begin(fs->meta);
	if (r)
		return r;
	n = meta_freed_list(fs->meta, f, PUNCHES_PER_STEP);
	if (n < 0)
		r = n;
	for (int i = 0; i < n; i++)
		v[i] = (struct store_place){ .pack = f[i].pack, .off = f[i].off, .stored = f[i].stored };
	if (!r && n)
		r = store_free_many(fs->store, v, (unsigned)n);
	for (int i = 0; !r && i < n; i++) {
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

	if (fs->opt.read_only) /* somebody may look at it because it is damaged: nothing is given back on the strength of its counts */
		return 0;
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
	uint64_t found, used, kept; /* used: of the pack at hand */
	struct store_record *odd; /* records of blocks that once were in the table and are not; owned */
	size_t nodd, cap_odd;
	bool missing; /* leaves name blocks that have no row */
	uint8_t *buf; /* block_size; owned */
};

static int garbage_free(struct garbage *g, const struct store_record *rec)
{
	g->found++;
	return store_free(g->fs->store, rec->loc.pack, rec->loc.off, rec->loc.stored);
}

/* Does the row of the same block lead to its bytes, and elsewhere?  0: yes, 1: no, so this record is kept; -ENOENT: no row. */
static int garbage_beside(struct garbage *g, const struct store_record *rec)
{
	struct meta_block b;
	int r = meta_find_block(meta_writer_view(g->fs->meta), rec->id, &b);

	if (!r && b.pack == rec->loc.pack && b.off == rec->loc.off)
		r = -EUCLEAN;
	if (!r && !g->buf)
		r = (g->buf = malloc(g->fs->block_size)) ? 0 : -ENOMEM;
	if (!r) {
		struct store_loc loc = { b.pack, b.off, b.stored, b.len, b.codec };

		r = store_prove(g->fs->store, &loc, b.hash, g->buf);
		r = r == -ENOENT ? -EUCLEAN : r;
	}
	if (r != -EUCLEAN)
		return r;
	g->kept++;
	return 1;
}

static int garbage_record(void *arg, const struct store_record *rec)
{
	struct garbage *g = arg;
	int r = meta_place_used(g->fs->meta, rec->hash, rec->loc.pack, rec->loc.off);

	if (r > 0)
		g->used++;
	if (r && r != -EUCLEAN)
		return MIN(r, 0);
	/* A copy that lost, or an id that was never committed?  Else a row may have been lost or damaged, and this be the last of
	 * a block. */
	if (rec->id && rec->id < meta_block_next(g->fs->meta)) {
		r = garbage_beside(g, rec);
		if (r == -ENOENT) {
			r = array_room((void **)&g->odd, g->nodd, &g->cap_odd, sizeof(*g->odd));
			if (!r)
				g->odd[g->nodd++] = *rec;
			return r;
		}
		if (r)
			return MIN(r, 0);
	}
	return garbage_free(g, rec);
}

static int on_missing(void *arg, uint64_t id, bool row, uint64_t refs)
{
	struct garbage *g = arg;

	g->missing = g->missing || !row;
	return 0;
}

/* What a failed transaction stored looks the same as a block whose row is lost.  Rare enough to count references for it. */
static int garbage_odd(struct garbage *g)
{
	int r = g->nodd ? meta_recount(g->fs->meta, on_missing, g) : 0;

	if (r == -EUCLEAN || g->missing) {
		msg(LOG_ERR, "the block table has lost rows that files need; unmount and run 'kagefs check --repair'");
		return 0;
	}
	for (size_t i = 0; !r && i < g->nodd; i++)
		r = garbage_free(g, &g->odd[i]);
	return r;
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
	if (!r)
		r = garbage_odd(&g);
	free(g.odd);
	free(g.buf);
	if (g.kept)
		msg(LOG_ERR, "%llu rows of the block table lead to damaged bytes; unmount and run 'kagefs check --repair'",
		    (unsigned long long)g.kept);
	if (g.found)
		msg(LOG_INFO, "gave back %llu blocks that were stored but not committed before the last stop", (unsigned long long)g.found);
	return r;
}
