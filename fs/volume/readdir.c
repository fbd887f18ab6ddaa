/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listing a directory: the names the database knows, merged with those written since.
 *
 * The overlays are collected before the database is asked.  A name that moves from an overlay to the database in between is
 * then seen twice, never missed; the overlay's word counts.  A listing goes no further than the smallest last name of a
 * source that may have more, so that names come in order and each call costs what it returns, whatever the directory's size.
 */
#include <dirent.h>

#include "fs/volume/internal.h"

struct name {
	uint16_t len;
	bool absent;
	unsigned depth; /* 0: the volume's own overlay; UINT_MAX: database */
	struct meta_entry e;
	char text[META_NAME_MAX + 1];
};
struct names {
	struct name *v; /* owned */
	unsigned n, cap;
	unsigned depth; /* of what is being collected */
	int err;
};

static int name_cmp(const struct name *a, const struct name *b)
{
	int r = memcmp(a->text, b->text, MIN(a->len, b->len));

	return r ? r : (int)a->len - (int)b->len;
}

static int by_name_then_depth(const void *x, const void *y)
{
	const struct name *a = x, *b = y;
	int r = name_cmp(a, b);

	return r ? r : a->depth < b->depth ? -1 : a->depth > b->depth;
}

static void names_add(struct names *l, const void *name, size_t len, const struct meta_entry *e)
{
	struct name *t;

	if (l->n == l->cap) {
		unsigned cap = l->cap ? l->cap * 2 : 64;
		struct name *v = realloc(l->v, cap * sizeof(*v));

		if (!v) {
			l->err = -ENOMEM;
			return;
		}
		l->v = v;
		l->cap = cap;
	}
	t = &l->v[l->n++];
	t->len = (uint16_t)len;
	memcpy(t->text, name, len);
	t->absent = !e;
	t->depth = l->depth;
	if (e)
		t->e = *e;
}

static void add_dirty(void *arg, const void *name, size_t len, const void *value)
{
	names_add(arg, name, len, value);
}

static int add_stored(void *arg, const void *name, size_t len, const struct meta_entry *e)
{
	names_add(arg, name, len, e);
	return ((struct names *)arg)->err;
}

/* The last name of a source that stopped at max limits the listing: *limit is an index into l->v or -1. */
static void note_limit(struct names *l, unsigned from, unsigned max, int *limit)
{
	if (l->n - from < max)
		return;
	if (*limit < 0 || name_cmp(&l->v[l->n - 1], &l->v[*limit]) < 0)
		*limit = (int)l->n - 1;
}

static int collect(struct fs *fs, struct vol *v, uint64_t dir, const char *after, size_t after_len, unsigned max, struct names *l)
{
	struct meta_reader *rd;
	struct chain_buf chain;
	struct name border;
	uint64_t bound = META_EPOCH_MAX;
	int limit = -1, r = nowait_check();

	if (r)
		return r;
	pthread_rwlock_rdlock(&fs->vtab.chain);
	for (struct vol *c = v; c; bound = c->pin, c = c->parent, l->depth++) {
		unsigned from = l->n;

		rows_dirty_names(fs, c->id, ROW_ENTRY, dir, bound, after, after_len, max, add_dirty, l);
		note_limit(l, from, max, &limit);
	}
	r = l->err ? l->err : chain_build(v, &chain);
	if (!r) {
		unsigned from = l->n;

		rd = reader_take(fs);
		l->depth = UINT32_MAX;
		r = rd ? meta_list_entries(rd, &chain.c, dir, after, after_len, max, add_stored, l) : -EIO;
		if (rd)
			reader_give(fs, rd);
		chain_release(&chain);
		note_limit(l, from, max, &limit);
	}
	pthread_rwlock_unlock(&fs->vtab.chain);
	if (!r)
		r = l->err;
	if (r || !l->n)
		return r;
	if (limit >= 0)
		border = l->v[limit];
	qsort(l->v, l->n, sizeof(*l->v), by_name_then_depth);
	/* Nearest word per name; nothing beyond the border. */
	unsigned to = 0;

	for (unsigned i = 0; i < l->n; i++) {
		if (i && to && !name_cmp(&l->v[i], &l->v[to - 1]))
			continue;
		if (limit >= 0 && name_cmp(&l->v[i], &border) > 0)
			break;
		l->v[to++] = l->v[i];
	}
	l->n = to;
	return limit >= 0 ? 1 : 0;
}

typedef int (*readdir_cb)(void *arg, const char *name, size_t len, uint8_t dtype, struct fs_node node, const struct fs_attr *attr);

static int emit(struct fs *fs, struct vol *v, const char *name, size_t len, uint64_t ino, uint8_t type, bool with_attr,
		readdir_cb cb, void *arg)
{
	struct fs_attr attr;
	int r = 0;

	if (with_attr) {
		r = node_attr(fs, v, ino, &attr);
		if (r == -ESTALE || r == -ENOENT)
			return 0; /* gone meanwhile */
	}
	return r ? r : cb(arg, name, len, type, (struct fs_node){ v->id, ino }, with_attr ? &attr : NULL);
}

static int emit_entry(struct fs *fs, struct vol *v, const struct name *n, bool with_attr, readdir_cb cb, void *arg)
{
	struct vol *t;
	int r;

	if (n->e.type != META_TYPE_VOLUME)
		return emit(fs, v, n->text, n->len, n->e.ino, n->e.type, with_attr, cb, arg);
	t = vol_resolve(&fs->vtab, v, n->e.ino);
	if (!t)
		return emit(fs, v, n->text, n->len, PLACEHOLDER_BIT | n->e.ino, DT_DIR, with_attr, cb, arg);
	r = emit(fs, t, n->text, n->len, t->root, DT_DIR, with_attr, cb, arg);
	vol_put(&fs->vtab, t);
	return r;
}

static int list_snapshots(struct fs *fs, struct vol *v, const char *after, size_t after_len, unsigned max, bool with_attr,
			  readdir_cb cb, void *arg)
{
	struct vol *s[64];
	unsigned n = vol_snapshots(&fs->vtab, v, after, after_len, MIN(max, (unsigned)ARRAY_SIZE(s)), s);
	struct meta_volume m;
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!r) {
			vol_describe(&fs->vtab, s[i], &m);
			r = emit(fs, s[i], m.name, strlen(m.name), s[i]->root, DT_DIR, with_attr, cb, arg);
		}
		vol_put(&fs->vtab, s[i]);
	}
	return r;
}

int fs_readdir(struct fs *fs, struct fs_node dir, const char *after, size_t after_len, unsigned max, bool with_attr,
	       readdir_cb cb, void *arg)
{
	char from[META_NAME_MAX + 1];
	struct names l = { 0 };
	struct fs_attr attr;
	struct vol *v;
	unsigned given = 0;
	int r, more = 1;

	if (after_len > META_NAME_MAX || !max)
		return -EINVAL;
	v = vol_live(&fs->vtab, dir.vol);
	if (!v)
		return -ESTALE;
	r = node_attr(fs, v, dir.ino, &attr);
	if (!r && !S_ISDIR(attr.mode))
		r = -ENOTDIR;
	if (r || ino_virtual(dir.ino)) {
		if (!r && dir.ino == FS_INO_SNAPSHOTS)
			r = list_snapshots(fs, v, after, after_len, max, with_attr, cb, arg);
		vol_put(&fs->vtab, v);
		return r;
	}
	if (after_len)
		memcpy(from, after, after_len);
	/* A stretch of deleted names may leave a round empty although there is more. */
	while (!r && more && given < max) {
		l.n = 0;
		l.depth = 0;
		more = collect(fs, v, dir.ino, from, after_len, max, &l);
		if (more < 0)
			r = more;
		for (unsigned i = 0; !r && i < l.n && given < max; i++) {
			memcpy(from, l.v[i].text, l.v[i].len);
			after_len = l.v[i].len;
			if (l.v[i].absent)
				continue;
			given++;
			r = emit_entry(fs, v, &l.v[i], with_attr, cb, arg);
		}
	}
	free(l.v);
	vol_put(&fs->vtab, v);
	return r;
}
