/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Typed access to the four versioned tables: one row by key and epoch, and the scans of walks.  Every rule is written once
 * over these functions; only this file and reader.c know columns.  Does not know what a row means to other rows.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"
#include "fs/meta/internal.h"

static const enum stmt_id prev_stmt[KINDS] = {ST_INODE_PREV, ST_ENTRY_PREV, ST_XATTR_PREV, ST_LEAF_PREV};
static const enum stmt_id next_stmt[KINDS] = {ST_INODE_NEXT, ST_ENTRY_NEXT, ST_XATTR_NEXT, ST_LEAF_NEXT};
static const enum stmt_id insert_stmt[KINDS] = {ST_INODE_INSERT, ST_ENTRY_INSERT, ST_XATTR_INSERT, ST_LEAF_INSERT};
static const enum stmt_id update_stmt[KINDS] = {ST_INODE_UPDATE, ST_ENTRY_UPDATE, ST_XATTR_UPDATE, ST_LEAF_UPDATE};
static const enum stmt_id delete_stmt[KINDS] = {ST_INODE_DELETE, ST_ENTRY_DELETE, ST_XATTR_DELETE, ST_LEAF_DELETE};
static const enum stmt_id relabel_stmt[KINDS] = {ST_INODE_RELABEL, ST_ENTRY_RELABEL, ST_XATTR_RELABEL, ST_LEAF_RELABEL};
static const enum stmt_id newer_stmt[KINDS] = {ST_INODE_NEWER, ST_ENTRY_NEWER, ST_XATTR_NEWER, ST_LEAF_NEWER};
static const enum stmt_id epoch_stmt[KINDS] = {ST_INODE_EPOCH, ST_ENTRY_EPOCH, ST_XATTR_EPOCH, ST_LEAF_EPOCH};
static const enum stmt_id keys_stmt[KINDS] = {ST_INODE_KEYS, ST_ENTRY_KEYS, ST_XATTR_KEYS, ST_LEAF_KEYS};
static const char *const kind_name[KINDS] = {"inode", "entry", "xattr", "leaf"};

int row_corrupt(const struct key *k, uint64_t label, const char *text)
{
	if (k->kind == KIND_ENTRY || k->kind == KIND_XATTR)
		msg(LOG_ERR, "meta: table %s: line=%llu ino=%llu name=%.*s: %s", kind_name[k->kind], (unsigned long long)label,
		    (unsigned long long)k->k1, (int)k->len, (const char *)k->name, text);
	else
		msg(LOG_ERR, "meta: table %s: line=%llu ino=%llu idx=%llu: %s", kind_name[k->kind], (unsigned long long)label,
		    (unsigned long long)k->k1, (unsigned long long)k->idx, text);
	return -EUCLEAN;
}

/* ---- decode ---- */

int map_decode(const void *blob, int bytes, uint64_t map[META_LEAF_SLOTS])
{
	int n = bytes / 8;

	memset(map, 0, META_LEAF_SLOTS * sizeof(*map));
	if (bytes <= 0 || bytes % 8 || n > META_LEAF_SLOTS)
		return -EUCLEAN;
	for (int i = 0; i < n; i++)
		map[i] = get_le64((const char *)blob + 8 * i);
	return map[n - 1] ? 0 : -EUCLEAN; /* trailing holes are not stored */
}

static void attr_decode(sqlite3_stmt *s, struct meta_attr *a)
{
	a->mode = (uint32_t)col_u64(s, 2);
	a->uid = (uint32_t)col_u64(s, 3);
	a->gid = (uint32_t)col_u64(s, 4);
	a->nlink = (uint32_t)col_u64(s, 5);
	a->size = col_u64(s, 6);
	a->rdev = col_u64(s, 7);
	a->atime_ns = sqlite3_column_int64(s, 8);
	a->mtime_ns = sqlite3_column_int64(s, 9);
	a->ctime_ns = sqlite3_column_int64(s, 10);
	a->btime_ns = sqlite3_column_int64(s, 11);
	a->alloc = col_u64(s, 12);
}

int row_decode(sqlite3_stmt *s, enum kind kind, struct row *r)
{
	r->epoch = col_u64(s, 0);
	r->dead = sqlite3_column_int(s, 1);
	if (kind == KIND_LEAF) {
		if (!r->dead)
			return map_decode(sqlite3_column_blob(s, 2), sqlite3_column_bytes(s, 2), r->map);
		memset(r->map, 0, sizeof(r->map)); /* a tombstone compares as all holes */
	} else if (kind == KIND_INODE) {
		attr_decode(s, &r->attr);
	} else if (kind == KIND_ENTRY) {
		r->entry.ino = col_u64(s, 2);
		r->entry.type = (uint8_t)col_u64(s, 3);
	}
	return 0;
}

/* ---- one row ---- */

static void bind_key(sqlite3_stmt *s, uint64_t label, const struct key *k, uint64_t epoch)
{
	bind_u64(s, 1, label);
	bind_u64(s, 2, k->k1);
	if (k->kind == KIND_LEAF)
		bind_u64(s, 3, k->idx);
	else if (k->kind != KIND_INODE)
		bind_bytes(s, 3, k->name, k->len);
	bind_u64(s, 4, epoch);
}

int row_probe(struct db *db, uint64_t label, const struct key *k, uint64_t bound, bool last, struct row *r)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(db, last ? prev_stmt[k->kind] : next_stmt[k->kind]);
	int n;

	if (!s)
		return -EIO;
	bind_key(s, label, k, bound);
	n = db_step(db, s);
	if (n <= 0)
		return n;
	r->label = label;
	return row_decode(s, k->kind, r) < 0 ? row_corrupt(k, label, "map has a wrong length") : 1;
}

int row_own(struct meta *m, struct vol *v, const struct key *k, uint64_t bound, bool last, struct row *r)
{
	struct row x;
	int found = row_probe(m->db, v->v.line, k, bound, last, r);

	if (found < 0)
		return found;
	for (unsigned i = 0; i < v->ntails; i++) {
		int n = row_probe(m->db, v->tails[i], k, bound, last, &x);

		if (n < 0)
			return n;
		if (n == 0)
			continue;
		if (found && x.epoch == r->epoch)
			return row_corrupt(k, x.label, "two rows of one line have the same epoch");
		if (!found || (last ? x.epoch > r->epoch : x.epoch < r->epoch))
			*r = x;
		found = 1;
	}
	r->vol = v;
	return found;
}

static void bind_attr(sqlite3_stmt *s, const struct meta_attr *a)
{
	bind_u64(s, 6, a->mode);
	bind_u64(s, 7, a->uid);
	bind_u64(s, 8, a->gid);
	bind_u64(s, 9, a->nlink);
	bind_u64(s, 10, a->size);
	bind_u64(s, 11, a->rdev);
	sqlite3_bind_int64(s, 12, a->atime_ns);
	sqlite3_bind_int64(s, 13, a->mtime_ns);
	sqlite3_bind_int64(s, 14, a->ctime_ns);
	sqlite3_bind_int64(s, 15, a->btime_ns);
	bind_u64(s, 16, a->alloc);
}

static unsigned map_encode(const uint64_t map[META_LEAF_SLOTS], unsigned char out[META_LEAF_SLOTS * 8])
{
	unsigned n = META_LEAF_SLOTS;

	while (n > 0 && !map[n - 1])
		n--;
	for (unsigned i = 0; i < n; i++)
		put_le64(out + 8 * i, map[i]);
	return n * 8;
}

/* INSERT or UPDATE: the same parameters.  buf backs the map until the statement is reset. */
static int write_row(struct meta *m, sqlite3_stmt *s, const struct key *k, const struct row *r)
{
	unsigned char buf[META_LEAF_SLOTS * 8];

	if (!s)
		return -EIO;
	sqlite3_clear_bindings(s); /* what is not bound below is NULL: a tombstone has no payload */
	bind_key(s, r->label, k, r->epoch);
	if (k->kind != KIND_LEAF)
		sqlite3_bind_int(s, 5, r->dead);
	if (!r->dead) {
		switch (k->kind) {
		case KIND_INODE:
			bind_attr(s, &r->attr);
			break;
		case KIND_ENTRY:
			bind_u64(s, 6, r->entry.ino);
			bind_u64(s, 7, r->entry.type);
			break;
		case KIND_XATTR:
			bind_bytes(s, 6, r->xattr.value, r->xattr.value_len);
			break;
		case KIND_LEAF:
			bind_bytes(s, 6, buf, map_encode(r->map, buf));
			break;
		}
	}
	return db_run(m->db, s);
}

int row_insert(struct meta *m, const struct key *k, const struct row *r)
{
	int n = write_row(m, db_stmt(m->db, insert_stmt[k->kind]), k, r);

	return n == -EEXIST ? row_corrupt(k, r->label, "a row of this epoch is there already") : n;
}

static int one_changed(struct meta *m, const struct key *k, uint64_t label, int r)
{
	if (r == 0 && sqlite3_changes(m->db->h) != 1)
		return row_corrupt(k, label, "the row is gone");
	return r;
}

int row_update(struct meta *m, const struct key *k, const struct row *r)
{
	return one_changed(m, k, r->label, write_row(m, db_stmt(m->db, update_stmt[k->kind]), k, r));
}

int row_delete(struct meta *m, const struct key *k, const struct row *r)
{
	sqlite3_stmt *s = db_stmt(m->db, delete_stmt[k->kind]);

	if (!s)
		return -EIO;
	bind_key(s, r->label, k, r->epoch);
	return one_changed(m, k, r->label, db_run(m->db, s));
}

int row_relabel(struct meta *m, const struct key *k, uint64_t from, uint64_t epoch, uint64_t to)
{
	sqlite3_stmt *s = db_stmt(m->db, relabel_stmt[k->kind]);

	if (!s)
		return -EIO;
	bind_key(s, from, k, epoch);
	bind_u64(s, 5, to);
	return one_changed(m, k, from, db_run(m->db, s));
}

/* ---- scans ---- */

static int read_keys(struct meta *m, sqlite3_stmt *s, enum kind kind, struct keybuf *out, unsigned max)
{
	unsigned n = 0;
	int r = 0;

	while (n < max && (r = db_step(m->db, s)) > 0) {
		struct keybuf *b = &out[n++];

		b->epoch = col_u64(s, 0);
		b->key = (struct key){.kind = kind, .k1 = col_u64(s, 1)};
		if (kind == KIND_LEAF) {
			b->key.idx = col_u64(s, 2);
		} else if (kind != KIND_INODE) {
			b->key.len = (size_t)sqlite3_column_bytes(s, 2);
			if (b->key.len > sizeof(b->name))
				return row_corrupt(&b->key, 0, "name too long");
			if (b->key.len)
				memcpy(b->name, sqlite3_column_blob(s, 2), b->key.len);
		}
	}
	return r < 0 ? r : (int)n;
}

int rows_newer(struct meta *m, enum kind kind, uint64_t label, uint64_t after, bool all, struct keybuf *out, unsigned max)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, newer_stmt[kind]);

	if (!s)
		return -EIO;
	bind_u64(s, 1, label);
	sqlite3_bind_int64(s, 4, all ? -1 : (sqlite3_int64)after);
	bind_u64(s, 5, max);
	return read_keys(m, s, kind, out, max);
}

int rows_next_epoch(struct meta *m, uint64_t label, int64_t after, uint64_t *epoch)
{
	int found = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, epoch_stmt[kind]);
		int r;

		if (!s)
			return -EIO;
		bind_u64(s, 1, label);
		sqlite3_bind_int64(s, 4, after);
		r = db_step(m->db, s);
		if (r < 0)
			return r;
		if (r > 0 && (!found || col_u64(s, 0) < *epoch)) {
			*epoch = col_u64(s, 0);
			found = 1;
		}
	}
	return found;
}

int rows_keys(struct meta *m, enum kind kind, uint64_t label, uint64_t epoch, const struct keybuf *from, struct keybuf *out,
	      unsigned max)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, keys_stmt[kind]);
	struct key k = from ? keybuf_key(from) : (struct key){.kind = kind, .k1 = UINT64_MAX}; /* -1: before all */

	if (!s)
		return -EIO;
	k.kind = kind;
	bind_key(s, label, &k, epoch);
	bind_u64(s, 5, max);
	return read_keys(m, s, kind, out, max);
}

int rows_any(struct meta *m, struct vol *v)
{
	struct keybuf one;

	for (unsigned i = 0; i <= v->ntails; i++)
		for (int kind = 0; kind < KINDS; kind++) {
			int n = rows_newer(m, kind, vol_label(v, i), 0, true, &one, 1);

			if (n != 0)
				return n;
		}
	return 0;
}
