/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: mknod, tmpfile, link, unlink, rmdir, rename. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/base/cleanup.h"
#include "fs/volume/acl.h"
#include "tests/model/world.h"

#define INODES_MAX 60 /* per volume; then things are deleted rather than made */

static bool is_snapdir(struct target *d, unsigned name)
{
	return d->ik == d->v->root && !strcmp(model_names[name].s, FS_SNAPSHOTS_NAME);
}

static unsigned pick_name(struct world *w)
{
	return (unsigned)rnd(w, model_nnames);
}

/* A name that is there, mostly. */
static unsigned pick_old_name(struct world *w, struct target *d)
{
	if (!d->i->nents || one_in(w, 10))
		return pick_name(w);
	return d->i->ents[rnd(w, d->i->nents)].name;
}

static int want_dir(struct minode *i)
{
	return !S_ISDIR(i->mode) ? -ENOTDIR : i->nlink ? 0 : -ENOENT;
}

static bool is_dir_ent(struct mvol *v, const struct ment *e)
{
	return e->vol || S_ISDIR(vol_inode(v, e->key)->mode);
}

/* ---- mknod, tmpfile ---- */

static unsigned xattr_number(const char *name)
{
	unsigned n = 0;

	while (strcmp(model_xattr_names[n], name))
		n++;
	return n;
}

/* What a new inode looks like. */
static struct minode *make_inode(struct world *w, struct target *d, uint32_t mode, const struct fs_ctx *c)
{
	struct mxattr *dacl = inode_xattr(d->i, xattr_number("system.posix_acl_default"));
	struct minode *i = inode_make(ino_key_new(w, 0));

	i->mode = mode;
	i->uid = c ? c->uid : 0;
	i->gid = c ? c->gid : 0;
	if (d->i->mode & S_ISGID) {
		i->gid = d->i->gid;
		if (S_ISDIR(mode))
			i->mode |= S_ISGID;
	}
	if (!S_ISLNK(mode)) {
		if (dacl) {
			uint8_t access[1024];

			if (!acl_create(dacl->v->b, dacl->v->len, &i->mode, access))
				inode_xattr_set(i, xattr_number("system.posix_acl_access"), access, dacl->v->len);
			if (S_ISDIR(mode))
				inode_xattr_set(i, dacl->name, dacl->v->b, dacl->v->len);
		} else {
			i->mode = acl_create_plain(i->mode, c ? c->umask : 0);
		}
	}
	i->nlink = S_ISDIR(mode) ? 2 : 1;
	i->parent = S_ISDIR(mode) ? d->ik : 0;
	i->atime = i->mtime = i->ctime = i->btime = w->now;
	return i;
}

static void op_mknod(struct world *w)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	uint32_t mode = types[rnd(w, ARRAY_SIZE(types))] | (uint32_t)rnd(w, 010000);
	char text[FS_SYMLINK_MAX + 1];
	uint64_t rdev = 0, lsn = 0;
	struct fs_attr a;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target d;
	struct minode *i;
	unsigned name = pick_name(w);
	int want, got;

	pick_dir(w, &d);
	if (d.v->ninodes > INODES_MAX)
		return;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		rdev = rnd(w, 1 << 20);
	if (S_ISLNK(mode)) {
		size_t n = one_in(w, 10) ? FS_SYMLINK_MAX : 1 + rnd(w, 60);

		memset(text, 'a' + (int)rnd(w, 26), n);
		text[n] = 0;
		mode = S_IFLNK | 0777;
	}
	want = is_snapdir(&d, name) ? -EEXIST : want_writable(w, d.v, c);
	if (!want)
		want = want_dir(d.i);
	if (!want && inode_ent(d.i, name))
		want = -EEXIST;
	got = fs_mknod(w->fs, c, d.node, model_names[name].s, model_names[name].len, mode, rdev, S_ISLNK(mode) ? text : NULL, &a, &lsn);
	if (!want) {
		i = make_inode(w, &d, mode, c);
		i->rdev = rdev;
		if (S_ISLNK(mode)) {
			i->size = strlen(text);
			i->target = xmalloc(sizeof(*i->target) + i->size);
			i->target->refs = 1;
			i->target->len = (uint32_t)i->size;
			memcpy(i->target->b, text, i->size);
		}
		if (!got)
			w->ino_of[i->key] = a.node.ino;
		touch(w, &d, true);
		inode_ent_set(d.i, name, false, i->key);
		d.i->nlink += S_ISDIR(mode);
		vol_inode_add(d.v, i);
		remember(w, lsn, WITNESS_CTIME, d.vk, d.ik);
	}
	expect(w, got, want, "mknod '%s' mode %o in %llu/%llu", model_names[name].s, mode, (unsigned long long)d.node.vol,
	       (unsigned long long)d.node.ino);
	if (!got && !want) {
		compare_attr(w, w->state, d.vk, i->key, &a);
		good(w);
	}
}

static void op_tmpfile(struct world *w)
{
	uint32_t mode = (uint32_t)rnd(w, 010000);
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target d;
	struct minode *i;
	uint64_t lsn = 0;
	struct fs_attr a;
	int want, got;

	pick_dir(w, &d);
	if (d.v->ninodes > INODES_MAX || w->nholds > 12)
		return;
	want = want_writable(w, d.v, c);
	if (!want)
		want = want_dir(d.i);
	got = fs_tmpfile(w->fs, c, d.node, mode, &a, &lsn);
	if (!want) {
		i = make_inode(w, &d, S_IFREG | mode, c);
		i->nlink = 0;
		if (!got)
			w->ino_of[i->key] = a.node.ino;
		d.v = state_vol_mut(state_mut(&w->state), d.vk);
		vol_inode_add(d.v, i);
		remember(w, lsn, WITNESS_NONE, 0, 0);
	}
	expect(w, got, want, "tmpfile in %llu/%llu", (unsigned long long)d.node.vol, (unsigned long long)d.node.ino);
	if (!got && !want) {
		hold_add(w, d.vk, i->key);
		compare_attr(w, w->state, d.vk, i->key, &a);
		good(w);
	}
}

/* ---- link ---- */

static void op_link(struct world *w)
{
	struct target d, t;
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	unsigned name = pick_name(w);
	uint64_t lsn = 0;
	struct fs_attr a;
	int want, got;

	pick_dir(w, &d);
	t = d;
	if (one_in(w, 20))
		pick_inode(w, &t);
	else {
		t.i = d.v->inodes[rnd(w, d.v->ninodes)];
		t.ik = t.i->key;
		t.node = node_of(w, t.vk, t.ik);
	}
	if (t.vk != d.vk)
		want = -EXDEV;
	else if (is_snapdir(&d, name))
		want = -EEXIST;
	else
		want = want_writable(w, d.v, c);
	if (!want)
		want = want_dir(d.i);
	if (!want)
		want = inode_ent(d.i, name) ? -EEXIST : S_ISDIR(t.i->mode) ? -EPERM : 0;
	got = fs_link(w->fs, c, t.node, d.node, model_names[name].s, model_names[name].len, &a, &lsn);
	if (!want) {
		touch(w, &d, true);
		inode_ent_set(d.i, name, false, t.ik);
		touch(w, &t, false);
		t.i->nlink++;
		remember(w, lsn, WITNESS_CTIME, d.vk, d.ik);
	}
	expect(w, got, want, "link '%s'", model_names[name].s);
	if (!got && !want) {
		compare_attr(w, w->state, t.vk, t.ik, &a);
		good(w);
	}
}

/* ---- unlink, rmdir ---- */

/* The inode lost a name; it goes with the last unless held. */
static void lose_name(struct world *w, struct target *d, uint64_t ik)
{
	struct target t = { .vk = d->vk, .ik = ik };

	touch(w, &t, false);
	t.i->nlink = S_ISDIR(t.i->mode) ? 0 : t.i->nlink - 1;
	if (!t.i->nlink && !held(w, t.vk, ik))
		vol_inode_del(t.v, ik);
	d->v = t.v;
}

static int want_remove(struct world *w, struct target *d, struct ment *e, bool rmdir)
{
	struct minode *i;

	if (!e)
		return -ENOENT;
	if (e->vol) /* only what stands in for a volume that is not there can go */
		return rmdir && !state_resolve(w->state, d->v, e->key) ? 0 : -EBUSY;
	i = vol_inode(d->v, e->key);
	if (rmdir && !S_ISDIR(i->mode))
		return -ENOTDIR;
	if (!rmdir && S_ISDIR(i->mode))
		return -EISDIR;
	return i->nents ? -ENOTEMPTY : 0;
}

static void remove_op(struct world *w, bool rmdir)
{
	struct fs_node gone = { 0 }, was = { 0 };
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct target d;
	struct ment *e, copy;
	uint64_t lsn = 0;
	unsigned name;
	int want, got;

	pick_dir(w, &d);
	name = pick_old_name(w, &d);
	e = inode_ent(d.i, name);
	if (is_snapdir(&d, name))
		want = rmdir ? -EBUSY : -EISDIR;
	else
		want = want_writable(w, d.v, c);
	if (!want)
		want = want_remove(w, &d, e, rmdir);
	if (rmdir)
		got = fs_rmdir(w->fs, c, d.node, model_names[name].s, model_names[name].len, &gone, &lsn);
	else
		got = fs_unlink(w->fs, c, d.node, model_names[name].s, model_names[name].len, &gone, &lsn);
	if (!want) {
		copy = *e;
		was = node_of(w, d.vk, copy.key);
		touch(w, &d, true);
		inode_ent_del(d.i, name);
		d.i->nlink -= rmdir;
		if (!copy.vol)
			lose_name(w, &d, copy.key);
		remember(w, lsn, WITNESS_CTIME, d.vk, d.ik);
	}
	expect(w, got, want, "%s '%s' in %llu/%llu", rmdir ? "rmdir" : "unlink", model_names[name].s, (unsigned long long)d.node.vol,
	       (unsigned long long)d.node.ino);
	if (!got && !want) {
		if (!copy.vol && (gone.vol != was.vol || gone.ino != was.ino))
			world_fail(w, "the node that lost its name is %llu/%llu, want %llu/%llu", (unsigned long long)gone.vol,
				   (unsigned long long)gone.ino, (unsigned long long)was.vol, (unsigned long long)was.ino);
		good(w);
	}
}

static void op_unlink(struct world *w)
{
	remove_op(w, false);
}

static void op_rmdir(struct world *w)
{
	remove_op(w, true);
}

/* ---- rename ---- */

static bool is_below(struct mvol *v, uint64_t dir, uint64_t ino)
{
	while (dir != ino && dir != v->root)
		dir = vol_inode(v, dir)->parent;
	return dir == ino;
}

static int want_rename(struct world *w, struct target *a, struct target *b, unsigned na, unsigned nb, unsigned flags,
		       const struct fs_ctx *c, bool *nothing)
{
	struct ment *e1, *e2;
	bool dir1, dir2;
	int r;

	*nothing = false;
	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (a->vk != b->vk)
		return -EXDEV;
	if (is_snapdir(b, nb))
		return -EBUSY;
	if (is_snapdir(a, na))
		return -EROFS;
	r = want_writable(w, a->v, c);
	if (r)
		return r;
	e1 = inode_ent(a->i, na);
	e2 = inode_ent(b->i, nb);
	if (!e1)
		return -ENOENT;
	if (!e2 && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (e2 && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (e2 && e1->vol == e2->vol && e1->key == e2->key) {
		*nothing = true;
		return 0;
	}
	r = want_dir(a->i);
	if (!r)
		r = want_dir(b->i);
	if (r)
		return r;
	dir1 = is_dir_ent(a->v, e1);
	if (dir1 && !e1->vol && is_below(a->v, b->ik, e1->key))
		return -EINVAL;
	if (!e2)
		return 0;
	dir2 = is_dir_ent(b->v, e2);
	if (flags & RENAME_EXCHANGE)
		return dir2 && !e2->vol && is_below(a->v, a->ik, e2->key) ? -EINVAL : 0;
	if (e2->vol)
		return -EBUSY;
	if (dir1 != dir2)
		return dir1 ? -ENOTDIR : -EISDIR;
	return dir2 && vol_inode(b->v, e2->key)->nents ? -ENOTEMPTY : 0;
}

/* e moves to directory key `dir`, name `name`. */
static void move_entry(struct world *w, struct target *d, struct ment e, unsigned name)
{
	struct target t = { .vk = d->vk, .ik = e.key };

	touch(w, d, true);
	inode_ent_set(d->i, name, e.vol, e.key);
	if (!e.vol) {
		touch(w, &t, false);
		if (S_ISDIR(t.i->mode)) {
			t.i->parent = d->ik;
			d->i->nlink++;
		}
		return;
	}
	d->i->nlink++;
	if (!(d->v->flags & MVOL_SNAPSHOT)) {
		struct mvol *n = state_head(w->state, e.key);

		if (n) {
			n = state_vol_mut(w->state, n->key);
			n->place_dir = d->ik;
			strcpy(n->name, model_names[name].s);
		}
	}
}

static void take_entry(struct world *w, struct target *d, unsigned name)
{
	bool dir;

	touch(w, d, true);
	dir = is_dir_ent(d->v, inode_ent(d->i, name));
	inode_ent_del(d->i, name);
	d->i->nlink -= dir;
}

static void op_rename(struct world *w)
{
	static const unsigned flag_sets[] = { 0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE, 4 };
	unsigned flags = flag_sets[rnd(w, ARRAY_SIZE(flag_sets))], na, nb;
	struct fs_node replaced, was = { 0 };
	struct fs_ctx space;
	const struct fs_ctx *c = pick_ctx(w, &space);
	struct ment e1, e2 = { 0 }, *e;
	struct target a, b;
	uint64_t lsn = 0;
	bool nothing;
	int want, got;

	pick_dir(w, &a);
	do
		pick_dir(w, &b);
	while (b.vk != a.vk && !one_in(w, 30));
	if (one_in(w, 3))
		b = a;
	na = pick_old_name(w, &a);
	nb = one_in(w, 2) ? pick_name(w) : pick_old_name(w, &b);
	want = want_rename(w, &a, &b, na, nb, flags, c, &nothing);
	got = fs_rename(w->fs, c, a.node, model_names[na].s, model_names[na].len, b.node, model_names[nb].s, model_names[nb].len, flags,
			&replaced, &lsn);
	if (!want && !nothing) {
		e1 = *inode_ent(a.i, na);
		e = inode_ent(b.i, nb);
		take_entry(w, &a, na);
		if (e) {
			/* b may be a's object: look again */
			touch(w, &b, true);
			e2 = *inode_ent(b.i, nb);
			take_entry(w, &b, nb);
		}
		move_entry(w, &b, e1, nb);
		if (e && (flags & RENAME_EXCHANGE)) {
			move_entry(w, &a, e2, na);
		} else if (e) {
			was = node_of(w, b.vk, e2.key);
			lose_name(w, &b, e2.key);
		}
		remember(w, lsn, WITNESS_CTIME, a.vk, a.ik);
	}
	expect(w, got, want, "rename '%s' in %llu/%llu to '%s' in %llu/%llu flags %u", model_names[na].s, (unsigned long long)a.node.vol,
	       (unsigned long long)a.node.ino, model_names[nb].s, (unsigned long long)b.node.vol, (unsigned long long)b.node.ino, flags);
	if (!got && !want) {
		if (replaced.vol != was.vol || replaced.ino != was.ino)
			world_fail(w, "replaced node is %llu/%llu, want %llu/%llu", (unsigned long long)replaced.vol,
				   (unsigned long long)replaced.ino, (unsigned long long)was.vol, (unsigned long long)was.ino);
		if (!nothing)
			good(w);
	}
}

struct op_kind ops_names[] = {
	{ "mknod", op_mknod, 90, 0, 0 },   { "tmpfile", op_tmpfile, 8, 0, 0 }, { "link", op_link, 25, 0, 0 },
	{ "unlink", op_unlink, 50, 0, 0 }, { "rmdir", op_rmdir, 20, 0, 0 },   { "rename", op_rename, 70, 0, 0 },
};
const unsigned n_ops_names = ARRAY_SIZE(ops_names);
