/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * copy_file_range: whole blocks are shared by naming them again, ragged ends are copied.
 *
 * The block ids of the source are gathered without locks and used only if the source's content has not changed by then
 * (inode->last_lsn).  Bytes of the source that still lie in the log have no block yet: they are applied first.  A source that
 * is written all the time is copied instead of shared, so the call ends.
 */
#include "fs/volume/internal.h"

#define CLONE_BLOCKS 8192u /* per record */
#define COPY_BYTES FS_WRITE_MAX
#define TRIES 4

struct clone_arg {
	struct vol *sv, *dv;
	uint64_t src, dst;
	uint64_t block, n; /* destination's first block, blocks */
	uint64_t end;	   /* byte end in the destination */
	uint64_t tail;	   /* the last block is shared beyond `end`: the source must end here, and nothing of the destination lie there */
	uint64_t seen_lsn; /* source's last_lsn when ids were gathered */
	uint64_t *ids;
	bool holes; /* all of them */
};

static int cmp_inode(const struct inode *a, const struct inode *b)
{
	if (a->vol != b->vol)
		return a->vol < b->vol ? -1 : 1;
	return a->ino < b->ino ? -1 : a->ino > b->ino;
}

static int clone_fn(struct op *op, void *p)
{
	struct clone_arg *c = p;
	struct inode *s = inode_get(op->fs, c->sv->id, c->src), *d = inode_get(op->fs, c->dv->id, c->dst);
	struct meta_attr a, sa;
	struct items it;
	int r, order;

	if (!s || !d) {
		inode_put(op->fs, s);
		inode_put(op->fs, d);
		return -ENOMEM;
	}
	items_init(&it);
	order = cmp_inode(s, d);
	pthread_mutex_lock(order <= 0 ? &s->lock : &d->lock);
	if (order)
		pthread_mutex_lock(order < 0 ? &d->lock : &s->lock);
	r = op_writable(op, c->dv);
	if (!r && (vol_flags(c->sv) & META_VOL_DEAD))
		r = -ESTALE;
	if (!r)
		r = op_attr(op, c->dv, c->dst, &a);
	if (!r && !S_ISREG(a.mode))
		r = -EINVAL;
	if (!r && s->last_lsn != c->seen_lsn)
		r = -EBUSY; /* gather again */
	if (!r && c->tail) {
		r = op_attr(op, c->sv, c->src, &sa);
		if (!r && (sa.size != c->tail || a.size > c->end))
			r = -EBUSY;
	}
	if (!r) {
		uint64_t size = a.size;

		a.size = MAX(a.size, c->end);
		a.mtime_ns = a.ctime_ns = clock_realtime_ns();
		items_attr(&it, c->dv->id, c->dst, &a);
		if (!c->holes)
			items_blocks(&it, c->dv->id, c->dst, c->block, (uint32_t)c->n, c->ids);
		else if (c->block << op->fs->block_shift < size)
			items_zero(&it, c->dv->id, c->dst, c->block << op->fs->block_shift, c->n << op->fs->block_shift);
		r = change_commit(op, &it, NULL, 0);
	}
	if (order)
		pthread_mutex_unlock(order < 0 ? &d->lock : &s->lock);
	pthread_mutex_unlock(order <= 0 ? &s->lock : &d->lock);
	inode_put(op->fs, s);
	inode_put(op->fs, d);
	items_release(&it);
	return r;
}

/* Ids of whole blocks from the pieces and leaves.  -EAGAIN: some bytes have no block yet. */
static int gather(struct fs *fs, struct clone_arg *c, uint64_t src_block)
{
	struct inode *i = inode_find(fs, c->sv->id, c->src);
	uint64_t leaf_idx = UINT64_MAX;
	struct row_value leaf;
	struct pieces p;
	struct row_key k;
	bool have = false;
	int r;

	c->seen_lsn = 0;
	if (i) {
		pthread_mutex_lock(&i->lock);
		c->seen_lsn = i->last_lsn;
		pthread_mutex_unlock(&i->lock);
		inode_put(fs, i);
	}
	r = content_overlay(fs, c->sv, c->src, src_block << fs->block_shift, c->n << fs->block_shift, &p);
	c->holes = true;
	for (unsigned n = 0; !r && n < p.n; n++) {
		uint64_t b = p.v[n].off >> fs->block_shift, e = (p.v[n].off + p.v[n].len) >> fs->block_shift;

		if (p.v[n].kind == PIECE_LOG || (p.v[n].off | p.v[n].len) & (fs->block_size - 1))
			r = -EAGAIN;
		for (; !r && b < e; b++) {
			uint64_t id = 0;

			if (p.v[n].kind == PIECE_BLOCK) {
				id = p.v[n].pos;
			} else if (p.v[n].kind == PIECE_UNKNOWN) {
				if (b / META_LEAF_SLOTS != leaf_idx) {
					leaf_idx = b / META_LEAF_SLOTS;
					row_key_leaf(&k, c->sv->id, c->src, leaf_idx);
					r = rows_get(fs, c->sv, &k, &leaf);
					have = !r;
					r = r == -ENOENT ? 0 : r;
				}
				id = have ? leaf.map[b % META_LEAF_SLOTS] : 0;
			}
			c->ids[b - src_block] = id;
			c->holes = c->holes && !id;
		}
	}
	pieces_release(&p);
	return r;
}

/* Share blocks [src_block, +n) .. the caller has aligned everything.  Returns 0, -EBUSY when the source does not hold still. */
static int share(struct fs *fs, const struct fs_ctx *ctx, struct clone_arg *c, uint64_t src_block, uint64_t *lsn)
{
	int r = -EBUSY;

	for (unsigned t = 0; r == -EBUSY && t < TRIES; t++) {
		r = gather(fs, c, src_block);
		if (r == -EAGAIN) {
			uint64_t end = log_end(fs->log);

			r = log_wait(fs->log, UINT64_MAX);
			if (!r)
				r = apply_wait(fs, end);
			if (!r)
				r = -EBUSY;
			continue;
		}
		if (!r)
			r = op_run(fs, ctx, 0, LOG_BYTES(1024 + c->n * 8), 2 * fs->space_unit, clone_fn, c, lsn);
	}
	return r;
}

static int64_t copy_bytes(struct fs *fs, const struct fs_ctx *ctx, struct fs_node src, uint64_t src_off, struct fs_node dst,
			  uint64_t dst_off, uint64_t len, uint64_t *lsn)
{
	void *buf CLEANUP_FREE = malloc(len);
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = fs_read(fs, src, buf, len, src_off);
	return n <= 0 ? n : fs_write(fs, ctx, dst, buf, (size_t)n, dst_off, 0, lsn);
}

/* One step: how much of [src_off, +len) goes how.  Bytes done, or -errno. */
static int64_t clone_step(struct fs *fs, const struct fs_ctx *ctx, struct clone_arg *c, struct fs_node src, uint64_t src_off,
			  struct fs_node dst, uint64_t dst_off, uint64_t len, uint64_t *lsn)
{
	uint64_t mask = fs->block_size - 1, n, bytes;
	struct fs_attr sa, da;
	int r;

	if ((src_off ^ dst_off) & mask)
		return copy_bytes(fs, ctx, src, src_off, dst, dst_off, MIN(len, (uint64_t)COPY_BYTES), lsn);
	if (src_off & mask)
		return copy_bytes(fs, ctx, src, src_off, dst, dst_off, MIN(len, fs->block_size - (src_off & mask)), lsn);
	n = MIN(len >> fs->block_shift, (uint64_t)CLONE_BLOCKS);
	bytes = n << fs->block_shift;
	c->tail = 0;
	if (len < (uint64_t)CLONE_BLOCKS << fs->block_shift && (len & mask)) {
		/* The source's last, short block can be shared if nothing of the destination lies behind it.  The sizes are those of
		 * now: when both are one file, the steps before this one have made it longer. */
		r = fs_getattr(fs, src, &sa);
		if (!r)
			r = fs_getattr(fs, dst, &da);
		if (r)
			return r;
		if (sa.size == src_off + len && da.size <= dst_off + len) {
			n++;
			bytes = len;
			c->tail = sa.size;
		}
	}
	if (!n)
		return copy_bytes(fs, ctx, src, src_off, dst, dst_off, len, lsn);
	c->block = dst_off >> fs->block_shift;
	c->n = n;
	c->end = dst_off + bytes;
	r = share(fs, ctx, c, src_off >> fs->block_shift, lsn);
	if (r == -EBUSY)
		return copy_bytes(fs, ctx, src, src_off, dst, dst_off, MIN(bytes, (uint64_t)COPY_BYTES), lsn);
	return r ? r : (int64_t)bytes;
}

int64_t fs_clone_range(struct fs *fs, const struct fs_ctx *ctx, struct fs_node src, uint64_t src_off, struct fs_node dst,
		       uint64_t dst_off, uint64_t len, uint64_t *lsn)
{
	struct clone_arg c = { .src = src.ino, .dst = dst.ino };
	uint64_t done = 0;
	struct fs_attr a;
	int64_t r;

	if (ino_virtual(src.ino) || ino_virtual(dst.ino))
		return -EISDIR;
	r = fs_getattr(fs, src, &a);
	if (r)
		return r;
	if (!S_ISREG(a.mode))
		return S_ISDIR(a.mode) ? -EISDIR : -EINVAL;
	if (src_off >= a.size)
		return 0;
	len = MIN(len, a.size - src_off);
	if (dst_off > INT64_MAX || len > INT64_MAX - dst_off)
		return -EFBIG;
	if (src.vol == dst.vol && src.ino == dst.ino && src_off < dst_off + len && dst_off < src_off + len)
		return -EINVAL;
	r = fs_hold(fs, src);
	if (r)
		return r;
	c.ids = malloc((CLONE_BLOCKS + 1) * sizeof(*c.ids));
	c.sv = vol_live(&fs->vtab, src.vol);
	c.dv = vol_live(&fs->vtab, dst.vol);
	r = !c.ids ? -ENOMEM : !c.sv || !c.dv ? -ESTALE : 0;
	while (!r && done < len) {
		r = clone_step(fs, ctx, &c, src, src_off + done, dst, dst_off + done, len - done, lsn);
		if (r <= 0)
			break;
		done += (uint64_t)r;
		r = 0;
	}
	free(c.ids);
	if (c.sv)
		vol_put(&fs->vtab, c.sv);
	if (c.dv)
		vol_put(&fs->vtab, c.dv);
	fs_drop(fs, src, 1);
	return done ? (int64_t)done : r;
}
