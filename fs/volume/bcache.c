/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks in memory, by id: where they lie and, for those read lately, their verified content.  Ids are never reused, content
 * never changes; only the place of a block can (compaction), which costs a retry.
 *
 * Sharded; the shard lock is a leaf and not held while reading.
 */
#include "fs/volume/internal.h"

#include <bsd/sys/queue.h>

#define SHARDS 16
#define READ_TRIES 4

struct cblock {
	struct cblock *next; /* bucket */
	TAILQ_ENTRY(cblock) lru;
	struct meta_block loc;
	uint8_t *data; /* owned; NULL: place only */
	unsigned uses; /* readers copying from data; not evicted */
};
TAILQ_HEAD(cblock_lru, cblock);

struct bshard {
	pthread_mutex_t lock;
	struct cblock *bucket[1024];
	struct cblock_lru lru;
	uint64_t bytes, hits, misses;
};

struct bcache {
	struct bshard shard[SHARDS];
	_Atomic uint64_t shard_max;
	uint32_t block_size;
};

int bcache_new(uint32_t block_size, struct bcache **out)
{
	struct bcache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->block_size = block_size;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&c->shard[i].lock, NULL);
		TAILQ_INIT(&c->shard[i].lru);
	}
	*out = c;
	return 0;
}

static struct bshard *shard_of(struct bcache *c, uint64_t id)
{
	return &c->shard[id % SHARDS];
}
static struct cblock **bucket_of(struct bshard *s, uint64_t id)
{
	return &s->bucket[(id / SHARDS) % ARRAY_SIZE(s->bucket)];
}

static uint64_t cost(const struct bcache *c, const struct cblock *b)
{
	return sizeof(*b) + 32 + (b->data ? c->block_size : 0);
}

static void remove_locked(struct bcache *c, struct bshard *s, struct cblock *b)
{
	struct cblock **p = bucket_of(s, b->loc.id);

	while (*p != b)
		p = &(*p)->next;
	*p = b->next;
	TAILQ_REMOVE(&s->lru, b, lru);
	s->bytes -= cost(c, b);
	free(b->data);
	free(b);
}

void bcache_free(struct bcache *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct cblock *b;

		while ((b = TAILQ_FIRST(&c->shard[i].lru)))
			remove_locked(c, &c->shard[i], b);
		pthread_mutex_destroy(&c->shard[i].lock);
	}
	free(c);
}

static struct cblock *find_locked(struct bshard *s, uint64_t id)
{
	struct cblock *b = *bucket_of(s, id);

	while (b && b->loc.id != id)
		b = b->next;
	if (b) {
		TAILQ_REMOVE(&s->lru, b, lru);
		TAILQ_INSERT_HEAD(&s->lru, b, lru);
	}
	return b;
}

void bcache_forget(struct bcache *c, uint64_t id)
{
	struct bshard *s = shard_of(c, id);
	struct cblock *b;

	pthread_mutex_lock(&s->lock);
	b = find_locked(s, id);
	if (b && !b->uses)
		remove_locked(c, s, b);
	pthread_mutex_unlock(&s->lock);
}

static void evict_locked(struct bcache *c, struct bshard *s)
{
	uint64_t max = atomic_load_explicit(&c->shard_max, memory_order_relaxed);
	struct cblock *b, *newer;

	for (b = TAILQ_LAST(&s->lru, cblock_lru); b && s->bytes > max; b = newer) {
		newer = TAILQ_PREV(b, cblock_lru, lru);
		if (!b->uses)
			remove_locked(c, s, b);
	}
}

void bcache_limit(struct bcache *c, uint64_t bytes)
{
	uint64_t max = MAX(bytes / SHARDS, c->block_size + sizeof(struct cblock) + 64), before = atomic_exchange(&c->shard_max, max);

	for (unsigned i = 0; i < SHARDS && max < before; i++) {
		pthread_mutex_lock(&c->shard[i].lock);
		evict_locked(c, &c->shard[i]);
		pthread_mutex_unlock(&c->shard[i].lock);
	}
}

/* Remember a place and, if given, content (owned from here on). */
static void remember(struct bcache *c, const struct meta_block *loc, uint8_t *data)
{
	struct bshard *s = shard_of(c, loc->id);
	struct cblock *b;

	pthread_mutex_lock(&s->lock);
	b = find_locked(s, loc->id);
	if (!b) {
		b = calloc(1, sizeof(*b));
		if (b) {
			struct cblock **p = bucket_of(s, loc->id);

			b->loc = *loc;
			b->next = *p;
			*p = b;
			TAILQ_INSERT_HEAD(&s->lru, b, lru);
			s->bytes += cost(c, b);
		}
	}
	if (b) {
		b->loc = *loc;
		if (!b->data && data) {
			b->data = data;
			s->bytes += c->block_size;
			data = NULL;
		}
		evict_locked(c, s);
	}
	pthread_mutex_unlock(&s->lock);
	free(data);
}

/* 1: copied from the cache; 0: not there, *loc filled if the place is known (loc->id != 0). */
static int try_cached(struct bcache *c, uint64_t id, size_t off, size_t n, void *buf, struct meta_block *loc)
{
	struct bshard *s = shard_of(c, id);
	struct cblock *b;
	int hit = 0;

	loc->id = 0;
	pthread_mutex_lock(&s->lock);
	b = find_locked(s, id);
	s->hits += b && b->data;
	s->misses += !b || !b->data;
	if (b) {
		*loc = b->loc;
		if (b->data) {
			b->uses++;
			hit = 1;
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!hit)
		return 0;
	memcpy(buf, b->data + off, n);
	pthread_mutex_lock(&s->lock);
	b->uses--;
	pthread_mutex_unlock(&s->lock);
	return 1;
}

static int place_of(struct fs *fs, uint64_t id, struct meta_block *loc)
{
	struct meta_reader *rd = reader_take(fs);
	int r;

	if (!rd)
		return -EIO;
	r = meta_find_block(rd, id, loc);
	reader_give(fs, rd);
	return r;
}

int bcache_read(struct fs *fs, uint64_t id, size_t off, size_t n, void *buf)
{
	struct bcache *c = fs->bcache;
	struct meta_block loc;
	int r = 0;

	for (unsigned t = 0; t < READ_TRIES; t++) {
		struct store_loc sl;
		uint8_t *data;

		if (try_cached(c, id, off, n, buf, &loc))
			return 0;
		r = nowait_check();
		if (r)
			return r;
		if (!loc.id) {
			r = place_of(fs, id, &loc);
			if (r)
				return r;
		}
		if (!loc.pack) /* lost (repair.c) */
			return -EUCLEAN;
		sl = (struct store_loc){ loc.pack, loc.off, loc.stored, loc.len, loc.codec };
		/* A reader of a few KiB is served without keeping the whole block (store_get verifies the part). */
		if (n < c->block_size / 2 && n) {
			r = store_get(fs->store, &sl, loc.hash, off, n, buf);
			if (!r) {
				remember(c, &loc, NULL);
				return 0;
			}
		} else {
			data = malloc(c->block_size);
			if (!data)
				return -ENOMEM;
			r = store_get(fs->store, &sl, loc.hash, 0, c->block_size, data);
			if (!r) {
				memcpy(buf, data + off, n);
				remember(c, &loc, data);
				return 0;
			}
			free(data);
		}
		/* Moved or freed since we looked?  Then the place is another one now, or the caller must map the range again. */
		bcache_forget(c, id);
		if (r != -EUCLEAN && r != -ENOENT)
			return r;
	}
	if (r == -EUCLEAN) {
		atomic_fetch_add(&fs->stat.verify_errors, 1);
		msg(LOG_ERR, "block=%llu does not verify: pack=%u off=%llu; its bytes are refused (EIO)", (unsigned long long)id,
		    loc.pack, (unsigned long long)loc.off);
	}
	return r;
}

/* Those of the blocks that are not in memory, and where they lie.  Their number, or -errno. */
static int want_blocks(struct fs *fs, const uint64_t *id, unsigned n, uint8_t *buf, struct store_want *w)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t *to = buf + (size_t)i * fs->block_size;
		struct meta_block loc;
		int r;

		if (try_cached(fs->bcache, id[i], 0, fs->block_size, to, &loc))
			continue;
		r = nowait_check();
		if (!r && !loc.id)
			r = place_of(fs, id[i], &loc);
		if (r)
			return r;
		w[k] = (struct store_want){ .loc = { loc.pack, loc.off, loc.stored, loc.len, loc.codec }, .buf = to };
		memcpy(w[k++].hash, loc.hash, HASH_BYTES);
	}
	return (int)k;
}

int bcache_read_run(struct fs *fs, const uint64_t *id, unsigned n, void *buf)
{
	struct store_want w[BCACHE_RUN_MAX];
	int r;

	KAGEFS_ASSERT(n <= BCACHE_RUN_MAX);
	r = want_blocks(fs, id, n, buf, w);
	if (r > 0)
		r = store_get_many(fs->store, w, (unsigned)r);
	if (!r)
		return 0;
	/* Moved meanwhile, or damaged: one by one finds out. */
	r = 0;
	for (unsigned i = 0; !r && i < n; i++)
		r = bcache_read(fs, id[i], 0, fs->block_size, (uint8_t *)buf + (size_t)i * fs->block_size);
	return r;
}

bool bcache_cached(struct fs *fs, uint64_t id, void *buf)
{
	struct meta_block known;

	return try_cached(fs->bcache, id, 0, fs->block_size, buf, &known);
}

int bcache_read_at(struct fs *fs, const struct meta_block *b, void *buf)
{
	struct store_loc sl = { b->pack, b->off, b->stored, b->len, b->codec };
	struct meta_block known;
	int r;

	if (try_cached(fs->bcache, b->id, 0, fs->block_size, buf, &known))
		return 0;
	r = store_get(fs->store, &sl, b->hash, 0, fs->block_size, buf);
	if (r == -EUCLEAN)
		atomic_fetch_add(&fs->stat.verify_errors, 1);
	return r;
}

void bcache_get_stats(struct bcache *c, struct cache_stats *out)
{
	*out = (struct cache_stats){ 0 };
	for (unsigned i = 0; i < SHARDS; i++) {
		struct bshard *s = &c->shard[i];

		pthread_mutex_lock(&s->lock);
		out->bytes += s->bytes;
		out->hits += s->hits;
		out->misses += s->misses;
		pthread_mutex_unlock(&s->lock);
	}
}
