/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the store does while the disk does what it should; and after a flush that failed. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/sim/io_sim.h"
#include "tests/unit/store/blocks.h"
#include "tests/unit/store/suites.h"

static struct io *io;
static struct store *st;

static void setup(void)
{
	io = sim_new(1, 0);
	ck_assert_ptr_nonnull(io);
	ck_assert_int_eq(store_format(io), 0);
	st = NULL;
}

static void teardown(void)
{
	store_close(st);
	io_free(io);
}

static struct store_config config(enum store_codec codec, uint32_t block_size, uint64_t pack_bytes)
{
	return (struct store_config){ .block_size = block_size, .hash_algo = HASH_SHA256, .codec = codec,
				      .pack_bytes = pack_bytes };
}

static void reopen(enum store_codec codec, uint32_t block_size, uint64_t pack_bytes)
{
	struct store_config cfg = config(codec, block_size, pack_bytes);
	store_close(st);
	st = NULL;
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
}

#define MANY 64u

/* Blocks of all lengths in several packs, in an order that is partly that of the packs, the last ones still in memory. */
START_TEST(test_store_get_many)
{
	static struct block b[MANY];
	static uint8_t got[MANY][65536], want[65536];
	struct store_want w[MANY];
	uint64_t random = 5;
	reopen((enum store_codec)_i, 65536, 1 << 20);
	for (uint32_t k = 0; k < MANY; k++) {
		ck_assert_int_eq(block_put(st, &b[k], k + 1, k % 5 ? 65536 : 1 + k * 1000), 0);
		if (k == MANY - 6)
			ck_assert_int_eq(store_sync(st), 0);
	}
	ck_assert_uint_ne(b[0].loc.pack, b[MANY - 1].loc.pack);
	for (int round = 0; round < 50; round++) {
		uint32_t at = 0, n = 1 + (uint32_t)(block_random(&random) % MANY), pick[MANY];
		memset(got, 0xee, sizeof(got));
		for (uint32_t k = 0; k < n; k++) {
			at = block_random(&random) % 4 ? (at + 1 + (block_random(&random) % 3 == 0)) % MANY
						       : (uint32_t)(block_random(&random) % MANY);
			pick[k] = at;
			w[k] = (struct store_want){ .loc = b[at].loc, .buf = got[k] };
			memcpy(w[k].hash, b[at].hash, HASH_BYTES);
		}
		ck_assert_int_eq(store_get_many(st, w, n), 0);
		for (uint32_t k = 0; k < n; k++) {
			memset(want, 0, sizeof(want));
			block_content(b[pick[k]].seed, want, b[pick[k]].len);
			ck_assert_mem_eq(got[k], want, sizeof(want));
		}
	}
}
END_TEST

/* Read a block as a base; what is changed in `now` is marked, but for the chunk `lie`. */
static void new_version(const struct block *b, uint8_t *now, uint32_t *len, uint64_t *random, uint32_t lie, struct store_base *base)
{
	struct store_want w = { .loc = b->loc, .buf = now, .keep = &base->blob };
	memset(base, 0, sizeof(*base));
	memcpy(w.hash, b->hash, HASH_BYTES);
	ck_assert_int_eq(store_get_many(st, &w, 1), 0);
	ck_assert_ptr_nonnull(base->blob.payload);
	for (uint64_t n = block_random(random) % 6; n; n--) {
		uint32_t at = (uint32_t)(block_random(random) % *len);
		now[at] ^= 0x55;
		base->changed[at / STORE_CHUNK_BYTES / 64] |= 1ull << at / STORE_CHUNK_BYTES % 64;
	}
	if (block_random(random) % 3 == 0)
		*len -= (uint32_t)(block_random(random) % (*len / 2)); /* the rest reads as zeros */
	if (lie != UINT32_MAX)
		now[lie * STORE_CHUNK_BYTES] ^= 1;
}

/* Chunks that did not change are taken over as they are stored. */
START_TEST(test_store_encode_new_version)
{
	static uint8_t now[1 << 20], back[1 << 20];
	enum { N = 40 };
	uint32_t block_size = _i / 2 ? 1 << 20 : 65536, len;
	uint64_t random = (uint64_t)_i;
	struct store_base base;
	struct store_blob blob;
	struct block b[N];
	uint8_t hash[HASH_BYTES];
	struct store_loc loc;
	reopen(_i % 2 ? STORE_LZ4 : STORE_ZSTD, block_size, 0);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(block_put(st, &b[i], i * 2, block_size - (uint32_t)(block_random(&random) % 9000)), 0);
	ck_assert_int_eq(store_sync(st), 0);
	reopen(_i % 2 ? STORE_LZ4 : STORE_ZSTD, block_size, 0); /* what is in the current pack is not kept */
	for (uint32_t i = 0; i < N; i++) {
		uint32_t lie = i == N - 1 ? 3 : UINT32_MAX;
		len = b[i].len;
		new_version(&b[i], now, &len, &random, lie, &base);
		ck_assert_int_eq(store_hash(st, now, len, hash), 0);
		ck_assert_int_eq(store_encode(st, now, len, hash, &base, &blob), 0);
		ck_assert_int_eq(store_append(st, &blob, &loc), 0);
		store_blob_release(&blob);
		store_blob_release(&base.blob);
		if (lie != UINT32_MAX) { /* that they are taken over shows when they must not be */
			ck_assert_int_eq(store_get(st, &loc, hash, lie * STORE_CHUNK_BYTES, 100, back), -EUCLEAN);
			ck_assert_int_eq(store_prove(st, &loc, hash, back), -EUCLEAN);
			continue;
		}
		ck_assert_int_eq(store_prove(st, &loc, hash, back), 0);
		ck_assert_mem_eq(back, now, len);
		for (uint32_t at = 0; at + 5000 < len; at += 20000) {
			ck_assert_int_eq(store_get(st, &loc, hash, at, 5000, back), 0);
			ck_assert_mem_eq(back, now + at, 5000);
		}
	}
}
END_TEST

START_TEST(test_store_open_refuses)
{
	struct store_config cfg = config(STORE_NONE, 65536, 0);
	struct io *empty = sim_new(1, 0);
	struct block b;
	ck_assert_int_eq(store_open(empty, &cfg, 0, &st), -ENOENT);
	io_free(empty);
	cfg.block_size = 12288;
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), -EINVAL);
	cfg.block_size = 2048;
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), -EINVAL);
	cfg.block_size = 2 << 20;
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), -EINVAL);
	cfg = config((enum store_codec)3, 65536, 0);
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), -EINVAL);
	cfg = config(STORE_NONE, 65536, 0);
	cfg.hash_algo = 9;
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), -EOPNOTSUPP);
	cfg.hash_algo = HASH_SHA256;
	ck_assert_int_eq(store_open(io, &cfg, 6, &st), 0);
	ck_assert_int_eq(block_put(st, &b, 1, 100), 0);
	ck_assert_uint_eq(b.loc.pack, 7);
	ck_assert_int_eq(store_sync(st), 0);
	store_close(st);
	st = NULL;
	ck_assert_int_eq(store_open(io, &cfg, UINT32_MAX, &st), -EINVAL);
	ck_assert_int_eq(store_open(io, &cfg, 3, &st), 0);
}
END_TEST

START_TEST(test_store_encode_refuses)
{
	uint8_t hash[HASH_BYTES] = { 0 }, data[4097] = { 0 };
	struct store_blob b;
	struct store_loc loc;
	reopen(STORE_LZ4, 4096, 0);
	ck_assert_int_eq(store_encode(st, data, 0, hash, NULL, &b), -EINVAL);
	store_blob_release(&b);
	ck_assert_int_eq(store_encode(st, data, 4097, hash, NULL, &b), -EINVAL);
	ck_assert_int_eq(store_append(st, &b, &loc), -EINVAL);
	store_blob_release(&b);
	store_blob_release(&b);
}
END_TEST

/* Every size, both kinds of content; read back from the buffer, from the file, and after reopening. */
static void every_size(enum store_codec codec, uint32_t block_size, const uint32_t *sizes, size_t n)
{
	struct block *b = calloc(2 * n, sizeof(*b));
	reopen(codec, block_size, 1 << 20);
	for (size_t i = 0; i < 2 * n; i++) {
		ck_assert_int_eq(block_put(st, &b[i], (uint32_t)i, sizes[i / 2]), 0);
		ck_assert_int_eq(block_check(st, &b[i]), 0);
		ck_assert_uint_le(b[i].loc.stored, store_stored_max(st, b[i].len));
		/* Compressed exactly where it pays. */
		if (b[i].loc.codec != STORE_NONE)
			ck_assert_uint_le(b[i].loc.stored, 112 + b[i].len - b[i].len / 8);
		else if (codec != STORE_NONE && i % 2 == 0)
			ck_assert_uint_lt(b[i].len, 256);
		if (i % 2 == 1)
			ck_assert_uint_eq(b[i].loc.codec, STORE_NONE);
	}
	ck_assert_int_eq(store_sync(st), 0);
	for (size_t i = 0; i < 2 * n; i++)
		ck_assert_int_eq(block_check(st, &b[i]), 0);
	reopen(codec, block_size, 1 << 20);
	for (size_t i = 0; i < 2 * n; i++)
		ck_assert_int_eq(block_check(st, &b[i]), 0);
	free(b);
}

START_TEST(test_store_every_size_of_small_blocks)
{
	uint32_t sizes[4096];
	for (uint32_t i = 0; i < 4096; i++)
		sizes[i] = i + 1;
	every_size((enum store_codec)_i, 4096, sizes, 4096);
}
END_TEST

START_TEST(test_store_edge_sizes_of_large_blocks)
{
	static const uint32_t edges[] = { 1,	 2,	4095,	4096,	4097,	8191,	8192,	8193,  12288, 16383, 16384,
					  16385, 65535, 65536, 65537, 131072, 524287, 1048575, 1048576 };
	static const uint32_t block_sizes[] = { 16384, 65536, 1 << 20 };
	for (size_t k = 0; k < ARRAY_SIZE(block_sizes); k++) {
		size_t n = 0;
		while (n < ARRAY_SIZE(edges) && edges[n] <= block_sizes[k])
			n++;
		every_size((enum store_codec)_i, block_sizes[k], edges, n);
	}
}
END_TEST

/* Parts of blocks, warm and cold, in the buffer and in the file. */
START_TEST(test_store_get_parts)
{
	enum { N = 12 };
	static const uint32_t sizes[N] = { 1, 4096, 4097, 8192, 20000, 65536, 65535, 61441, 300000, 262144, 1048576, 1000000 };
	struct block b[N];
	uint64_t random = 5;
	reopen((enum store_codec)_i, 1 << 20, 8 << 20);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(block_put(st, &b[i], i + 1, sizes[i]), 0);
	for (int round = 0; round < 60; round++) {
		if (round == 20)
			ck_assert_int_eq(store_sync(st), 0);
		if (round >= 30 && round % 3 == 0)
			reopen((enum store_codec)_i, 1 << 20, 8 << 20);
		for (uint32_t i = 0; i < N; i++) {
			uint32_t off = (uint32_t)(block_random(&random) % (b[i].len + 10));
			uint32_t n = (uint32_t)(block_random(&random) % (round % 2 ? 9000 : b[i].len + 5000));
			if (round % 5 == 0) { /* whole chunks */
				off = off / 4096 * 4096;
				n = 4096;
			}
			ck_assert_int_eq(block_check_part(st, &b[i], off, n), 0);
		}
	}
	/* Far beyond the end, and nothing at all. */
	ck_assert_int_eq(block_check_part(st, &b[5], 65536, 100), 0);
	ck_assert_int_eq(block_check_part(st, &b[5], 70000, 100), 0);
	ck_assert_int_eq(block_check_part(st, &b[5], 10, 0), 0);
}
END_TEST

START_TEST(test_store_get_wrong_places)
{
	struct block b, other;
	struct store_stats stats;
	uint8_t buf[16];
	reopen(STORE_NONE, 65536, 0);
	ck_assert_int_eq(block_put(st, &b, 1, 65536), 0);
	ck_assert_int_eq(block_put(st, &other, 3, 65536), 0);
	ck_assert_int_eq(store_sync(st), 0);
#define WRONG(field, value, expect)                                                      \
	do {                                                                             \
		struct store_loc loc = b.loc;                                            \
		loc.field = (value);                                                     \
		ck_assert_int_eq(store_get(st, &loc, b.hash, 0, sizeof(buf), buf), expect); \
	} while (0)
	reopen(STORE_NONE, 65536, 0);
	WRONG(pack, 0, -EUCLEAN);
	WRONG(pack, 77, -ENOENT);
	WRONG(off, 0, -EUCLEAN);
	WRONG(off, b.loc.off + 16, -EUCLEAN);
	WRONG(off, b.loc.off + 1, -EUCLEAN);
	WRONG(off, UINT64_MAX - 15, -EUCLEAN);
	WRONG(off, other.loc.off, -EUCLEAN);
	WRONG(stored, b.loc.stored + 16, -EUCLEAN);
	WRONG(stored, b.loc.stored - 16, -EUCLEAN);
	WRONG(stored, 0, -EUCLEAN);
	WRONG(len, 0, -EUCLEAN);
	WRONG(len, 65535, -EUCLEAN);
	WRONG(len, UINT32_MAX, -EUCLEAN);
	WRONG(codec, STORE_LZ4, -EUCLEAN);
	WRONG(codec, 200, -EUCLEAN);
	store_get_stats(st, &stats);
	ck_assert_uint_eq(stats.verify_failures, 14);
	ck_assert_int_eq(block_check(st, &b), 0);
	/* A table in memory must not help another hash, nor another place. */
	ck_assert_int_eq(store_get(st, &b.loc, other.hash, 0, sizeof(buf), buf), -EUCLEAN);
	WRONG(off, other.loc.off, -EUCLEAN);
}
END_TEST

START_TEST(test_store_stats)
{
	struct store_stats s;
	struct block b;
	reopen(STORE_LZ4, 65536, 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(block_put(st, &b, 2, 50000), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(block_check_part(st, &b, 0, 60000), 0);
	store_get_stats(st, &s);
	ck_assert_uint_eq(s.appended_blocks, 1);
	ck_assert_uint_eq(s.appended_plain_bytes, 50000);
	ck_assert_uint_eq(s.appended_stored_bytes, b.loc.stored);
	ck_assert_uint_eq(s.read_blocks, 1);
	ck_assert_uint_eq(s.read_bytes, 50000);
}
END_TEST

static int count_pack(void *arg, const struct store_pack_info *info)
{
	uint32_t *last = arg;
	ck_assert_uint_gt(info->pack, *last);
	ck_assert_uint_gt(info->bytes, 4096);
	*last = info->pack;
	return info->current;
}

START_TEST(test_store_reopen_starts_a_new_pack)
{
	struct block b[5];
	uint32_t last = 0;
	for (uint32_t i = 0; i < 5; i++) {
		reopen(STORE_NONE, 4096, 0);
		ck_assert_int_eq(store_reserve(st, 1 << 20), 0);
		ck_assert_int_eq(block_put(st, &b[i], i, 4096), 0);
		ck_assert_int_eq(store_sync(st), 0);
		store_unreserve(st, 1 << 20);
		for (uint32_t k = 0; k < i; k++)
			ck_assert_uint_lt(b[k].loc.pack, b[i].loc.pack);
		for (uint32_t k = 0; k <= i; k++)
			ck_assert_int_eq(block_check(st, &b[k]), 0);
	}
	ck_assert_int_eq(store_list_packs(st, count_pack, &last), 1);
	ck_assert_uint_eq(last, b[4].loc.pack);
}
END_TEST

START_TEST(test_store_close_without_sync_leaves_no_empty_pack)
{
	struct block b;
	uint32_t last = 0;
	reopen(STORE_NONE, 4096, 0);
	ck_assert_int_eq(block_put(st, &b, 1, 4096), 0);
	reopen(STORE_NONE, 4096, 0);
	ck_assert_int_eq(store_list_packs(st, count_pack, &last), 0);
	ck_assert_uint_eq(last, 0);
	ck_assert_int_eq(block_check(st, &b), -ENOENT);
}
END_TEST

static void scan_all(struct block_census *c)
{
	c->total = 0;
	memset(c->found, 0, c->n);
	uint32_t last = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->blocks[i].loc.pack == last)
			continue;
		last = c->blocks[i].loc.pack;
		int r = store_scan(st, last, block_census, c);
		ck_assert(r == 0 || r == -ENOENT);
	}
}

START_TEST(test_store_free_and_scan)
{
	enum { N = 600 };
	struct block b[N];
	bool found[N], dead[N] = { 0 };
	struct block_census c = { .blocks = b, .found = found, .n = N };
	struct io_space before, after;
	struct store_place going[N];
	uint64_t random = 3;
	uint32_t block_size = _i % 2 ? 65536 : 4096;
	uint64_t stored = 0;
	size_t live = N;
	reopen(STORE_LZ4, block_size, 2 << 20);
	for (uint32_t i = 0; i < N; i++) {
		ck_assert_int_eq(block_put(st, &b[i], i, 1 + (uint32_t)(block_random(&random) % block_size)), 0);
		stored += i < N - 1 ? b[i].loc.stored : 0;
	}
	/* Also what is still in the buffer. */
	ck_assert_int_eq(store_free(st, b[N - 1].loc.pack, b[N - 1].loc.off, b[N - 1].loc.stored), 0);
	dead[N - 1] = true;
	live--;
	ck_assert_int_eq(store_sync(st), 0);
	scan_all(&c);
	ck_assert_uint_eq(c.total, live);
	ck_assert_int_eq(io_space(io, &before), 0);
	for (int round = 0; round < 10; round++) {
		unsigned n = 0;
		for (uint32_t i = 0; i < N; i++) {
			if (block_random(&random) % 4 && round < 9)
				continue;
			going[n++] = (struct store_place){ .pack = b[i].loc.pack, .off = b[i].loc.off, .stored = b[i].loc.stored };
			live -= !dead[i];
			dead[i] = true;
		}
		if (_i / 2)
			ck_assert_int_eq(store_free_many(st, going, n), 0);
		for (unsigned i = 0; i < n && !(_i / 2); i++)
			ck_assert_int_eq(store_free(st, going[i].pack, going[i].off, going[i].stored), 0);
		scan_all(&c);
		ck_assert_uint_eq(c.total, live);
		for (uint32_t i = 0; i < N; i++) {
			ck_assert_int_eq(found[i], !dead[i]);
			if (dead[i])
				ck_assert_int_eq(block_check(st, &b[i]), -EUCLEAN);
			else
				ck_assert_int_eq(block_check(st, &b[i]), 0);
		}
	}
	/* All dead: nothing but header pages and the last page of each pack is left, also of the pages records shared. */
	ck_assert_int_eq(io_space(io, &after), 0);
	ck_assert_uint_ge(after.free_bytes - before.free_bytes + b[N - 1].loc.pack * 8192, stored);
}
END_TEST

/* The last page is written again with what follows: without what was freed in it meanwhile. */
START_TEST(test_store_free_in_last_page)
{
	struct block b[4];
	bool found[4];
	struct block_census c = { .blocks = b, .found = found, .n = 4 };
	reopen(STORE_NONE, 65536, 0);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(block_put(st, &b[i], i, 500), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(store_free(st, b[1].loc.pack, b[1].loc.off, b[1].loc.stored), 0);
	ck_assert_int_eq(block_check(st, &b[1]), -EUCLEAN);
	ck_assert_int_eq(block_put(st, &b[3], 3, 500), 0);
	ck_assert_int_eq(store_sync(st), 0);
	for (int again = 0; again < 2; again++) {
		scan_all(&c);
		ck_assert_uint_eq(c.total, 3);
		for (uint32_t i = 0; i < 4; i++) {
			ck_assert_int_eq(found[i], i != 1);
			ck_assert_int_eq(block_check(st, &b[i]), i == 1 ? -EUCLEAN : 0);
		}
		reopen(STORE_NONE, 65536, 0);
	}
}
END_TEST

START_TEST(test_store_free_refuses)
{
	struct block b[3];
	reopen(STORE_NONE, 65536, 0);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(block_put(st, &b[i], i, 30000), 0);
	ck_assert_int_eq(store_free(st, 0, 4096, 16), -EINVAL);
	ck_assert_int_eq(store_free(st, b[1].loc.pack, 0, 4096), -EINVAL);
	ck_assert_int_eq(store_free(st, b[1].loc.pack, b[1].loc.off + 8, b[1].loc.stored), -EINVAL);
	ck_assert_int_eq(store_free(st, b[1].loc.pack, b[1].loc.off, 0), -EINVAL);
	ck_assert_int_eq(store_free(st, b[2].loc.pack, b[2].loc.off, b[2].loc.stored + 16), -EINVAL);
	ck_assert_int_eq(store_free(st, b[1].loc.pack, b[1].loc.off, b[1].loc.stored + 16), -EUCLEAN);
	ck_assert_int_eq(store_free(st, 99, 4096, 4096), 0);
	/* A wrong one keeps its neighbours. */
	struct store_place v[] = { { b[0].loc.pack, b[0].loc.stored, b[0].loc.off }, { b[1].loc.pack, b[1].loc.stored + 16, b[1].loc.off } };
	ck_assert_int_eq(store_free_many(st, v, 2), -EUCLEAN);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(block_check(st, &b[i]), 0);
}
END_TEST

START_TEST(test_store_drop_pack)
{
	enum { N = 100 };
	struct block b[N];
	reopen(STORE_NONE, 65536, 1 << 20);
	ck_assert_int_eq(store_reserve(st, 20 << 20), 0);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(block_put(st, &b[i], i, 65536), 0);
	ck_assert_uint_gt(b[N - 1].loc.pack, 3);
	ck_assert_int_eq(block_check(st, &b[0]), 0);
	ck_assert_int_eq(store_drop_pack(st, b[N - 1].loc.pack), -EBUSY);
	ck_assert_int_eq(store_drop_pack(st, b[N - 1].loc.pack + 1), -EBUSY); /* space ahead */
	ck_assert_int_eq(store_drop_pack(st, b[0].loc.pack), 0);	      /* not even synced */
	ck_assert_int_eq(store_drop_pack(st, b[0].loc.pack), 0);
	ck_assert_int_eq(store_sync(st), 0);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(block_check(st, &b[i]), b[i].loc.pack == b[0].loc.pack ? -ENOENT : 0);
	ck_assert_int_eq(store_free(st, b[0].loc.pack, b[0].loc.off, b[0].loc.stored), 0);
	ck_assert_int_eq(store_scan(st, b[0].loc.pack, block_census, NULL), -ENOENT);
	store_unreserve(st, 20 << 20);
}
END_TEST

START_TEST(test_store_failed_sync_poisons)
{
	struct block before, b;
	reopen(STORE_NONE, 65536, 1 << 20);
	ck_assert_int_eq(block_put(st, &before, 1, 65536), 0);
	ck_assert_int_eq(store_sync(st), 0);
	for (uint32_t i = 0; i < 20; i++) /* over more than one pack */
		ck_assert_int_eq(block_put(st, &b, i, 65536), 0);
	static const enum sim_fault kinds[] = { SIM_FAULT_SYNC_EIO, SIM_FAULT_WRITE_EIO };
	sim_fault(io, kinds[_i], "packs", 1);
	ck_assert_int_eq(store_sync(st), -EIO);
	ck_assert_int_eq(store_sync(st), -EIO);
	ck_assert_int_eq(block_put(st, &b, 100, 65536), -EIO);
	ck_assert_int_eq(block_check(st, &before), 0);
	reopen(STORE_NONE, 65536, 1 << 20);
	ck_assert_int_eq(block_check(st, &before), 0);
	ck_assert_int_eq(block_put(st, &b, 100, 65536), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(block_check(st, &b), 0);
}
END_TEST

/* A writer, two readers of what it has published, and one that reserves. */
enum { RACE_BLOCKS = 1500 };
static struct {
	struct block b[RACE_BLOCKS];
	_Atomic uint32_t n;
	atomic_bool done;
	_Atomic int bad;
} race;

static void *race_read(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	while (!atomic_load(&race.done)) {
		uint32_t n = atomic_load(&race.n);
		if (!n)
			continue;
		/* Mostly the newest: those move from buffer to file. */
		uint32_t back = (uint32_t)(block_random(&random) % (block_random(&random) % 4 ? MIN(n, 20) : n));
		if (block_check(st, &race.b[n - 1 - back]))
			atomic_fetch_add(&race.bad, 1);
	}
	return NULL;
}

static void *race_reserve(void *arg)
{
	uint64_t random = 9;
	while (!atomic_load(&race.done)) {
		uint64_t n = block_random(&random) % (4 << 20);
		if (store_reserve(st, n))
			atomic_fetch_add(&race.bad, 1);
		else
			store_unreserve(st, n);
	}
	return NULL;
}

START_TEST(test_store_threads)
{
	pthread_t t[3];
	uint64_t random = 4;
	reopen(STORE_LZ4, 65536, 1 << 20);
	ck_assert_int_eq(pthread_create(&t[0], NULL, race_read, (void *)1), 0);
	ck_assert_int_eq(pthread_create(&t[1], NULL, race_read, (void *)2), 0);
	ck_assert_int_eq(pthread_create(&t[2], NULL, race_reserve, NULL), 0);
	for (uint32_t i = 0; i < RACE_BLOCKS; i++) {
		uint32_t len = 1 + (uint32_t)(block_random(&random) % 20000);
		ck_assert_int_eq(store_reserve(st, store_stored_max(st, len)), 0);
		ck_assert_int_eq(block_put(st, &race.b[i], i, len), 0);
		store_unreserve(st, store_stored_max(st, len));
		atomic_store(&race.n, i + 1);
		if (block_random(&random) % 16 == 0)
			ck_assert_int_eq(store_sync(st), 0);
	}
	atomic_store(&race.done, true);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(race.bad, 0);
	for (uint32_t i = 0; i < RACE_BLOCKS; i++)
		ck_assert_int_eq(block_check(st, &race.b[i]), 0);
}
END_TEST

Suite *make_store_suite(void)
{
	Suite *suite = suite_create("store");
	TCase *tc = tcase_create("store");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_store_get_many, STORE_NONE, STORE_ZSTD + 1);
	tcase_add_loop_test(tc, test_store_encode_new_version, 0, 4);
	tcase_add_test(tc, test_store_open_refuses);
	tcase_add_test(tc, test_store_encode_refuses);
	tcase_add_loop_test(tc, test_store_every_size_of_small_blocks, STORE_NONE, STORE_ZSTD + 1);
	tcase_add_loop_test(tc, test_store_edge_sizes_of_large_blocks, STORE_NONE, STORE_ZSTD + 1);
	tcase_add_loop_test(tc, test_store_get_parts, STORE_NONE, STORE_ZSTD + 1);
	tcase_add_test(tc, test_store_get_wrong_places);
	tcase_add_test(tc, test_store_stats);
	tcase_add_test(tc, test_store_reopen_starts_a_new_pack);
	tcase_add_test(tc, test_store_close_without_sync_leaves_no_empty_pack);
	tcase_add_loop_test(tc, test_store_free_and_scan, 0, 4);
	tcase_add_test(tc, test_store_free_in_last_page);
	tcase_add_test(tc, test_store_free_refuses);
	tcase_add_test(tc, test_store_drop_pack);
	tcase_add_loop_test(tc, test_store_failed_sync_poisons, 0, 2);
	tcase_add_test(tc, test_store_threads);
	suite_add_tcase(suite, tc);
	return suite;
}
