/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rows in memory: what was written since the database's position (dirty versions, one per epoch) and a cache of what was
 * read from it (clean).  One object per (volume, kind, object, name); content of files is content.c's business.
 *
 * A row's versions are linked newest first.  lsn 0 means clean; only the oldest can be clean.  A clean version holds what
 * the volume saw when it was read, own row or inherited, with the epoch of the row that decided; so it also answers for any
 * copy of the volume whose pin is not below that epoch, provided the copy has no own row.
 *
 * A look-up in volume S asks S's row, then for each ancestor A (bound p) A's newest dirty version with epoch <= p, then the
 * database over the whole chain.  That order is right although the database is asked last for S's own rows: while A has
 * such a dirty version, the commit that made S has not been applied, so the database has no rows of S (I12 keeps this true
 * while versions turn clean).
 *
 * Shards are chosen by (volume, kind, object) without the name, so that the names of one directory lie together.  The shard
 * lock is a leaf.  Rows with only clean versions are on the shard's LRU list and go when those exceed the shard's share.
 */
#include "fs/volume/internal.h"

#include <bsd/sys/queue.h>

#include "fs/base/hash.h"

#define SHARDS 64
#define TELL_BYTES 4096
#define LRU_LEAST 16u /* more than any operation looks up */

struct row_ver {
	struct row_ver *older, *newer;
	uint64_t epoch, lsn; /* lsn 0: clean */
	uint32_t len;
	bool absent;
	_Alignas(8) uint8_t data[];
};

struct row {
	struct row *next; /* bucket */
	TAILQ_ENTRY(row) lru;
	RB_ENTRY(row) dirty; /* set->names */
	struct row_set *set; /* when it is in a set */
	struct row_ver *newest, *oldest;
	uint64_t vol, obj, hash;
	unsigned pins;	 /* prepared changes */
	unsigned loaders; /* look-ups in the database under way */
	bool stale;	 /* forgotten while being loaded */
	bool on_lru;
	uint32_t lru_cost; /* while on it */
	uint8_t kind;
	uint16_t len;
	uint8_t name[];
};
TAILQ_HEAD(row_lru, row);
RB_HEAD(row_names, row);

/* Dirty names of one object. */
struct row_set {
	struct row_set *next; /* bucket */
	uint64_t vol, obj;
	uint8_t kind;
	unsigned pins;
	struct row_names names;
};

struct shard {
	pthread_mutex_t lock;
	struct row **buckets;
	uint32_t nbuckets, nrows; /* power of two */
	struct row_set *sets[64];
	struct row_lru lru;
	unsigned nlru;
	uint64_t bytes, lru_bytes; /* of all, of those on the list */
	uint64_t told;		   /* of bytes - lru_bytes, what rows->dirty knows */
	uint64_t hits, misses;
};

struct rows {
	struct shard shard[SHARDS];
	_Atomic uint64_t shard_max; /* for lru_bytes */
	_Atomic uint64_t dirty;	    /* sum of told */
};

static int row_cmp(struct row *a, struct row *b)
{
	int r = memcmp(a->name, b->name, MIN(a->len, b->len));

	return r ? r : (int)a->len - (int)b->len;
}
TREE_GENERATE(row_names, row, dirty, row_cmp)

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ (x >> 33);
}

static uint64_t object_hash(uint64_t vol, uint8_t kind, uint64_t obj)
{
	return mix(vol * 0x9e3779b97f4a7c15ull ^ mix(obj + kind));
}

static struct shard *shard_of(struct rows *r, uint64_t oh)
{
	return &r->shard[oh % SHARDS];
}

int rows_new(struct rows **out)
{
	struct rows *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &r->shard[i];

		pthread_mutex_init(&s->lock, NULL);
		TAILQ_INIT(&s->lru);
		s->nbuckets = 64;
		s->buckets = calloc(s->nbuckets, sizeof(*s->buckets));
		if (!s->buckets) {
			rows_free(r);
			return -ENOMEM;
		}
	}
	*out = r;
	return 0;
}

static size_t row_cost(const struct row *w)
{
	return sizeof(*w) + w->len + 16 + sizeof(void *); /* what malloc adds, and a bucket */
}
static size_t ver_cost(const struct row_ver *v)
{
	return sizeof(*v) + v->len + 16;
}

/* Before the lock is let go after a change.  A shared counter is touched once in a while only. */
static void tell_locked(struct rows *r, struct shard *s)
{
	uint64_t now = s->bytes - s->lru_bytes, diff = now - s->told;

	if ((int64_t)diff < TELL_BYTES && (int64_t)diff > -TELL_BYTES)
		return;
	atomic_fetch_add_explicit(&r->dirty, diff, memory_order_relaxed);
	s->told = now;
}

static void vers_free(struct shard *s, struct row_ver *v)
{
	while (v) {
		struct row_ver *older = v->older;

		s->bytes -= ver_cost(v);
		free(v);
		v = older;
	}
}

void rows_free(struct rows *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &r->shard[i];

		for (uint32_t b = 0; s->buckets && b < s->nbuckets; b++) {
			struct row *w, *next;

			for (w = s->buckets[b]; w; w = next) {
				next = w->next;
				vers_free(s, w->newest);
				free(w);
			}
		}
		for (unsigned b = 0; b < ARRAY_SIZE(s->sets); b++) {
			struct row_set *t, *next;

			for (t = s->sets[b]; t; t = next) {
				next = t->next;
				free(t);
			}
		}
		free(s->buckets);
		pthread_mutex_destroy(&s->lock);
	}
	free(r);
}

void row_key_set(struct row_key *k, uint64_t vol, enum row_kind kind, uint64_t obj, const void *name, size_t len)
{
	KAGEFS_ASSERT(len <= META_NAME_MAX);
	k->vol = vol;
	k->obj = obj;
	k->kind = (uint8_t)kind;
	k->len = (uint16_t)len;
	if (len)
		memcpy(k->name, name, len);
}

void row_key_leaf(struct row_key *k, uint64_t vol, uint64_t ino, uint64_t idx)
{
	uint8_t b[8];

	put_le64(b, idx);
	row_key_set(k, vol, ROW_LEAF, ino, b, 8);
}

/* ---- hash table; shard lock held ---- */

static uint64_t key_hash(const struct row_key *k, uint64_t oh)
{
	return k->len ? oh ^ checksum64(k->name, k->len) : oh;
}

static struct row *find_locked(struct shard *s, const struct row_key *k, uint64_t hash)
{
	struct row *w = s->buckets[(hash >> 8) & (s->nbuckets - 1)];

	while (w && !(w->hash == hash && w->vol == k->vol && w->obj == k->obj && w->kind == k->kind && w->len == k->len &&
		      !memcmp(w->name, k->name, k->len)))
		w = w->next;
	return w;
}

static void grow_locked(struct shard *s)
{
	uint32_t n = s->nbuckets * 2;
	struct row **b;

	if (s->nrows < s->nbuckets)
		return;
	b = calloc(n, sizeof(*b));
	if (!b)
		return; /* longer chains, nothing worse */
	for (uint32_t i = 0; i < s->nbuckets; i++) {
		struct row *w, *next;

		for (w = s->buckets[i]; w; w = next) {
			struct row **to = &b[(w->hash >> 8) & (n - 1)];

			next = w->next;
			w->next = *to;
			*to = w;
		}
	}
	free(s->buckets);
	s->buckets = b;
	s->nbuckets = n;
}

static struct row *make_locked(struct shard *s, const struct row_key *k, uint64_t hash)
{
	struct row *w = find_locked(s, k, hash), **b;

	if (w)
		return w;
	w = calloc(1, sizeof(*w) + k->len);
	if (!w)
		return NULL;
	w->vol = k->vol;
	w->obj = k->obj;
	w->kind = k->kind;
	w->len = k->len;
	w->hash = hash;
	memcpy(w->name, k->name, k->len);
	grow_locked(s);
	b = &s->buckets[(hash >> 8) & (s->nbuckets - 1)];
	w->next = *b;
	*b = w;
	s->nrows++;
	s->bytes += row_cost(w);
	return w;
}

static void unlink_locked(struct shard *s, struct row *w)
{
	struct row **p = &s->buckets[(w->hash >> 8) & (s->nbuckets - 1)];

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	s->nrows--;
	s->bytes -= row_cost(w);
	vers_free(s, w->newest);
	free(w);
}

static void lru_off_locked(struct shard *s, struct row *w)
{
	if (w->on_lru) {
		TAILQ_REMOVE(&s->lru, w, lru);
		w->on_lru = false;
		s->nlru--;
		s->lru_bytes -= w->lru_cost;
	}
}

/* The newest few stay even then: an operation that loaded them one by one needs all of them at once. */
static void evict_locked(struct rows *r, struct shard *s)
{
	uint64_t max = atomic_load_explicit(&r->shard_max, memory_order_relaxed);

	while (s->lru_bytes > max && s->nlru > LRU_LEAST) {
		struct row *last = TAILQ_LAST(&s->lru, row_lru);

		lru_off_locked(s, last);
		unlink_locked(s, last);
	}
}

/* Put w where it belongs after a change: on the LRU list, nowhere, or away. */
static void rest_locked(struct rows *r, struct shard *s, struct row *w)
{
	lru_off_locked(s, w);
	if (w->pins || w->loaders || w->set || (w->newest && w->newest->lsn))
		return;
	if (!w->newest) {
		unlink_locked(s, w);
		return;
	}
	TAILQ_INSERT_HEAD(&s->lru, w, lru);
	w->on_lru = true;
	w->lru_cost = (uint32_t)(row_cost(w) + ver_cost(w->newest)); /* a clean version is the only one */
	s->nlru++;
	s->lru_bytes += w->lru_cost;
	evict_locked(r, s);
}

/* ---- values ---- */

static int value_out(const struct row_key *k, const struct row_ver *v, struct row_value *out)
{
	if (v->absent)
		return -ENOENT;
	switch (k->kind) {
	case ROW_ATTR:
		memcpy(&out->attr, v->data, sizeof(out->attr));
		return 0;
	case ROW_ENTRY:
		memcpy(&out->entry, v->data, sizeof(out->entry));
		return 0;
	case ROW_LEAF:
		memcpy(out->map, v->data, sizeof(out->map));
		return 0;
	default:
		out->blob.data = malloc(v->len + 1);
		if (!out->blob.data)
			return -ENOMEM;
		memcpy(out->blob.data, v->data, v->len);
		out->blob.len = v->len;
		return 0;
	}
}

static struct row_ver *ver_new(const void *data, size_t len)
{
	struct row_ver *v = malloc(sizeof(*v) + len);

	if (!v)
		return NULL;
	v->older = v->newer = NULL;
	v->epoch = v->lsn = 0;
	v->len = (uint32_t)len;
	v->absent = !data;
	if (data)
		memcpy(v->data, data, len);
	return v;
}

static struct row_ver *ver_from_value(uint8_t kind, int found, const struct row_value *val)
{
	if (found == -ENOENT)
		return ver_new(NULL, 0);
	switch (kind) {
	case ROW_ATTR:
		return ver_new(&val->attr, sizeof(val->attr));
	case ROW_ENTRY:
		return ver_new(&val->entry, sizeof(val->entry));
	case ROW_LEAF:
		return ver_new(val->map, sizeof(val->map));
	default:
		return ver_new(val->blob.data, val->blob.len);
	}
}

/* ---- look-up ---- */

int rows_peek(struct fs *fs, const struct row_key *k, struct row_value *out)
{
	uint64_t oh = object_hash(k->vol, k->kind, k->obj);
	struct shard *s = shard_of(fs->rows, oh);
	struct row *w;
	int r = -EAGAIN;

	pthread_mutex_lock(&s->lock);
	w = find_locked(s, k, key_hash(k, oh));
	if (w && w->newest) {
		s->hits++;
		r = value_out(k, w->newest, out);
		if (w->on_lru) {
			TAILQ_REMOVE(&s->lru, w, lru);
			TAILQ_INSERT_HEAD(&s->lru, w, lru);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* The newest version with epoch <= bound of an ancestor's row that may be trusted without asking the database: a dirty one,
 * or with bare_below (no volume between has rows) any.  1 and *out/_found filled, 0 none, -errno. */
static int ancestor(struct fs *fs, const struct row_key *k, uint64_t vol, uint64_t bound, bool bare_below, struct row_value *out,
		    int *found, uint64_t *epoch)
{
	uint64_t oh = object_hash(vol, k->kind, k->obj);
	struct shard *s = shard_of(fs->rows, oh);
	struct row_key ak = *k;
	struct row_ver *v = NULL;
	struct row *w;
	int r = 0;

	ak.vol = vol;
	pthread_mutex_lock(&s->lock);
	w = find_locked(s, &ak, key_hash(&ak, oh));
	if (w)
		for (v = w->newest; v && v->epoch > bound; v = v->older)
			;
	if (v && (v->lsn || bare_below)) {
		*found = value_out(k, v, out);
		*epoch = v->epoch;
		r = *found == 0 || *found == -ENOENT ? 1 : *found;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int from_database(struct fs *fs, struct vol *v, const struct row_key *k, struct row_value *out, uint64_t *epoch)
{
	struct meta_reader *rd;
	struct chain_buf c;
	size_t len = 0;
	int r;

	/* Looked at after the loader's mark.  What is created later leaves a version in memory, and that wins. */
	if (k->obj >= atomic_load(&fs->stored_ino))
		return -ENOENT;
	r = nowait_check();
	if (!r)
		r = chain_build(v, &c);
	if (r)
		return r;
	rd = reader_take(fs);
	if (!rd) {
		chain_release(&c);
		return -EIO;
	}
	switch (k->kind) {
	case ROW_ATTR:
		r = meta_find_attr(rd, &c.c, k->obj, &out->attr, epoch);
		break;
	case ROW_ENTRY:
		r = meta_find_entry(rd, &c.c, k->obj, k->name, k->len, &out->entry, epoch);
		break;
	case ROW_LEAF:
		r = meta_find_leaf(rd, &c.c, k->obj, get_le64(k->name), out->map, epoch);
		break;
	default:
		r = meta_find_xattr(rd, &c.c, k->obj, k->name, k->len, &out->blob.data, &len, epoch);
		out->blob.len = (uint32_t)len;
		break;
	}
	reader_give(fs, rd);
	chain_release(&c);
	return r;
}

int rows_get(struct fs *fs, struct vol *v, const struct row_key *k, struct row_value *out)
{
	uint64_t oh = object_hash(k->vol, k->kind, k->obj), hash = key_hash(k, oh), epoch = 0;
	struct shard *s = shard_of(fs->rows, oh);
	struct row_ver *ver;
	struct row *w;
	bool bare, keep;
	int r, found = -ENOENT;

	r = rows_peek(fs, k, out);
	if (r != -EAGAIN)
		return r;

	/* A loader's mark first, then the look: a change published in between leaves a version and wins over what is read. */
	pthread_mutex_lock(&s->lock);
	s->misses++;
	w = make_locked(s, k, hash);
	if (w) {
		lru_off_locked(s, w);
		w->loaders++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!w)
		return -ENOMEM;

	/* Leaves of a volume whose birth is not applied yet still change when its ancestors' bytes are converted. */
	keep = k->kind != ROW_LEAF || atomic_load(&v->applied);
	pthread_rwlock_rdlock(&fs->vtab.chain);
	bare = vol_flags(v) & META_VOL_BARE;
	r = 0;
	if (k->kind != ROW_LEAF) { /* leaves have no dirty versions */
		for (struct vol *c = v; !r && c->parent; c = c->parent) {
			r = ancestor(fs, k, c->parent->id, c->pin, bare, out, &found, &epoch);
			bare = bare && (vol_flags(c->parent) & META_VOL_BARE);
		}
	}
	if (!r) {
		found = from_database(fs, v, k, out, &epoch);
		r = found == 0 || found == -ENOENT ? 1 : found;
	}
	pthread_rwlock_unlock(&fs->vtab.chain);

	ver = r > 0 && keep ? ver_from_value(k->kind, found, out) : NULL;
	pthread_mutex_lock(&s->lock);
	w->loaders--;
	if (ver && !w->newest && !w->stale) {
		ver->epoch = epoch;
		w->newest = w->oldest = ver;
		s->bytes += ver_cost(ver);
		ver = NULL;
	}
	if (!w->loaders)
		w->stale = false;
	rest_locked(fs->rows, s, w);
	tell_locked(fs->rows, s);
	pthread_mutex_unlock(&s->lock);
	free(ver);
	return r > 0 ? found : r;
}

/* ---- change ---- */

static struct row_set *set_locked(struct shard *s, const struct row_key *k, uint64_t oh, bool make)
{
	struct row_set **b = &s->sets[(oh >> 6) % ARRAY_SIZE(s->sets)], *t;

	for (t = *b; t; t = t->next)
		if (t->vol == k->vol && t->obj == k->obj && t->kind == k->kind)
			return t;
	if (!make)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->vol = k->vol;
	t->obj = k->obj;
	t->kind = k->kind;
	RB_INIT(&t->names);
	t->next = *b;
	*b = t;
	return t;
}

static void set_rest_locked(struct shard *s, struct row_set *t)
{
	struct row_set **b;

	if (t->pins || !RB_EMPTY(&t->names))
		return;
	b = &s->sets[(object_hash(t->vol, t->kind, t->obj) >> 6) % ARRAY_SIZE(s->sets)];
	while (*b != t)
		b = &(*b)->next;
	*b = t->next;
	free(t);
}

int rows_prepare(struct fs *fs, const struct row_key *k, const void *value, size_t len, struct row_prep *p)
{
	uint64_t oh = object_hash(k->vol, k->kind, k->obj);
	struct shard *s = shard_of(fs->rows, oh);

	p->row = NULL;
	p->set = NULL;
	p->ver = ver_new(value, value ? len : 0);
	if (!p->ver)
		return -ENOMEM;
	pthread_mutex_lock(&s->lock);
	p->row = make_locked(s, k, key_hash(k, oh));
	if (p->row) {
		lru_off_locked(s, p->row);
		p->row->pins++;
		if (k->kind == ROW_ENTRY || k->kind == ROW_XATTR) {
			p->set = set_locked(s, k, oh, true);
			if (p->set)
				p->set->pins++;
		}
	}
	tell_locked(fs->rows, s);
	pthread_mutex_unlock(&s->lock);
	if (!p->row || ((k->kind == ROW_ENTRY || k->kind == ROW_XATTR) && !p->set)) {
		rows_unprepare(fs, p);
		return -ENOMEM;
	}
	return 0;
}

void rows_unprepare(struct fs *fs, struct row_prep *p)
{
	struct shard *s;

	free(p->ver);
	p->ver = NULL;
	if (!p->row)
		return;
	s = shard_of(fs->rows, object_hash(p->row->vol, p->row->kind, p->row->obj));
	pthread_mutex_lock(&s->lock);
	p->row->pins--;
	rest_locked(fs->rows, s, p->row);
	if (p->set) {
		p->set->pins--;
		set_rest_locked(s, p->set);
	}
	tell_locked(fs->rows, s);
	pthread_mutex_unlock(&s->lock);
	p->row = NULL;
	p->set = NULL;
}

void rows_publish(struct fs *fs, struct row_prep *p, uint64_t epoch, uint64_t lsn)
{
	struct row *w = p->row;
	struct shard *s = shard_of(fs->rows, object_hash(w->vol, w->kind, w->obj));
	struct row_ver *v = p->ver, *old;

	pthread_mutex_lock(&s->lock);
	v->epoch = epoch;
	v->lsn = lsn;
	old = w->newest;
	if (w->kind == ROW_ATTR && old && !old->absent && !v->absent) /* alloc is the database's; carry it over */
		((struct meta_attr *)(void *)v->data)->alloc = ((struct meta_attr *)(void *)old->data)->alloc;
	if (old && old->lsn && old->epoch == epoch) { /* same epoch: no head can see the older value any more */
		v->older = old->older;
		s->bytes -= ver_cost(old);
		free(old);
	} else {
		v->older = old;
	}
	*(v->older ? &v->older->newer : &w->oldest) = v;
	w->newest = v;
	s->bytes += ver_cost(v);
	p->ver = NULL;
	w->pins--;
	if (p->set) {
		if (!w->set) {
			w->set = p->set;
			RB_INSERT(row_names, &p->set->names, w);
		}
		p->set->pins--;
	}
	lru_off_locked(s, w);
	tell_locked(fs->rows, s);
	pthread_mutex_unlock(&s->lock);
	p->row = NULL;
	p->set = NULL;
}

void rows_applied(struct fs *fs, const struct row_key *k, uint64_t lsn)
{
	uint64_t oh = object_hash(k->vol, k->kind, k->obj);
	struct shard *s = shard_of(fs->rows, oh);
	struct row_ver *v;
	struct row *w;

	pthread_mutex_lock(&s->lock);
	w = find_locked(s, k, key_hash(k, oh));
	if (w) {
		/* From the oldest: a row changed between many copies has many versions, and mostly few of them are applied. */
		v = w->oldest && w->oldest->lsn <= lsn ? w->oldest : NULL;
		while (v && v->newer && v->newer->lsn <= lsn)
			v = v->newer;
		if (v) {
			v->lsn = 0;
			vers_free(s, v->older);
			v->older = NULL;
			w->oldest = v;
		}
		if (w->set && w->newest && !w->newest->lsn) {
			struct row_set *t = w->set;

			RB_REMOVE(row_names, &t->names, w);
			w->set = NULL;
			set_rest_locked(s, t);
		}
		rest_locked(fs->rows, s, w);
	}
	tell_locked(fs->rows, s);
	pthread_mutex_unlock(&s->lock);
}

void rows_forget(struct fs *fs, const struct row_key *k)
{
	uint64_t oh = object_hash(k->vol, k->kind, k->obj);
	struct shard *s = shard_of(fs->rows, oh);
	struct row_ver *v;
	struct row *w;

	pthread_mutex_lock(&s->lock);
	w = find_locked(s, k, key_hash(k, oh));
	if (w) {
		if (w->loaders)
			w->stale = true;
		lru_off_locked(s, w);
		v = w->oldest;
		if (v && !v->lsn) { /* no other can be clean */
			w->oldest = v->newer;
			*(v->newer ? &v->newer->older : &w->newest) = NULL;
			vers_free(s, v);
		}
		rest_locked(fs->rows, s, w);
	}
	tell_locked(fs->rows, s);
	pthread_mutex_unlock(&s->lock);
}

void rows_add_alloc(struct fs *fs, uint64_t vol, uint64_t ino, uint64_t epoch, int64_t delta)
{
	uint64_t oh = object_hash(vol, ROW_ATTR, ino);
	struct shard *s = shard_of(fs->rows, oh);
	struct row_key k = { .vol = vol, .obj = ino, .kind = ROW_ATTR };
	struct row *w;

	pthread_mutex_lock(&s->lock);
	w = find_locked(s, &k, oh);
	if (w) {
		for (struct row_ver *v = w->newest; v && v->epoch >= epoch; v = v->older)
			if (!v->absent)
				((struct meta_attr *)(void *)v->data)->alloc += (uint64_t)delta;
		if (w->loaders)
			w->stale = true;
	}
	pthread_mutex_unlock(&s->lock);
}

bool rows_dirty(struct fs *fs, const struct row_key *k)
{
	uint64_t oh = object_hash(k->vol, k->kind, k->obj);
	struct shard *s = shard_of(fs->rows, oh);
	struct row *w;
	bool dirty;

	pthread_mutex_lock(&s->lock);
	w = find_locked(s, k, key_hash(k, oh));
	dirty = w && w->newest && w->newest->lsn;
	pthread_mutex_unlock(&s->lock);
	return dirty;
}

unsigned rows_dirty_names(struct fs *fs, uint64_t vol, enum row_kind kind, uint64_t obj, uint64_t bound, const void *after,
			  size_t after_len, unsigned max, void (*cb)(void *arg, const void *name, size_t len, const void *value),
			  void *arg)
{
	uint64_t oh = object_hash(vol, (uint8_t)kind, obj);
	struct shard *s = shard_of(fs->rows, oh);
	struct row_key k;
	union {
		struct row w;
		uint8_t room[sizeof(struct row) + META_NAME_MAX + 1];
	} key;
	struct row_set *t;
	struct row *w;
	unsigned n = 0;

	row_key_set(&k, vol, kind, obj, NULL, 0);
	key.w.len = (uint16_t)after_len;
	if (after_len)
		memcpy(key.w.name, after, after_len);
	pthread_mutex_lock(&s->lock);
	t = set_locked(s, &k, oh, false);
	if (t) {
		w = RB_NFIND(row_names, &t->names, &key.w);
		if (w && after_len && !row_cmp(w, &key.w))
			w = RB_NEXT(row_names, &t->names, w);
		for (; w && n < max; w = RB_NEXT(row_names, &t->names, w)) {
			struct row_ver *v = w->newest;

			while (v && v->epoch > bound)
				v = v->older;
			if (!v || !v->lsn)
				continue;
			cb(arg, w->name, w->len, v->absent ? NULL : v->data);
			n++;
		}
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

void rows_limit(struct rows *r, uint64_t bytes)
{
	uint64_t before = atomic_exchange_explicit(&r->shard_max, bytes / SHARDS, memory_order_relaxed);

	for (unsigned i = 0; i < SHARDS && bytes / SHARDS < before; i++) {
		pthread_mutex_lock(&r->shard[i].lock);
		evict_locked(r, &r->shard[i]);
		pthread_mutex_unlock(&r->shard[i].lock);
	}
}

uint64_t rows_dirty_bytes(struct rows *r)
{
	int64_t n = (int64_t)atomic_load_explicit(&r->dirty, memory_order_relaxed); /* below nothing by what is not told yet */

	return n > 0 ? (uint64_t)n : 0;
}

void rows_get_stats(struct rows *r, struct cache_stats *out)
{
	*out = (struct cache_stats){ 0 };
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &r->shard[i];

		pthread_mutex_lock(&s->lock);
		out->bytes += s->lru_bytes;
		out->hits += s->hits;
		out->misses += s->misses;
		pthread_mutex_unlock(&s->lock);
	}
}
