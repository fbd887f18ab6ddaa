/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading by R1: single rows, and ordered enumeration merged over the links of a chain and the labels of a link.
 *
 * One statement sees one state of the database by itself.  Where an answer takes several probes they share a read
 * transaction: a writer may move a row from one label to another, or drop a row that another one hides, between two of them.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/msg.h"
#include "fs/meta/internal.h"

enum list_kind { LIST_ENTRY, LIST_XATTR, LIST_LEAF, LIST_KINDS };
static const enum stmt_id list_stmt[LIST_KINDS] = {ST_ENTRY_LIST, ST_XATTR_LIST, ST_LEAF_LIST};

struct meta_reader {
	struct db *db; /* owned unless shared */
	bool shared;   /* the writer's connection, inside its transaction if there is one */
	bool busy;     /* in a read transaction */
	struct {
		sqlite3_stmt **v; /* one per cursor ever open at the same time; owned */
		unsigned n;
	} pool[LIST_KINDS];
};

/* ---- life ---- */

static void reader_free(struct meta_reader *r)
{
	for (int k = 0; k < LIST_KINDS; k++) {
		for (unsigned i = 0; i < r->pool[k].n; i++)
			sqlite3_finalize(r->pool[k].v[i]);
		free(r->pool[k].v);
	}
	if (!r->shared)
		db_close(r->db);
	free(r);
}

int reader_view_new(struct db *db, struct meta_reader **out)
{
	struct meta_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->db = db;
	r->shared = true;
	*out = r;
	return 0;
}

void reader_view_free(struct meta_reader *r)
{
	if (r)
		reader_free(r);
}

int meta_reader_open(struct meta *m, struct meta_reader **out)
{
	struct meta_reader *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	/* The number of readers is not known here; with up to eight the sum stays within the bound. */
	err = db_open(m->vfs, META_FILE, DB_READER, m->cache_bytes / 16, &r->db);
	for (unsigned i = 0; i < ST_COUNT && err == 0; i++)
		if (stmt_defs[i].flags & STMT_READ)
			err = db_prepare(r->db, i, &r->db->st[i]);
	if (err < 0) {
		reader_free(r);
		return err;
	}
	*out = r;
	return 0;
}

void meta_reader_close(struct meta_reader *r)
{
	if (r && !r->shared)
		reader_free(r);
}

/* ---- transactions ---- */

static unsigned count_labels(const struct meta_chain *c)
{
	unsigned n = c->n;

	for (unsigned i = 0; i < c->n; i++)
		n += c->links[i].ntails;
	return n;
}

static int read_begin(struct meta_reader *r)
{
	int n;

	if (r->shared)
		return 0;
	if (r->busy) /* a callback that reads with the reader it was called from */
		return -EBUSY;
	n = db_run_id(r->db, ST_BEGIN_READ);
	r->busy = n == 0;
	return n;
}

static void read_end(struct meta_reader *r)
{
	if (!r->busy)
		return;
	r->busy = false;
	if (db_run_id(r->db, ST_COMMIT) < 0 && !sqlite3_get_autocommit(r->db->h))
		ignore_result(db_run_id(r->db, ST_ROLLBACK)); /* nothing was written: either ends the read */
}

/* ---- one row ---- */

static uint64_t link_label(const struct meta_link *l, unsigned i)
{
	return i == 0 ? l->line : l->tails[i - 1];
}

static int take_value(struct db *db, uint64_t label, const struct key *k, uint64_t epoch, void **value, size_t *len)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(db, ST_XATTR_PREV);
	int r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, label);
	bind_u64(s, 2, k->k1);
	bind_bytes(s, 3, k->name, k->len);
	bind_u64(s, 4, epoch);
	r = db_step(db, s);
	if (r <= 0)
		return r < 0 ? r : row_corrupt(k, label, "vanished inside a read transaction");
	*len = (size_t)sqlite3_column_bytes(s, 2);
	*value = malloc(*len + 1); /* +1: never malloc(0), whose answer may be NULL */
	if (!*value)
		return -ENOMEM;
	if (*len)
		memcpy(*value, sqlite3_column_blob(s, 2), *len);
	return 0;
}

/* 1 and *out: the row that decides, 0: none. */
static int search(struct meta_reader *r, const struct meta_chain *c, const struct key *k, struct row *out)
{
	struct row x;

	for (unsigned i = 0; i < c->n; i++) {
		const struct meta_link *l = &c->links[i];
		int found = 0;

		for (unsigned t = 0; t <= l->ntails; t++) {
			int n = row_probe(r->db, link_label(l, t), k, l->bound, true, found ? &x : out);

			if (n < 0)
				return n;
			if (n && found && x.epoch > out->epoch)
				*out = x;
			found |= n;
		}
		if (found)
			return 1;
	}
	return 0;
}

/* value: for extended attributes, where the bytes are taken before the transaction ends. */
static int find(struct meta_reader *r, const struct meta_chain *c, const struct key *k, struct row *out, uint64_t *epoch, void **value,
		size_t *value_len)
{
	bool several = value || count_labels(c) > 1;
	int n = several ? read_begin(r) : 0;

	if (n < 0)
		return n;
	n = search(r, c, k, out);
	if (n >= 0 && epoch)
		*epoch = n ? out->epoch : 0;
	if (n > 0 && !out->dead && value)
		n = take_value(r->db, out->label, k, out->epoch, value, value_len);
	else if (n >= 0)
		n = n > 0 && !out->dead ? 0 : -ENOENT;
	if (several)
		read_end(r);
	return n;
}

int meta_find_attr(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, struct meta_attr *out, uint64_t *epoch)
{
	struct key k = {.kind = KIND_INODE, .k1 = ino};
	struct row x;
	int n = find(r, c, &k, &x, epoch, NULL, NULL);

	if (n == 0)
		*out = x.attr;
	return n;
}

int meta_find_entry(struct meta_reader *r, const struct meta_chain *c, uint64_t dir, const void *name, size_t len,
		    struct meta_entry *out, uint64_t *epoch)
{
	struct key k = {.kind = KIND_ENTRY, .k1 = dir, .name = name, .len = len};
	struct row x;
	int n = find(r, c, &k, &x, epoch, NULL, NULL);

	if (n == 0)
		*out = x.entry;
	return n;
}

int meta_find_xattr(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, const void *name, size_t len, void **value,
		    size_t *value_len, uint64_t *epoch)
{
	struct key k = {.kind = KIND_XATTR, .k1 = ino, .name = name, .len = len};
	struct row x;

	return find(r, c, &k, &x, epoch, value, value_len);
}

int meta_find_leaf(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, uint64_t idx, uint64_t map[META_LEAF_SLOTS],
		   uint64_t *epoch)
{
	struct key k = {.kind = KIND_LEAF, .k1 = ino, .idx = idx};
	struct row x;
	int n = find(r, c, &k, &x, epoch, NULL, NULL);

	if (n == 0)
		memcpy(map, x.map, sizeof(x.map));
	return n;
}

int meta_find_block(struct meta_reader *r, uint64_t id, struct meta_block *out)
{
	return block_get(r->db, id, out);
}

/* ---- enumeration ---- */

struct item {
	uint64_t epoch, idx;
	bool dead;
	size_t len;
	unsigned char name[META_NAME_MAX];
	struct meta_entry entry;
	size_t value_len;
	uint64_t map[META_LEAF_SLOTS];
};
/* One label: its newest row within the bound, key after key. */
struct cursor {
	sqlite3_stmt *s; /* borrowed from the pool */
	unsigned link;
	bool pending; /* s stands on the first row of the next key */
	bool valid;   /* item holds a key */
	struct item item;
};

static int item_decode(sqlite3_stmt *s, enum list_kind kind, struct item *it)
{
	it->epoch = col_u64(s, 0);
	it->dead = sqlite3_column_int(s, 1);
	if (kind == LIST_LEAF) {
		it->idx = col_u64(s, 2);
		return it->dead ? 0 : map_decode(sqlite3_column_blob(s, 3), sqlite3_column_bytes(s, 3), it->map);
	}
	it->len = (size_t)sqlite3_column_bytes(s, 2);
	if (it->len > sizeof(it->name))
		return -EUCLEAN;
	if (it->len)
		memcpy(it->name, sqlite3_column_blob(s, 2), it->len);
	if (kind == LIST_ENTRY) {
		it->entry.ino = col_u64(s, 3);
		it->entry.type = (uint8_t)col_u64(s, 4);
	} else {
		it->value_len = (size_t)col_u64(s, 3);
	}
	return 0;
}

static bool same_key(sqlite3_stmt *s, enum list_kind kind, const struct item *it)
{
	if (kind == LIST_LEAF)
		return col_u64(s, 2) == it->idx;
	return (size_t)sqlite3_column_bytes(s, 2) == it->len &&
	       (it->len == 0 || memcmp(sqlite3_column_blob(s, 2), it->name, it->len) == 0);
}

static int compare_items(enum list_kind kind, const struct item *a, const struct item *b)
{
	size_t len = MIN(a->len, b->len);
	int r;

	if (kind == LIST_LEAF)
		return a->idx < b->idx ? -1 : a->idx > b->idx;
	r = len ? memcmp(a->name, b->name, len) : 0;
	return r ? r : a->len < b->len ? -1 : a->len > b->len;
}

static int cursor_advance(struct meta_reader *r, struct cursor *c, enum list_kind kind)
{
	c->valid = false;
	while (c->pending && (!c->valid || same_key(c->s, kind, &c->item))) {
		int n = item_decode(c->s, kind, &c->item);

		if (n < 0) {
			msg(LOG_ERR, "meta: table %s: damaged row, epoch=%llu", kind == LIST_LEAF ? "leaf" : "entry or xattr",
			    (unsigned long long)c->item.epoch);
			return n;
		}
		c->valid = true;
		n = db_step(r->db, c->s);
		if (n < 0)
			return n;
		c->pending = n > 0;
	}
	return 0;
}

static int pool_get(struct meta_reader *r, enum list_kind kind, unsigned i, sqlite3_stmt **out)
{
	if (i == r->pool[kind].n) {
		sqlite3_stmt **v = realloc(r->pool[kind].v, (i + 1) * sizeof(sqlite3_stmt *));
		int n;

		if (!v)
			return -ENOMEM;
		r->pool[kind].v = v;
		n = db_prepare(r->db, list_stmt[kind], &v[i]);
		if (n < 0)
			return n;
		r->pool[kind].n++;
	}
	*out = r->pool[kind].v[i];
	return 0;
}

struct range {
	enum list_kind kind;
	uint64_t k1, first, last; /* leaves */
	const void *after;	  /* entries */
	size_t after_len;
};

static int cursor_open(struct meta_reader *r, struct cursor *c, const struct range *g, uint64_t label, uint64_t bound)
{
	int n;

	bind_u64(c->s, 1, label);
	bind_u64(c->s, 2, g->k1);
	if (g->kind == LIST_ENTRY)
		bind_bytes(c->s, 3, g->after, g->after_len);
	if (g->kind == LIST_LEAF) {
		bind_u64(c->s, 3, MIN(g->first, (uint64_t)INT64_MAX));
		bind_u64(c->s, 5, MIN(g->last, (uint64_t)INT64_MAX));
	}
	bind_u64(c->s, 4, bound);
	n = db_step(r->db, c->s);
	if (n < 0)
		return n;
	c->pending = n > 0;
	return cursor_advance(r, c, g->kind);
}

static int open_cursors(struct meta_reader *r, const struct meta_chain *c, const struct range *g, struct cursor *cur)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		for (unsigned t = 0; t <= c->links[i].ntails; t++) {
			int e = pool_get(r, g->kind, n, &cur[n].s);

			if (e < 0)
				return e;
			cur[n].link = i;
			e = cursor_open(r, &cur[n++], g, link_label(&c->links[i], t), c->links[i].bound);
			if (e < 0)
				return e;
		}
	return 0;
}

/* The cursor that decides the smallest key: of those standing on it the nearest link, there the greatest epoch. */
static struct cursor *decide(struct cursor *cur, unsigned n, enum list_kind kind)
{
	struct cursor *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		int d;

		if (!cur[i].valid)
			continue;
		d = best ? compare_items(kind, &cur[i].item, &best->item) : -1;
		if (d < 0 || (d == 0 && cur[i].link == best->link && cur[i].item.epoch > best->item.epoch))
			best = &cur[i]; /* cursors are in link order, so an equal key of a further link never wins */
	}
	return best;
}

typedef int (*emit_fn)(void *ctx, const struct item *it);

static int merge(struct meta_reader *r, const struct range *g, struct cursor *cur, unsigned n, unsigned max, emit_fn emit, void *ctx)
{
	struct cursor *best;

	while (max > 0 && (best = decide(cur, n, g->kind))) {
		int e = 0;

		if (!best->item.dead) {
			e = emit(ctx, &best->item);
			max--;
		}
		for (unsigned i = 0; i < n && e == 0; i++)
			if (&cur[i] != best && cur[i].valid && compare_items(g->kind, &cur[i].item, &best->item) == 0)
				e = cursor_advance(r, &cur[i], g->kind);
		if (e == 0)
			e = cursor_advance(r, best, g->kind);
		if (e != 0)
			return e;
	}
	return 0;
}

static int list(struct meta_reader *r, const struct meta_chain *c, const struct range *g, unsigned max, emit_fn emit, void *ctx)
{
	unsigned n = count_labels(c);
	struct cursor *cur;
	int e;

	if (n == 0 || max == 0)
		return 0;
	cur = calloc(n, sizeof(*cur));
	if (!cur)
		return -ENOMEM;
	e = read_begin(r);
	if (e == 0) {
		e = open_cursors(r, c, g, cur);
		if (e == 0)
			e = merge(r, g, cur, n, max, emit, ctx);
		for (unsigned i = 0; i < n; i++)
			if (cur[i].s)
				sqlite3_reset(cur[i].s); /* its error, if any, is in e */
		read_end(r);
	}
	free(cur);
	return e;
}

struct emit_entry {
	int (*cb)(void *arg, const void *name, size_t len, const struct meta_entry *e);
	void *arg;
};
static int emit_entry(void *ctx, const struct item *it)
{
	struct emit_entry *x = ctx;

	return x->cb(x->arg, it->name, it->len, &it->entry);
}

int meta_list_entries(struct meta_reader *r, const struct meta_chain *c, uint64_t dir, const void *after, size_t after_len, unsigned max,
		      int (*cb)(void *arg, const void *name, size_t len, const struct meta_entry *e), void *arg)
{
	struct range g = {.kind = LIST_ENTRY, .k1 = dir, .after = after, .after_len = after_len};
	struct emit_entry x = {cb, arg};

	return list(r, c, &g, max, emit_entry, &x);
}

struct emit_xattr {
	int (*cb)(void *arg, const void *name, size_t len, size_t value_len);
	void *arg;
};
static int emit_xattr(void *ctx, const struct item *it)
{
	struct emit_xattr *x = ctx;

	return x->cb(x->arg, it->name, it->len, it->value_len);
}

int meta_list_xattrs(struct meta_reader *r, const struct meta_chain *c, uint64_t ino,
		     int (*cb)(void *arg, const void *name, size_t len, size_t value_len), void *arg)
{
	struct range g = {.kind = LIST_XATTR, .k1 = ino};
	struct emit_xattr x = {cb, arg};

	return list(r, c, &g, UINT32_MAX, emit_xattr, &x);
}

struct emit_leaf {
	int (*cb)(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS]);
	void *arg;
};
static int emit_leaf(void *ctx, const struct item *it)
{
	struct emit_leaf *x = ctx;

	return x->cb(x->arg, it->idx, it->map);
}

int meta_list_leaves(struct meta_reader *r, const struct meta_chain *c, uint64_t ino, uint64_t first, uint64_t last,
		     int (*cb)(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS]), void *arg)
{
	struct range g = {.kind = LIST_LEAF, .k1 = ino, .first = first, .last = last};
	struct emit_leaf x = {cb, arg};

	return list(r, c, &g, UINT32_MAX, emit_leaf, &x);
}
