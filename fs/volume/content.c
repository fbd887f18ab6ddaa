/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * File content written since the database's position: per inode a stack of layers, one per epoch written in, each a map of
 * disjoint extents that say where the bytes lie (in the log, all zero, or whole blocks named by a clone).  A queue in LSN order
 * beside the map lets apply take its batch without walking all that came later: writers wait for the batch's size at most.
 *
 * A write at epoch E goes into the layer of E and replaces what overlaps there; layers of older epochs stay until applied,
 * because copies taken in between still see them.  A reader of volume S takes S's layers newest first, then those of each
 * ancestor up to its pin; what remains is the database's.  As with rows (rows.c), the database may be asked last: while an
 * ancestor has such a layer the database holds no leaf of S (I12: content_applied runs oldest epoch first).
 *
 * Space ledger: a layer holds units (fs->space_unit of the store's reservation each), enough for every block that converting
 * it may have to store; content_applied gives them back, the last ones when the layer is empty.
 */
#include "fs/volume/internal.h"

/* Extents that apply works off under one hold of the inode's lock: a writer waits for no more than these. */
#define COLLECT_BUDGET 1024
#define DROP_BUDGET 256
/* A reader looks into each layer, so no file shall have many more: each came with a copy of its volume. */
#define LAYERS_MOST 64

static int inode_cmp(struct inode *a, struct inode *b)
{
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return a->vol < b->vol ? -1 : a->vol > b->vol;
}
static int extent_cmp(struct extent *a, struct extent *b)
{
	return a->off < b->off ? -1 : a->off > b->off;
}
TREE_GENERATE(inode_tree, inode, link, inode_cmp)
TREE_GENERATE(extents, extent, link, extent_cmp)

/* ---- the table of inodes in memory ---- */

static unsigned shard_no(uint64_t vol, uint64_t ino)
{
	return (unsigned)((ino * 0x9e3779b97f4a7c15ull ^ vol * 0xc2b2ae3d27d4eb4full) >> 40) % INODE_SHARDS;
}

void inodes_init(struct inodes *t)
{
	for (unsigned i = 0; i < INODE_SHARDS; i++) {
		pthread_mutex_init(&t->shard[i].lock, NULL);
		RB_INIT(&t->shard[i].tree);
	}
}

static void ids_put(struct block_ids *ids)
{
	if (ids && atomic_fetch_sub(&ids->refs, 1) == 1)
		free(ids);
}

static void extent_free(struct extent *e)
{
	ids_put(e->ids);
	free(e);
}

static void layer_free(struct layer *l)
{
	struct extent *e, *next;

	for (e = RB_MIN(extents, &l->map); e; e = next) {
		next = RB_NEXT(extents, &l->map, e);
		RB_REMOVE(extents, &l->map, e);
		extent_free(e);
	}
	free(l);
}

static void inode_free(struct inode *i)
{
	while (i->layers) {
		struct layer *l = i->layers;

		i->layers = l->older;
		layer_free(l);
	}
	pthread_mutex_destroy(&i->lock);
	free(i);
}

void inodes_release(struct inodes *t)
{
	for (unsigned n = 0; n < INODE_SHARDS; n++) {
		struct inode *i, *next;

		for (i = RB_MIN(inode_tree, &t->shard[n].tree); i; i = next) {
			next = RB_NEXT(inode_tree, &t->shard[n].tree, i);
			RB_REMOVE(inode_tree, &t->shard[n].tree, i);
			inode_free(i);
		}
		pthread_mutex_destroy(&t->shard[n].lock);
	}
}

static struct inode *find_locked(struct fs *fs, unsigned n, uint64_t vol, uint64_t ino)
{
	struct inode key = { .vol = vol, .ino = ino };

	return RB_FIND(inode_tree, &fs->inodes.shard[n].tree, &key);
}

struct inode *inode_find(struct fs *fs, uint64_t vol, uint64_t ino)
{
	unsigned n = shard_no(vol, ino);
	struct inode *i;

	pthread_mutex_lock(&fs->inodes.shard[n].lock);
	i = find_locked(fs, n, vol, ino);
	if (i)
		i->refs++;
	pthread_mutex_unlock(&fs->inodes.shard[n].lock);
	return i;
}

struct inode *inode_get(struct fs *fs, uint64_t vol, uint64_t ino)
{
	unsigned n = shard_no(vol, ino);
	struct inode *i;

	pthread_mutex_lock(&fs->inodes.shard[n].lock);
	i = find_locked(fs, n, vol, ino);
	if (!i) {
		i = calloc(1, sizeof(*i));
		if (i) {
			i->vol = vol;
			i->ino = ino;
			pthread_mutex_init(&i->lock, NULL);
			RB_INSERT(inode_tree, &fs->inodes.shard[n].tree, i);
			atomic_fetch_add_explicit(&fs->inodes.count, 1, memory_order_relaxed);
		}
	}
	if (i)
		i->refs++;
	pthread_mutex_unlock(&fs->inodes.shard[n].lock);
	return i;
}

void inode_put(struct fs *fs, struct inode *i)
{
	unsigned n;

	if (!i)
		return;
	n = shard_no(i->vol, i->ino);
	pthread_mutex_lock(&fs->inodes.shard[n].lock);
	/* With no reference left nobody can be changing layers: every change goes through one. */
	if (!--i->refs && !i->layers) {
		RB_REMOVE(inode_tree, &fs->inodes.shard[n].tree, i);
		atomic_fetch_sub_explicit(&fs->inodes.count, 1, memory_order_relaxed);
		pthread_mutex_unlock(&fs->inodes.shard[n].lock);
		inode_free(i);
		return;
	}
	pthread_mutex_unlock(&fs->inodes.shard[n].lock);
}

bool inode_busy(struct fs *fs, uint64_t vol, uint64_t ino)
{
	unsigned n = shard_no(vol, ino);
	struct inode *i;
	bool busy;

	if (nodes_known(&fs->nodes, vol, ino))
		return true;
	pthread_mutex_lock(&fs->inodes.shard[n].lock);
	i = find_locked(fs, n, vol, ino);
	busy = i && i->refs;
	pthread_mutex_unlock(&fs->inodes.shard[n].lock);
	return busy;
}

int fs_hold(struct fs *fs, struct fs_node node)
{
	struct vol *v = vol_live(&fs->vtab, node.vol);
	struct row_value val;
	struct row_key k;
	bool first;
	int r;

	if (!v)
		return -ESTALE;
	r = vol_hold(&fs->vtab, v);
	if (r || ino_virtual(node.ino)) {
		vol_put(&fs->vtab, v);
		return r;
	}
	r = nodes_add(&fs->nodes, node.vol, node.ino, &first);
	if (r) {
		vol_unhold(&fs->vtab, node.vol, 1);
		vol_put(&fs->vtab, v);
		return r;
	}
	row_key_set(&k, node.vol, ROW_ATTR, node.ino, NULL, 0);
	r = rows_get(fs, v, &k, &val);
	if (r == -ENOENT || (!r && !val.attr.nlink && first))
		r = -ESTALE; /* nameless and nobody's: the reaper may have it */
	if (r)
		fs_drop(fs, node, 1);
	vol_put(&fs->vtab, v);
	return r;
}

void fs_drop(struct fs *fs, struct fs_node node, uint64_t count)
{
	if (!ino_virtual(node.ino))
		nodes_drop(&fs->nodes, node.vol, node.ino, count);
	vol_unhold(&fs->vtab, node.vol, count);
}

/* ---- extents of one layer ---- */

/* First extent of the layer that ends after off. */
static struct extent *first_from(struct layer *l, uint64_t off)
{
	struct extent key = { .off = off }, *e, *p;

	e = RB_NFIND(extents, &l->map, &key);
	p = e ? RB_PREV(extents, &l->map, e) : RB_MAX(extents, &l->map);
	return p && p->off + p->len > off ? p : e;
}

static bool touches(struct layer *l, uint64_t off, uint64_t len)
{
	struct extent *e = first_from(l, off);

	return e && e->off < off + len;
}

static bool touches_log(struct layer *l, uint64_t off, uint64_t len)
{
	for (struct extent *e = first_from(l, off); e && e->off < off + len; e = RB_NEXT(extents, &l->map, e))
		if (e->kind == EXTENT_LOG)
			return true;
	return false;
}

/* Space units that an extent of this kind costs beside what the layer holds already: a block once, however many extents of
 * log bytes touch it; a zero range its ragged ends; whole cloned blocks nothing.  May count too much, never too little. */
static uint64_t ledger_units(struct fs *fs, struct layer *l, uint64_t off, uint64_t len, uint8_t kind)
{
	uint64_t first = off >> fs->block_shift, last = (off + len - 1) >> fs->block_shift, n = 0;

	if (kind == EXTENT_BLOCKS)
		return 0;
	if (kind == EXTENT_ZERO)
		return first == last ? 1 : 2;
	for (uint64_t b = first; b <= last; b++)
		n += !touches_log(l, b << fs->block_shift, fs->block_size);
	return n;
}

static void extent_drop(struct layer *l, struct extent *e)
{
	if (l->collected == e)
		l->collected = TAILQ_NEXT(e, by_age);
	RB_REMOVE(extents, &l->map, e);
	TAILQ_REMOVE(&l->age, e, by_age);
	extent_free(e);
}

/* Move the front of e to `off` (inside it). */
static void trim_front(struct extent *e, uint64_t off)
{
	uint64_t cut = off - e->off;

	e->off += cut;
	e->len -= cut;
	if (e->kind == EXTENT_LOG)
		e->pos += cut;
}

/* Make [off, off+len) free of extents.  spare: for the one case that splits an extent; NULL'ed when used.
 * Returns LOG bytes removed. */
static uint64_t carve(struct fs *fs, struct layer *l, uint64_t off, uint64_t len, struct extent **spare)
{
	uint64_t end = off + len, gone = 0;
	struct extent *e = first_from(l, off), *next;

	for (; e && e->off < end; e = next) {
		uint64_t e_end = e->off + e->len;
		uint64_t cut = MIN(e_end, end) - MAX(e->off, off);

		next = RB_NEXT(extents, &l->map, e);
		if (e->kind == EXTENT_LOG)
			gone += cut;
		if (e->off < off && e_end > end) {
			struct extent *t = *spare;

			*spare = NULL;
			*t = *e;
			if (t->ids)
				atomic_fetch_add(&t->ids->refs, 1);
			trim_front(t, end);
			e->len = off - e->off;
			RB_INSERT(extents, &l->map, t);
			TAILQ_INSERT_AFTER(&l->age, e, t, by_age);
			atomic_fetch_add(&fs->inodes.extents, 1);
			break;
		}
		if (e->off < off) {
			e->len = off - e->off;
		} else if (e_end > end) {
			/* The key moves within the gap just made: order is kept, no reinsertion needed. */
			trim_front(e, end);
		} else {
			extent_drop(l, e);
			atomic_fetch_sub(&fs->inodes.extents, 1);
		}
	}
	return gone;
}

/* i->lock held. */
static void dirty_less(struct fs *fs, struct inode *i, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&i->dirty_bytes, bytes, memory_order_relaxed);
	atomic_fetch_sub_explicit(&fs->inodes.dirty_bytes, bytes, memory_order_relaxed);
}

/* ---- change ---- */

int content_prepare(struct fs *fs, uint64_t vol, uint64_t ino, const struct item *it, struct content_prep *p)
{
	memset(p, 0, sizeof(*p));
	p->inode = inode_get(fs, vol, ino);
	p->spare[0] = calloc(1, sizeof(struct extent));
	p->spare[1] = calloc(1, sizeof(struct extent));
	p->layer = calloc(1, sizeof(struct layer));
	if (it->kind == ITEM_BLOCKS) {
		p->ids = malloc(sizeof(*p->ids) + it->len * 8);
		if (p->ids) {
			atomic_init(&p->ids->refs, 1);
			p->ids->n = (uint32_t)it->len;
			for (uint64_t i = 0; i < it->len; i++)
				p->ids->id[i] = get_le64(it->ids + i * 8);
			if (pins_add(fs->pins, p->ids->id, p->ids->n)) {
				free(p->ids);
				p->ids = NULL;
			}
		}
	}
	if (!p->inode || !p->spare[0] || !p->spare[1] || !p->layer || (it->kind == ITEM_BLOCKS && !p->ids)) {
		content_unprepare(fs, p);
		return -ENOMEM;
	}
	return 0;
}

void content_unprepare(struct fs *fs, struct content_prep *p)
{
	free(p->spare[0]);
	free(p->spare[1]);
	free(p->layer);
	if (p->ids) {
		pins_del(fs->pins, p->ids->id, p->ids->n);
		ids_put(p->ids);
	}
	inode_put(fs, p->inode);
	memset(p, 0, sizeof(*p));
}

uint64_t content_publish_locked(struct fs *fs, struct content_prep *p, const struct item *it, uint64_t epoch, uint64_t lsn,
				uint64_t data_pos)
{
	struct inode *i = p->inode;
	struct extent *e = p->spare[0];
	struct layer *l = i->layers;
	uint64_t cost;

	if (!l || l->epoch < epoch) {
		l = p->layer;
		p->layer = NULL;
		l->epoch = epoch;
		RB_INIT(&l->map);
		TAILQ_INIT(&l->age);
		l->older = i->layers;
		i->layers = l;
		if (++i->nlayers > LAYERS_MOST)
			apply_want(fs, lsn);
	}
	KAGEFS_ASSERT(l->epoch == epoch);
	p->spare[0] = NULL;
	e->lsn = lsn;
	e->off = it->off;
	e->len = it->len;
	switch (it->kind) {
	case ITEM_WRITE:
		e->kind = EXTENT_LOG;
		e->pos = data_pos;
		break;
	case ITEM_ZERO:
		e->kind = EXTENT_ZERO;
		break;
	default:
		e->kind = EXTENT_BLOCKS;
		e->off = it->off << fs->block_shift;
		e->len = it->len << fs->block_shift;
		e->pos = e->off;
		e->ids = p->ids;
		p->ids = NULL;
		break;
	}
	cost = ledger_units(fs, l, e->off, e->len, e->kind);
	l->units += cost;
	dirty_less(fs, i, carve(fs, l, e->off, e->len, &p->spare[1]));
	KAGEFS_ASSERT(TAILQ_EMPTY(&l->age) || TAILQ_LAST(&l->age, extent_queue)->lsn <= lsn);
	RB_INSERT(extents, &l->map, e);
	TAILQ_INSERT_TAIL(&l->age, e, by_age);
	atomic_fetch_add(&fs->inodes.extents, 1);
	if (e->kind == EXTENT_LOG) {
		atomic_fetch_add_explicit(&i->dirty_bytes, e->len, memory_order_relaxed);
		atomic_fetch_add_explicit(&fs->inodes.dirty_bytes, e->len, memory_order_relaxed);
	}
	i->last_lsn = lsn;
	return cost;
}

/* ---- reading ---- */

void pieces_release(struct pieces *p)
{
	free(p->v);
	p->v = NULL;
	p->n = p->cap = 0;
}

static int pieces_add(struct pieces *p, uint64_t off, uint64_t len, uint8_t kind, uint64_t pos)
{
	if (p->n == p->cap) {
		unsigned cap = p->cap ? p->cap * 2 : 16;
		struct piece *v = realloc(p->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n++] = (struct piece){ off, len, kind, pos };
	return 0;
}

/* Add extent e cut to [a, b). */
static int add_extent(struct fs *fs, struct pieces *out, const struct extent *e, uint64_t a, uint64_t b)
{
	int r = 0;

	if (e->kind == EXTENT_LOG)
		return pieces_add(out, a, b - a, PIECE_LOG, e->pos + (a - e->off));
	if (e->kind == EXTENT_ZERO)
		return pieces_add(out, a, b - a, PIECE_ZERO, 0);
	while (!r && a < b) {
		uint64_t next = ((a >> fs->block_shift) + 1) << fs->block_shift;
		uint64_t id = e->ids->id[(a - e->pos) >> fs->block_shift];

		next = MIN(next, b);
		r = pieces_add(out, a, next - a, id ? PIECE_BLOCK : PIECE_ZERO, id);
		a = next;
	}
	return r;
}

/* Replace each unknown piece by what layer l knows of it. */
static int fill_from(struct fs *fs, struct layer *l, struct pieces *p)
{
	struct pieces out = { 0 };
	int r = 0;

	for (unsigned i = 0; !r && i < p->n; i++) {
		uint64_t at = p->v[i].off, end = at + p->v[i].len;

		if (p->v[i].kind != PIECE_UNKNOWN) {
			r = pieces_add(&out, at, end - at, p->v[i].kind, p->v[i].pos);
			continue;
		}
		for (struct extent *e = first_from(l, at); !r && e && e->off < end; e = RB_NEXT(extents, &l->map, e)) {
			uint64_t a = MAX(at, e->off), b = MIN(end, e->off + e->len);

			if (a > at)
				r = pieces_add(&out, at, a - at, PIECE_UNKNOWN, 0);
			if (!r)
				r = add_extent(fs, &out, e, a, b);
			at = b;
		}
		if (!r && at < end)
			r = pieces_add(&out, at, end - at, PIECE_UNKNOWN, 0);
	}
	if (r) {
		pieces_release(&out);
		return r;
	}
	free(p->v);
	*p = out;
	return 0;
}

static bool any_unknown(const struct pieces *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->v[i].kind == PIECE_UNKNOWN)
			return true;
	return false;
}

int content_overlay(struct fs *fs, struct vol *v, uint64_t ino, uint64_t off, uint64_t len, struct pieces *out)
{
	uint64_t bound = META_EPOCH_MAX;
	int r;

	memset(out, 0, sizeof(*out));
	r = pieces_add(out, off, len, PIECE_UNKNOWN, 0);
	pthread_rwlock_rdlock(&fs->vtab.chain);
	for (struct vol *c = v; !r && c; bound = c->pin, c = c->parent) {
		struct inode *i = inode_find(fs, c->id, ino);

		if (!i)
			continue;
		pthread_mutex_lock(&i->lock);
		for (struct layer *l = i->layers; !r && l; l = l->older)
			if (l->epoch <= bound && touches(l, off, len))
				r = fill_from(fs, l, out);
		pthread_mutex_unlock(&i->lock);
		inode_put(fs, i);
		if (!any_unknown(out))
			break;
	}
	pthread_rwlock_unlock(&fs->vtab.chain);
	if (r)
		pieces_release(out);
	return r;
}

bool content_clean_range(struct inode *i, uint64_t off, uint64_t len)
{
	for (struct layer *l = i->layers; l; l = l->older)
		if (touches(l, off, len))
			return false;
	return true;
}

/* ---- applying ---- */

static struct layer *layer_of(struct inode *i, uint64_t epoch)
{
	struct layer *l = i->layers;

	while (l && l->epoch != epoch)
		l = l->older;
	return l;
}

static int by_offset(const void *x, const void *y)
{
	const struct collected *a = x, *b = y;

	return a->off < b->off ? -1 : a->off > b->off;
}

/* Copy some more; what is split or trimmed meanwhile is overwritten by what comes after upto, so its copy stays right. */
static size_t collect_some(struct inode *i, uint64_t epoch, uint64_t upto, bool first, struct collected *out, size_t max)
{
	struct layer *l;
	struct extent *e;
	size_t n = 0;

	pthread_mutex_lock(&i->lock);
	l = layer_of(i, epoch);
	if (l && first)
		l->collected = TAILQ_FIRST(&l->age);
	for (e = l ? l->collected : NULL; e && e->lsn <= upto && n < max; e = TAILQ_NEXT(e, by_age)) {
		if (e->ids)
			atomic_fetch_add(&e->ids->refs, 1);
		out[n++] = (struct collected){ e->off, e->pos, e->len, e->kind, e->ids };
	}
	if (l)
		l->collected = e;
	pthread_mutex_unlock(&i->lock);
	return n;
}

static int collection_grow(struct fs *fs, struct collection *c)
{
	size_t cap = c->cap ? c->cap + c->cap / 2 : 16;
	struct collected *v = realloc(c->v, cap * sizeof(*v));

	if (!v)
		return -ENOMEM;
	atomic_fetch_add(&fs->inodes.collected, (cap - c->cap) * sizeof(*v));
	c->v = v;
	c->cap = cap;
	return 0;
}

int content_collect(struct fs *fs, struct inode *i, uint64_t epoch, uint64_t upto, struct collection *c)
{
	size_t max, more;

	*c = (struct collection){ 0 };
	do {
		if (c->cap == c->n && collection_grow(fs, c)) {
			collection_free(fs, c);
			return -ENOMEM;
		}
		max = MIN(c->cap - c->n, COLLECT_BUDGET);
		more = collect_some(i, epoch, upto, c->n == 0, c->v + c->n, max);
		c->n += more;
	} while (more == max);
	qsort(c->v, c->n, sizeof(*c->v), by_offset);
	return 0;
}

void collection_free(struct fs *fs, struct collection *c)
{
	atomic_fetch_sub(&fs->inodes.collected, c->cap * sizeof(*c->v));
	for (size_t k = 0; k < c->n; k++)
		ids_put(c->v[k].ids);
	free(c->v);
	*c = (struct collection){ 0 };
}

/* Some of what was applied leaves the layer; *back grows by the units it gives back.  False: nothing of the layer is left to do. */
static bool drop_applied_locked(struct fs *fs, struct inode *i, uint64_t epoch, uint64_t upto, uint64_t *back)
{
	struct layer *l = layer_of(i, epoch), **p;
	unsigned budget = DROP_BUDGET;
	uint64_t units = 0;
	struct extent *e;

	if (!l)
		return false;
	while (budget && (e = TAILQ_FIRST(&l->age)) && e->lsn <= upto) {
		struct extent was = *e;

		extent_drop(l, e);
		if (was.kind == EXTENT_LOG)
			dirty_less(fs, i, was.len);
		units += ledger_units(fs, l, was.off, was.len, was.kind);
		atomic_fetch_sub(&fs->inodes.extents, 1);
		budget--;
	}
	units = RB_EMPTY(&l->map) ? l->units : MIN(units, l->units);
	l->units -= units;
	*back += units;
	if (!RB_EMPTY(&l->map))
		return !budget;
	for (p = &i->layers; *p != l; p = &(*p)->older)
		;
	*p = l->older;
	i->nlayers--;
	free(l);
	return false;
}

uint64_t content_applied(struct fs *fs, struct inode *i, uint64_t epoch, uint64_t upto)
{
	uint64_t back = 0;
	bool more;

	/* The database has all of it already, so a reader may see any part gone; and a writer waits for a few extents only. */
	do {
		pthread_mutex_lock(&i->lock);
		more = drop_applied_locked(fs, i, epoch, upto, &back);
		pthread_mutex_unlock(&i->lock);
	} while (more);
	return back;
}

/* ---- pinned blocks: a small counting hash table ---- */

struct pin {
	struct pin *next;
	uint64_t id;
	uint32_t count;
};
struct pins {
	pthread_mutex_t lock;
	struct pin *bucket[4096];
};

int pins_new(struct pins **out)
{
	struct pins *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

void pins_free(struct pins *p)
{
	if (!p)
		return;
	for (unsigned b = 0; b < ARRAY_SIZE(p->bucket); b++) {
		struct pin *e, *next;

		for (e = p->bucket[b]; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static struct pin **pin_find_locked(struct pins *p, uint64_t id)
{
	struct pin **e = &p->bucket[(id * 0x9e3779b97f4a7c15ull >> 48) % ARRAY_SIZE(p->bucket)];

	while (*e && (*e)->id != id)
		e = &(*e)->next;
	return e;
}

static void pins_del_locked(struct pins *p, const uint64_t *ids, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct pin **e, *x;

		if (!ids[i])
			continue;
		e = pin_find_locked(p, ids[i]);
		x = *e;
		if (x && !--x->count) {
			*e = x->next;
			free(x);
		}
	}
}

int pins_add(struct pins *p, const uint64_t *ids, uint32_t n)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < n; i++) {
		struct pin **e, *x;

		if (!ids[i])
			continue;
		e = pin_find_locked(p, ids[i]);
		if (*e) {
			(*e)->count++;
			continue;
		}
		x = calloc(1, sizeof(*x));
		if (!x) {
			pins_del_locked(p, ids, i);
			r = -ENOMEM;
			break;
		}
		x->id = ids[i];
		x->count = 1;
		*e = x;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

void pins_del(struct pins *p, const uint64_t *ids, uint32_t n)
{
	pthread_mutex_lock(&p->lock);
	pins_del_locked(p, ids, n);
	pthread_mutex_unlock(&p->lock);
}

bool pins_has(struct pins *p, uint64_t id)
{
	bool has;

	pthread_mutex_lock(&p->lock);
	has = *pin_find_locked(p, id) != NULL;
	pthread_mutex_unlock(&p->lock);
	return has;
}
