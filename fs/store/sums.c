/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cache of chunk tables.  An entry is found by place and hash together, so one whose record was dropped can never be
 * taken for another's: nothing needs to be invalidated.
 */
#include "fs/store/sums.h"

#include <errno.h>
#include <string.h>

#include "fs/base/hash.h"

struct slot {
	uint64_t off;
	uint32_t pack; /* 0: empty */
	uint32_t used;
	uint32_t table_len;
	uint8_t hash[HASH_BYTES];
	uint8_t table[];
};

int sums_init(struct sums *c, size_t budget_bytes, uint32_t table_max)
{
	memset(c, 0, sizeof(*c));
	for (int i = 0; i < SUMS_LOCKS; i++)
		pthread_mutex_init(&c->locks[i].lock, NULL);
	if (!table_max)
		return 0;
	c->table_max = table_max;
	c->slot_bytes = (sizeof(struct slot) + table_max + 7) / 8 * 8;
	c->nsets = SUMS_LOCKS;
	while (c->nsets * 2 * SUMS_WAYS * c->slot_bytes <= budget_bytes)
		c->nsets *= 2;
	c->slots = calloc(c->nsets * SUMS_WAYS, c->slot_bytes);
	return c->slots ? 0 : -ENOMEM;
}

void sums_release(struct sums *c)
{
	free(c->slots);
	for (int i = 0; i < SUMS_LOCKS; i++)
		pthread_mutex_destroy(&c->locks[i].lock);
}

/* The hash is evenly spread already. */
static size_t set_of(const struct sums *c, const uint8_t *hash)
{
	uint64_t h;
	memcpy(&h, hash, sizeof(h));
	return h & (c->nsets - 1);
}

static struct slot *way(const struct sums *c, size_t set, unsigned i)
{
	return (struct slot *)(c->slots + (set * SUMS_WAYS + i) * c->slot_bytes);
}

static struct slot *find_locked(const struct sums *c, size_t set, uint32_t pack, uint64_t off, const uint8_t *hash)
{
	for (unsigned i = 0; i < SUMS_WAYS; i++) {
		struct slot *s = way(c, set, i);
		if (s->pack == pack && s->off == off && !memcmp(s->hash, hash, HASH_BYTES))
			return s;
	}
	return NULL;
}

bool sums_find(struct sums *c, uint32_t pack, uint64_t off, const uint8_t *hash, uint32_t from, uint32_t n, uint8_t *out)
{
	if (!c->slots)
		return false;
	size_t set = set_of(c, hash);
	struct sums_lock *l = &c->locks[set % SUMS_LOCKS];
	pthread_mutex_lock(&l->lock);
	struct slot *s = find_locked(c, set, pack, off, hash);
	bool found = s && from <= s->table_len && n <= s->table_len - from;
	if (found) {
		memcpy(out, s->table + from, n);
		s->used = ++l->clock;
	}
	l->hits += found;
	l->misses += !found;
	pthread_mutex_unlock(&l->lock);
	return found;
}

void sums_count(struct sums *c, uint64_t *hits, uint64_t *misses)
{
	*hits = *misses = 0;
	for (int i = 0; i < SUMS_LOCKS; i++) {
		pthread_mutex_lock(&c->locks[i].lock);
		*hits += c->locks[i].hits;
		*misses += c->locks[i].misses;
		pthread_mutex_unlock(&c->locks[i].lock);
	}
}

void sums_insert(struct sums *c, uint32_t pack, uint64_t off, const uint8_t *hash, const uint8_t *table, uint32_t table_len)
{
	if (!c->slots || table_len > c->table_max)
		return;
	size_t set = set_of(c, hash);
	struct sums_lock *l = &c->locks[set % SUMS_LOCKS];
	pthread_mutex_lock(&l->lock);
	struct slot *s = find_locked(c, set, pack, off, hash);
	for (unsigned i = 0; i < SUMS_WAYS && !s; i++)
		if (!way(c, set, i)->pack)
			s = way(c, set, i);
	if (!s) {
		s = way(c, set, 0);
		for (unsigned i = 1; i < SUMS_WAYS; i++)
			if (way(c, set, i)->used < s->used)
				s = way(c, set, i);
	}
	s->pack = pack;
	s->off = off;
	s->table_len = table_len;
	s->used = ++l->clock;
	memcpy(s->hash, hash, HASH_BYTES);
	memcpy(s->table, table, table_len);
	pthread_mutex_unlock(&l->lock);
}
