/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes and extended attributes of one inode. */
#include <sys/xattr.h>

#include "fs/volume/acl.h"
#include "fs/volume/internal.h"

#define NS_MAX (INT64_MAX / 2)

void attr_fill(struct fs *fs, struct vol *v, uint64_t ino, const struct meta_attr *a, struct fs_attr *out)
{
	uint64_t alloc = a->alloc;

	memset(out, 0, sizeof(*out));
	out->node = (struct fs_node){ v->id, ino };
	out->mode = a->mode;
	out->uid = a->uid;
	out->gid = a->gid;
	out->nlink = a->nlink;
	out->size = a->size;
	out->rdev = a->rdev;
	out->atime_ns = a->atime_ns;
	out->mtime_ns = a->mtime_ns;
	out->ctime_ns = a->ctime_ns;
	out->btime_ns = a->btime_ns;
	if (S_ISDIR(a->mode)) {
		out->size = a->size * 32 + 64; /* looks like a directory's, grows with it; the true count is ours */
		out->rdev = 0;
		return;
	}
	if (S_ISREG(a->mode)) {
		struct inode *i = inode_find(fs, v->id, ino);

		/* Bytes still in the log count as they are; blocks as a whole but not beyond the file's end. */
		if (i) {
			alloc += atomic_load_explicit(&i->dirty_bytes, memory_order_relaxed);
			inode_put(fs, i);
		}
		alloc = MIN(alloc, (a->size + 4095) / 4096 * 4096);
		out->blocks_512 = (alloc + 511) / 512;
	}
}

int node_attr(struct fs *fs, struct vol *v, uint64_t ino, struct fs_attr *out)
{
	struct row_value val;
	struct row_key k;
	int r;

	if (!ino_virtual(ino)) {
		row_key_set(&k, v->id, ROW_ATTR, ino, NULL, 0);
		r = rows_get(fs, v, &k, &val);
		if (!r)
			attr_fill(fs, v, ino, &val.attr, out);
		return r == -ENOENT ? -ESTALE : r;
	}
	if (ino != FS_INO_SNAPSHOTS && !(ino & PLACEHOLDER_BIT))
		return -ESTALE;
	/* A virtual directory belongs to the owner of the volume's root.  Everybody may pass: what lies below has rights of its own,
	 * and a user whom only an ACL lets into the volume must reach his snapshots too. */
	row_key_set(&k, v->id, ROW_ATTR, v->root, NULL, 0);
	r = rows_get(fs, v, &k, &val);
	if (r)
		return r == -ENOENT ? -ESTALE : r;
	attr_fill(fs, v, ino, &val.attr, out);
	out->mode = S_IFDIR | 0555;
	out->nlink = 2;
	out->size = 0;
	return 0;
}

int fs_getattr(struct fs *fs, struct fs_node node, struct fs_attr *out)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	int r;

	if (!v)
		return -ESTALE;
	r = node_attr(fs, v, node.ino, out);
	vol_put(&fs->vtab, v);
	return r;
}

/* ---- one inode under its lock ---- */

struct one_arg {
	struct vol *v;
	uint64_t ino;
	/* setattr */
	const struct fs_attr *a;
	unsigned mask;
	struct fs_attr *out;
	/* xattr */
	const char *name;
	const void *value; /* NULL: remove */
	size_t len;
	int flags;
};

static int new_acl_after_chmod(struct op *op, struct one_arg *g, struct meta_attr *a, struct items *it)
{
	void *acl CLEANUP_FREE = NULL;
	uint32_t len = 0;
	int r = op_xattr(op, g->v, g->ino, ACL_ACCESS_NAME, &acl, &len);

	if (r)
		return r == -ENOENT ? 0 : r;
	acl_chmod(acl, len, a->mode);
	items_xattr(it, g->v->id, g->ino, ACL_ACCESS_NAME, strlen(ACL_ACCESS_NAME), acl, len);
	return 0;
}

/* Size changes: what lies beyond the smaller of the two ends reads as zeros from now on. */
static void size_items(struct op *op, struct one_arg *g, struct meta_attr *a, uint64_t size, struct items *it)
{
	if (size < a->size)
		items_zero(it, g->v->id, g->ino, size, file_end(op->fs, a->size) - size);
	a->size = size;
}

static int setattr_fn(struct op *op, void *p)
{
	struct one_arg *g = p;
	struct inode *i = inode_get(op->fs, g->v->id, g->ino);
	struct meta_attr a;
	struct items it;
	int64_t now;
	int r;

	if (!i)
		return -ENOMEM;
	items_init(&it);
	pthread_mutex_lock(&i->lock);
	r = op_writable(op, g->v);
	if (!r)
		r = op_attr(op, g->v, g->ino, &a);
	if (!r && (g->mask & FS_SET_SIZE) && !S_ISREG(a.mode))
		r = S_ISDIR(a.mode) ? -EISDIR : -EINVAL;
	if (r)
		goto out;
	now = clock_realtime_ns();
	if (g->mask & FS_SET_UID)
		a.uid = g->a->uid;
	if (g->mask & FS_SET_GID)
		a.gid = g->a->gid;
	if (g->mask & FS_SET_KILL_SUID) {
		a.mode &= ~(uint32_t)S_ISUID;
		if ((a.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			a.mode &= ~(uint32_t)S_ISGID;
	}
	if (g->mask & FS_SET_MODE) {
		a.mode = (a.mode & S_IFMT) | (g->a->mode & 07777);
		r = new_acl_after_chmod(op, g, &a, &it);
		if (r)
			goto out;
	}
	if (g->mask & FS_SET_SIZE) {
		size_items(op, g, &a, g->a->size, &it);
		a.mtime_ns = now;
	}
	a.ctime_ns = g->mask & FS_SET_CTIME ? g->a->ctime_ns : now;
	if (g->mask & FS_SET_ATIME)
		a.atime_ns = g->a->atime_ns;
	if (g->mask & FS_SET_MTIME)
		a.mtime_ns = g->a->mtime_ns;
	if (g->mask & FS_SET_BTIME)
		a.btime_ns = g->a->btime_ns;
	items_attr(&it, g->v->id, g->ino, &a);
	r = change_commit(op, &it, NULL, 0);
	if (!r && g->out)
		attr_fill(op->fs, g->v, g->ino, &a, g->out);
out:
	pthread_mutex_unlock(&i->lock);
	inode_put(op->fs, i);
	items_release(&it);
	return r;
}

int fs_setattr(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const struct fs_attr *a, unsigned mask,
	       struct fs_attr *out, uint64_t *lsn)
{
	struct one_arg g = { .ino = node.ino, .a = a, .mask = mask, .out = out };
	bool size = mask & FS_SET_SIZE;
	int r;

	if (ino_virtual(node.ino))
		return -EROFS;
	if (size && a->size > INT64_MAX)
		return -EFBIG;
	g.v = vol_live(&fs->vtab, node.vol);
	if (!g.v)
		return -ESTALE;
	/* Cutting a block in two costs the space of what is left of it. */
	r = op_run(fs, ctx, size ? 0 : OP_FREES, LOG_BYTES(2048 + META_XATTR_MAX), size ? 2 * fs->space_unit : 0, setattr_fn, &g, lsn);
	vol_put(&fs->vtab, g.v);
	return r;
}

/* ---- extended attributes ---- */

static bool is_acl(const char *name)
{
	return !strcmp(name, ACL_ACCESS_NAME) || !strcmp(name, ACL_DEFAULT_NAME);
}

/* An access ACL sets the mode; one that says no more than a mode is not kept. */
static int acl_effect(struct one_arg *g, struct meta_attr *a, bool *store)
{
	int n = g->value ? acl_validate(g->value, g->len) : 0;

	*store = n > 0;
	if (n <= 0)
		return n;
	if (!strcmp(g->name, ACL_DEFAULT_NAME))
		return S_ISDIR(a->mode) ? 0 : -EACCES;
	*store = !acl_to_mode(g->value, g->len, &a->mode);
	return 0;
}

static int xattr_fn(struct op *op, void *p)
{
	struct one_arg *g = p;
	struct inode *i = inode_get(op->fs, g->v->id, g->ino);
	void *old CLEANUP_FREE = NULL;
	bool store = true, had;
	struct meta_attr a;
	uint32_t old_len;
	struct items it;
	int r;

	if (!i)
		return -ENOMEM;
	items_init(&it);
	pthread_mutex_lock(&i->lock);
	r = op_writable(op, g->v);
	if (!r)
		r = op_attr(op, g->v, g->ino, &a);
	if (r)
		goto out;
	r = op_xattr(op, g->v, g->ino, g->name, &old, &old_len);
	if (r && r != -ENOENT)
		goto out;
	had = !r;
	r = 0;
	if (g->value && (g->flags & XATTR_CREATE) && had)
		r = -EEXIST;
	else if (!had && (!g->value || (g->flags & XATTR_REPLACE)))
		r = g->value || !is_acl(g->name) ? -ENODATA : 0; /* removing an ACL that is not there succeeds, as in the kernel */
	if (!r && is_acl(g->name))
		r = acl_effect(g, &a, &store);
	if (r || (!(g->value && store) && !had && !is_acl(g->name)))
		goto out;
	a.ctime_ns = clock_realtime_ns();
	if (g->value && store)
		items_xattr(&it, g->v->id, g->ino, g->name, strlen(g->name), g->value, g->len);
	else if (had)
		items_xattr(&it, g->v->id, g->ino, g->name, strlen(g->name), NULL, 0);
	items_attr(&it, g->v->id, g->ino, &a);
	r = change_commit(op, &it, NULL, 0);
out:
	pthread_mutex_unlock(&i->lock);
	inode_put(op->fs, i);
	items_release(&it);
	return r;
}

static int xattr_change(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, struct one_arg *g, uint64_t *lsn)
{
	size_t n = strlen(g->name);
	int r;

	if (!n || n > FS_NAME_MAX)
		return -ERANGE;
	if (g->len > META_XATTR_MAX)
		return -E2BIG;
	if (ino_virtual(node.ino))
		return -EROFS;
	g->ino = node.ino;
	g->v = vol_live(&fs->vtab, node.vol);
	if (!g->v)
		return -ESTALE;
	r = op_run(fs, ctx, g->value ? 0 : OP_FREES, LOG_BYTES(1024 + n + g->len), 0, xattr_fn, g, lsn);
	vol_put(&fs->vtab, g->v);
	return r;
}

int fs_setxattr(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const char *name, const void *value, size_t len,
		int flags, uint64_t *lsn)
{
	struct one_arg g = { .name = name, .value = value ? value : "", .len = len, .flags = flags };

	/* An empty ACL means: remove it (acl(5), setxattr of a zero-length value). */
	if (!len && is_acl(name))
		g.value = NULL;
	return xattr_change(fs, ctx, node, &g, lsn);
}

int fs_removexattr(struct fs *fs, const struct fs_ctx *ctx, struct fs_node node, const char *name, uint64_t *lsn)
{
	struct one_arg g = { .name = name };

	return xattr_change(fs, ctx, node, &g, lsn);
}

ssize_t fs_getxattr(struct fs *fs, struct fs_node node, const char *name, void *buf, size_t size)
{
	size_t n = strlen(name);
	struct row_value val;
	struct row_key k;
	struct vol *v;
	ssize_t r;

	if (!n || n > FS_NAME_MAX)
		return -ERANGE;
	if (ino_virtual(node.ino))
		return -ENODATA;
	v = vol_live(&fs->vtab, node.vol);
	if (!v)
		return -ESTALE;
	row_key_set(&k, v->id, ROW_XATTR, node.ino, name, n);
	r = rows_get(fs, v, &k, &val);
	vol_put(&fs->vtab, v);
	if (r)
		return r == -ENOENT ? -ENODATA : r;
	r = (ssize_t)val.blob.len;
	if (size && size < val.blob.len)
		r = -ERANGE;
	else if (size)
		memcpy(buf, val.blob.data, val.blob.len);
	free(val.blob.data);
	return r;
}

/* ---- listxattr: the database's names with the overlays' over them ---- */

struct xname {
	struct xname *next;
	bool absent;
	size_t len;
	char text[META_NAME_MAX + 1];
};
struct xnames {
	struct xname *head; /* owned */
	int err;
};

static void xname_add(struct xnames *l, const void *name, size_t len, bool absent)
{
	struct xname *x;

	for (x = l->head; x; x = x->next)
		if (x->len == len && !memcmp(x->text, name, len))
			return; /* a nearer word came first */
	x = malloc(sizeof(*x));
	if (!x) {
		l->err = -ENOMEM;
		return;
	}
	x->len = len;
	x->absent = absent;
	memcpy(x->text, name, len);
	x->next = l->head;
	l->head = x;
}
static void xname_dirty(void *arg, const void *name, size_t len, const void *value)
{
	xname_add(arg, name, len, !value);
}
static int xname_stored(void *arg, const void *name, size_t len, size_t value_len)
{
	xname_add(arg, name, len, false);
	return ((struct xnames *)arg)->err;
}

static int xnames_collect(struct fs *fs, struct vol *v, uint64_t ino, struct xnames *l)
{
	struct meta_reader *rd;
	struct chain_buf chain;
	uint64_t bound = META_EPOCH_MAX;
	int r = nowait_check();

	if (r)
		return r;
	pthread_rwlock_rdlock(&fs->vtab.chain);
	for (struct vol *c = v; c; bound = c->pin, c = c->parent)
		rows_dirty_names(fs, c->id, ROW_XATTR, ino, bound, NULL, 0, UINT32_MAX, xname_dirty, l);
	r = l->err ? l->err : chain_build(v, &chain);
	if (!r) {
		rd = reader_take(fs);
		r = rd ? meta_list_xattrs(rd, &chain.c, ino, xname_stored, l) : -EIO;
		if (rd)
			reader_give(fs, rd);
		chain_release(&chain);
	}
	pthread_rwlock_unlock(&fs->vtab.chain);
	return r ? r : l->err;
}

ssize_t fs_listxattr(struct fs *fs, struct fs_node node, char *buf, size_t size)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	struct xnames l = { 0 };
	struct xname *x, *next;
	size_t need = 0;
	ssize_t r;

	if (!v)
		return -ESTALE;
	r = ino_virtual(node.ino) ? 0 : xnames_collect(fs, v, node.ino, &l);
	vol_put(&fs->vtab, v);
	for (x = l.head; x; x = next) {
		next = x->next;
		if (!r && !x->absent && x->len) { /* the empty name is a symbolic link's target */
			if (need + x->len + 1 <= size) {
				memcpy(buf + need, x->text, x->len);
				buf[need + x->len] = 0;
			}
			need += x->len + 1;
		}
		free(x);
	}
	if (r)
		return r;
	return size && need > size ? -ERANGE : (ssize_t)need;
}
