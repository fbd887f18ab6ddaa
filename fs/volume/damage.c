/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which files damaged blocks belong to, by path and in every living volume.  Nothing is indexed for this: leaves are read once,
 * names once per level of directories; damage is rare and people need to know.  Works on the database, in the writer's thread.
 */
#include <stdio.h>

#include "fs/volume/internal.h"

#define DEPTH_MAX 2048

struct place {
	uint64_t ino, idx;
};
struct name {
	uint64_t ino, dir;
	uint8_t len;
	char text[FS_NAME_MAX];
};

struct damage {
	struct fs *fs;
	const uint64_t *ids;
	size_t n;
	void (*cb)(void *arg, const char *text);
	void *arg;
	struct place *place; /* leaves that name one of them; owned */
	size_t nplace, cap_place;
	uint64_t *wanted; /* inodes whose names are wanted, sorted up to `sorted`; owned */
	size_t nwanted, sorted, cap_wanted;
	struct name *name; /* owned */
	size_t nname, cap_name;
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}
static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : x->idx < y->idx ? -1 : x->idx > y->idx;
}
static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static bool is_damaged(const struct damage *d, uint64_t id)
{
	return id && bsearch(&id, d->ids, d->n, sizeof(id), compare_u64);
}

static int on_leaf(void *arg, uint64_t ino, uint64_t idx, const uint64_t map[META_LEAF_SLOTS])
{
	struct damage *d = arg;
	int r = 0;

	for (unsigned i = 0; i < META_LEAF_SLOTS; i++) {
		if (!is_damaged(d, map[i]))
			continue;
		r = array_room((void **)&d->place, d->nplace, &d->cap_place, sizeof(*d->place));
		if (!r)
			d->place[d->nplace++] = (struct place){ ino, idx };
		break;
	}
	return r;
}

static int want(struct damage *d, uint64_t ino)
{
	int r = array_room((void **)&d->wanted, d->nwanted, &d->cap_wanted, sizeof(*d->wanted));

	if (!r)
		d->wanted[d->nwanted++] = ino;
	return r;
}

/* One name of one inode that is new among the wanted. */
struct pass {
	struct damage *d;
	const uint64_t *now;
	size_t n;
};

static int on_entry(void *arg, uint64_t dir, const void *name, size_t len, uint64_t ino)
{
	struct pass *p = arg;
	struct damage *d = p->d;
	struct name *to;
	int r;

	if (len > FS_NAME_MAX || !bsearch(&ino, p->now, p->n, sizeof(ino), compare_u64))
		return 0;
	r = array_room((void **)&d->name, d->nname, &d->cap_name, sizeof(*d->name));
	if (r)
		return r;
	to = &d->name[d->nname++];
	*to = (struct name){ .ino = ino, .dir = dir, .len = (uint8_t)len };
	memcpy(to->text, name, len);
	return bsearch(&dir, d->wanted, d->sorted, sizeof(dir), compare_u64) ? 0 : want(d, dir);
}

static size_t sort_unique(uint64_t *v, size_t n)
{
	size_t to = 0;

	qsort(v, n, sizeof(*v), compare_u64);
	for (size_t i = 0; i < n; i++)
		if (!to || v[to - 1] != v[i])
			v[to++] = v[i];
	return to;
}

/* Names of the files, then of their directories, up to the roots, of which nobody has a name. */
static int find_names(struct damage *d)
{
	int r = 0;

	while (!r && d->nwanted > d->sorted) {
		size_t n = sort_unique(d->wanted + d->sorted, d->nwanted - d->sorted);
		uint64_t *now = malloc(n * sizeof(*now));
		struct pass p = { d, now, n };

		if (!now)
			return -ENOMEM;
		memcpy(now, d->wanted + d->sorted, n * sizeof(*now));
		d->nwanted = d->sorted = sort_unique(d->wanted, d->sorted + n);
		r = meta_every_entry(d->fs->meta, on_entry, &p);
		free(now);
	}
	if (d->nname)
		qsort(d->name, d->nname, sizeof(*d->name), compare_names);
	return r;
}

/* The name by which this view knows an inode; NULL: none. */
static const struct name *name_in(struct damage *d, const struct meta_chain *c, uint64_t ino)
{
	struct meta_reader *view = meta_writer_view(d->fs->meta);
	size_t lo = 0, hi = d->nname;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (d->name[mid].ino < ino)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < d->nname && d->name[lo].ino == ino; lo++) {
		const struct name *n = &d->name[lo];
		struct meta_entry e;

		if (!meta_find_entry(view, c, n->dir, n->text, n->len, &e, NULL) && e.ino == ino && e.type != META_TYPE_VOLUME)
			return n;
	}
	return NULL;
}

/* "/a/b" put together from its end; what has no name here begins with "?". */
static char *path_in(struct damage *d, const struct meta_chain *c, uint64_t root, uint64_t ino)
{
	const struct name *part[DEPTH_MAX];
	size_t n = 0, len = 2;
	char *path, *p;

	while (ino != root && n < DEPTH_MAX && (part[n] = name_in(d, c, ino))) {
		len += part[n]->len + 1u;
		ino = part[n++]->dir;
	}
	p = path = malloc(len + 32);
	if (!p)
		return NULL;
	if (ino != root)
		p += sprintf(p, "?inode %llu", (unsigned long long)ino);
	while (n--) {
		*p++ = '/';
		memcpy(p, part[n]->text, part[n]->len);
		p += part[n]->len;
	}
	*p = 0;
	return path;
}

static int tell(struct damage *d, struct vol *v, const struct meta_chain *c, uint64_t ino, uint64_t blocks, uint64_t first)
{
	char *path = path_in(d, c, v->root, ino), *text = NULL;
	struct meta_volume m;
	int r;

	if (!path)
		return -ENOMEM;
	vol_describe(&d->fs->vtab, v, &m);
	r = asprintf(&text, "volume=%llu%s%s file=%s: %llu of its blocks cannot be read, the first at offset %llu", (unsigned long long)v->id,
		     m.name[0] ? " name=" : "", m.name, path, (unsigned long long)blocks, (unsigned long long)first);
	free(path);
	if (r < 0)
		return -ENOMEM;
	d->cb(d->arg, text);
	free(text);
	return 0;
}

static int in_volume(struct damage *d, struct vol *v)
{
	uint64_t map[META_LEAF_SLOTS], blocks = 0, first = 0;
	const struct meta_chain *c;
	int r = meta_chain(d->fs->meta, v->id, &c);

	for (size_t i = 0; !r && i < d->nplace; i++) {
		const struct place *p = &d->place[i];

		if (!i || p[-1].ino != p->ino)
			blocks = 0;
		r = meta_find_leaf(meta_writer_view(d->fs->meta), c, p->ino, p->idx, map, NULL);
		for (unsigned k = 0; !r && k < META_LEAF_SLOTS; k++)
			if (is_damaged(d, map[k]) && !blocks++)
				first = (p->idx * META_LEAF_SLOTS + k) << d->fs->block_shift;
		r = r == -ENOENT ? 0 : r;
		if (!r && blocks && (i + 1 == d->nplace || p[1].ino != p->ino))
			r = tell(d, v, c, p->ino, blocks, first);
	}
	return r;
}

static int in_volumes(struct damage *d)
{
	int r = 0;

	for (struct vol *v = vol_next(&d->fs->vtab, 0), *next; v; v = next) {
		if (!r && !(atomic_load(&v->flags) & META_VOL_DEAD))
			r = in_volume(d, v);
		next = vol_next(&d->fs->vtab, v->id);
		vol_put(&d->fs->vtab, v);
	}
	return r;
}

int damage_files(struct fs *fs, const uint64_t *ids, size_t n, void (*cb)(void *arg, const char *text), void *arg)
{
	struct damage d = { .fs = fs, .ids = ids, .n = n, .cb = cb, .arg = arg };
	int r = n ? meta_every_leaf(fs->meta, on_leaf, &d) : 0;

	if (!r && d.nplace) {
		size_t to = 1;

		qsort(d.place, d.nplace, sizeof(*d.place), compare_places);
		for (size_t i = 1; i < d.nplace; i++)
			if (compare_places(&d.place[i], &d.place[to - 1]))
				d.place[to++] = d.place[i];
		d.nplace = to;
	}
	for (size_t i = 0; !r && i < d.nplace; i++)
		r = want(&d, d.place[i].ino);
	if (!r)
		r = find_names(&d);
	if (!r && d.nplace)
		r = in_volumes(&d);
	free(d.place);
	free(d.wanted);
	free(d.name);
	return r;
}
