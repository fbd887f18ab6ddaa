/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The block table and the places to give back.  References are counted by version.c, released by reclaim.c. */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"
#include "fs/meta/internal.h"

static int block_decode(sqlite3_stmt *s, struct meta_block *b)
{
	b->id = col_u64(s, 0);
	if (sqlite3_column_bytes(s, 1) != HASH_BYTES) {
		msg(LOG_ERR, "meta: table block: id=%llu has a hash of wrong length", (unsigned long long)b->id);
		return -EUCLEAN;
	}
	memcpy(b->hash, sqlite3_column_blob(s, 1), HASH_BYTES);
	b->pack = (uint32_t)col_u64(s, 2);
	b->off = col_u64(s, 3);
	b->stored = (uint32_t)col_u64(s, 4);
	b->len = (uint32_t)col_u64(s, 5);
	b->codec = (uint8_t)(col_u64(s, 6) & ~(uint64_t)CODEC_LOST);
	b->lost = col_u64(s, 6) & CODEC_LOST;
	return 0;
}

int block_get(struct db *db, uint64_t id, struct meta_block *out)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(db, ST_BLOCK_GET);
	int r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, id);
	r = db_step(db, s);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return block_decode(s, out);
}

int meta_block_find(struct meta *m, const uint8_t hash[HASH_BYTES], struct meta_block *out)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_FIND);
	struct meta_block b; /* hash may lie in *out */
	int r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, get_le64(hash));
	while ((r = db_step(m->db, s)) > 0) {
		r = block_decode(s, &b);
		if (r < 0)
			return r;
		if (memcmp(b.hash, hash, HASH_BYTES) == 0) {
			*out = b;
			return 0;
		}
	}
	return r < 0 ? r : -ENOENT;
}

uint64_t meta_block_next(struct meta *m)
{
	return m->state.next_block;
}

int meta_block_add(struct meta *m, struct meta_block *b)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_INSERT);
	int r = tx_enter(m);

	if (r < 0)
		return r;
	b->id = m->state.next_block++;
	m->state.last_pack = MAX(m->state.last_pack, b->pack);
	m->block_changes++;
	bind_u64(s, 1, b->id);
	bind_u64(s, 2, get_le64(b->hash));
	bind_bytes(s, 3, b->hash, HASH_BYTES);
	bind_u64(s, 4, b->pack);
	bind_u64(s, 5, b->off);
	bind_u64(s, 6, b->stored);
	bind_u64(s, 7, b->len);
	bind_u64(s, 8, b->codec);
	return tx_leave(m, db_run(m->db, s));
}

int freed_add(struct meta *m, const struct meta_block *b)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_FREED_INSERT);

	if (!b->pack) /* lost: it lies nowhere */
		return 0;
	bind_u64(s, 1, b->pack);
	bind_u64(s, 2, b->off);
	bind_u64(s, 3, b->stored);
	return db_run(m->db, s);
}

int meta_block_move(struct meta *m, uint64_t id, uint32_t pack, uint64_t off, uint32_t stored, uint8_t codec)
{
	struct meta_block b;
	sqlite3_stmt *s;
	int r = tx_enter(m);

	if (r == 0)
		r = block_get(m->db, id, &b);
	if (r == 0 && b.pack == pack && b.off == off)
		return -EINVAL; /* the place would be both used and free */
	if (r == 0)
		r = freed_add(m, &b);
	if (r < 0)
		return tx_leave(m, r);
	m->state.last_pack = MAX(m->state.last_pack, pack);
	s = db_stmt(m->db, ST_BLOCK_MOVE);
	bind_u64(s, 1, id);
	bind_u64(s, 2, pack);
	bind_u64(s, 3, off);
	bind_u64(s, 4, stored);
	bind_u64(s, 5, codec);
	return tx_leave(m, db_run(m->db, s));
}

/* Packs are few beside blocks, so a sum per pack fits in memory where sorting the blocks would not. */
struct usage {
	uint64_t pack, bytes, blocks;
};
struct usages {
	struct usage *v; /* sorted by pack; owned */
	size_t n, cap, last;
};

static struct usage *usage_of(struct usages *u, uint64_t pack)
{
	size_t lo = 0, hi = u->n;

	if (u->last < u->n && u->v[u->last].pack == pack) /* neighbours mostly lie in one pack */
		return &u->v[u->last];
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (u->v[mid].pack < pack)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == u->n || u->v[lo].pack != pack) {
		if (u->n == u->cap) {
			size_t cap = u->cap ? u->cap * 2 : 64;
			struct usage *v = realloc(u->v, cap * sizeof(*v));

			if (!v)
				return NULL;
			u->v = v;
			u->cap = cap;
		}
		memmove(u->v + lo + 1, u->v + lo, (u->n - lo) * sizeof(*u->v));
		u->v[lo] = (struct usage){.pack = pack};
		u->n++;
	}
	u->last = lo;
	return &u->v[lo];
}

static int collect_usage(struct meta *m, struct usages *u)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_USAGE);
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		struct usage *p = usage_of(u, col_u64(s, 0));

		if (!p)
			return -ENOMEM;
		p->bytes += col_u64(s, 1);
		p->blocks++;
	}
	return r;
}

int meta_pack_usage(struct meta *m, int (*cb)(void *arg, uint32_t pack, uint64_t live_bytes, uint64_t blocks), void *arg)
{
	struct usages u = {0};
	int r = collect_usage(m, &u);

	for (size_t i = 0; i < u.n && r == 0; i++)
		r = cb(arg, (uint32_t)u.v[i].pack, u.v[i].bytes, u.v[i].blocks);
	free(u.v);
	return r;
}

int meta_freed_list(struct meta *m, struct meta_freed *out, int max)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_FREED_LIST);
	int n = 0, r;

	if (!s)
		return -EIO;
	sqlite3_bind_int(s, 1, max);
	while (n < max && (r = db_step(m->db, s)) != 0) {
		if (r < 0)
			return r;
		out[n].pack = (uint32_t)col_u64(s, 0);
		out[n].off = col_u64(s, 1);
		out[n].stored = (uint32_t)col_u64(s, 2);
		n++;
	}
	return n;
}

int meta_freed_done(struct meta *m, const struct meta_freed *f)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_FREED_DELETE);
	int r = tx_enter(m);

	if (r < 0)
		return r;
	bind_u64(s, 1, f->pack);
	bind_u64(s, 2, f->off);
	r = db_run(m->db, s);
	if (r == 0 && sqlite3_changes(m->db->h) != 1)
		r = -ENOENT;
	return tx_leave(m, r);
}

int meta_block_at(struct meta *m, const uint8_t hash[HASH_BYTES], uint32_t pack, uint64_t off)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_FIND);
	struct meta_block b;
	int r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, get_le64(hash));
	while ((r = db_step(m->db, s)) > 0) {
		r = block_decode(s, &b);
		if (r < 0)
			return r;
		if (b.pack == pack && b.off == off && memcmp(b.hash, hash, HASH_BYTES) == 0)
			return 1;
	}
	return r;
}

int meta_place_used(struct meta *m, const uint8_t hash[HASH_BYTES], uint32_t pack, uint64_t off)
{
	CLEANUP_STMT sqlite3_stmt *f = db_stmt(m->db, ST_FREED_GET);
	int r = f ? meta_block_at(m, hash, pack, off) : -EIO;

	if (r != 0)
		return r;
	bind_u64(f, 1, pack);
	bind_u64(f, 2, off);
	return db_step(m->db, f);
}

int meta_block_list(struct meta *m, int (*cb)(void *arg, const struct meta_block *b, uint64_t refs), void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_LIST);
	struct meta_block b;
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		r = block_decode(s, &b);
		if (r == 0)
			r = cb(arg, &b, col_u64(s, 7));
		if (r != 0)
			return r;
	}
	return r;
}
