/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/volume/nodes.h"

#include <errno.h>
#include <stdlib.h>

#define CAP_LEAST 16u

void nodes_init(struct nodes *t)
{
	for (unsigned i = 0; i < NODES_SHARDS; i++) {
		t->shard[i] = (struct nodes_shard){0};
		pthread_mutex_init(&t->shard[i].lock, NULL);
	}
}

void nodes_release(struct nodes *t)
{
	for (unsigned i = 0; i < NODES_SHARDS; i++) {
		free(t->shard[i].v);
		pthread_mutex_destroy(&t->shard[i].lock);
	}
}

static uint64_t hash(uint64_t vol, uint64_t ino)
{
	uint64_t x = ino * 0x9e3779b97f4a7c15ull ^ vol * 0xc2b2ae3d27d4eb4full;

	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static struct nodes_shard *shard_of(struct nodes *t, uint64_t h)
{
	return &t->shard[h % NODES_SHARDS];
}

static uint32_t home(const struct nodes_shard *s, uint64_t h)
{
	return (uint32_t)(h / NODES_SHARDS) & (s->cap - 1);
}

/* Its place, or the empty one where it would go.  cap > n. */
static uint32_t find_locked(const struct nodes_shard *s, uint64_t h, uint64_t vol, uint64_t ino)
{
	uint32_t i = home(s, h);

	while (s->v[i].n && (s->v[i].vol != vol || s->v[i].ino != ino))
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int resize_locked(struct nodes_shard *s, uint32_t cap)
{
	struct nodes_shard to = {.v = calloc(cap, sizeof(*to.v)), .cap = cap};

	if (!to.v)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->cap; i++)
		if (s->v[i].n)
			to.v[find_locked(&to, hash(s->v[i].vol, s->v[i].ino), s->v[i].vol, s->v[i].ino)] = s->v[i];
	free(s->v);
	s->v = to.v;
	s->cap = cap;
	return 0;
}

/* Close the gap at i: what was pushed beyond it moves back. */
static void remove_locked(struct nodes_shard *s, uint32_t i)
{
	uint32_t mask = s->cap - 1, j = i;

	for (;;) {
		uint32_t want;

		s->v[i].n = 0;
		do {
			j = (j + 1) & mask;
			if (!s->v[j].n)
				return;
			want = home(s, hash(s->v[j].vol, s->v[j].ino));
		} while (((j - want) & mask) < ((j - i) & mask)); /* its home lies behind the gap */
		s->v[i] = s->v[j];
		i = j;
	}
}

int nodes_add(struct nodes *t, uint64_t vol, uint64_t ino, bool *first)
{
	uint64_t h = hash(vol, ino);
	struct nodes_shard *s = shard_of(t, h);
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (s->n + 1 > s->cap / 4 * 3)
		r = resize_locked(s, s->cap ? s->cap * 2 : CAP_LEAST);
	if (!r) {
		struct node_count *c = &s->v[find_locked(s, h, vol, ino)];

		if (first)
			*first = !c->n;
		s->n += !c->n;
		*c = (struct node_count){vol, ino, c->n + 1};
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void nodes_drop(struct nodes *t, uint64_t vol, uint64_t ino, uint64_t count)
{
	uint64_t h = hash(vol, ino);
	struct nodes_shard *s = shard_of(t, h);

	pthread_mutex_lock(&s->lock);
	if (s->cap) {
		uint32_t i = find_locked(s, h, vol, ino);

		if (s->v[i].n > count) {
			s->v[i].n -= count;
		} else if (s->v[i].n) {
			remove_locked(s, i);
			s->n--;
			if (s->cap > CAP_LEAST && s->n < s->cap / 8)
				(void)!resize_locked(s, s->cap / 2); /* else it stays large */
		}
	}
	pthread_mutex_unlock(&s->lock);
}

bool nodes_known(struct nodes *t, uint64_t vol, uint64_t ino)
{
	uint64_t h = hash(vol, ino);
	struct nodes_shard *s = shard_of(t, h);
	bool known;

	pthread_mutex_lock(&s->lock);
	known = s->cap && s->v[find_locked(s, h, vol, ino)].n;
	pthread_mutex_unlock(&s->lock);
	return known;
}

uint64_t nodes_bytes(struct nodes *t)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < NODES_SHARDS; i++) {
		pthread_mutex_lock(&t->shard[i].lock);
		sum += (uint64_t)t->shard[i].cap * sizeof(*t->shard[i].v);
		pthread_mutex_unlock(&t->shard[i].lock);
	}
	return sum;
}
