/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names: look-up, create, link, unlink, rename.  Every change of names or link counts in a volume runs under vol->names, so
 * what an entry names stays put while the inodes it concerns are locked.
 *
 * A directory's attributes carry two facts of its own: size is the number of entries (so "is it empty" needs no scan), rdev
 * the inode number of its parent directory (0 for a volume's root).
 */
#include <dirent.h>
#include <linux/fs.h>

#include "fs/volume/acl.h"
#include "fs/volume/internal.h"

#define LINK_MAX_FILE 65000u

static bool bad_name(const char *name, size_t len)
{
	return !len || memchr(name, '/', len) || memchr(name, 0, len) || (len == 1 && name[0] == '.') ||
	       (len == 2 && name[0] == '.' && name[1] == '.');
}

static bool is_snapdir_name(struct vol *v, uint64_t dir, const char *name, size_t len)
{
	return dir == v->root && len == strlen(FS_SNAPSHOTS_NAME) && !memcmp(name, FS_SNAPSHOTS_NAME, len);
}

/* What an entry leads to: itself, or the root of the volume bound there, or a placeholder. */
static struct fs_node entry_node(struct fs *fs, struct vol *v, const struct meta_entry *e)
{
	struct fs_node n = { v->id, e->ino };
	struct vol *t;

	if (e->type != META_TYPE_VOLUME)
		return n;
	t = vol_resolve(&fs->vtab, v, e->ino);
	if (!t)
		return (struct fs_node){ v->id, PLACEHOLDER_BIT | e->ino };
	n = (struct fs_node){ t->id, t->root };
	vol_put(&fs->vtab, t);
	return n;
}

struct fs_node fs_root(struct fs *fs)
{
	struct fs_node n;

	pthread_mutex_lock(&fs->vtab.lock);
	n = (struct fs_node){ fs->vtab.root->id, fs->vtab.root->root };
	pthread_mutex_unlock(&fs->vtab.lock);
	return n;
}

static int lookup_virtual(struct fs *fs, struct vol *v, uint64_t dir, const char *name, size_t len, struct fs_node *out)
{
	struct vol *s;

	if (dir != FS_INO_SNAPSHOTS)
		return -ENOENT;
	s = vol_snapshot(&fs->vtab, v, name, len);
	if (!s)
		return -ENOENT;
	*out = (struct fs_node){ s->id, s->root };
	vol_put(&fs->vtab, s);
	return 0;
}

static int node_attr_of(struct fs *fs, struct fs_node node, struct fs_attr *out)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	int r;

	if (!v)
		return -ESTALE;
	r = node_attr(fs, v, node.ino, out);
	vol_put(&fs->vtab, v);
	return r;
}

int fs_lookup(struct fs *fs, struct fs_node dir, const char *name, size_t len, struct fs_attr *out)
{
	struct fs_node node = { 0 };
	struct row_value val;
	struct row_key k;
	struct vol *v;
	int r;

	if (len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (bad_name(name, len))
		return -EINVAL;
	v = vol_live(&fs->vtab, dir.vol);
	if (!v)
		return -ESTALE;
	if (is_snapdir_name(v, dir.ino, name, len)) {
		node = (struct fs_node){ v->id, FS_INO_SNAPSHOTS };
		r = 0;
	} else if (ino_virtual(dir.ino)) {
		r = lookup_virtual(fs, v, dir.ino, name, len, &node);
	} else {
		row_key_set(&k, v->id, ROW_ENTRY, dir.ino, name, len);
		r = rows_get(fs, v, &k, &val);
		if (!r)
			node = entry_node(fs, v, &val.entry);
	}
	vol_put(&fs->vtab, v);
	if (r)
		return r;
	r = node_attr_of(fs, node, out);
	return r == -ESTALE ? -ENOENT : r;
}

/* ---- locking of the inodes an operation changes ---- */

#define LOCKED_MAX 4
struct locked {
	struct inode *v[LOCKED_MAX];
	unsigned n;
};

static void unlock_inodes(struct op *op, struct locked *l)
{
	while (l->n) {
		struct inode *i = l->v[--l->n];

		pthread_mutex_unlock(&i->lock);
		inode_put(op->fs, i);
	}
}

/* All in one volume; sorted and made unique here.  inos is reordered. */
static int lock_inodes(struct op *op, struct vol *v, uint64_t *inos, unsigned n, struct locked *l)
{
	l->n = 0;
	for (unsigned a = 1; a < n; a++)
		for (unsigned b = a; b && inos[b] < inos[b - 1]; b--) {
			uint64_t t = inos[b];

			inos[b] = inos[b - 1];
			inos[b - 1] = t;
		}
	for (unsigned a = 0; a < n; a++) {
		struct inode *i;

		if (a && inos[a] == inos[a - 1])
			continue;
		i = inode_get(op->fs, v->id, inos[a]);
		if (!i) {
			unlock_inodes(op, l);
			return -ENOMEM;
		}
		pthread_mutex_lock(&i->lock);
		l->v[l->n++] = i;
	}
	return 0;
}

/* A living directory that may get or lose names. */
static int op_dir(struct op *op, struct vol *v, uint64_t dir, struct meta_attr *out)
{
	int r = op_attr(op, v, dir, out);

	if (r)
		return r;
	if (!S_ISDIR(out->mode))
		return -ENOTDIR;
	return out->nlink ? 0 : -ENOENT;
}

static void touch_dir(struct meta_attr *d, int64_t now, int entries, int subdirs)
{
	d->size += (uint64_t)(int64_t)entries;
	d->nlink += (uint32_t)subdirs;
	d->mtime_ns = d->ctime_ns = now;
}

static uint8_t mode_type(uint32_t mode)
{
	return (uint8_t)IFTODT(mode);
}

/* ---- mknod, tmpfile ---- */

struct mknod_arg {
	struct vol *v;
	uint64_t dir;
	const char *name; /* NULL: tmpfile */
	size_t len;
	uint32_t mode;
	uint64_t rdev;
	const char *target;
	struct fs_attr *out;
};

/* Mode and ACLs of something new in this directory, from its default ACL if it has one.  *access gets the new access ACL
 * (dacl_len bytes), or NULL when the mode says all of it. */
static int inherit(const void *dacl, uint32_t dacl_len, uint32_t umask, uint32_t *mode, void **access)
{
	*access = NULL;
	if (!dacl) {
		*mode = acl_create_plain(*mode, umask);
		return 0;
	}
	*access = malloc(dacl_len);
	if (!*access)
		return -ENOMEM;
	if (acl_create(dacl, dacl_len, mode, *access)) {
		free(*access);
		*access = NULL;
	}
	return 0;
}

static int mknod_fn(struct op *op, void *p)
{
	struct mknod_arg *a = p;
	struct fs *fs = op->fs;
	void *dacl CLEANUP_FREE = NULL, *access CLEANUP_FREE = NULL;
	struct meta_attr dir, attr = { 0 };
	struct meta_entry e;
	struct locked l = { .n = 0 };
	uint64_t inos[1] = { a->dir };
	uint32_t dacl_len = 0;
	struct items it;
	int64_t now;
	int r;

	items_init(&it);
	pthread_mutex_lock(&a->v->names);
	r = op_writable(op, a->v);
	if (!r)
		r = lock_inodes(op, a->v, inos, 1, &l);
	if (!r)
		r = op_dir(op, a->v, a->dir, &dir);
	if (!r && a->name) {
		r = op_entry(op, a->v, a->dir, a->name, a->len, &e);
		r = r == -ENOENT ? 0 : r ? r : -EEXIST;
	}
	if (!r) {
		r = S_ISLNK(a->mode) ? -ENOENT : op_xattr(op, a->v, a->dir, ACL_DEFAULT_NAME, &dacl, &dacl_len);
		if (r == -ENOENT)
			r = 0;
	}
	if (r)
		goto out;

	now = clock_realtime_ns();
	attr.mode = a->mode;
	attr.uid = op->ctx ? op->ctx->uid : 0;
	attr.gid = op->ctx ? op->ctx->gid : 0;
	if (dir.mode & S_ISGID) {
		attr.gid = dir.gid;
		if (S_ISDIR(a->mode))
			attr.mode |= S_ISGID;
	}
	r = S_ISLNK(a->mode) ? 0 : inherit(dacl, dacl_len, op->ctx ? op->ctx->umask : 0, &attr.mode, &access);
	if (r)
		goto out;
	attr.nlink = !a->name ? 0 : S_ISDIR(a->mode) ? 2 : 1;
	attr.size = S_ISLNK(a->mode) ? strlen(a->target) : 0;
	attr.rdev = S_ISDIR(a->mode) ? a->dir : a->rdev;
	attr.atime_ns = attr.mtime_ns = attr.ctime_ns = attr.btime_ns = now;
	e.ino = atomic_fetch_add(&fs->next_ino, 1);
	e.type = mode_type(a->mode);

	items_attr(&it, a->v->id, e.ino, &attr);
	if (S_ISLNK(a->mode))
		items_xattr(&it, a->v->id, e.ino, "", 0, a->target, attr.size);
	if (access)
		items_xattr(&it, a->v->id, e.ino, ACL_ACCESS_NAME, strlen(ACL_ACCESS_NAME), access, dacl_len);
	if (dacl && S_ISDIR(a->mode))
		items_xattr(&it, a->v->id, e.ino, ACL_DEFAULT_NAME, strlen(ACL_DEFAULT_NAME), dacl, dacl_len);
	if (a->name) {
		items_entry(&it, a->v->id, a->dir, a->name, a->len, &e);
		touch_dir(&dir, now, 1, S_ISDIR(a->mode));
		items_attr(&it, a->v->id, a->dir, &dir);
	} else {
		items_orphan(&it, a->v->id, e.ino, false);
		/* Held before anybody could reap it. */
		r = vol_hold(&fs->vtab, a->v);
		if (r)
			goto out;
		r = nodes_add(&fs->nodes, a->v->id, e.ino, NULL);
		if (r) {
			vol_unhold(&fs->vtab, a->v->id, 1);
			goto out;
		}
	}
	r = change_commit(op, &it, NULL, 0);
	if (!r)
		attr_fill(fs, a->v, e.ino, &attr, a->out);
	else if (!a->name)
		fs_drop(fs, (struct fs_node){ a->v->id, e.ino }, 1);
out:
	unlock_inodes(op, &l);
	pthread_mutex_unlock(&a->v->names);
	items_release(&it);
	return r;
}

static int check_new_name(struct vol *v, uint64_t dir, const char *name, size_t len)
{
	if (len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (bad_name(name, len))
		return -EINVAL;
	if (ino_virtual(dir))
		return -EROFS;
	return is_snapdir_name(v, dir, name, len) ? -EEXIST : 0;
}

int fs_mknod(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, uint32_t mode,
	     uint64_t rdev, const char *target, struct fs_attr *out, uint64_t *lsn)
{
	struct mknod_arg a = { .dir = dir.ino, .name = name, .len = len, .mode = mode, .rdev = rdev, .target = target, .out = out };
	size_t bytes = 4096 + len;
	int r;

	if (S_ISLNK(mode)) {
		size_t n = target ? strlen(target) : 0;

		if (!n)
			return -ENOENT;
		if (n > FS_SYMLINK_MAX)
			return -ENAMETOOLONG;
		bytes += n;
		a.mode = S_IFLNK | 0777;
	}
	if (!(mode & S_IFMT))
		a.mode |= S_IFREG;
	a.v = vol_live(&fs->vtab, dir.vol);
	if (!a.v)
		return -ESTALE;
	r = check_new_name(a.v, dir.ino, name, len);
	if (!r) /* inherited ACLs are two xattrs of up to 64 KiB */
		r = op_run(fs, ctx, 0, LOG_BYTES(bytes + 2 * META_XATTR_MAX), 0, mknod_fn, &a, lsn);
	vol_put(&fs->vtab, a.v);
	return r;
}

int fs_tmpfile(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, uint32_t mode, struct fs_attr *out, uint64_t *lsn)
{
	struct mknod_arg a = { .dir = dir.ino, .mode = S_IFREG | (mode & 07777), .out = out };
	int r;

	a.v = vol_live(&fs->vtab, dir.vol);
	if (!a.v)
		return -ESTALE;
	r = ino_virtual(dir.ino) ? -EROFS : op_run(fs, ctx, 0, LOG_BYTES(4096 + 2 * META_XATTR_MAX), 0, mknod_fn, &a, lsn);
	vol_put(&fs->vtab, a.v);
	return r;
}

/* ---- link ---- */

struct link_arg {
	struct vol *v;
	uint64_t ino, dir;
	const char *name;
	size_t len;
	struct fs_attr *out;
};

static int link_fn(struct op *op, void *p)
{
	struct link_arg *a = p;
	struct meta_attr dir, attr;
	struct meta_entry e;
	struct locked l = { .n = 0 };
	uint64_t inos[2] = { a->ino, a->dir };
	struct items it;
	int r;

	items_init(&it);
	pthread_mutex_lock(&a->v->names);
	r = op_writable(op, a->v);
	if (!r)
		r = lock_inodes(op, a->v, inos, 2, &l);
	if (!r)
		r = op_dir(op, a->v, a->dir, &dir);
	if (!r)
		r = op_attr(op, a->v, a->ino, &attr);
	if (!r) {
		r = op_entry(op, a->v, a->dir, a->name, a->len, &e);
		r = r == -ENOENT ? 0 : r ? r : -EEXIST;
	}
	if (!r)
		r = S_ISDIR(attr.mode) ? -EPERM : attr.nlink >= LINK_MAX_FILE ? -EMLINK : 0;
	if (!r) {
		e = (struct meta_entry){ a->ino, mode_type(attr.mode) };
		touch_dir(&dir, clock_realtime_ns(), 1, 0);
		if (!attr.nlink) /* a tmpfile gets its name */
			items_orphan(&it, a->v->id, a->ino, true);
		attr.nlink++;
		attr.ctime_ns = dir.ctime_ns;
		items_entry(&it, a->v->id, a->dir, a->name, a->len, &e);
		items_attr(&it, a->v->id, a->ino, &attr);
		items_attr(&it, a->v->id, a->dir, &dir);
		r = change_commit(op, &it, NULL, 0);
	}
	if (!r)
		attr_fill(op->fs, a->v, a->ino, &attr, a->out);
	unlock_inodes(op, &l);
	pthread_mutex_unlock(&a->v->names);
	items_release(&it);
	return r;
}

int fs_link(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, struct fs_node dir, const char *name, size_t len,
	    struct fs_attr *out, uint64_t *lsn)
{
	struct link_arg a = { .ino = node.ino, .dir = dir.ino, .name = name, .len = len, .out = out };
	int r;

	if (node.vol != dir.vol)
		return -EXDEV;
	if (ino_virtual(node.ino))
		return -EPERM;
	a.v = vol_live(&fs->vtab, dir.vol);
	if (!a.v)
		return -ESTALE;
	r = check_new_name(a.v, dir.ino, name, len);
	if (!r)
		r = op_run(fs, ctx, 0, LOG_BYTES(2048), 0, link_fn, &a, lsn);
	vol_put(&fs->vtab, a.v);
	return r;
}

/* ---- unlink, rmdir ---- */

struct unlink_arg {
	struct vol *v;
	uint64_t dir;
	const char *name;
	size_t len;
	bool rmdir;
	struct fs_node *gone;
};

/* The items of an inode that loses one name.  a is its attributes, changed here. */
static void lose_name(struct items *it, uint64_t vol, uint64_t ino, struct meta_attr *a, int64_t now)
{
	a->nlink = S_ISDIR(a->mode) ? 0 : a->nlink - 1;
	a->ctime_ns = now;
	items_attr(it, vol, ino, a);
	if (!a->nlink)
		items_orphan(it, vol, ino, false);
}

static int may_remove(const struct meta_attr *a, bool as_dir)
{
	if (as_dir && !S_ISDIR(a->mode))
		return -ENOTDIR;
	if (!as_dir && S_ISDIR(a->mode))
		return -EISDIR;
	return S_ISDIR(a->mode) && a->size ? -ENOTEMPTY : 0;
}

/* What stands in for a volume that is not there (deleted, or not part of the snapshot) is an empty directory and goes like one. */
static int remove_placeholder(struct op *op, struct unlink_arg *a, const struct meta_entry *e, struct locked *l, struct items *it)
{
	struct vol *t = vol_resolve(&op->fs->vtab, a->v, e->ino);
	uint64_t inos[1] = { a->dir };
	struct meta_attr dir;
	int r;

	if (t || !a->rmdir) {
		if (t)
			vol_put(&op->fs->vtab, t);
		return -EBUSY;
	}
	r = lock_inodes(op, a->v, inos, 1, l);
	if (!r)
		r = op_attr(op, a->v, a->dir, &dir);
	if (r)
		return r;
	touch_dir(&dir, clock_realtime_ns(), -1, -1);
	items_entry(it, a->v->id, a->dir, a->name, a->len, NULL);
	items_attr(it, a->v->id, a->dir, &dir);
	r = change_commit(op, it, NULL, 0);
	if (!r && a->gone)
		*a->gone = (struct fs_node){ a->v->id, PLACEHOLDER_BIT | e->ino };
	return r;
}

static int unlink_fn(struct op *op, void *p)
{
	struct unlink_arg *a = p;
	struct meta_attr dir, attr;
	struct meta_entry e;
	struct locked l = { .n = 0 };
	uint64_t inos[2];
	struct items it;
	int r;

	items_init(&it);
	pthread_mutex_lock(&a->v->names);
	r = op_writable(op, a->v);
	if (!r)
		r = op_entry(op, a->v, a->dir, a->name, a->len, &e);
	if (!r && e.type == META_TYPE_VOLUME) {
		r = remove_placeholder(op, a, &e, &l, &it);
		goto out;
	}
	if (!r) {
		inos[0] = a->dir;
		inos[1] = e.ino;
		r = lock_inodes(op, a->v, inos, 2, &l);
	}
	if (!r)
		r = op_attr(op, a->v, a->dir, &dir);
	if (!r)
		r = op_attr(op, a->v, e.ino, &attr);
	if (!r)
		r = may_remove(&attr, a->rmdir);
	if (!r) {
		touch_dir(&dir, clock_realtime_ns(), -1, -(int)S_ISDIR(attr.mode));
		items_entry(&it, a->v->id, a->dir, a->name, a->len, NULL);
		lose_name(&it, a->v->id, e.ino, &attr, dir.ctime_ns);
		items_attr(&it, a->v->id, a->dir, &dir);
		r = change_commit(op, &it, NULL, 0);
	}
	if (!r && a->gone)
		*a->gone = (struct fs_node){ a->v->id, e.ino };
out:
	unlock_inodes(op, &l);
	pthread_mutex_unlock(&a->v->names);
	items_release(&it);
	return r;
}

static int remove_name(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, bool rmdir,
		       struct fs_node *gone, uint64_t *lsn)
{
	struct unlink_arg a = { .dir = dir.ino, .name = name, .len = len, .rmdir = rmdir, .gone = gone };
	int r;

	if (len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (bad_name(name, len))
		return -EINVAL;
	a.v = vol_live(&fs->vtab, dir.vol);
	if (!a.v)
		return -ESTALE;
	if (is_snapdir_name(a.v, dir.ino, name, len))
		r = rmdir ? -EBUSY : -EISDIR;
	else if (ino_virtual(dir.ino))
		r = -EROFS;
	else
		r = op_run(fs, ctx, OP_FREES, LOG_BYTES(2048), 0, unlink_fn, &a, lsn);
	vol_put(&fs->vtab, a.v);
	return r;
}

int fs_unlink(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, struct fs_node *gone,
	      uint64_t *lsn)
{
	return remove_name(fs, ctx, dir, name, len, false, gone, lsn);
}

int fs_rmdir(struct fs *fs, const struct fs_ctx *ctx, struct fs_node dir, const char *name, size_t len, struct fs_node *gone,
	     uint64_t *lsn)
{
	return remove_name(fs, ctx, dir, name, len, true, gone, lsn);
}

/* ---- rename ---- */

struct rename_arg {
	struct vol *v;
	uint64_t d1, d2;
	const char *n1, *n2;
	size_t l1, l2;
	unsigned flags;
	struct fs_node *replaced;
};

/* Is directory `dir` ino itself or below it?  1, 0, or -errno. */
static int is_below(struct op *op, struct vol *v, uint64_t dir, uint64_t ino)
{
	struct meta_attr a;

	for (;;) {
		int r;

		if (dir == ino)
			return 1;
		if (dir == v->root)
			return 0;
		r = op_attr(op, v, dir, &a);
		if (r)
			return r;
		dir = a.rdev;
	}
}

/* A moving entry of type VOLUME takes the bound volume's place along. */
static int move_volume(struct op *op, struct rename_arg *a, struct items *it, const struct meta_entry *e, uint64_t dir,
		       const char *name, size_t len)
{
	struct vol *t = vol_resolve(&op->fs->vtab, a->v, e->ino);
	struct meta_volume m;

	if (!t)
		return 0; /* placeholder: only the entry moves */
	vol_describe(&op->fs->vtab, t, &m);
	vol_put(&op->fs->vtab, t);
	if (m.place_vol != a->v->alias)
		return 0;
	m.place_dir = dir;
	memcpy(m.name, name, len);
	m.name[len] = 0;
	items_vol_set(it, &m);
	return 0;
}

struct rename_state {
	struct meta_entry e1, e2;
	bool have2;
	struct meta_attr d1, d2, a1, a2; /* a1, a2: unless the entry is a volume */
};

static bool is_dir_entry(const struct meta_entry *e)
{
	return e->type == DT_DIR || e->type == META_TYPE_VOLUME;
}

/* Everything that can refuse the rename, under the locks of all inodes concerned. */
static int rename_check(struct op *op, struct rename_arg *a, struct rename_state *s)
{
	bool exchange = a->flags & RENAME_EXCHANGE;
	int r;

	r = op_dir(op, a->v, a->d1, &s->d1);
	if (!r)
		r = op_dir(op, a->v, a->d2, &s->d2);
	if (!r && s->e1.type != META_TYPE_VOLUME)
		r = op_attr(op, a->v, s->e1.ino, &s->a1);
	if (!r && s->have2 && s->e2.type != META_TYPE_VOLUME)
		r = op_attr(op, a->v, s->e2.ino, &s->a2);
	if (r)
		return r;
	if (s->e1.type == DT_DIR) {
		r = is_below(op, a->v, a->d2, s->e1.ino);
		if (r)
			return r < 0 ? r : -EINVAL;
	}
	if (exchange)
		r = s->e2.type == DT_DIR ? is_below(op, a->v, a->d1, s->e2.ino) : 0;
	if (r)
		return r < 0 ? r : -EINVAL;
	if (exchange || !s->have2)
		return 0;
	if (s->e2.type == META_TYPE_VOLUME)
		return -EBUSY;
	if (is_dir_entry(&s->e1) && !is_dir_entry(&s->e2))
		return -ENOTDIR;
	if (!is_dir_entry(&s->e1) && is_dir_entry(&s->e2))
		return -EISDIR;
	return is_dir_entry(&s->e2) && s->a2.size ? -ENOTEMPTY : 0;
}

/* One entry moves from directory attributes *from to *to (may be the same object). */
static int move_entry(struct op *op, struct rename_arg *a, struct items *it, const struct meta_entry *e, struct meta_attr *attr,
		      uint64_t dir, const char *name, size_t len, int64_t now)
{
	items_entry(it, a->v->id, dir, name, len, e);
	if (e->type == META_TYPE_VOLUME)
		return move_volume(op, a, it, e, dir, name, len);
	attr->ctime_ns = now;
	if (e->type == DT_DIR)
		attr->rdev = dir;
	items_attr(it, a->v->id, e->ino, attr);
	return 0;
}

static int rename_items(struct op *op, struct rename_arg *a, struct rename_state *s, struct items *it)
{
	bool exchange = a->flags & RENAME_EXCHANGE, same = a->d1 == a->d2;
	struct meta_attr *d2 = same ? &s->d1 : &s->d2;
	int sub1 = is_dir_entry(&s->e1), sub2 = s->have2 && is_dir_entry(&s->e2);
	int64_t now = clock_realtime_ns();
	int r;

	if (exchange) {
		touch_dir(&s->d1, now, 0, sub2 - sub1);
		touch_dir(d2, now, 0, sub1 - sub2);
		r = move_entry(op, a, it, &s->e2, &s->a2, a->d1, a->n1, a->l1, now);
	} else {
		touch_dir(&s->d1, now, -1, -sub1);
		touch_dir(d2, now, s->have2 ? 0 : 1, sub1 - sub2);
		items_entry(it, a->v->id, a->d1, a->n1, a->l1, NULL);
		if (s->have2)
			lose_name(it, a->v->id, s->e2.ino, &s->a2, now);
		r = 0;
	}
	if (!r)
		r = move_entry(op, a, it, &s->e1, &s->a1, a->d2, a->n2, a->l2, now);
	items_attr(it, a->v->id, a->d1, &s->d1);
	if (!same)
		items_attr(it, a->v->id, a->d2, &s->d2);
	return r;
}

static int rename_fn(struct op *op, void *p)
{
	struct rename_arg *a = p;
	struct rename_state s = { .have2 = false };
	struct locked l = { .n = 0 };
	uint64_t inos[LOCKED_MAX];
	unsigned n = 0;
	struct items it;
	int r;

	items_init(&it);
	pthread_mutex_lock(&a->v->names);
	r = op_writable(op, a->v);
	if (!r)
		r = op_entry(op, a->v, a->d1, a->n1, a->l1, &s.e1);
	if (!r) {
		r = op_entry(op, a->v, a->d2, a->n2, a->l2, &s.e2);
		s.have2 = !r;
		if (r == -ENOENT)
			r = a->flags & RENAME_EXCHANGE ? -ENOENT : 0;
		else if (!r && (a->flags & RENAME_NOREPLACE))
			r = -EEXIST;
	}
	if (r || (s.have2 && s.e1.ino == s.e2.ino && s.e1.type == s.e2.type))
		goto out; /* two names of one file: nothing to do, as POSIX says of renaming */
	inos[n++] = a->d1;
	inos[n++] = a->d2;
	if (s.e1.type != META_TYPE_VOLUME)
		inos[n++] = s.e1.ino;
	if (s.have2 && s.e2.type != META_TYPE_VOLUME)
		inos[n++] = s.e2.ino;
	r = lock_inodes(op, a->v, inos, n, &l);
	if (!r)
		r = rename_check(op, a, &s);
	if (!r)
		r = rename_items(op, a, &s, &it);
	if (!r)
		r = change_commit(op, &it, NULL, 0);
	if (!r && a->replaced && s.have2 && !(a->flags & RENAME_EXCHANGE))
		*a->replaced = (struct fs_node){ a->v->id, s.e2.ino };
out:
	unlock_inodes(op, &l);
	pthread_mutex_unlock(&a->v->names);
	items_release(&it);
	return r;
}

int fs_rename(struct fs *fs, const struct fs_ctx *ctx, struct fs_node from_dir, const char *from, size_t from_len,
	      struct fs_node to_dir, const char *to, size_t to_len, unsigned flags, struct fs_node *replaced, uint64_t *lsn)
{
	struct rename_arg a = { .d1 = from_dir.ino, .d2 = to_dir.ino, .n1 = from, .n2 = to, .l1 = from_len, .l2 = to_len,
				.flags = flags, .replaced = replaced };
	int r;

	if (replaced)
		*replaced = (struct fs_node){ 0, 0 };
	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (from_dir.vol != to_dir.vol)
		return -EXDEV;
	if (from_len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (bad_name(from, from_len))
		return -EINVAL;
	a.v = vol_live(&fs->vtab, from_dir.vol);
	if (!a.v)
		return -ESTALE;
	r = check_new_name(a.v, to_dir.ino, to, to_len);
	if (!r && (ino_virtual(from_dir.ino) || is_snapdir_name(a.v, from_dir.ino, from, from_len)))
		r = -EROFS;
	if (r == -EEXIST)
		r = -EBUSY; /* onto .snapshots */
	if (!r)
		r = op_run(fs, ctx, OP_FREES, LOG_BYTES(8192), 0, rename_fn, &a, lsn);
	vol_put(&fs->vtab, a.v);
	return r;
}

int fs_readlink(struct fs *fs, struct fs_node node, char *buf, size_t size)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	struct row_value val;
	struct row_key k;
	int r;

	if (!v)
		return -ESTALE;
	row_key_set(&k, v->id, ROW_XATTR, node.ino, NULL, 0);
	r = rows_get(fs, v, &k, &val);
	vol_put(&fs->vtab, v);
	if (r)
		return r == -ENOENT ? -EINVAL : r;
	r = (int)MIN((size_t)val.blob.len, size);
	memcpy(buf, val.blob.data, (size_t)r);
	free(val.blob.data);
	return r;
}
