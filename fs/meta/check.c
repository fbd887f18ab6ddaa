/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The recount: M1..M12 of docs/metadata.md from the rows alone.  Shares no code with the rules (rows.c, version.c,
 * lines.c), so that a mistake there cannot hide itself here; it also counts differently, over whole keys at once.
 *
 * Every table is read once in key order: one cursor per label, merged.  Memory: the volume table, one cursor per label that
 * has rows, and a counter per block.
 *
 * Heads per row.  live(v) is the number of living heads in v and everything copied from it.  A row [e, n) of line v is seen
 * by at most v's own head and the heads below kids with e <= pin < n.  A line X with rows of its own for the key keeps the
 * heads it answers from whatever lies below its first row; subtracting those once per such line leaves the exact number.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/msg.h"
#include "fs/meta/internal.h"

#define NONE UINT32_MAX
#define EPOCH_INF ((uint64_t)INT64_MAX)

struct cvol {
	uint64_t id, line, parent, pin;
	uint32_t up; /* index, NONE */
	bool dead;
	uint64_t live;
	uint32_t *kids; /* by pin */
	uint64_t *sum;	/* sum[i]: live heads of kids before i */
	uint32_t nkids;
};
struct label {
	uint64_t label;
	uint32_t vol;
};
struct counter {
	uint64_t id; /* 0: free */
	int64_t refs;
	bool seen;  /* some living head reaches it */
	bool found; /* has a row */
};

struct check {
	struct db *db;
	bool idle;
	void (*cb)(void *arg, const char *number, const char *text);
	void *arg;
	int violations;

	uint64_t epoch;
	struct cvol *vols; /* by line */
	uint32_t nvols;
	struct label *labels; /* sorted */
	uint32_t nlabels;
	struct counter *counters; /* open addressing */
	size_t ncounters, counters_cap;
};

__attribute__((format(printf, 3, 4))) static void report(struct check *c, const char *number, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->violations++;
	if (c->cb)
		c->cb(c->arg, number, text);
}

#define U(x) ((unsigned long long)(x))

/* ---- volumes ---- */

static uint32_t vol_of_line(const struct check *c, uint64_t line)
{
	uint32_t lo = 0, hi = c->nvols;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (c->vols[mid].line < line)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->nvols && c->vols[lo].line == line ? lo : NONE;
}

static uint32_t vol_of_label(const struct check *c, uint64_t label)
{
	uint32_t lo = 0, hi = c->nlabels;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (c->labels[mid].label < label)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->nlabels && c->labels[lo].label == label ? c->labels[lo].vol : NONE;
}

static int compare_vols(const void *a, const void *b)
{
	const struct cvol *x = a, *y = b;

	return x->line < y->line ? -1 : x->line > y->line;
}
static int compare_labels(const void *a, const void *b)
{
	const struct label *x = a, *y = b;

	return x->label < y->label ? -1 : x->label > y->label;
}

static int add_label(struct check *c, uint64_t label, uint32_t vol)
{
	struct label *l = realloc(c->labels, (c->nlabels + 1) * sizeof(*l));

	if (!l)
		return -ENOMEM;
	c->labels = l;
	l[c->nlabels++] = (struct label){label, vol};
	return 0;
}

static int read_volumes(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_VOLUMES);
	uint32_t cap = 0;
	int r;

	while ((r = db_step(c->db, s)) > 0) {
		if (c->nvols == cap) {
			struct cvol *v = realloc(c->vols, (cap = cap ? cap * 2 : 64) * sizeof(*v));

			if (!v)
				return -ENOMEM;
			c->vols = v;
		}
		c->vols[c->nvols++] = (struct cvol){.id = col_u64(s, 0),
						     .line = col_u64(s, 1),
						     .parent = col_u64(s, 2),
						     .pin = col_u64(s, 3),
						     .dead = col_u64(s, 4) & META_VOL_DEAD,
						     .up = NONE};
	}
	if (c->nvols)
		qsort(c->vols, c->nvols, sizeof(*c->vols), compare_vols);
	return r;
}

static int read_tails(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_TAILS);
	int r = 0;

	for (uint32_t i = 0; i < c->nvols && r == 0; i++)
		r = add_label(c, c->vols[i].line, i);
	while (r >= 0 && (r = db_step(c->db, s)) > 0) {
		uint32_t v = vol_of_line(c, col_u64(s, 1));

		if (c->idle)
			report(c, "M11", "tail src=%llu is left", U(col_u64(s, 0)));
		if (v == NONE)
			report(c, "M7", "tail src=%llu points to line=%llu, which is none", U(col_u64(s, 0)), U(col_u64(s, 1)));
		else if (vol_of_line(c, col_u64(s, 0)) != NONE)
			report(c, "M7", "tail src=%llu is a line, too", U(col_u64(s, 0)));
		else
			r = add_label(c, col_u64(s, 0), v);
	}
	if (c->nlabels)
		qsort(c->labels, c->nlabels, sizeof(*c->labels), compare_labels);
	return r;
}

/* Parents, kids by pin, living heads.  1: all hangs together, 0: not, and reported. */
static int build_tree(struct check *c)
{
	for (uint32_t i = 0; i < c->nvols; i++) {
		struct cvol *v = &c->vols[i];

		if (c->idle && v->dead)
			report(c, "M11", "volume id=%llu is dead and not reclaimed", U(v->id));
		if (!v->parent)
			continue;
		v->up = vol_of_line(c, v->parent);
		if (v->up == NONE) {
			report(c, "M7", "volume id=%llu has parent=%llu, which is no line", U(v->id), U(v->parent));
			return 0;
		}
		if (v->pin >= c->epoch)
			report(c, "M6", "volume id=%llu pin=%llu is not before epoch=%llu", U(v->id), U(v->pin), U(c->epoch));
		c->vols[v->up].nkids++;
	}
	for (uint32_t i = 0; i < c->nvols; i++) {
		struct cvol *v = &c->vols[i];
		uint32_t depth = 0;

		v->kids = calloc(v->nkids + 1, sizeof(*v->kids));
		v->sum = calloc(v->nkids + 1, sizeof(*v->sum));
		if (!v->kids || !v->sum)
			return -ENOMEM;
		v->nkids = 0;
		for (uint32_t x = i; x != NONE; x = c->vols[x].up) {
			if (++depth > c->nvols) {
				report(c, "M7", "volume id=%llu descends from itself", U(v->id));
				return 0;
			}
			if (!v->dead)
				c->vols[x].live++;
		}
	}
	for (uint32_t i = 0; i < c->nvols; i++) {
		struct cvol *up = c->vols[i].up == NONE ? NULL : &c->vols[c->vols[i].up];
		uint32_t at;

		if (!up)
			continue;
		for (at = up->nkids++; at > 0 && c->vols[up->kids[at - 1]].pin > c->vols[i].pin; at--)
			up->kids[at] = up->kids[at - 1];
		up->kids[at] = i;
	}
	for (uint32_t i = 0; i < c->nvols; i++)
		for (uint32_t k = 0; k < c->vols[i].nkids; k++)
			c->vols[i].sum[k + 1] = c->vols[i].sum[k] + c->vols[c->vols[i].kids[k]].live;
	return 1;
}

static uint32_t kid_at(const struct check *c, const struct cvol *v, uint64_t pin)
{
	uint32_t lo = 0, hi = v->nkids;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (c->vols[v->kids[mid]].pin < pin)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Living heads below kids of v with lo <= pin < hi. */
static int64_t heads_between(const struct check *c, const struct cvol *v, uint64_t lo, uint64_t hi)
{
	return (int64_t)(v->sum[kid_at(c, v, hi)] - v->sum[kid_at(c, v, lo)]);
}

/* ---- the rows of one key ---- */

struct crow {
	uint32_t vol;
	uint64_t epoch;
	bool dead;
	int64_t heads; /* living heads whose search ends here */
	uint64_t nlink;
	uint64_t map[META_LEAF_SLOTS];
};
struct group {
	uint64_t k1, idx;
	unsigned char name[META_NAME_MAX];
	size_t len;
	struct crow *rows; /* by (vol, epoch); owned */
	uint32_t n, cap;
};

static int compare_rows(const void *a, const void *b)
{
	const struct crow *x = a, *y = b;

	if (x->vol != y->vol)
		return x->vol < y->vol ? -1 : 1;
	return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

static struct crow *group_add(struct group *g)
{
	if (g->n == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 16;
		struct crow *rows = realloc(g->rows, cap * sizeof(*rows));

		if (!rows)
			return NULL;
		g->rows = rows;
		g->cap = cap;
	}
	memset(&g->rows[g->n], 0, sizeof(*g->rows));
	return &g->rows[g->n++];
}

/* The row a search from vol with bound ends at. */
static struct crow *look(const struct check *c, const struct group *g, uint32_t vol, uint64_t bound)
{
	for (; vol != NONE; bound = c->vols[vol].pin, vol = c->vols[vol].up) {
		uint32_t lo = 0, hi = g->n;

		while (lo < hi) { /* first row after (vol, bound) */
			uint32_t mid = (lo + hi) / 2;
			const struct crow *x = &g->rows[mid];

			if (x->vol < vol || (x->vol == vol && x->epoch <= bound))
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo > 0 && g->rows[lo - 1].vol == vol)
			return &g->rows[lo - 1];
	}
	return NULL;
}

static void count_heads(const struct check *c, struct group *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		struct crow *x = &g->rows[i];
		bool last = i + 1 == g->n || g->rows[i + 1].vol != x->vol;
		const struct cvol *v = &c->vols[x->vol];

		x->heads = heads_between(c, v, x->epoch, last ? EPOCH_INF : g->rows[i + 1].epoch);
		if (last && !v->dead)
			x->heads++;
	}
	for (uint32_t i = 0; i < g->n; i++) {
		const struct cvol *v = &c->vols[g->rows[i].vol];
		struct crow *below;

		if (i > 0 && g->rows[i - 1].vol == g->rows[i].vol)
			continue;
		below = v->up == NONE ? NULL : look(c, g, v->up, v->pin);
		if (below)
			below->heads -= heads_between(c, v, g->rows[i].epoch, EPOCH_INF) + !v->dead;
	}
}

/* ---- block counters ---- */

static struct counter *counter_slot(struct counter *t, size_t cap, uint64_t id)
{
	size_t i = (size_t)(id * 0x9e3779b97f4a7c15u) & (cap - 1);

	while (t[i].id && t[i].id != id)
		i = (i + 1) & (cap - 1);
	return &t[i];
}

static struct counter *counter_of(struct check *c, uint64_t id)
{
	struct counter *x;

	if (c->ncounters * 4 >= c->counters_cap * 3) {
		size_t cap = c->counters_cap ? c->counters_cap * 2 : 1024;
		struct counter *t = calloc(cap, sizeof(*t));

		if (!t)
			return NULL;
		for (size_t i = 0; i < c->counters_cap; i++)
			if (c->counters[i].id)
				*counter_slot(t, cap, c->counters[i].id) = c->counters[i];
		free(c->counters);
		c->counters = t;
		c->counters_cap = cap;
	}
	x = counter_slot(c->counters, c->counters_cap, id);
	if (!x->id) {
		x->id = id;
		c->ncounters++;
	}
	return x;
}

/* ---- one table, key by key ---- */

struct feed {
	sqlite3_stmt *s; /* owned; stands on a row */
	uint64_t label;
	uint32_t vol;
};
struct stream {
	enum kind kind;
	struct feed **heap; /* smallest key first */
	uint32_t n;
	struct feed *feeds; /* owned */
	uint32_t nfeeds;
};

static bool named(enum kind kind)
{
	return kind == KIND_ENTRY || kind == KIND_XATTR;
}

static int compare_feeds(enum kind kind, const struct feed *a, const struct feed *b)
{
	uint64_t x = col_u64(a->s, 2), y = col_u64(b->s, 2);

	if (x != y)
		return x < y ? -1 : 1;
	if (named(kind)) {
		int la = sqlite3_column_bytes(a->s, 3), lb = sqlite3_column_bytes(b->s, 3), len = MIN(la, lb);
		int r = len ? memcmp(sqlite3_column_blob(a->s, 3), sqlite3_column_blob(b->s, 3), (size_t)len) : 0;

		return r ? r : la - lb;
	}
	x = col_u64(a->s, 3);
	y = col_u64(b->s, 3);
	return x < y ? -1 : x > y;
}

static void sift_down(struct stream *t, uint32_t i)
{
	for (;;) {
		uint32_t least = i;

		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2 && k < t->n; k++)
			if (compare_feeds(t->kind, t->heap[k], t->heap[least]) < 0)
				least = k;
		if (least == i)
			return;
		struct feed *f = t->heap[i];
		t->heap[i] = t->heap[least];
		t->heap[least] = f;
		i = least;
	}
}

static void stream_close(struct stream *t)
{
	for (uint32_t i = 0; i < t->nfeeds; i++)
		sqlite3_finalize(t->feeds[i].s);
	free(t->feeds);
	free(t->heap);
}

/* All labels that occur in the table, known or not. */
static int stream_open(struct check *c, struct stream *t, enum kind kind)
{
	static const enum stmt_id next_label[KINDS] = {ST_CHECK_LABEL_INODE, ST_CHECK_LABEL_ENTRY, ST_CHECK_LABEL_XATTR,
						       ST_CHECK_LABEL_LEAF};
	static const enum stmt_id rows[KINDS] = {ST_CHECK_INODE, ST_CHECK_ENTRY, ST_CHECK_XATTR, ST_CHECK_LEAF};
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, next_label[kind]);
	uint64_t label = 0;
	int64_t from = INT64_MIN;
	int r;

	t->kind = kind;
	for (;;) {
		struct feed *feeds, *f;

		sqlite3_bind_int64(s, 1, from);
		r = db_step(c->db, s);
		if (r <= 0)
			break;
		label = col_u64(s, 0);
		from = (int64_t)label;
		sqlite3_reset(s);
		if (vol_of_label(c, label) == NONE) {
			report(c, "M7", "table %s: rows of line=%llu, which is none", &stmt_defs[rows[kind]].name[6], U(label));
			continue;
		}
		feeds = realloc(t->feeds, (t->nfeeds + 1) * sizeof(*feeds));
		if (!feeds)
			return -ENOMEM;
		t->feeds = feeds;
		f = &feeds[t->nfeeds];
		*f = (struct feed){.label = label, .vol = vol_of_label(c, label)};
		r = db_prepare(c->db, rows[kind], &f->s);
		if (r < 0)
			return r;
		t->nfeeds++;
		bind_u64(f->s, 1, label);
		r = db_step(c->db, f->s);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	t->heap = malloc((t->nfeeds + 1) * sizeof(struct feed *));
	if (!t->heap)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->nfeeds; i++)
		t->heap[t->n++] = &t->feeds[i];
	for (uint32_t i = t->n; i-- > 0;)
		sift_down(t, i);
	return 0;
}

static void key_of(enum kind kind, const struct feed *f, struct group *g)
{
	g->k1 = col_u64(f->s, 2);
	g->idx = 0;
	g->len = 0;
	if (named(kind)) {
		g->len = MIN((size_t)sqlite3_column_bytes(f->s, 3), sizeof(g->name));
		if (g->len)
			memcpy(g->name, sqlite3_column_blob(f->s, 3), g->len);
	} else {
		g->idx = col_u64(f->s, 3);
	}
}

static bool at_key(enum kind kind, const struct feed *f, const struct group *g)
{
	if (col_u64(f->s, 2) != g->k1)
		return false;
	if (!named(kind))
		return col_u64(f->s, 3) == g->idx;
	return (size_t)sqlite3_column_bytes(f->s, 3) == g->len &&
	       (!g->len || memcmp(sqlite3_column_blob(f->s, 3), g->name, g->len) == 0);
}

static const char *describe(enum kind kind, const struct group *g, char *buf, size_t size)
{
	static const char *const names[KINDS] = {"inode", "entry", "xattr", "leaf"};

	if (named(kind))
		snprintf(buf, size, "%s ino=%llu name=%.*s", names[kind], U(g->k1), (int)g->len, (const char *)g->name);
	else
		snprintf(buf, size, "%s ino=%llu idx=%llu", names[kind], U(g->k1), U(g->idx));
	return buf;
}

static int take_row(struct check *c, enum kind kind, const struct feed *f, struct group *g)
{
	struct crow *x = group_add(g);
	char key[400];

	if (!x)
		return -ENOMEM;
	x->vol = f->vol;
	x->epoch = col_u64(f->s, 0);
	x->dead = sqlite3_column_int(f->s, 1);
	if (kind == KIND_INODE)
		x->nlink = col_u64(f->s, 4);
	if (kind == KIND_LEAF && !x->dead) {
		const unsigned char *p = sqlite3_column_blob(f->s, 4);
		int bytes = sqlite3_column_bytes(f->s, 4);

		if (bytes < 8 || bytes % 8 || bytes > META_LEAF_SLOTS * 8)
			report(c, "M3", "%s: map of %d bytes", describe(kind, g, key, sizeof(key)), bytes);
		else
			for (int i = 0; i < bytes / 8; i++)
				x->map[i] = get_le64(p + 8 * i);
	}
	return 0;
}

/* The rows of the smallest key.  1: there was one, 0: end. */
static int stream_next(struct check *c, struct stream *t, struct group *g)
{
	if (!t->n)
		return 0;
	g->n = 0;
	key_of(t->kind, t->heap[0], g);
	while (t->n && at_key(t->kind, t->heap[0], g)) {
		int r = take_row(c, t->kind, t->heap[0], g);

		if (r == 0)
			r = db_step(c->db, t->heap[0]->s);
		if (r < 0)
			return r;
		if (r == 0)
			t->heap[0] = t->heap[--t->n];
		sift_down(t, 0);
	}
	qsort(g->rows, g->n, sizeof(*g->rows), compare_rows);
	return 1;
}

/* ---- the invariants of one key ---- */

static struct crow *below_row(const struct check *c, const struct group *g, const struct crow *x)
{
	return look(c, g, x->vol, x->epoch - 1); /* epochs start at 1 */
}

static int count_refs(struct check *c, const struct group *g, const struct crow *x, const struct crow *below)
{
	for (int i = 0; i < META_LEAF_SLOTS; i++) {
		struct counter *n;

		if (!x->map[i])
			continue;
		n = counter_of(c, x->map[i]);
		if (!n)
			return -ENOMEM;
		if (!below || below->map[i] != x->map[i]) /* a tombstone's map is all holes */
			n->refs++;
		if (x->heads > 0)
			n->seen = true;
	}
	return 0;
}

static int check_group(struct check *c, enum kind kind, struct group *g)
{
	char key[400];

	count_heads(c, g);
	for (uint32_t i = 0; i < g->n; i++) {
		const struct crow *x = &g->rows[i], *below = below_row(c, g, x);
		const struct cvol *v = &c->vols[x->vol];
		int r;

		describe(kind, g, key, sizeof(key));
		if (i > 0 && compare_rows(x - 1, x) == 0)
			report(c, "M1", "%s line=%llu epoch=%llu is there twice", key, U(v->line), U(x->epoch));
		if (x->epoch < 1 || x->epoch > c->epoch)
			report(c, "M6", "%s line=%llu epoch=%llu, store has epoch=%llu", key, U(v->line), U(x->epoch), U(c->epoch));
		if (v->up != NONE && x->epoch <= v->pin)
			report(c, "M5", "%s line=%llu epoch=%llu is not newer than pin=%llu", key, U(v->line), U(x->epoch), U(v->pin));
		if (c->idle && x->heads <= 0)
			report(c, "M8", "%s line=%llu epoch=%llu is seen by no head", key, U(v->line), U(x->epoch));
		if (c->idle && x->dead && (!below || below->dead))
			report(c, "M9", "%s line=%llu epoch=%llu is a tombstone that hides nothing", key, U(v->line), U(x->epoch));
		r = kind == KIND_LEAF ? count_refs(c, g, x, below) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* M12: in every view that knows this leaf or xattr there is the inode.  Both change only at rows of one of them, so it is
 * enough to look at those places, and of them at those some head's search ends at. */
static int check_owner(struct check *c, enum kind kind, const struct group *g, const struct group *inode, struct group *both)
{
	char key[400];

	both->n = 0;
	for (int part = 0; part < 2; part++) {
		const struct group *from = part ? inode : g;

		for (uint32_t i = 0; i < from->n; i++) {
			struct crow *x = group_add(both);

			if (!x)
				return -ENOMEM;
			x->vol = from->rows[i].vol;
			x->epoch = from->rows[i].epoch;
		}
	}
	if (!both->n)
		return 0;
	qsort(both->rows, both->n, sizeof(*both->rows), compare_rows);
	for (uint32_t i = 1; i < both->n;) {
		if (compare_rows(&both->rows[i - 1], &both->rows[i]) == 0)
			memmove(&both->rows[i], &both->rows[i + 1], (--both->n - i) * sizeof(*both->rows));
		else
			i++;
	}
	count_heads(c, both);
	for (uint32_t i = 0; i < both->n; i++) {
		const struct crow *x = &both->rows[i];
		const struct crow *it = look(c, g, x->vol, x->epoch), *owner = look(c, inode, x->vol, x->epoch);

		if (x->heads > 0 && it && !it->dead && (!owner || owner->dead))
			report(c, "M12", "%s line=%llu epoch=%llu: no inode in that view", describe(kind, g, key, sizeof(key)),
			       U(c->vols[x->vol].line), U(x->epoch));
	}
	return 0;
}

/* M12, second half: an inode without links waits to be reaped. */
static int check_orphan(struct check *c, const struct group *inode)
{
	for (uint32_t i = 0; i < inode->n; i++) {
		const struct crow *x = &inode->rows[i];

		if (x->dead || x->nlink || x->heads <= 0)
			continue;
		for (uint32_t v = 0; v < c->nvols; v++) {
			CLEANUP_STMT sqlite3_stmt *s = NULL;
			int r;

			if (c->vols[v].dead || look(c, inode, v, EPOCH_INF) != x)
				continue;
			s = db_stmt(c->db, ST_CHECK_ORPHAN);
			bind_u64(s, 1, c->vols[v].id);
			bind_u64(s, 2, inode->k1);
			r = db_step(c->db, s);
			if (r < 0)
				return r;
			if (r == 0)
				report(c, "M12", "inode ino=%llu in volume=%llu has nlink 0 and is no orphan", U(inode->k1),
				       U(c->vols[v].id));
		}
	}
	return 0;
}

/* ---- all rows ---- */

static uint64_t peek(const struct stream *t)
{
	return t->n ? col_u64(t->heap[0]->s, 2) : UINT64_MAX;
}

static int check_inodes(struct check *c, struct stream t[KINDS], struct group g[3])
{
	struct group *inode = &g[0], *key = &g[1], *both = &g[2];

	for (;;) {
		uint64_t ino = MIN(peek(&t[KIND_INODE]), MIN(peek(&t[KIND_XATTR]), peek(&t[KIND_LEAF])));
		int r = 0;

		if (ino == UINT64_MAX)
			return 0;
		inode->n = 0;
		inode->k1 = ino;
		if (peek(&t[KIND_INODE]) == ino) {
			r = stream_next(c, &t[KIND_INODE], inode);
			if (r > 0)
				r = check_group(c, KIND_INODE, inode);
			if (r == 0 && c->idle)
				r = check_orphan(c, inode);
		}
		for (int kind = KIND_XATTR; kind <= KIND_LEAF && r >= 0; kind++)
			while (r >= 0 && peek(&t[kind]) == ino) {
				r = stream_next(c, &t[kind], key);
				if (r > 0)
					r = check_group(c, kind, key);
				if (r == 0 && c->idle)
					r = check_owner(c, kind, key, inode, both);
			}
		if (r < 0)
			return r;
	}
}

static int check_entries(struct check *c, struct stream *t, struct group *g)
{
	int r;

	while ((r = stream_next(c, t, g)) > 0) {
		r = check_group(c, KIND_ENTRY, g);
		if (r < 0)
			return r;
	}
	return r;
}

static int check_rows(struct check *c)
{
	struct stream t[KINDS] = {0};
	struct group g[3] = {0};
	int r = 0;

	for (int kind = 0; kind < KINDS && r == 0; kind++)
		r = stream_open(c, &t[kind], kind);
	if (r == 0)
		r = check_inodes(c, t, g);
	if (r == 0)
		r = check_entries(c, &t[KIND_ENTRY], &g[0]);
	for (int kind = 0; kind < KINDS; kind++)
		stream_close(&t[kind]);
	for (unsigned i = 0; i < ARRAY_SIZE(g); i++)
		free(g[i].rows);
	return r;
}

/* ---- blocks and the small tables ---- */

static int check_blocks(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_BLOCKS);
	int r;

	while ((r = db_step(c->db, s)) > 0) {
		uint64_t id = col_u64(s, 0);
		const struct counter *n = c->counters_cap ? counter_slot(c->counters, c->counters_cap, id) : NULL;
		int64_t refs = n && n->id ? n->refs : 0;

		if (n && n->id)
			((struct counter *)n)->found = true;
		if (sqlite3_column_int64(s, 3) != refs)
			report(c, "M2", "block id=%llu has refs=%lld, rows say %lld", U(id), (long long)sqlite3_column_int64(s, 3),
			       (long long)refs);
		if (sqlite3_column_bytes(s, 2) != HASH_BYTES || col_u64(s, 1) != get_le64(sqlite3_column_blob(s, 2)))
			report(c, "M3", "block id=%llu: hash and its prefix differ", U(id));
		if (c->idle && (refs == 0 || !n->seen))
			report(c, "M10", "block id=%llu is reached by no head", U(id));
	}
	for (size_t i = 0; i < c->counters_cap && r == 0; i++)
		if (c->counters[i].id && !c->counters[i].found)
			report(c, "M3", "block id=%llu is named by a leaf and not there", U(c->counters[i].id));
	return r;
}

static int check_walks(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_WALKS);
	int r;

	while ((r = db_step(c->db, s)) > 0) {
		if (vol_of_line(c, col_u64(s, 0)) == NONE)
			report(c, "M7", "walk over line=%llu, which is none", U(col_u64(s, 0)));
		if (c->idle)
			report(c, "M11", "walk line=%llu pin=%llu is left", U(col_u64(s, 0)), U(col_u64(s, 1)));
	}
	return r;
}

static int check_orphans(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_ORPHANS);
	int r;

	while ((r = db_step(c->db, s)) > 0) {
		bool known = false;

		for (uint32_t i = 0; i < c->nvols && !known; i++)
			known = c->vols[i].id == col_u64(s, 0) && !c->vols[i].dead;
		if (!known)
			report(c, "M7", "orphan ino=%llu of volume=%llu, which is dead or gone", U(col_u64(s, 1)), U(col_u64(s, 0)));
	}
	return r;
}

static int check_integrity(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_INTEGRITY);
	int r;

	while ((r = db_step(c->db, s)) > 0) {
		const char *text = (const char *)sqlite3_column_text(s, 0);

		if (text && strcmp(text, "ok") != 0)
			report(c, "M0", "%s", text);
	}
	return r;
}

static int read_epoch(struct check *c)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_STORE);
	int r = db_step(c->db, s);

	if (r > 0)
		c->epoch = col_u64(s, 0);
	else if (r == 0)
		report(c, "M7", "table store is empty");
	return r;
}

/* 1: counters are filled; 0: what was reported leaves nothing to count by. */
static int count_all(struct check *c)
{
	int r = check_integrity(c);

	if (r < 0 || c->violations) /* rows of a damaged file prove nothing */
		return r;
	r = read_epoch(c);
	if (r <= 0)
		return r;
	r = read_volumes(c);
	if (r == 0)
		r = read_tails(c);
	if (r == 0)
		r = build_tree(c);
	if (r <= 0)
		return r;
	r = check_walks(c);
	if (r == 0)
		r = check_orphans(c);
	if (r == 0)
		r = check_rows(c);
	return r < 0 ? r : 1;
}

static int check_all(struct check *c, void *arg)
{
	int r = count_all(c);

	return r <= 0 ? r : check_blocks(c);
}

struct recount {
	int (*cb)(void *arg, uint64_t id, bool row, uint64_t refs);
	void *arg;
};

static int recount(struct check *c, void *arg)
{
	CLEANUP_STMT sqlite3_stmt *s = db_stmt(c->db, ST_CHECK_BLOCKS);
	struct recount *to = arg;
	int r = count_all(c);

	if (r <= 0)
		return r < 0 ? r : -EUCLEAN;
	while ((r = db_step(c->db, s)) > 0) {
		struct counter *n = c->counters_cap ? counter_slot(c->counters, c->counters_cap, col_u64(s, 0)) : NULL;
		int64_t refs = n && n->id ? n->refs : 0;

		if (n && n->id)
			n->found = true;
		r = sqlite3_column_int64(s, 3) != refs ? to->cb(to->arg, col_u64(s, 0), true, (uint64_t)refs) : 0;
		if (r != 0)
			return r;
	}
	for (size_t i = 0; i < c->counters_cap && r == 0; i++)
		if (c->counters[i].id && !c->counters[i].found)
			r = to->cb(to->arg, c->counters[i].id, false, (uint64_t)c->counters[i].refs);
	return r;
}

static int on_snapshot(struct meta *m, struct check *c, int (*fn)(struct check *c, void *arg), void *arg)
{
	int r = m->in_tx ? -EINVAL : db_open(m->vfs, META_FILE, DB_CHECK, m->cache_bytes / 8, &c->db);

	if (r < 0)
		return r;
	r = db_run_id(c->db, ST_BEGIN_READ);
	if (r == 0) {
		r = fn(c, arg);
		ignore_result(db_run_id(c->db, ST_COMMIT)); /* nothing was written */
	}
	for (uint32_t i = 0; i < c->nvols; i++) {
		free(c->vols[i].kids);
		free(c->vols[i].sum);
	}
	free(c->vols);
	free(c->labels);
	free(c->counters);
	db_close(c->db);
	return r;
}

int meta_check(struct meta *m, bool idle, void (*cb)(void *arg, const char *number, const char *text), void *arg)
{
	struct check c = {.idle = idle, .cb = cb, .arg = arg};
	int r = on_snapshot(m, &c, check_all, NULL);

	return r < 0 ? r : c.violations;
}

int meta_recount(struct meta *m, int (*cb)(void *arg, uint64_t id, bool row, uint64_t refs), void *arg)
{
	struct check c = {0};
	struct recount to = {cb, arg};

	return on_snapshot(m, &c, recount, &to);
}
