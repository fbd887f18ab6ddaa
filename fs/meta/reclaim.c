/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Giving space back: R8 reap, R9 a and d, R10 walks, R11.3 blocks.  Every step asks "does a living head see this row?" of
 * some rows (version_settle) or does one piece of bookkeeping; any step may be the last before a crash.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"
#include "fs/meta/internal.h"

#define CHUNK 64 /* keys read before any of them is touched: a scan never meets its own changes */

static unsigned chunk(const struct meta_reclaim *r)
{
	uint64_t left = r->budget > r->rows_looked ? r->budget - r->rows_looked : 1;

	return (unsigned)MIN(left, CHUNK);
}

/* The row a scan named, unless an earlier settle took it.  1 or 0. */
static int reread(struct meta *m, struct vol *v, uint64_t label, const struct key *k, uint64_t epoch, struct row *out)
{
	int n = row_probe(m->db, label, k, epoch, true, out);

	if (n > 0 && out->epoch != epoch)
		n = 0;
	out->vol = v;
	return n;
}

/* ---- R9 d: relabel ---- */

static struct vol *first_with_tail(struct lines *l)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->by_id[i]->ntails)
			return l->by_id[i];
	return NULL;
}

static int drop_tail(struct meta *m, struct vol *v, unsigned i)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_TAIL_DELETE);
	int r;

	bind_u64(s, 1, v->tails[i]);
	m->lines_changed = true;
	r = db_run(m->db, s);
	if (r < 0)
		return r;
	memmove(v->tails + i, v->tails + i + 1, (v->ntails - i - 1) * sizeof(*v->tails));
	v->ntails--;
	m->lines.generation++;
	return 0;
}

static int step_tail(struct meta *m, struct meta_reclaim *r)
{
	struct vol *v = first_with_tail(&m->lines);
	struct keybuf buf[CHUNK];
	uint64_t src;
	int n;

	if (!v)
		return 0;
	src = v->tails[0];
	for (int kind = 0; kind < KINDS;) {
		n = rows_newer(m, kind, src, 0, true, buf, chunk(r));

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			struct key k = keybuf_key(&buf[i]);
			int e = row_relabel(m, &k, src, buf[i].epoch, v->v.line);

			if (e < 0)
				return e;
		}
		r->rows_looked += (unsigned)n;
		if (n > 0 && r->rows_looked >= r->budget)
			return 1;
		if (n == 0)
			kind++;
	}
	r->rows_looked++;
	r->tail_src = src;
	r->tail_line = v->v.line;
	n = drop_tail(m, v, 0);
	return n < 0 ? n : 1;
}

/* ---- R9 a..c: dead volumes ---- */

/* Kids mostly have greater ids than what they were copied from: taken first, they are seldom made heirs only to go. */
static struct vol *last_dead(struct lines *l)
{
	for (unsigned i = l->n; i > 0; i--)
		if (!vol_alive(l->by_id[i - 1]))
			return l->by_id[i - 1];
	return NULL;
}

/* Settle rows of v newer than its greatest pin: only its own head could see them.  1: there were some. */
static int drop_newest(struct meta *m, struct vol *v, struct meta_reclaim *r)
{
	uint64_t pin = v->nkids ? v->kids[v->nkids - 1]->v.pin : 0;
	struct keybuf buf[CHUNK];

	for (unsigned t = 0; t <= v->ntails; t++)
		for (int kind = 0; kind < KINDS; kind++) {
			uint64_t before = r->rows_removed;
			int n = rows_newer(m, kind, vol_label(v, t), pin, v->nkids == 0, buf, chunk(r));

			if (n < 0)
				return n;
			for (int i = 0; i < n; i++) {
				struct key k = keybuf_key(&buf[i]);
				struct row x;
				int e = reread(m, v, vol_label(v, t), &k, buf[i].epoch, &x);

				if (e > 0)
					e = version_settle(m, &k, &x, &r->rows_removed);
				if (e < 0)
					return e;
			}
			r->rows_looked += (unsigned)n;
			if (n > 0 && r->rows_removed == before) { /* would go on for ever */
				struct key k = keybuf_key(&buf[0]);

				return row_corrupt(&k, vol_label(v, t), "a row of a dead volume is seen by another");
			}
			if (n > 0)
				return 1;
		}
	return 0;
}

static int step_dead(struct meta *m, struct meta_reclaim *r)
{
	struct vol *v = last_dead(&m->lines), *heir;
	int n;

	if (!v)
		return 0;
	n = drop_newest(m, v, r);
	if (n != 0)
		return n;
	r->rows_looked++;
	r->gone_vol = v->v.id;
	if (!v->nkids) {
		n = volume_vanish(m, v);
		return n < 0 ? n : 1;
	}
	heir = v->kids[kids_from(v, v->kids[v->nkids - 1]->v.pin)]; /* of those at the greatest pin the smallest line */
	r->heir_vol = heir->v.id;
	n = volume_join(m, v, heir);
	return n < 0 ? n : 1;
}

/* ---- R10: walks ---- */

struct walk {
	uint64_t id, line, pin, side;
	int stage;
	bool has_cursor;
	struct keybuf cursor; /* the last key looked at */
};

/* Cursor on disk: epoch, kind, object, then name or index.  Opaque to everybody else, and lost without harm. */
#define CURSOR_HEAD 17
static unsigned cursor_encode(const struct keybuf *b, unsigned char out[CURSOR_HEAD + META_NAME_MAX])
{
	put_le64(out, b->epoch);
	put_u8(out + 8, (uint8_t)b->key.kind);
	put_le64(out + 9, b->key.k1);
	if (b->key.kind == KIND_LEAF) {
		put_le64(out + CURSOR_HEAD, b->key.idx);
		return CURSOR_HEAD + 8;
	}
	if (b->key.len)
		memcpy(out + CURSOR_HEAD, b->name, b->key.len);
	return CURSOR_HEAD + (unsigned)b->key.len;
}

static bool cursor_decode(const unsigned char *p, int bytes, struct keybuf *b)
{
	if (bytes < CURSOR_HEAD || bytes > CURSOR_HEAD + META_NAME_MAX || get_u8(p + 8) >= KINDS)
		return false;
	b->epoch = get_le64(p);
	b->key = (struct key){.kind = get_u8(p + 8), .k1 = get_le64(p + 9)};
	if (b->key.kind == KIND_LEAF) {
		if (bytes != CURSOR_HEAD + 8)
			return false;
		b->key.idx = get_le64(p + CURSOR_HEAD);
		return true;
	}
	b->key.len = (size_t)bytes - CURSOR_HEAD;
	if (b->key.len)
		memcpy(b->name, p + CURSOR_HEAD, b->key.len);
	return true;
}

static int walk_delete(struct meta *m, const struct walk *w)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_WALK_DELETE);

	bind_u64(s, 1, w->id);
	return db_run(m->db, s);
}

static int walk_save(struct meta *m, const struct walk *w)
{
	unsigned char buf[CURSOR_HEAD + META_NAME_MAX];
	sqlite3_stmt *s = db_stmt(m->db, ST_WALK_UPDATE);

	bind_u64(s, 1, w->id);
	sqlite3_bind_int(s, 2, w->stage);
	bind_u64(s, 3, w->side);
	if (w->has_cursor)
		bind_bytes(s, 4, buf, cursor_encode(&w->cursor, buf));
	else
		sqlite3_bind_null(s, 4);
	return db_run(m->db, s);
}

/* What a walk scans now: kids change under it, so this is asked anew for each batch. */
struct scan {
	struct vol *vol;   /* NULL: nothing left to scan */
	int64_t lo;	   /* rows with lo < epoch <= hi */
	uint64_t hi;
};

static struct scan walk_scan(struct meta *m, struct walk *w)
{
	struct vol *v = lines_by_line(&m->lines, w->line);
	struct scan s = {.vol = NULL};
	struct vol *next;
	unsigned i;

	if (!v)
		return s;
	i = kids_from(v, w->pin);
	next = i < v->nkids ? v->kids[i] : NULL;
	if (w->stage == 0) {
		s = (struct scan){.vol = v, .lo = (int64_t)w->pin, .hi = next ? next->v.pin : META_EPOCH_MAX};
	} else if (next && !MUTATED("no_stage_b")) {
		s = (struct scan){.vol = next, .lo = -1, .hi = META_EPOCH_MAX};
		if (next->v.line != w->side && !MUTATED("no_side")) { /* another neighbour: the cursor says nothing about it */
			w->side = next->v.line;
			w->has_cursor = false;
		}
	}
	return s;
}

/* The first walk whose line is not being relabelled (a row must not move past a cursor).  1: found, 0: none. */
static int next_walk(struct meta *m, struct walk *w, struct scan *scan)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_WALK_LIST);
	int r;

	while ((r = db_step(m->db, s)) > 0) {
		w->id = col_u64(s, 0);
		w->line = col_u64(s, 1);
		w->pin = col_u64(s, 2);
		w->stage = sqlite3_column_int(s, 3);
		w->side = col_u64(s, 4);
		w->has_cursor = cursor_decode(sqlite3_column_blob(s, 5), sqlite3_column_bytes(s, 5), &w->cursor);
		*scan = walk_scan(m, w);
		if (!scan->vol || !scan->vol->ntails)
			return 1;
	}
	return r;
}

static int walk_row(struct meta *m, const struct scan *scan, const struct keybuf *b, struct meta_reclaim *r)
{
	struct key k = keybuf_key(b);
	struct row x, below;
	int n = reread(m, scan->vol, scan->vol->v.line, &k, b->epoch, &x);

	r->rows_looked++;
	if (n > 0)
		n = version_below(m, &k, &x, &below);
	if (n > 0)
		n = version_settle(m, &k, &below, &r->rows_removed);
	return n;
}

/* 1: the scan is finished, 0: budget spent. */
static int walk_batch(struct meta *m, struct walk *w, const struct scan *scan, struct meta_reclaim *r)
{
	uint64_t label = scan->vol->v.line, epoch = w->cursor.epoch;
	int kind = w->has_cursor ? (int)w->cursor.key.kind : KINDS, n;
	bool within = w->has_cursor; /* go on after the cursor's key */
	struct keybuf buf[CHUNK];
	int64_t after = scan->lo;

	for (;;) {
		if (kind == KINDS) {
			n = rows_next_epoch(m, label, after, &epoch);
			if (n < 0)
				return n;
			if (n == 0)
				return 1;
			kind = 0;
			within = false;
		}
		if (epoch > scan->hi)
			return 1;
		n = rows_keys(m, kind, label, epoch, within ? &w->cursor : NULL, buf, chunk(r));
		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			int e = walk_row(m, scan, &buf[i], r);

			if (e < 0)
				return e;
		}
		if (n > 0) {
			w->cursor = buf[n - 1];
			w->has_cursor = within = true;
			if (r->rows_looked >= r->budget)
				return 0;
		} else {
			after = (int64_t)epoch;
			within = false;
			kind++;
		}
	}
}

static int step_walk(struct meta *m, struct meta_reclaim *r)
{
	struct walk w;
	struct scan scan;
	int n = next_walk(m, &w, &scan);

	if (n <= 0)
		return n;
	r->rows_looked++;
	if (scan.vol) {
		n = (scan.vol->v.flags & META_VOL_BARE) ? 1 : walk_batch(m, &w, &scan, r);
		if (n < 0)
			return n;
		if (n == 0) {
			n = walk_save(m, &w);
			return n < 0 ? n : 1;
		}
	}
	if (scan.vol && w.stage == 0) {
		w.stage = 1;
		w.side = 0;
		w.has_cursor = false;
		n = walk_save(m, &w);
	} else {
		n = walk_delete(m, &w);
	}
	return n < 0 ? n : 1;
}

/* ---- R11.3: blocks ---- */

static int free_block(struct meta *m, uint64_t id)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_DELETE);
	struct meta_block b;
	int r = block_get(m->db, id, &b);

	if (r == 0)
		r = freed_add(m, &b);
	if (r < 0)
		return r == -ENOENT ? -EUCLEAN : r;
	bind_u64(s, 1, id);
	return db_run(m->db, s);
}

static int dead_blocks(struct meta *m, uint64_t from, uint64_t *ids, unsigned max)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_BLOCK_DEAD);
	unsigned n = 0;
	int r = 0;

	if (!s)
		return -EIO;
	bind_u64(s, 1, from);
	bind_u64(s, 2, max);
	while (n < max && (r = db_step(m->db, s)) > 0)
		ids[n++] = col_u64(s, 0);
	return r < 0 ? r : (int)n;
}

/* Blocks that log records name must stay, and may be many: the round goes on where the last step ended instead of passing
 * them again.  A round that freed nothing, and in which nothing changed, means that there is nothing to do. */
#define PASSED 2 /* only pinned blocks so far: something may lie behind them */
static int step_block(struct meta *m, struct meta_reclaim *r)
{
	uint64_t ids[CHUNK], freed = r->blocks_freed;
	int n;

	if (m->dead_round_skipped && !r->pinned) /* what was passed may go now */
		m->dead_next = 0;
	if (m->dead_next == 0) {
		m->dead_round_idle = true;
		m->dead_round_skipped = false;
		m->dead_round_changes = m->block_changes;
	}
	n = dead_blocks(m, m->dead_next, ids, chunk(r));
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		int e;

		r->rows_looked++;
		m->dead_next = ids[i] + 1;
		if (r->pinned && r->pinned(r->arg, ids[i])) {
			m->dead_round_skipped = true;
			continue;
		}
		e = free_block(m, ids[i]);
		if (e < 0)
			return e;
		m->dead_round_idle = false;
		r->blocks_freed++;
	}
	if (n > 0)
		return r->blocks_freed > freed ? 1 : PASSED;
	m->dead_next = 0;
	if (m->dead_round_idle && m->dead_round_changes == m->block_changes)
		return 0;
	r->rows_looked++;
	return 1;
}

/* ---- one step ---- */

int meta_reclaim_step(struct meta *m, struct meta_reclaim *r)
{
	static int (*const steps[])(struct meta *, struct meta_reclaim *) = {step_tail, step_dead, step_walk, step_block};
	unsigned idle = 0;
	bool any = false, unsure = false;
	int n = tx_enter(m);

	r->gone_vol = r->heir_vol = r->tail_src = r->tail_line = 0;
	r->rows_looked = r->rows_removed = r->blocks_freed = 0;
	if (n < 0)
		return n;
	if (m->copied)
		return -EINVAL;
	/* In turn, so that no kind waits for the end of another; an event ends the step, see the header. */
	while (idle < ARRAY_SIZE(steps) && !r->gone_vol && !r->tail_src && (!r->rows_looked || r->rows_looked < r->budget)) {
		unsigned turn = m->turn;

		m->turn = (turn + 1) % ARRAY_SIZE(steps);
		n = steps[turn](m, r);
		if (n < 0)
			return tx_leave(m, n);
		idle = n ? 0 : idle + 1;
		any |= n == 1;
		if (steps[turn] == step_block)
			unsure = n == PASSED;
	}
	return any || unsure;
}

/* ---- R8: reap ---- */

struct reap {
	struct keybuf *keys; /* owned */
	unsigned n, max;
};

static int reap_leaf(void *arg, uint64_t idx, const uint64_t map[META_LEAF_SLOTS])
{
	struct reap *x = arg;

	x->keys[x->n++].key = (struct key){.kind = KIND_LEAF, .idx = idx};
	return x->n == x->max;
}

static int reap_xattr(void *arg, const void *name, size_t len, size_t value_len)
{
	struct reap *x = arg;
	struct keybuf *b = &x->keys[x->n++];

	b->key = (struct key){.kind = KIND_XATTR, .len = len};
	if (len)
		memcpy(b->name, name, len);
	return x->n == x->max;
}

/* Visible leaves and xattrs, at most x->max.  Tombstones left by earlier calls are passed by the hint, not again. */
static int collect(struct meta *m, const struct meta_chain *c, uint64_t vol, uint64_t ino, struct reap *x)
{
	bool hint = m->reap_vol == vol && m->reap_ino == ino;
	int r = meta_list_leaves(m->view, c, ino, hint ? m->reap_idx : 0, UINT64_MAX, reap_leaf, x);

	if (r == 0 && x->n == 0 && hint && m->reap_idx) /* somebody may have written behind the hint */
		r = meta_list_leaves(m->view, c, ino, 0, UINT64_MAX, reap_leaf, x);
	if (r < 0)
		return r;
	m->reap_vol = vol;
	m->reap_ino = ino;
	m->reap_idx = x->n ? x->keys[x->n - 1].key.idx + 1 : 0;
	if (x->n < x->max)
		r = meta_list_xattrs(m->view, c, ino, reap_xattr, x);
	return r < 0 ? r : 0;
}

static int orphan_delete(struct meta *m, uint64_t vol, uint64_t ino)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_ORPHAN_DELETE);

	bind_u64(s, 1, vol);
	bind_u64(s, 2, ino);
	return db_run(m->db, s);
}

static int reap(struct meta *m, struct vol *v, uint64_t ino, struct reap *x)
{
	const struct meta_chain *c;
	struct row dead = {.dead = true};
	struct key k;
	int r = vol_chain(m, v, &c);

	if (r == 0)
		r = collect(m, c, v->v.id, ino, x);
	for (unsigned i = 0; i < x->n && r == 0; i++) {
		k = keybuf_key(&x->keys[i]);
		k.k1 = ino;
		r = version_put(m, v, &k, &dead, ALLOC_KEEP, 0);
	}
	if (r < 0 || x->n == x->max)
		return r < 0 ? r : 1;
	k = (struct key){.kind = KIND_INODE, .k1 = ino};
	r = version_put(m, v, &k, &dead, ALLOC_KEEP, 0);
	m->reap_vol = 0;
	return r < 0 ? r : orphan_delete(m, v->v.id, ino);
}

int meta_reap(struct meta *m, uint64_t vol, uint64_t ino, unsigned budget)
{
	struct reap x = {.max = MAX(budget, 1u)};
	struct vol *v;
	int r = tx_enter(m);

	if (r == 0)
		r = vol_writable(m, vol, &v);
	if (r < 0)
		return r;
	x.keys = malloc(x.max * sizeof(*x.keys));
	if (!x.keys)
		return -ENOMEM;
	r = reap(m, v, ino, &x);
	free(x.keys);
	return tx_leave(m, r);
}

int meta_orphan_add(struct meta *m, uint64_t vol, uint64_t ino)
{
	sqlite3_stmt *s = db_stmt(m->db, ST_ORPHAN_INSERT);
	struct vol *v;
	int r = tx_enter(m);

	if (r == 0)
		r = vol_writable(m, vol, &v);
	if (r < 0)
		return r;
	bind_u64(s, 1, vol);
	bind_u64(s, 2, ino);
	return tx_leave(m, db_run(m->db, s));
}

int meta_orphan_del(struct meta *m, uint64_t vol, uint64_t ino)
{
	int r = tx_enter(m);

	return r < 0 ? r : tx_leave(m, orphan_delete(m, vol, ino));
}

/* Dead volumes have none: deleting drops them. */
int meta_orphan_list(struct meta *m, uint64_t after_vol, uint64_t after_ino, struct meta_orphan *out, int max)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(m->db, ST_ORPHAN_LIST);
	int n = 0, r;

	if (!s)
		return -EIO;
	bind_u64(s, 1, after_vol);
	bind_u64(s, 2, after_ino);
	sqlite3_bind_int(s, 3, max);
	while (n < max && (r = db_step(m->db, s)) != 0) {
		if (r < 0)
			return r;
		out[n].vol = col_u64(s, 0);
		out[n].ino = col_u64(s, 1);
		n++;
	}
	return n;
}
