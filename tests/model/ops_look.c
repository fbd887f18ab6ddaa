/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking, waiting, and what goes on in the background. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/cleanup.h"
#include "tests/model/world.h"

static void op_read(struct world *w)
{
	struct target t;
	uint64_t off, len, n;
	int64_t want, got;

	pick_file(w, &t);
	off = t.i->size && !one_in(w, 6) ? rnd(w, t.i->size) : rnd(w, 200000);
	len = one_in(w, 4) ? rnd(w, 200000) : rnd(w, 10000);
	n = off < t.i->size ? MIN(len, t.i->size - off) : 0;
	want = S_ISREG(t.i->mode) ? (int64_t)n : S_ISDIR(t.i->mode) ? -EISDIR : -EINVAL;
	got = fs_read(w->fs, t.node, w->buf, len, off);
	expect(w, got, want, "read of %llu at %llu of %llu/%llu", (unsigned long long)len, (unsigned long long)off,
	       (unsigned long long)t.node.vol, (unsigned long long)t.node.ino);
	if (got <= 0 || got != want)
		return;
	file_read(t.i, off, w->buf2, n);
	for (uint64_t k = 0; k < n; k++)
		if (w->buf[k] != w->buf2[k] && !sim_is_off(w->io))
			world_fail(w, "read of %llu/%llu size %llu: byte %llu is %02x, want %02x", (unsigned long long)t.node.vol,
				   (unsigned long long)t.node.ino, (unsigned long long)t.i->size, (unsigned long long)(off + k), w->buf[k],
				   w->buf2[k]);
	good(w);
}

static void op_getattr(struct world *w)
{
	struct fs_attr a;
	struct target t;
	int r;

	pick_inode(w, &t);
	r = fs_getattr(w->fs, t.node, &a);
	expect(w, r, 0, "getattr of %llu/%llu", (unsigned long long)t.node.vol, (unsigned long long)t.node.ino);
	if (!r) {
		compare_attr(w, w->state, t.vk, t.ik, &a);
		good(w);
	}
}

static void op_lookup(struct world *w)
{
	unsigned name = (unsigned)rnd(w, model_nnames);
	struct fs_node want_node = { 0 };
	struct ment *e;
	struct fs_attr a;
	struct target d;
	int want, got;

	pick_dir(w, &d);
	if (d.i->nents && one_in(w, 2))
		name = d.i->ents[rnd(w, d.i->nents)].name;
	e = inode_ent(d.i, name);
	want = e ? 0 : -ENOENT;
	if (d.ik == d.v->root && !strcmp(model_names[name].s, FS_SNAPSHOTS_NAME)) {
		want = 0;
		want_node = (struct fs_node){ d.node.vol, FS_INO_SNAPSHOTS };
	} else if (e && e->vol) {
		struct mvol *t = state_resolve(w->state, d.v, e->key);

		want_node = t ? node_of(w, t->key, t->root) : (struct fs_node){ d.node.vol, (1ull << 43) | w->vol_of[e->key] };
	} else if (e) {
		want_node = node_of(w, d.vk, e->key);
	}
	got = fs_lookup(w->fs, d.node, model_names[name].s, model_names[name].len, &a);
	expect(w, got, want, "look-up of '%s' in %llu/%llu", model_names[name].s, (unsigned long long)d.node.vol,
	       (unsigned long long)d.node.ino);
	if (!got && !want && !sim_is_off(w->io)) {
		if (a.node.vol != want_node.vol || a.node.ino != want_node.ino)
			world_fail(w, "look-up of '%s' leads to %llu/%llu, want %llu/%llu", model_names[name].s,
				   (unsigned long long)a.node.vol, (unsigned long long)a.node.ino, (unsigned long long)want_node.vol,
				   (unsigned long long)want_node.ino);
		good(w);
	}
}

struct names_seen {
	struct minode *dir;
	unsigned at, n;
	bool bad;
};
static int on_name(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr)
{
	struct names_seen *s = arg;
	const struct mname *m;

	(void)dtype;
	(void)node;
	(void)attr;
	s->n++;
	if (s->at >= s->dir->nents) {
		s->bad = true;
		return 1;
	}
	m = &model_names[s->dir->ents[s->at++].name];
	s->bad = m->len != len || memcmp(m->s, name, len);
	return s->bad;
}

/* From a random name on, whether it is there or not. */
static void op_readdir(struct world *w)
{
	unsigned after = (unsigned)rnd(w, model_nnames), max = 1 + (unsigned)rnd(w, 8), want;
	struct names_seen s = { 0 };
	struct target d;
	int r;

	pick_dir(w, &d);
	if (!S_ISDIR(d.i->mode)) {
		expect(w, fs_readdir(w->fs, d.node, NULL, 0, 1, false, on_name, &s), -ENOTDIR, "readdir of no directory");
		return;
	}
	s.dir = d.i;
	while (s.at < d.i->nents && d.i->ents[s.at].name <= after)
		s.at++;
	want = MIN(max, d.i->nents - s.at);
	r = fs_readdir(w->fs, d.node, model_names[after].s, model_names[after].len, max, one_in(w, 3), on_name, &s);
	if (sim_is_off(w->io))
		return;
	if (r || s.bad || s.n != want)
		world_fail(w, "readdir of %llu/%llu after '%s', max %u: %d, %u names, want %u%s", (unsigned long long)d.node.vol,
			   (unsigned long long)d.node.ino, model_names[after].s, max, r, s.n, want, s.bad ? ", a wrong name" : "");
	good(w);
}

static void op_seek(struct world *w)
{
	int whence = one_in(w, 2) ? SEEK_DATA : SEEK_HOLE;
	struct target t;
	uint64_t off;
	int64_t r;

	pick_file(w, &t);
	off = t.i->size && !one_in(w, 10) ? rnd(w, t.i->size) : t.i->size + rnd(w, 100);
	r = fs_seek(w->fs, t.node, off, whence);
	if (sim_is_off(w->io))
		return;
	if (!S_ISREG(t.i->mode)) {
		expect(w, r, S_ISDIR(t.i->mode) ? -EISDIR : -EINVAL, "seek in no file");
		return;
	}
	if (off >= t.i->size) {
		expect(w, r, -ENXIO, "seek behind the end");
		return;
	}
	if (r == -ENXIO && whence == SEEK_DATA) {
		if (!file_is_zero(t.i, off, t.i->size))
			world_fail(w, "no data from %llu on, it says", (unsigned long long)off);
		return;
	}
	if (r < (int64_t)off || r > (int64_t)t.i->size || (whence == SEEK_DATA && r == (int64_t)t.i->size))
		world_fail(w, "seek from %llu gives %lld, size %llu", (unsigned long long)off, (long long)r, (unsigned long long)t.i->size);
	/* What it skips looking for data, and where it finds a hole, reads as zeros. */
	if (whence == SEEK_DATA && !file_is_zero(t.i, off, (uint64_t)r))
		world_fail(w, "data before %lld, it says there is none", (long long)r);
	if (whence == SEEK_HOLE && (uint64_t)r < t.i->size && !file_is_zero(t.i, (uint64_t)r, (uint64_t)r + 1))
		world_fail(w, "a hole at %lld, it says", (long long)r);
	good(w);
}

static void op_getxattr(struct world *w)
{
	static uint8_t value[65536];
	unsigned name = (unsigned)rnd(w, model_nxattr_names);
	struct mxattr *x;
	struct target t;
	size_t size;
	ssize_t r;

	pick_inode(w, &t);
	if (t.i->nxattrs && !one_in(w, 6))
		name = t.i->xattrs[rnd(w, t.i->nxattrs)].name;
	x = inode_xattr(t.i, name);
	size = one_in(w, 4) ? 0 : one_in(w, 4) && x ? x->v->len / 2 : sizeof(value);
	r = fs_getxattr(w->fs, t.node, model_xattr_names[name], value, size);
	expect(w, r, !x ? -ENODATA : size && size < x->v->len ? -ERANGE : (ssize_t)x->v->len, "getxattr %s, size %zu",
	       model_xattr_names[name], size);
	if (x && r > 0 && size && memcmp(value, x->v->b, (size_t)r) && !sim_is_off(w->io))
		world_fail(w, "value of %s", model_xattr_names[name]);
	good(w);
}

static void op_stale(struct world *w)
{
	struct fs_node n = { w->dead_vol, 17 };
	struct fs_attr a;
	uint64_t lsn;

	if (!w->dead_vol)
		return;
	expect(w, fs_getattr(w->fs, n, &a), -ESTALE, "getattr in a deleted volume");
	expect(w, fs_read(w->fs, n, w->buf, 10, 0), -ESTALE, "read in a deleted volume");
	expect(w, fs_write(w->fs, NULL, n, "x", 1, 0, 0, &lsn), -ESTALE, "write in a deleted volume");
	expect(w, fs_mknod(w->fs, NULL, n, "x", 1, S_IFREG | 0644, 0, NULL, &a, &lsn), -ESTALE, "mknod in a deleted volume");
	expect(w, fs_hold(w->fs, n), -ESTALE, "hold in a deleted volume");
	good(w);
}

static void op_wait(struct world *w)
{
	unsigned n = (unsigned)rnd(w, w->npast);
	uint64_t lsn = w->past[n].lsn;
	int r;

	if (!lsn)
		return;
	r = fs_wait(w->fs, lsn);
	expect(w, r, 0, "wait for %llu", (unsigned long long)lsn);
	if (!r) {
		durable_lsn(w, lsn);
		good(w);
	}
}

static void op_sync(struct world *w)
{
	int r = fs_sync(w->fs);

	expect(w, r, 0, "sync");
	if (!r) {
		durable_now(w);
		good(w);
	}
}

static void op_background(struct world *w)
{
	unsigned what = 1 + (unsigned)rnd(w, 7);
	int r = fs_run_background(w->fs, what);

	expect(w, MIN(r, 0), 0, "background %u", what);
	if (r > 0)
		good(w);
}

static void op_drain(struct world *w)
{
	expect(w, fs_drain(w->fs), 0, "drain");
	good(w);
}

static void op_reopen(struct world *w)
{
	w->reopens++;
	world_close(w);
	if (sim_is_off(w->io))
		return; /* the crash that follows opens it */
	world_open(w);
	if (w->fs)
		good(w);
}

struct op_kind ops_look[] = {
	{ "read", op_read, 120, 0, 0 },	    { "getattr", op_getattr, 40, 0, 0 }, { "lookup", op_lookup, 40, 0, 0 },
	{ "readdir", op_readdir, 25, 0, 0 }, { "seek", op_seek, 30, 0, 0 },	 { "getxattr", op_getxattr, 20, 0, 0 },
	{ "stale", op_stale, 2, 0, 0 },	    { "wait", op_wait, 15, 0, 0 },	 { "sync", op_sync, 4, 0, 0 },
	{ "background", op_background, 25, 0, 0 }, { "drain", op_drain, 1, 0, 0 }, { "reopen", op_reopen, 1, 0, 0 },
};
const unsigned n_ops_look = ARRAY_SIZE(ops_look);
