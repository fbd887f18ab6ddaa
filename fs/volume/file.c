/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading and writing file content.  A read maps its range to pieces (overlay first, then leaves) and fetches them without
 * any lock; what moved in between (-ESTALE from the log, a block that was replaced) is mapped again.
 */
#include <linux/falloc.h>

#include "fs/volume/internal.h"

#define MAP_TRIES 16

static int file_attr(struct fs *fs, struct vol *v, uint64_t ino, struct meta_attr *out)
{
	struct row_value val;
	struct row_key k;
	int r;

	if (ino_virtual(ino))
		return -EISDIR;
	row_key_set(&k, v->id, ROW_ATTR, ino, NULL, 0);
	r = rows_get(fs, v, &k, &val);
	if (r)
		return r == -ENOENT ? -ESTALE : r;
	*out = val.attr;
	if (S_ISDIR(out->mode))
		return -EISDIR;
	return S_ISREG(out->mode) ? 0 : -EINVAL;
}

/* ---- read ---- */

/* How many blocks from `slot` on are no holes: 0, or 1 and at most `more` of those behind it in the leaf. */
static unsigned whole_blocks(const uint64_t map[META_LEAF_SLOTS], unsigned slot, uint64_t more)
{
	unsigned n = 0, most = (unsigned)MIN(more, META_LEAF_SLOTS - 1 - slot) + 1;

	while (n < most && map[slot + n])
		n++;
	return n;
}

/* Damage is EIO for who reads a file. */
static int read_error(int r)
{
	return r == -EUCLEAN ? -EIO : r;
}

/* A stretch no overlay knows: the leaves say, block by block. */
static int read_stored(struct fs *fs, struct vol *v, uint64_t ino, uint64_t off, uint64_t len, uint8_t *buf)
{
	uint64_t leaf_idx = UINT64_MAX;
	struct row_value leaf;
	struct row_key k;
	bool have = false;
	int r;

	while (len) {
		uint64_t block = off >> fs->block_shift, in = off & (fs->block_size - 1);
		uint64_t n = MIN(len, fs->block_size - in);
		unsigned run;

		if (block / META_LEAF_SLOTS != leaf_idx) {
			leaf_idx = block / META_LEAF_SLOTS;
			row_key_leaf(&k, v->id, ino, leaf_idx);
			r = rows_get(fs, v, &k, &leaf);
			if (r && r != -ENOENT)
				return r;
			have = !r;
		}
		run = have ? whole_blocks(leaf.map, block % META_LEAF_SLOTS, (len - n) >> fs->block_shift) : 0;
		if (run > 1 && n == fs->block_size) {
			r = bcache_read_run(fs, &leaf.map[block % META_LEAF_SLOTS], run, buf);
			n = (uint64_t)run << fs->block_shift;
		} else if (run) {
			r = bcache_read(fs, leaf.map[block % META_LEAF_SLOTS], in, n, buf);
		} else {
			memset(buf, 0, n);
			r = 0;
		}
		if (r == -ENOENT) {
			/* The leaf in memory is older than the block's release: read it afresh. */
			rows_forget(fs, &k);
			return -ESTALE;
		}
		if (r)
			return read_error(r);
		buf += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int read_pieces(struct fs *fs, struct vol *v, uint64_t ino, uint64_t off, const struct pieces *p, uint8_t *buf)
{
	int r = 0;

	for (unsigned i = 0; !r && i < p->n; i++) {
		const struct piece *c = &p->v[i];
		uint8_t *to = buf + (c->off - off);

		switch (c->kind) {
		case PIECE_LOG:
			r = log_read(fs->log, c->pos, to, c->len);
			break;
		case PIECE_ZERO:
			memset(to, 0, c->len);
			break;
		case PIECE_BLOCK:
			r = read_error(bcache_read(fs, c->pos, c->off & (fs->block_size - 1), c->len, to));
			if (r == -ENOENT)
				r = -ESTALE;
			break;
		default:
			r = read_stored(fs, v, ino, c->off, c->len, to);
			break;
		}
	}
	return r;
}

/* All bytes of the range, whatever the file's size. */
static int read_range(struct fs *fs, struct vol *v, uint64_t ino, uint64_t off, uint64_t len, uint8_t *buf)
{
	int r = -ESTALE;

	for (unsigned t = 0; r == -ESTALE && t < MAP_TRIES; t++) {
		struct pieces p;

		r = content_overlay(fs, v, ino, off, len, &p);
		if (r)
			return r;
		r = read_pieces(fs, v, ino, off, &p, buf);
		pieces_release(&p);
	}
	return r == -ESTALE ? -EIO : r;
}

ssize_t fs_read(struct fs *fs, struct fs_node node, void *buf, size_t len, uint64_t off)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	struct meta_attr a;
	int r;

	if (!v)
		return -ESTALE;
	r = file_attr(fs, v, node.ino, &a);
	if (!r && off >= a.size)
		len = 0;
	else if (!r)
		len = MIN(len, a.size - off);
	if (!r && len)
		r = read_range(fs, v, node.ino, off, len, buf);
	vol_put(&fs->vtab, v);
	atomic_fetch_add_explicit(&fs->stat.reads, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&fs->stat.read_bytes, r ? 0 : len, memory_order_relaxed);
	return r ? r : (ssize_t)len;
}

/* ---- write ---- */

struct write_arg {
	struct vol *v;
	uint64_t ino, off, len;
	const void *buf;
	unsigned flags;
	int mode; /* fallocate */
};

static void kill_suid(struct meta_attr *a)
{
	a->mode &= ~(uint32_t)S_ISUID;
	if (a->mode & S_IXGRP)
		a->mode &= ~(uint32_t)S_ISGID;
}

static int op_file(struct op *op, struct vol *v, uint64_t ino, struct meta_attr *a)
{
	int r = op_writable(op, v);

	if (!r)
		r = op_attr(op, v, ino, a);
	if (!r && !S_ISREG(a->mode))
		r = S_ISDIR(a->mode) ? -EISDIR : -EINVAL;
	return r;
}

static int write_fn(struct op *op, void *p)
{
	struct write_arg *w = p;
	struct inode *i = inode_get(op->fs, w->v->id, w->ino);
	struct meta_attr a;
	struct items it;
	int r;

	if (!i)
		return -ENOMEM;
	items_init(&it);
	pthread_mutex_lock(&i->lock);
	r = op_file(op, w->v, w->ino, &a);
	if (!r && (w->flags & FS_WRITE_APPEND))
		w->off = a.size;
	if (!r && (w->off > INT64_MAX || w->len > INT64_MAX - w->off))
		r = -EFBIG;
	if (!r) {
		a.size = MAX(a.size, w->off + w->len);
		a.mtime_ns = a.ctime_ns = clock_realtime_ns();
		if (w->flags & FS_WRITE_KILL_SUID)
			kill_suid(&a);
		items_attr(&it, w->v->id, w->ino, &a);
		items_write(&it, w->v->id, w->ino, w->off, (uint32_t)w->len);
		r = change_commit(op, &it, w->buf, w->len);
	}
	pthread_mutex_unlock(&i->lock);
	inode_put(op->fs, i);
	items_release(&it);
	return r;
}

ssize_t fs_write(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const void *buf, size_t len, uint64_t off,
		 unsigned flags, uint64_t *lsn)
{
	struct write_arg w = { .ino = node.ino, .off = off, .len = len, .buf = buf, .flags = flags };
	int r;

	if (len > FS_WRITE_MAX)
		return -EINVAL;
	if (ino_virtual(node.ino))
		return -EISDIR;
	if (!len)
		return 0;
	w.v = vol_live(&fs->vtab, node.vol);
	if (!w.v)
		return -ESTALE;
	/* The worst case: every block touched, and one more when the range (an append's is not known yet) is not aligned. */
	r = op_run(fs, ctx, 0, LOG_BYTES(len), (len / fs->block_size + 2) * fs->space_unit, write_fn, &w, lsn);
	vol_put(&fs->vtab, w.v);
	if (!r) {
		atomic_fetch_add_explicit(&fs->stat.writes, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&fs->stat.write_bytes, len, memory_order_relaxed);
	}
	return r ? r : (ssize_t)len;
}

/* ---- fallocate ---- */

static int fallocate_fn(struct op *op, void *p)
{
	struct write_arg *w = p;
	struct inode *i = inode_get(op->fs, w->v->id, w->ino);
	struct meta_attr a;
	struct items it;
	uint64_t end = w->off + w->len;
	int r;

	if (!i)
		return -ENOMEM;
	items_init(&it);
	pthread_mutex_lock(&i->lock);
	r = op_file(op, w->v, w->ino, &a);
	if (r)
		goto out;
	if (w->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		uint64_t stop = end < a.size ? end : file_end(op->fs, a.size); /* behind that it is zero already */

		if (w->off < stop)
			items_zero(&it, w->v->id, w->ino, w->off, stop - w->off);
	}
	if (!(w->mode & FALLOC_FL_KEEP_SIZE))
		a.size = MAX(a.size, end);
	a.mtime_ns = a.ctime_ns = clock_realtime_ns();
	items_attr(&it, w->v->id, w->ino, &a);
	r = change_commit(op, &it, NULL, 0);
out:
	pthread_mutex_unlock(&i->lock);
	inode_put(op->fs, i);
	items_release(&it);
	return r;
}

int fs_fallocate(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, int mode, uint64_t off, uint64_t len,
		 uint64_t *lsn)
{
	struct write_arg w = { .ino = node.ino, .off = off, .len = len, .mode = mode };
	int r;

	if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) &&
	    mode != FALLOC_FL_ZERO_RANGE && mode != (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (!len || off > INT64_MAX || len > INT64_MAX - off)
		return !len ? -EINVAL : -EFBIG;
	if (ino_virtual(node.ino))
		return -EISDIR;
	w.v = vol_live(&fs->vtab, node.vol);
	if (!w.v)
		return -ESTALE;
	r = op_run(fs, ctx, mode & FALLOC_FL_PUNCH_HOLE ? OP_FREES : 0, LOG_BYTES(1024), 2 * fs->space_unit, fallocate_fn, &w, lsn);
	vol_put(&fs->vtab, w.v);
	return r;
}

/* ---- seek ---- */

/* Is the piece data or a hole, and up to where is that certain?  A stored stretch is asked leaf by leaf. */
struct seek {
	uint64_t from; /* first offset asked about */
	bool want_data;
	uint64_t found; /* UINT64_MAX: not yet */
	uint64_t at;	/* everything before is decided */
	unsigned shift;
};

static void seek_range(struct seek *s, uint64_t off, uint64_t len, bool data)
{
	if (s->found == UINT64_MAX && data == s->want_data && len)
		s->found = MAX(off, s->from);
	s->at = off + len;
}

static int seek_leaf(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS])
{
	struct seek *s = arg;

	for (unsigned i = 0; i < META_LEAF_SLOTS; i++) {
		uint64_t off = (idx * META_LEAF_SLOTS + i) << s->shift, end = off + (1ull << s->shift);

		if (end <= s->at)
			continue;
		if (off > s->at)
			seek_range(s, s->at, off - s->at, false);
		seek_range(s, MAX(off, s->at), end - MAX(off, s->at), map[i] != 0);
		if (s->found != UINT64_MAX)
			return 1;
	}
	return 0;
}

/* [off, end) of the database's view. */
static int seek_stored(struct fs *fs, struct vol *v, uint64_t ino, uint64_t off, uint64_t end, struct seek *s)
{
	struct chain_buf chain;
	struct meta_reader *rd;
	int r = nowait_check();

	if (r)
		return r;
	s->at = off;
	pthread_rwlock_rdlock(&fs->vtab.chain);
	r = chain_build(v, &chain);
	if (!r) {
		rd = reader_take(fs);
		r = rd ? meta_list_leaves(rd, &chain.c, ino, (off >> fs->block_shift) / META_LEAF_SLOTS,
					  ((end - 1) >> fs->block_shift) / META_LEAF_SLOTS, seek_leaf, s)
		       : -EIO;
		if (rd)
			reader_give(fs, rd);
		chain_release(&chain);
	}
	pthread_rwlock_unlock(&fs->vtab.chain);
	if (r < 0)
		return r;
	if (s->found != UINT64_MAX && s->found >= end)
		s->found = UINT64_MAX; /* the last leaf reaches further than asked */
	if (s->found == UINT64_MAX && s->at < end)
		seek_range(s, s->at, end - s->at, false);
	return 0;
}

int64_t fs_seek(struct fs *fs, struct fs_node node, uint64_t off, int whence)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	struct seek s = { .want_data = whence == SEEK_DATA, .found = UINT64_MAX, .from = off, .shift = fs->block_shift };
	struct meta_attr a;
	struct pieces p = { 0 };
	int r;

	if (!v)
		return -ESTALE;
	r = file_attr(fs, v, node.ino, &a);
	if (!r && whence != SEEK_DATA && whence != SEEK_HOLE)
		r = -EINVAL;
	if (!r && off >= a.size)
		r = -ENXIO;
	if (!r)
		r = content_overlay(fs, v, node.ino, off, a.size - off, &p);
	for (unsigned i = 0; !r && i < p.n && s.found == UINT64_MAX; i++) {
		if (p.v[i].kind == PIECE_UNKNOWN)
			r = seek_stored(fs, v, node.ino, p.v[i].off, p.v[i].off + p.v[i].len, &s);
		else
			seek_range(&s, p.v[i].off, p.v[i].len, p.v[i].kind != PIECE_ZERO);
	}
	pieces_release(&p);
	vol_put(&fs->vtab, v);
	if (r)
		return r;
	if (s.found == UINT64_MAX || s.found >= a.size)
		return s.want_data ? -ENXIO : (int64_t)a.size;
	return (int64_t)s.found;
}
