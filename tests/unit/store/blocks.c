/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/store/blocks.h"

#include <string.h>

uint64_t block_random(uint64_t *state)
{
	uint64_t x = (*state += 0x9e3779b97f4a7c15u);
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void block_content(uint32_t seed, void *buf, uint32_t len)
{
	uint8_t *p = buf;
	uint64_t state = seed, word = 0;
	for (uint32_t i = 0; i < len; i++) {
		if (i % 8 == 0)
			word = block_random(&state);
		p[i] = (uint8_t)(word >> i % 8 * 8);
		if (seed % 2 == 0)
			p[i] = i < 8 ? p[i] : i % 64 < 48 ? p[i % 8] : p[i] & 3;
	}
}

int block_put(struct store *st, struct block *b, uint32_t seed, uint32_t len)
{
	struct store_blob blob = { 0 };
	uint8_t *buf = malloc(len);
	if (!buf)
		return -ENOMEM;
	b->seed = seed;
	b->len = len;
	block_content(seed, buf, len);
	int r = store_hash(st, buf, len, b->hash);
	if (r == 0)
		r = store_encode(st, buf, len, b->hash, NULL, &blob);
	blob.id = seed;
	if (r == 0)
		r = store_append(st, &blob, &b->loc);
	store_blob_release(&blob);
	free(buf);
	return r;
}

/* Exact allocations, so that the address sanitizer sees a byte too many. */
static int check_range(struct store *st, const struct block *b, uint32_t off, uint32_t n)
{
	uint8_t *want = calloc(1, (size_t)off + n > b->len ? (size_t)off + n : b->len), *got = malloc(n ? n : 1);
	int r = want && got ? 0 : -ENOMEM;
	if (r == 0) {
		memset(got, 0xee, n);
		block_content(b->seed, want, b->len);
		r = store_get(st, &b->loc, b->hash, off, n, got);
	}
	if (r == 0 && memcmp(want + off, got, n))
		r = -EBADMSG;
	free(want);
	free(got);
	return r;
}

int block_check_part(struct store *st, const struct block *b, uint32_t off, uint32_t n)
{
	return check_range(st, b, off, n);
}

int block_check(struct store *st, const struct block *b)
{
	int r = check_range(st, b, b->len / 3, b->len / 3 + 1);
	return r ? r : check_range(st, b, 0, b->len);
}

int block_census(void *arg, const struct store_record *rec)
{
	struct block_census *c = arg;
	c->total++;
	for (size_t i = 0; i < c->n; i++) {
		const struct store_loc *l = &c->blocks[i].loc;
		if (l->pack == rec->loc.pack && l->off == rec->loc.off && l->stored == rec->loc.stored &&
		    l->len == rec->loc.len && l->codec == rec->loc.codec &&
		    rec->id == c->blocks[i].seed && !memcmp(c->blocks[i].hash, rec->hash, HASH_BYTES))
			c->found[i] = true;
	}
	return 0;
}
