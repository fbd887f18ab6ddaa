/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compaction: a pack of which less than half lives is rewritten, block by block, and dropped.  Punching gives back most of
 * what dies (reclaim.c); this is for the rest: pages shared with the living, small blocks, and the files themselves.
 *
 * A move is copy, sync, then one transaction that names the new place and puts the old one into `freed`.  A reader that still
 * holds the old place fails to verify what it finds there and asks again (bcache.c).
 */
#include "fs/volume/internal.h"

#define MOVES_PER_STEP 64
#define LIVE_NUM 1 /* worth rewriting below LIVE_NUM / LIVE_DEN of the file */
#define LIVE_DEN 2

struct place {
	uint8_t hash[HASH_BYTES];
	struct store_loc loc;
};

struct compact {
	uint32_t pack; /* at work on; 0: none */
	struct place *v; /* owned; its records, last first */
	size_t n, cap;
};

struct candidate {
	uint32_t pack;
	uint64_t bytes, live;
};
struct candidates {
	struct candidate *v; /* owned */
	size_t n, cap;
};

int compact_new(struct compact **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void compact_free(struct compact *c)
{
	if (c)
		free(c->v);
	free(c);
}

/* ---- choosing ---- */

static int add_pack(void *arg, const struct store_pack_info *info)
{
	struct candidates *l = arg;

	if (info->current)
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct candidate *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct candidate){ info->pack, info->bytes, 0 };
	return 0;
}

static int add_usage(void *arg, uint32_t pack, uint64_t live_bytes, uint64_t blocks)
{
	struct candidates *l = arg;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].pack == pack)
			l->v[i].live = live_bytes;
	return 0;
}

static int add_record(void *arg, const struct store_record *rec)
{
	struct compact *c = arg;

	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 256;
		struct place *v = realloc(c->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n].loc = rec->loc;
	memcpy(c->v[c->n++].hash, rec->hash, HASH_BYTES);
	return 0;
}

/* Drop what is empty, pick the first that is sparse.  1: there is something to rewrite. */
static int choose(struct fs *fs, struct compact *c)
{
	struct candidates l = { 0 };
	int r = store_list_packs(fs->store, add_pack, &l);

	if (!r)
		r = meta_pack_usage(fs->meta, add_usage, &l);
	for (size_t i = 0; !r && i < l.n; i++) {
		if (!l.v[i].live) {
			r = store_drop_pack(fs->store, l.v[i].pack);
			atomic_fetch_add_explicit(&fs->stat.dropped_packs, 1, memory_order_relaxed);
		} else if (!c->pack && l.v[i].live < l.v[i].bytes / LIVE_DEN * LIVE_NUM) {
			c->pack = l.v[i].pack;
			c->n = 0;
			r = store_scan(fs->store, c->pack, add_record, c);
		}
	}
	free(l.v);
	return r ? r : c->pack != 0;
}

/* ---- moving ---- */

static int move_block(struct fs *fs, const struct meta_block *b, uint8_t *buf)
{
	struct store_loc from = { b->pack, b->off, b->stored, b->len, b->codec }, to;
	struct store_blob blob = { 0 };
	int r = store_prove(fs->store, &from, b->hash, buf);

	if (r == -EUCLEAN) { /* it stays where it is: moving must not launder damage, and a repair may still find it */
		msg(LOG_ERR, "block=%llu does not verify: pack=%u off=%llu cannot be compacted", (unsigned long long)b->id, b->pack,
		    (unsigned long long)b->off);
		return 0;
	}
	if (!r)
		r = store_encode(fs->store, buf, b->len, b->hash, NULL, &blob);
	blob.id = b->id;
	if (!r)
		r = store_append(fs->store, &blob, &to);
	if (!r)
		r = meta_block_move(fs->meta, b->id, to.pack, to.off, to.stored, to.codec);
	store_blob_release(&blob);
	return r;
}

static int move_some(struct fs *fs, struct compact *c)
{
	uint64_t reserved = (uint64_t)MOVES_PER_STEP * fs->space_unit, ids[MOVES_PER_STEP];
	uint8_t *buf CLEANUP_FREE = malloc(fs->block_size);
	unsigned n = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	r = store_reserve(fs->store, reserved);
	if (r)
		return r;
	r = meta_begin(fs->meta);
	while (!r && c->n && n < MOVES_PER_STEP) {
		struct place *p = &c->v[--c->n];
		struct meta_block b;

		r = meta_block_find(fs->meta, p->hash, &b);
		if (r == -ENOENT || (!r && (b.pack != p->loc.pack || b.off != p->loc.off))) {
			r = 0; /* dead, or a copy that lost */
			continue;
		}
		if (!r)
			r = move_block(fs, &b, buf);
		ids[n++] = b.id;
	}
	if (!r)
		r = store_sync(fs->store); /* I1 */
	if (!r)
		r = meta_commit(fs->meta);
	else
		meta_rollback(fs->meta);
	store_unreserve(fs->store, reserved);
	if (r) {
		c->pack = 0; /* start again from a scan some other time */
		return r;
	}
	atomic_fetch_add_explicit(&fs->stat.compacted_blocks, n, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++)
		bcache_forget(fs->bcache, ids[i]);
	return 0;
}

int compact_step(struct fs *fs, bool look)
{
	struct compact *c = fs->compact;
	int r;

	if (!c->pack) {
		r = look ? choose(fs, c) : 0;
		if (r <= 0)
			return r;
	}
	r = c->n ? move_some(fs, c) : 0;
	if (!c->n)
		c->pack = 0; /* emptied: dropped by the next look, when its freed places are punched */
	return r == -ENOSPC ? 0 : r ? r : 1;
}
