/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content: write, fallocate, clone, hold and drop. */
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/cleanup.h"
#include "tests/model/world.h"

#define PAGES_MAX 80 /* of one file; the model compares every byte of it often */
#define SPARSE_END (48u << 20)

static uint64_t pick_off(struct world *w, struct minode *i)
{
	switch (rnd(w, 8)) {
	case 0:
		return i->size;
	case 1:
		return i->size ? rnd(w, i->size) : 0;
	case 2:
		return rnd(w, 16) * 4096;
	case 3:
		return one_in(w, 6) ? rnd(w, SPARSE_END) : rnd(w, 200 << 10);
	case 4:
		return rnd(w, 60) * 4096 + (uint64_t)rnd(w, 3) - (one_in(w, 2) ? 0 : 1) + 1;
	default:
		return rnd(w, 30000);
	}
}

static uint64_t pick_len(struct world *w)
{
	switch (rnd(w, 12)) {
	case 0:
		return 4096;
	case 1:
		return 4096 * (1 + rnd(w, 8));
	case 2:
		return 1 + rnd(w, 20);
	case 3:
		return one_in(w, 8) ? 1 + rnd(w, w->max_write) : 1 + rnd(w, 40000);
	default:
		return 1 + rnd(w, 9000);
	}
}

static int want_file(struct world *w, struct target *t, const struct fs_ctx *c)
{
	int r = want_writable(w, t->v, c);

	return r ? r : S_ISDIR(t->i->mode) ? -EISDIR : S_ISREG(t->i->mode) ? 0 : -EINVAL;
}

static void kill_suid(struct minode *i)
{
	i->mode &= ~(uint32_t)S_ISUID;
	if (i->mode & S_IXGRP)
		i->mode &= ~(uint32_t)S_ISGID;
}

static void op_write(struct world *w)
{
	unsigned flags = (one_in(w, 5) ? FS_WRITE_APPEND : 0) | (one_in(w, 5) ? FS_WRITE_KILL_SUID : 0);
	uint64_t off, len = pick_len(w), lsn = 0;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target t;
	int64_t want, got;

	pick_file(w, &t);
	off = pick_off(w, t.i);
	len = MIN(len, w->max_write);
	if (t.i->npages + len / MODEL_PAGE > PAGES_MAX) {
		if (t.i->npages > 20 || len < 100000)
			len = 1 + rnd(w, 100);
	}
	random_bytes_into(w, w->buf, len);
	want = want_file(w, &t, c);
	if (!want)
		want = (int64_t)len;
	got = fs_write(w->fs, c, t.node, w->buf, len, off, flags, &lsn);
	if (want > 0) {
		struct minode *i = touch(w, &t, true);

		if (flags & FS_WRITE_APPEND)
			off = i->size;
		if (flags & FS_WRITE_KILL_SUID)
			kill_suid(i);
		i->size = MAX(i->size, off + len);
		file_write(i, off, w->buf, len);
		remember(w, lsn, i->nlink ? WITNESS_CTIME : WITNESS_NONE, t.vk, t.ik);
	}
	expect(w, got, want, "write of %llu at %llu flags %u to %llu/%llu", (unsigned long long)len, (unsigned long long)off, flags,
	       (unsigned long long)t.node.vol, (unsigned long long)t.node.ino);
	if (got == want && want > 0)
		good(w);
}

static void op_fallocate(struct world *w)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE };
	int mode = modes[rnd(w, ARRAY_SIZE(modes))], want, got;
	uint64_t off, len = pick_len(w), lsn = 0;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target t;

	pick_file(w, &t);
	off = pick_off(w, t.i);
	if (one_in(w, 10))
		len = rnd(w, SPARSE_END);
	if (mode == FALLOC_FL_PUNCH_HOLE || mode == FALLOC_FL_COLLAPSE_RANGE)
		want = -EOPNOTSUPP;
	else
		want = len ? want_file(w, &t, c) : -EINVAL;
	got = fs_fallocate(w->fs, c, t.node, mode, off, len, &lsn);
	if (!want) {
		struct minode *i = touch(w, &t, true);

		if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) && off < i->size)
			file_zero(i, off, MIN(len, i->size - off));
		if (!(mode & FALLOC_FL_KEEP_SIZE))
			i->size = MAX(i->size, off + len);
		remember(w, lsn, i->nlink ? WITNESS_CTIME : WITNESS_NONE, t.vk, t.ik);
	}
	expect(w, got, want, "fallocate mode %d, %llu at %llu in %llu/%llu", mode, (unsigned long long)len, (unsigned long long)off, (unsigned long long)t.node.vol, (unsigned long long)t.node.ino);
	if (!got && !want)
		good(w);
}

/* ---- clone ---- */

/* One step of a clone: the engine may stop between two of them when the power goes. */
static void clone_part(struct world *w, struct target *s, uint64_t soff, struct target *d, uint64_t doff, uint64_t len, uint64_t lsn)
{
	uint8_t *b = xmalloc(len);
	struct minode *i;

	file_read(vol_inode(state_vol(w->state, s->vk), s->ik), soff, b, len);
	i = touch(w, d, true);
	i->size = MAX(i->size, doff + len);
	file_write(i, doff, b, len);
	/* Whole pages of zeros came from holes, mostly: keep the model's files small. */
	for (uint64_t p = (doff + MODEL_PAGE - 1) / MODEL_PAGE; (p + 1) * MODEL_PAGE <= doff + len; p++)
		if (file_is_zero(i, p * MODEL_PAGE, (p + 1) * MODEL_PAGE))
			file_zero(i, p * MODEL_PAGE, MODEL_PAGE);
	free(b);
	remember(w, lsn, i->nlink ? WITNESS_CTIME : WITNESS_NONE, d->vk, d->ik);
}

static void op_clone(struct world *w)
{
	uint64_t soff, doff, len, n, lsn = 0, head, mask = 4095;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target s, d;
	int64_t want, got;

	pick_file(w, &s);
	if (one_in(w, 4))
		d = s;
	else
		pick_file(w, &d);
	soff = one_in(w, 2) ? rnd(w, 20) * 4096 : pick_off(w, s.i);
	doff = one_in(w, 2) ? rnd(w, 20) * 4096 : (rnd(w, 30) * 4096) + (soff & mask);
	if (one_in(w, 8))
		doff = rnd(w, 100000);
	len = one_in(w, 3) ? 1 + rnd(w, 20) * 4096 : one_in(w, 2) ? 4096 * rnd(w, 30) : rnd(w, 100000);
	if (one_in(w, 3))
		len = 300 << 10; /* to the end, mostly */
	if ((soff ^ doff) & mask)
		len = MIN(len, (uint64_t)w->max_write); /* copied through one record */
	n = soff < s.i->size ? MIN(len, s.i->size - soff) : 0;
	if (d.i->npages + n / MODEL_PAGE > PAGES_MAX)
		return;
	want = 0;
	if (!S_ISREG(s.i->mode))
		want = S_ISDIR(s.i->mode) ? -EISDIR : -EINVAL;
	else if (s.vk == d.vk && s.ik == d.ik && soff < doff + n && doff < soff + n)
		want = soff >= s.i->size ? 0 : -EINVAL;
	else if (n)
		want = want_file(w, &d, c);
	got = fs_clone_range(w->fs, c, s.node, soff, d.node, doff, len, &lsn);
	if (want == -EISDIR && S_ISREG(s.i->mode) && got == -EINVAL)
		want = got; /* copying and sharing answer differently; the kernel asks neither about a directory */
	if (!want && n) {
		want = (int64_t)n;
		if ((soff ^ doff) & mask) {
			clone_part(w, &s, soff, &d, doff, n, lsn);
		} else {
			head = MIN(n, (4096 - (soff & mask)) & mask);
			if (head)
				clone_part(w, &s, soff, &d, doff, head, lsn);
			len = (n - head) & ~mask;
			if (len)
				clone_part(w, &s, soff + head, &d, doff + head, len, lsn);
			head += len;
			if (head < n)
				clone_part(w, &s, soff + head, &d, doff + head, n - head, lsn);
		}
	}
	expect(w, got, want, "clone of %llu bytes from %llu/%llu (size %llu) at %llu to %llu/%llu at %llu", (unsigned long long)n,
	       (unsigned long long)s.node.vol, (unsigned long long)s.node.ino, (unsigned long long)s.i->size, (unsigned long long)soff,
	       (unsigned long long)d.node.vol, (unsigned long long)d.node.ino, (unsigned long long)doff);
	if (got == want && want > 0)
		good(w);
}

/* ---- hold, drop ---- */

static void op_hold(struct world *w)
{
	struct target t;
	int got;

	if (w->nholds > 12)
		return;
	pick_inode(w, &t);
	got = fs_hold(w->fs, t.node);
	if (!got)
		hold_add(w, t.vk, t.ik);
	expect(w, got, 0, "hold of %llu/%llu", (unsigned long long)t.node.vol, (unsigned long long)t.node.ino);
	good(w);
}

static void op_drop(struct world *w)
{
	if (!w->nholds)
		return;
	hold_del(w, (unsigned)rnd(w, w->nholds));
	good(w);
}

struct op_kind ops_content[] = {
	{ "write", op_write, 230, 0, 0 }, { "fallocate", op_fallocate, 40, 0, 0 }, { "clone", op_clone, 35, 0, 0 },
	{ "hold", op_hold, 12, 0, 0 },	  { "drop", op_drop, 12, 0, 0 },
};
const unsigned n_ops_content = ARRAY_SIZE(ops_content);
