/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a repair needs of the database beside the recount (check.c): a copy kept beside, rows read and set without the rules,
 * rows removed that belong to nobody.  Decides nothing: fs/volume/repair.c does, which also knows the packs.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"
#include "fs/meta/internal.h"

#define COPY_BYTES (1u << 20)

/* ---- the copy ---- */

static int copy_bytes(struct io_file *from, struct io_file *to)
{
	uint8_t *buf CLEANUP_FREE = malloc(COPY_BYTES);
	uint64_t off = 0;
	ssize_t n;
	int r = buf ? 0 : -ENOMEM;

	while (!r && (n = io_pread(from, buf, COPY_BYTES, off)) != 0) {
		r = n < 0 ? (int)n : io_pwrite(to, buf, (size_t)n, off);
		off += n > 0 ? (uint64_t)n : 0;
	}
	if (!r)
		r = io_truncate(to, off);
	return r ? r : io_sync(to);
}

static int copy_file(struct io *io, const char *to)
{
	CLEANUP_IO struct io_file *in = NULL, *out = NULL;
	int r = io_open(io, META_FILE, IO_RDONLY, &in);

	if (r == 0)
		r = io_open(io, to, IO_CREATE, &out);
	return r ? r : copy_bytes(in, out);
}

/* In WAL mode a transaction changes nothing in the file before a checkpoint, so it may be under way. */
int meta_keep_copy(struct meta *m)
{
	int r = copy_file(m->io, META_COPY_FILE ".new");

	if (r == 0)
		r = io_rename(m->io, META_COPY_FILE ".new", META_COPY_FILE, 0);
	return r ? r : io_sync_dir(m->io, ".");
}

/* ---- blocks ---- */

int meta_every_block(struct meta *m, int (*cb)(void *arg, const struct meta_block *b, uint64_t refs, bool sound), void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_REPAIR_BLOCKS);
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		struct meta_block b = {.id = col_u64(s, 0),
				       .pack = (uint32_t)col_u64(s, 2),
				       .off = col_u64(s, 3),
				       .stored = (uint32_t)col_u64(s, 4),
				       .len = (uint32_t)col_u64(s, 5),
				       .codec = (uint8_t)(col_u64(s, 6) & ~(uint64_t)CODEC_LOST),
				       .lost = col_u64(s, 6) & CODEC_LOST};
		bool sound = sqlite3_column_bytes(s, 1) == HASH_BYTES;

		if (sound) {
			memcpy(b.hash, sqlite3_column_blob(s, 1), HASH_BYTES);
			sound = col_u64(s, 8) == get_le64(b.hash);
		}
		r = cb(arg, &b, col_u64(s, 7), sound);
		if (r != 0)
			return r;
	}
	return r;
}

int meta_repair_block(struct meta *m, const struct meta_block *b, uint64_t refs)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_REPAIR_BLOCK);
	int r = tx_enter(m);

	if (r < 0)
		return r;
	if (!s)
		return tx_leave(m, -EIO);
	m->block_changes++;
	m->state.next_block = MAX(m->state.next_block, b->id + 1);
	m->state.last_pack = MAX(m->state.last_pack, b->pack);
	bind_u64(s, 1, b->id);
	bind_u64(s, 2, get_le64(b->hash));
	bind_bytes(s, 3, b->hash, HASH_BYTES);
	bind_u64(s, 4, b->pack);
	bind_u64(s, 5, b->off);
	bind_u64(s, 6, b->stored);
	bind_u64(s, 7, b->len);
	bind_u64(s, 8, b->codec | (b->lost ? CODEC_LOST : 0u));
	bind_u64(s, 9, refs);
	return tx_leave(m, db_run(m->db, s));
}

int meta_repair_refs(struct meta *m, uint64_t id, uint64_t refs)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_REPAIR_REFS);
	int r = tx_enter(m);

	if (r < 0)
		return r;
	if (!s)
		return tx_leave(m, -EIO);
	m->block_changes++;
	bind_u64(s, 1, id);
	bind_u64(s, 2, refs);
	return tx_leave(m, db_run(m->db, s));
}

/* ---- places to give back ---- */

int meta_repair_freed(struct meta *m, uint32_t pack, int (*cb)(void *arg, const struct meta_freed *f), void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_REPAIR_FREED);
	struct meta_freed f = {.pack = pack};
	int r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, pack);
	while ((r = db_step(m->db, s)) > 0) {
		f.off = col_u64(s, 0);
		f.stored = (uint32_t)col_u64(s, 1);
		r = cb(arg, &f);
		if (r != 0)
			return r;
	}
	return r;
}

int meta_repair_free(struct meta *m, const struct meta_freed *f)
{
	struct meta_block b = {.pack = f->pack, .off = f->off, .stored = f->stored};
	int r = tx_enter(m);

	return r < 0 ? r : tx_leave(m, freed_add(m, &b));
}

/* ---- rows of nobody ---- */

int meta_repair_rows(struct meta *m, void (*cb)(void *arg, const char *table, uint64_t rows), void *arg)
{
	static const struct {
		enum stmt_id id;
		const char *table;
	} steps[] = {{ST_REPAIR_INODE, "inode"}, {ST_REPAIR_ENTRY, "entry"},   {ST_REPAIR_XATTR, "xattr"},
		     {ST_REPAIR_LEAF, "leaf"},	 {ST_REPAIR_ORPHAN, "orphan"}, {ST_REPAIR_WALK, "walk"}};
	int r = tx_enter(m);

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(steps); i++) {
		r = tx_leave(m, db_run_id(m->db, steps[i].id));
		if (r == 0 && sqlite3_changes(m->db->h) > 0)
			cb(arg, steps[i].table, (uint64_t)sqlite3_changes(m->db->h));
	}
	return r;
}

/* ---- whom damage concerns ---- */

int meta_every_leaf(struct meta *m, int (*cb)(void *arg, uint64_t ino, uint64_t idx, const uint64_t map[META_LEAF_SLOTS]), void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_EVERY_LEAF);
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		uint64_t map[META_LEAF_SLOTS] = {0};
		const uint8_t *p = sqlite3_column_blob(s, 2);
		int n = MIN(sqlite3_column_bytes(s, 2) / 8, META_LEAF_SLOTS);

		for (int i = 0; i < n; i++)
			map[i] = get_le64(p + 8 * i);
		r = cb(arg, col_u64(s, 0), col_u64(s, 1), map);
		if (r != 0)
			return r;
	}
	return r;
}

int meta_every_entry(struct meta *m, int (*cb)(void *arg, uint64_t dir, const void *name, size_t len, uint64_t ino), void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_EVERY_ENTRY);
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		r = cb(arg, col_u64(s, 0), sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), col_u64(s, 2));
		if (r != 0)
			return r;
	}
	return r;
}
