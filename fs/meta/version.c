/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rules R1..R5 of docs/metadata.md: lookup, write, neighbours, references, settling.  Written over rows.c, for all kinds of
 * row alike; only leaves hold references.
 *
 * For one key, the rows of all lines form a tree: below(r) is what a reader would find if r were not there, above(r) all
 * rows whose below is r.  A row lives while some living head's search ends at it.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

/* ---- lists ---- */

struct rowlist {
	struct row *v; /* owned */
	unsigned n, cap;
};
static void cleanup_rowlist(struct rowlist *l)
{
	free(l->v);
}
static int rowlist_add(struct rowlist *l, const struct row *r)
{
	if (l->n == l->cap) {
		unsigned cap = l->cap ? l->cap * 2 : 8;
		struct row *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *r;
	return 0;
}

struct vollist {
	struct vol *few[16];
	struct vol **v; /* few, or owned */
	unsigned n, cap;
};
static void vollist_init(struct vollist *l)
{
	l->v = l->few;
	l->n = 0;
	l->cap = ARRAY_SIZE(l->few);
}
static void cleanup_vollist(struct vollist *l)
{
	if (l->v != l->few)
		free(l->v);
}
/* The kids of v with lo <= pin < hi, the greatest pin last: it is the most likely to see a row, and is taken first. */
static int vollist_add_kids(struct vollist *l, const struct vol *v, uint64_t lo, uint64_t hi)
{
	for (unsigned i = kids_from(v, lo); i < v->nkids && v->kids[i]->v.pin < hi; i++) {
		if (l->n == l->cap) {
			struct vol **new = malloc(l->cap * 2 * sizeof(struct vol *));

			if (!new)
				return -ENOMEM;
			memcpy(new, l->v, l->n * sizeof(struct vol *));
			cleanup_vollist(l);
			l->v = new;
			l->cap *= 2;
		}
		l->v[l->n++] = v->kids[i];
	}
	return 0;
}

/* ---- R4: references ---- */

struct refs {
	struct ref {
		uint64_t id;
		int64_t by;
	} *v; /* owned */
	unsigned n, cap;
};
static void cleanup_refs(struct refs *d)
{
	free(d->v);
}

static int refs_add(struct refs *d, uint64_t id, int by)
{
	if (d->n == d->cap) {
		unsigned cap = d->cap ? d->cap * 2 : 128;
		struct ref *v = realloc(d->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->v = v;
		d->cap = cap;
	}
	d->v[d->n++] = (struct ref){id, by};
	return 0;
}

static const uint64_t holes[META_LEAF_SLOTS];

static const uint64_t *slots(const struct row *r)
{
	return !r || r->dead ? holes : r->map;
}

/* The references row holds over the row below it, times sign.  Either may be NULL. */
static int account(struct refs *d, const struct key *k, const struct row *row, const struct row *below, int sign)
{
	const uint64_t *a = slots(row), *b = slots(below);

	if (k->kind != KIND_LEAF)
		return 0;
	for (int i = 0; i < META_LEAF_SLOTS; i++)
		if (a[i] && a[i] != b[i]) {
			int r = refs_add(d, a[i], sign);

			if (r < 0)
				return r;
		}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct ref *)a)->id, y = ((const struct ref *)b)->id;

	return x < y ? -1 : x > y;
}

/* Net changes only: on the way a count may well pass below zero, which the table forbids. */
static int refs_apply(struct meta *m, struct refs *d, const struct key *k, uint64_t label)
{
	m->block_changes += d->n;
	if (d->n)
		qsort(d->v, d->n, sizeof(*d->v), by_id);
	for (unsigned i = 0, j; i < d->n; i = j) {
		int64_t by = 0;
		sqlite3_stmt *s;
		int r;

		for (j = i; j < d->n && d->v[j].id == d->v[i].id; j++)
			by += d->v[j].by;
		if (!by)
			continue;
		s = db_stmt(m->db, ST_BLOCK_REFS);
		bind_u64(s, 1, d->v[i].id);
		sqlite3_bind_int64(s, 2, by);
		r = db_run(m->db, s);
		if (r < 0)
			return r;
		if (sqlite3_changes(m->db->h) != 1)
			return row_corrupt(k, label, "names a block that is not there");
	}
	return 0;
}

/* ---- R1, R3 ---- */

/* Search from line v with bound upwards.  1: found (maybe a tombstone), 0: nobody knows the key. */
static int find(struct meta *m, struct vol *v, uint64_t bound, const struct key *k, struct row *out)
{
	while (v) {
		int r = row_own(m, v, k, bound, true, out);

		if (r != 0)
			return r;
		bound = v->v.pin;
		v = v->up;
	}
	return 0;
}

static int find_above_line(struct meta *m, struct vol *v, const struct key *k, struct row *out)
{
	return find(m, v->up, v->v.pin, k, out);
}

int version_below(struct meta *m, const struct key *k, const struct row *r, struct row *out)
{
	int n = r->epoch ? row_own(m, r->vol, k, r->epoch - 1, true, out) : 0;

	return n != 0 ? n : find_above_line(m, r->vol, k, out);
}

/* The common case without a list: the greatest pin in [lo, hi) is of an untouched snapshot. */
static bool newest_kid_sees(const struct vol *v, uint64_t lo, uint64_t hi)
{
	unsigned i = kids_from(v, hi);
	const struct vol *kid = i ? v->kids[i - 1] : NULL;

	return kid && kid->v.pin >= lo && vol_alive(kid) && (kid->v.flags & META_VOL_BARE);
}

/* All rows whose below is r go to ups; *seen: a living head's search ends at r.  With ups NULL stops at the first such head. */
static int above(struct meta *m, const struct key *k, const struct row *r, struct rowlist *ups, bool *seen)
{
	CLEANUP(cleanup_vollist) struct vollist todo;
	struct row x;
	int n;

	vollist_init(&todo);
	*seen = false;
	n = row_own(m, r->vol, k, r->epoch + 1, false, &x);
	if (n < 0)
		return n;
	if (n == 0)
		*seen = vol_alive(r->vol);
	if (*seen && !ups)
		return 0;
	if (!ups && newest_kid_sees(r->vol, r->epoch, n ? x.epoch : META_EPOCH_MAX)) {
		*seen = true;
		return 0;
	}
	if (n > 0 && ups && rowlist_add(ups, &x) < 0)
		return -ENOMEM;
	if (vollist_add_kids(&todo, r->vol, r->epoch, n ? x.epoch : META_EPOCH_MAX) < 0)
		return -ENOMEM;
	while (todo.n) {
		struct vol *c = todo.v[--todo.n];

		n = (c->v.flags & META_VOL_BARE) ? 0 : row_own(m, c, k, 0, false, &x);
		if (n < 0)
			return n;
		if (n == 0 && vol_alive(c)) {
			*seen = true;
			if (!ups)
				return 0;
		}
		if (n > 0 && ups && rowlist_add(ups, &x) < 0)
			return -ENOMEM;
		if (vollist_add_kids(&todo, c, 0, n ? x.epoch : META_EPOCH_MAX) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- R5 ---- */

/* Remove r, whose neighbours are given (p NULL: nothing below), and move references to those above. */
static int remove_row(struct meta *m, const struct key *k, const struct row *r, const struct row *p, const struct rowlist *ups)
{
	CLEANUP(cleanup_refs) struct refs d = {0};
	int n = account(&d, k, r, p, -1);

	for (unsigned i = 0; i < ups->n && n == 0 && !MUTATED("no_transfer"); i++) {
		n = account(&d, k, &ups->v[i], r, -1);
		if (n == 0)
			n = account(&d, k, &ups->v[i], p, +1);
	}
	if (n == 0)
		n = refs_apply(m, &d, k, r->label);
	return n < 0 ? n : row_delete(m, k, r);
}

/* One row; those above it that are tombstones go to todo.  1: removed, 0: stays. */
static int settle_one(struct meta *m, const struct key *k, const struct row *r, struct rowlist *todo)
{
	CLEANUP(cleanup_rowlist) struct rowlist ups = {0};
	bool useless = false, seen, have_below;
	struct row p;
	int n;

	/* The usual answer, and the cheap way to it: some head sees a row that is no tombstone. */
	if (!r->dead) {
		n = above(m, k, r, NULL, &seen);
		if (n < 0 || seen)
			return n;
	}
	n = version_below(m, k, r, &p);
	if (n < 0)
		return n;
	have_below = n > 0;
	if (r->dead)
		useless = !have_below || p.dead;
	n = above(m, k, r, &ups, &seen);
	if (n < 0)
		return n;
	if (seen && !useless)
		return 0;
	n = remove_row(m, k, r, have_below ? &p : NULL, &ups);
	for (unsigned i = 0; i < ups.n && n == 0 && !MUTATED("no_tomb_gc"); i++)
		if (ups.v[i].dead)
			n = rowlist_add(todo, &ups.v[i]);
	return n < 0 ? n : 1;
}

int version_settle(struct meta *m, const struct key *k, const struct row *r, uint64_t *removed)
{
	CLEANUP(cleanup_rowlist) struct rowlist todo = {0};
	struct row x = *r;

	for (;;) {
		int n = settle_one(m, k, &x, &todo);

		if (n < 0)
			return n;
		if (n > 0 && removed)
			(*removed)++;
		if (!todo.n)
			return 0;
		x = todo.v[--todo.n];
	}
}

/* ---- R2 ---- */

/* Some pin of v's line lies in [epoch, at): a reader below sees the row with that epoch. */
static bool pinned(const struct vol *v, uint64_t epoch, uint64_t at)
{
	return kids_any(v, epoch + (MUTATED("pin_gt") ? 1 : 0), at);
}

/* The attributes to write, knowing those visible now (NULL: none).  The owner of alloc is meta_add_alloc alone. */
static int fix_alloc(struct row *val, const struct row *now, enum alloc_rule rule, int64_t delta)
{
	bool have = now && !now->dead;

	if (rule == ALLOC_ADD) {
		if (!have)
			return -ENOENT;
		val->attr = now->attr;
		if (delta < 0 && (uint64_t)-delta > val->attr.alloc)
			val->attr.alloc = 0;
		else
			val->attr.alloc += (uint64_t)delta;
	} else if (have) {
		val->attr.alloc = now->attr.alloc;
	}
	return 0;
}

static int put_in_place(struct meta *m, const struct key *k, const struct row *own, const struct row *val)
{
	CLEANUP(cleanup_refs) struct refs d = {0};
	struct row p, *below = NULL, new = *val;
	int n = 0;

	/* What lies below matters to references and to whether a tombstone has anything to hide. */
	if (k->kind == KIND_LEAF || val->dead) {
		n = version_below(m, k, own, &p);
		if (n < 0)
			return n;
		below = n ? &p : NULL;
	}
	n = account(&d, k, own, below, -1);
	if (n == 0)
		n = account(&d, k, val, below, +1);
	if (n == 0)
		n = refs_apply(m, &d, k, own->label);
	if (n < 0)
		return n;
	if (val->dead && (!below || below->dead))
		return row_delete(m, k, own);
	new.vol = own->vol;
	new.label = own->label;
	new.epoch = own->epoch;
	return row_update(m, k, &new);
}

/* The first own row of a volume ends its being bare: readers must probe its line from now on. */
static int clear_bare(struct meta *m, struct vol *v)
{
	sqlite3_stmt *s;
	int r;

	if (!(v->v.flags & META_VOL_BARE))
		return 0;
	s = db_stmt(m->db, ST_VOLUME_FLAGS);
	bind_u64(s, 1, v->v.id);
	bind_u64(s, 2, v->v.flags & ~(uint32_t)META_VOL_BARE);
	m->lines_changed = true;
	r = db_run(m->db, s);
	if (r == 0)
		v->v.flags &= ~(uint32_t)META_VOL_BARE;
	return r;
}

static int put_new(struct meta *m, struct vol *v, const struct key *k, const struct row *p, const struct row *val)
{
	CLEANUP(cleanup_refs) struct refs d = {0};
	struct row new = *val;
	int n;

	if (val->dead && (!p || p->dead))
		return 0;
	new.vol = v;
	new.label = v->v.line;
	new.epoch = m->state.epoch;
	n = clear_bare(m, v);
	if (n == 0)
		n = account(&d, k, &new, p, +1);
	if (n == 0)
		n = row_insert(m, k, &new);
	if (n == 0)
		n = refs_apply(m, &d, k, new.label);
	if (n == 0 && p && !MUTATED("no_insert_settle"))
		n = version_settle(m, k, p, NULL);
	return n;
}

int version_put(struct meta *m, struct vol *v, const struct key *k, struct row *val, enum alloc_rule rule, int64_t delta)
{
	struct row own, *now = NULL;
	bool young = false;
	int n = 0;

	/* Between copies and the epoch step a row of this epoch would be seen by the copies. */
	if (m->copied)
		return -EINVAL;
	if (!(v->v.flags & META_VOL_BARE))
		n = row_own(m, v, k, META_EPOCH_MAX, true, &own);
	if (n > 0) {
		if (own.epoch > m->state.epoch)
			return row_corrupt(k, own.label, "a row is newer than the store's epoch");
		young = !pinned(v, own.epoch, m->state.epoch);
		now = &own;
	} else if (n == 0 && v->up) {
		n = find_above_line(m, v, k, &own);
		if (n > 0)
			now = &own;
	}
	if (n < 0)
		return n;
	if (k->kind == KIND_INODE && !val->dead) {
		n = fix_alloc(val, now, rule, delta);
		if (n < 0)
			return n;
	}
	if (k->kind == KIND_LEAF && memcmp(slots(val), slots(now), sizeof(holes)) == 0)
		return 0; /* the same content again costs no row */
	return young ? put_in_place(m, k, &own, val) : put_new(m, v, k, now, val);
}

/* ---- the public puts ---- */

static int put(struct meta *m, uint64_t vol, const struct key *k, struct row *val, enum alloc_rule rule, int64_t delta)
{
	struct vol *v;
	int r = tx_enter(m);

	if (r < 0)
		return r;
	r = vol_writable(m, vol, &v);
	if (r == 0)
		r = version_put(m, v, k, val, rule, delta);
	return tx_leave(m, r);
}

int meta_put_attr(struct meta *m, uint64_t vol, uint64_t ino, const struct meta_attr *a)
{
	struct key k = {.kind = KIND_INODE, .k1 = ino};
	struct row val = {.dead = !a};

	if (a)
		val.attr = *a;
	return put(m, vol, &k, &val, ALLOC_KEEP, 0);
}

int meta_add_alloc(struct meta *m, uint64_t vol, uint64_t ino, int64_t delta)
{
	struct key k = {.kind = KIND_INODE, .k1 = ino};
	struct row val = {.dead = false};

	return put(m, vol, &k, &val, ALLOC_ADD, delta);
}

int meta_put_entry(struct meta *m, uint64_t vol, uint64_t dir, const void *name, size_t len, const struct meta_entry *e)
{
	struct key k = {.kind = KIND_ENTRY, .k1 = dir, .name = name, .len = len};
	struct row val = {.dead = !e};

	if (len == 0 || len > META_NAME_MAX)
		return -EINVAL;
	if (e)
		val.entry = *e;
	return put(m, vol, &k, &val, ALLOC_KEEP, 0);
}

int meta_put_xattr(struct meta *m, uint64_t vol, uint64_t ino, const void *name, size_t len, const void *value, size_t value_len)
{
	struct key k = {.kind = KIND_XATTR, .k1 = ino, .name = name, .len = len};
	struct row val = {.dead = !value};

	if (len > META_NAME_MAX || value_len > META_XATTR_MAX)
		return -EINVAL;
	val.xattr.value = value;
	val.xattr.value_len = value_len;
	return put(m, vol, &k, &val, ALLOC_KEEP, 0);
}

int meta_put_leaf(struct meta *m, uint64_t vol, uint64_t ino, uint64_t idx, const uint64_t map[META_LEAF_SLOTS])
{
	struct key k = {.kind = KIND_LEAF, .k1 = ino, .idx = idx};
	struct row val;

	memcpy(val.map, map, sizeof(val.map));
	val.dead = memcmp(map, holes, sizeof(holes)) == 0;
	return put(m, vol, &k, &val, ALLOC_KEEP, 0);
}
