/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Damaged packs: a read gives the right bytes or -EUCLEAN, a scan finds what is whole and never trips. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/record.h"
#include "tests/sim/io_sim.h"
#include "tests/unit/store/blocks.h"
#include "tests/unit/store/suites.h"

static struct io *io;
static struct store *st;

static void setup(void)
{
	io = sim_new(1, 0);
	ck_assert_int_eq(store_format(io), 0);
	st = NULL;
}

static void teardown(void)
{
	store_close(st);
	io_free(io);
}

static void reopen(enum store_codec codec)
{
	struct store_config cfg = { .block_size = 65536, .hash_algo = HASH_SHA256, .codec = codec, .pack_bytes = 4 << 20 };
	store_close(st);
	st = NULL;
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
}

static const char *path_of(uint32_t pack)
{
	static char path[32];
	snprintf(path, sizeof(path), "packs/%08x", pack);
	return path;
}

/* Flip one bit after the other; the store is cold for every try. */
static void flip_everything(enum store_codec codec, uint32_t seed, uint32_t len)
{
	struct block b;
	uint32_t harmless = 0;
	reopen(codec);
	ck_assert_int_eq(block_put(st, &b, seed, len), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_uint_eq(b.loc.codec, codec);
	for (uint32_t at = 0; at < b.loc.stored; at++) {
		if (at > 200 && at < b.loc.stored - 100 && at % 61)
			continue; /* somewhere in the payload */
		ck_assert_int_eq(sim_corrupt(io, path_of(b.loc.pack), b.loc.off + at), 0);
		reopen(codec);
		int whole = block_check_part(st, &b, 0, len);
		/* Zeros at the end of a record mean nothing, and a match may be found at more than one distance. */
		if (whole == 0 && (at >= b.loc.stored - (PACK_ALIGN - 1) || (codec && at >= RECORD_HEADER_BYTES)))
			harmless++;
		else
			ck_assert_int_eq(whole, -EUCLEAN);
		for (uint32_t off = 0; off < len; off += 3000) {
			/* Fine if it does not touch the damaged chunk, but then right. */
			reopen(codec);
			int part = block_check_part(st, &b, off, 3000);
			ck_assert(part == 0 || part == -EUCLEAN);
			if (at < RECORD_HEADER_BYTES)
				ck_assert_int_eq(part, -EUCLEAN);
		}
		ck_assert_int_eq(sim_corrupt(io, path_of(b.loc.pack), b.loc.off + at), 0);
	}
	reopen(codec);
	ck_assert_int_eq(block_check(st, &b), 0);
	ck_assert_uint_lt(harmless, PACK_ALIGN + (codec ? b.loc.stored / 4 : 0));
}

START_TEST(test_damage_plain_one_chunk)
{
	flip_everything(STORE_NONE, 1, 1000);
}
END_TEST

START_TEST(test_damage_plain_chunks)
{
	flip_everything(STORE_NONE, 1, 9000);
}
END_TEST

START_TEST(test_damage_lz4)
{
	flip_everything(STORE_LZ4, 2, 9001);
}
END_TEST

START_TEST(test_damage_zstd)
{
	flip_everything(STORE_ZSTD, 2, 9001);
}
END_TEST

/* Where chunk i of the record begins in the pack. */
static uint64_t chunk_place(const struct block *b, uint32_t i)
{
	uint8_t end[4];
	struct io_file *f;
	uint64_t payload = b->loc.off + RECORD_HEADER_BYTES + record_table_len(b->loc.codec, b->len);
	if (b->loc.codec == STORE_NONE)
		return payload + (uint64_t)i * CHUNK_BYTES;
	if (i == 0)
		return payload;
	ck_assert_int_eq(io_open(io, path_of(b->loc.pack), 0, &f), 0);
	ck_assert_int_eq(io_pread(f, end, 4, b->loc.off + RECORD_HEADER_BYTES + (i - 1) * CHUNK_ENTRY_BYTES_MAX +
						    CHUNK_SUM_BYTES), 4);
	io_close(f);
	return payload + get_le32(end);
}

/* With the chunk table in memory, damage in the chunk is still found; and chunks beside it are still read, whatever the
 * codec. */
START_TEST(test_damage_behind_a_cached_table)
{
	struct block b;
	reopen((enum store_codec)_i);
	ck_assert_int_eq(block_put(st, &b, _i == STORE_NONE ? 1 : 2, 65536), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_uint_eq(b.loc.codec, _i);
	for (uint32_t chunk = 0; chunk < 16; chunk++) {
		uint64_t at = chunk_place(&b, chunk) + chunk;
		ck_assert_int_eq(block_check_part(st, &b, 0, 4096), 0);
		ck_assert_int_eq(sim_corrupt(io, path_of(b.loc.pack), at), 0);
		for (uint32_t k = 0; k < 16; k++)
			ck_assert_int_eq(block_check_part(st, &b, k * 4096, 4096), k == chunk ? -EUCLEAN : 0);
		ck_assert_int_eq(block_check_part(st, &b, 0, 65536), -EUCLEAN);
		ck_assert_int_eq(sim_corrupt(io, path_of(b.loc.pack), at), 0);
	}
}
END_TEST

/* A damaged block among many, a pack that ends too early, one that is gone, a place that cannot be. */
START_TEST(test_damage_among_many)
{
	static uint8_t got[8][65536];
	struct store_want w[8];
	struct block b[8];
	struct io_file *f;
	reopen(STORE_NONE);
	for (uint32_t k = 0; k < 8; k++) {
		ck_assert_int_eq(block_put(st, &b[k], k + 1, 65536), 0);
		w[k] = (struct store_want){ .loc = b[k].loc, .buf = got[k] };
		memcpy(w[k].hash, b[k].hash, HASH_BYTES);
	}
	ck_assert_int_eq(store_sync(st), 0);
	reopen(STORE_NONE);
	for (uint32_t k = 0; k < 8; k++) {
		uint64_t at = b[k].loc.off + 1000 * k;
		ck_assert_int_eq(store_get_many(st, w, 8), 0);
		ck_assert_int_eq(sim_corrupt(io, path_of(b[k].loc.pack), at), 0);
		ck_assert_int_eq(store_get_many(st, w, 8), -EUCLEAN);
		ck_assert_int_eq(sim_corrupt(io, path_of(b[k].loc.pack), at), 0);
		w[k].hash[3] ^= 1;
		ck_assert_int_eq(store_get_many(st, w, 8), -EUCLEAN);
		w[k].hash[3] ^= 1;
		w[k].loc.off += 8;
		ck_assert_int_eq(store_get_many(st, w, 8), -EUCLEAN);
		w[k].loc.off -= 8;
	}
	ck_assert_int_eq(io_open(io, path_of(b[0].loc.pack), 0, &f), 0);
	ck_assert_int_eq(io_truncate(f, b[7].loc.off + 500), 0);
	io_close(f);
	ck_assert_int_eq(store_get_many(st, w, 8), -EUCLEAN);
	ck_assert_int_eq(store_get_many(st, w, 7), 0);
	w[6].loc.pack += 7;
	ck_assert_int_eq(store_get_many(st, w, 7), -ENOENT);
}
END_TEST

START_TEST(test_damage_read_error)
{
	struct block b;
	reopen(STORE_NONE);
	ck_assert_int_eq(block_put(st, &b, 1, 65536), 0);
	ck_assert_int_eq(store_sync(st), 0);
	sim_fault(io, SIM_FAULT_READ_EIO, "packs", 1);
	ck_assert_int_eq(block_check(st, &b), -EIO);
	ck_assert_int_eq(block_check(st, &b), 0);
}
END_TEST

/* A pack cut short: what lies behind is -EUCLEAN, the rest is right. */
START_TEST(test_damage_truncated_pack)
{
	enum { N = 20 };
	struct block b[N];
	bool found[N] = { 0 };
	struct io_file *f;
	uint64_t random = 8;
	reopen(STORE_NONE);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(block_put(st, &b[i], i, 10000), 0);
	ck_assert_int_eq(store_sync(st), 0);
	store_close(st);
	st = NULL;
	for (uint64_t size = b[N - 1].loc.off; size > 1; size = size * (80 + block_random(&random) % 20) / 100) {
		struct block_census c = { .blocks = b, .found = found, .n = N };
		memset(found, 0, sizeof(found));
		ck_assert_int_eq(io_open(io, path_of(b[0].loc.pack), 0, &f), 0);
		ck_assert_int_eq(io_truncate(f, size), 0);
		io_close(f);
		reopen(STORE_NONE);
		ck_assert_int_eq(store_scan(st, b[0].loc.pack, block_census, &c), 0);
		for (uint32_t i = 0; i < N; i++) {
			bool whole = b[i].loc.off + b[i].loc.stored <= size;
			ck_assert_int_eq(found[i], whole);
			ck_assert_int_eq(block_check(st, &b[i]), whole ? 0 : -EUCLEAN);
		}
	}
}
END_TEST

/* Garbage, damage and the records of a foreign pack inside a pack: only the true records are found. */
START_TEST(test_damage_scan_garbage)
{
	enum { N = 40 };
	struct block b[N], fake;
	bool found[N], hit[N] = { 0 };
	struct io_file *f;
	uint8_t *pack, noise[5000];
	uint64_t size, random = (uint64_t)_i;
	ssize_t n;
	reopen(STORE_NONE);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(block_put(st, &b[i], i, 1 + (uint32_t)(block_random(&random) % 20000)), 0);
	ck_assert_int_eq(store_sync(st), 0);
	uint32_t num = b[0].loc.pack;
	store_close(st);
	st = NULL;
	ck_assert_int_eq(io_open(io, path_of(num), 0, &f), 0);
	ck_assert_int_eq(io_size(f, &size), 0);
	pack = malloc(size);
	n = io_pread(f, pack, size, 0);
	ck_assert_uint_eq((uint64_t)n, size);
	if (_i % 3 == 0) /* the header page too */
		ck_assert_int_eq(io_pwrite(f, noise, 100, 0), 0);
	for (int k = 0; k < 6; k++) {
		uint64_t at = 4096 + block_random(&random) % (size - 4096), len = 1 + block_random(&random) % sizeof(noise);
		uint64_t from = block_random(&random) % (size - sizeof(noise));
		if (_i % 2) { /* a piece of the pack at another place */
			memcpy(noise, pack + from / 16 * 16, sizeof(noise));
			at = at / 16 * 16;
		} else {
			for (size_t i = 0; i < sizeof(noise); i++)
				noise[i] = (uint8_t)block_random(&random);
		}
		ck_assert_int_eq(io_pwrite(f, noise, len, at), 0);
		for (uint32_t i = 0; i < N; i++)
			hit[i] |= at < b[i].loc.off + b[i].loc.stored && b[i].loc.off < at + len;
	}
	io_close(f);
	reopen(STORE_NONE);
	struct block_census c = { .blocks = b, .found = found, .n = N };
	memset(found, 0, sizeof(found));
	ck_assert_int_eq(store_scan(st, num, block_census, &c), 0);
	size_t nfound = 0;
	for (uint32_t i = 0; i < N; i++) {
		nfound += found[i];
		if (!hit[i]) {
			ck_assert(found[i]);
			ck_assert_int_eq(block_check(st, &b[i]), 0);
		} else {
			int r = block_check(st, &b[i]);
			ck_assert(r == 0 || r == -EUCLEAN);
		}
	}
	ck_assert_uint_eq(c.total, nfound);

	/* A pack stored as content of a block: nothing in it is taken for a record, even where the block's own header is
	 * damaged. */
	struct store_blob blob;
	uint32_t len = (uint32_t)MIN(size, 65536);
	ck_assert_int_eq(store_hash(st, pack, len, fake.hash), 0);
	ck_assert_int_eq(store_encode(st, pack, len, fake.hash, NULL, &blob), 0);
	ck_assert_int_eq(store_append(st, &blob, &fake.loc), 0);
	store_blob_release(&blob);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(sim_corrupt(io, path_of(fake.loc.pack), fake.loc.off + 50), 0);
	c.total = 0;
	ck_assert_int_eq(store_scan(st, fake.loc.pack, block_census, &c), 0);
	ck_assert_uint_eq(c.total, 0);
	free(pack);
}
END_TEST

/* Somebody who guesses where his block will lie writes a record for just that place into it; and the header before it gets
 * damaged.  What he cannot guess is the nonce. */
START_TEST(test_damage_scan_forged_record)
{
	enum { LEN = 8192, AT = 4096 - RECORD_HEADER_BYTES - 8 };
	struct block b;
	struct store_blob blob;
	struct block_census c = { .n = 0 };
	uint8_t content[LEN] = { 0 }, page[PACK_HEADER_BYTES], *forged = content + AT;
	struct io_file *f;
	struct pack_header h;
	reopen(STORE_NONE);
	ck_assert_int_eq(block_put(st, &b, 1, 100), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(io_open(io, path_of(b.loc.pack), 0, &f), 0);
	ck_assert_int_eq(io_pread(f, page, sizeof(page), 0), sizeof(page));
	io_close(f);
	ck_assert_int_eq(pack_header_decode(&h, page), 0);
	struct record r = { .hash_algo = HASH_SHA256, .len = 64, .payload_len = 64, .stored = record_stored(0, 64),
			    .pack = b.loc.pack, .nonce = h.nonce ^ (_i ? 0 : 1) };
	r.off = b.loc.off + b.loc.stored + RECORD_HEADER_BYTES + 8 + AT;
	record_encode(&r, NULL, forged);
	ck_assert_int_eq(store_hash(st, content, LEN, b.hash), 0);
	ck_assert_int_eq(store_encode(st, content, LEN, b.hash, NULL, &blob), 0);
	ck_assert_int_eq(store_append(st, &blob, &b.loc), 0);
	store_blob_release(&blob);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(sim_corrupt(io, path_of(b.loc.pack), b.loc.off + 10), 0);
	ck_assert_int_eq(store_scan(st, b.loc.pack, block_census, &c), 0);
	ck_assert_uint_eq(c.total, _i ? 2 : 1); /* knowing the nonce, he could: the test is not blind */
}
END_TEST

/* A block stored under the name of another: its bytes are those that were written, so only who asks for proof hears of it. */
START_TEST(test_damage_wrong_name)
{
	struct block b = { .seed = 3, .len = 60000 };
	uint8_t content[60000], buf[65536];
	struct store_blob blob;
	reopen(_i ? STORE_LZ4 : STORE_NONE);
	block_content(b.seed, content, b.len);
	ck_assert_int_eq(store_hash(st, content, b.len, b.hash), 0);
	for (int wrong = 0; wrong < 2; wrong++) {
		b.hash[31] ^= (uint8_t)wrong;
		ck_assert_int_eq(store_encode(st, content, b.len, b.hash, NULL, &blob), 0);
		ck_assert_int_eq(store_append(st, &blob, &b.loc), 0);
		store_blob_release(&blob);
		ck_assert_int_eq(store_get(st, &b.loc, b.hash, 0, sizeof(buf), buf), 0);
		ck_assert_mem_eq(buf, content, b.len);
		ck_assert_int_eq(store_prove(st, &b.loc, b.hash, buf), wrong ? -EUCLEAN : 0);
	}
}
END_TEST

static int stop(void *arg, const struct store_record *rec)
{
	return ++*(int *)arg == 3 ? 42 : 0;
}

START_TEST(test_damage_scan_stops_and_later_version)
{
	struct block b;
	struct io_file *f;
	uint8_t page[PACK_HEADER_BYTES];
	int calls = 0;
	reopen(STORE_NONE);
	for (uint32_t i = 0; i < 5; i++)
		ck_assert_int_eq(block_put(st, &b, i, 100), 0);
	ck_assert_int_eq(store_scan(st, b.loc.pack, stop, &calls), 42); /* from the buffer */
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(io_open(io, path_of(b.loc.pack), 0, &f), 0);
	ck_assert_int_eq(io_pread(f, page, sizeof(page), 0), sizeof(page));
	put_le32(page + 8, 2);
	put_le64(page + 48, checksum64(page, 48));
	ck_assert_int_eq(io_pwrite(f, page, sizeof(page), 0), 0);
	io_close(f);
	ck_assert_int_eq(store_scan(st, b.loc.pack, stop, &calls), -EPROTONOSUPPORT);
}
END_TEST

Suite *make_damage_suite(void)
{
	Suite *suite = suite_create("damage");
	TCase *tc = tcase_create("damage");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_damage_plain_one_chunk);
	tcase_add_test(tc, test_damage_plain_chunks);
	tcase_add_test(tc, test_damage_lz4);
	tcase_add_test(tc, test_damage_zstd);
	tcase_add_loop_test(tc, test_damage_behind_a_cached_table, STORE_NONE, STORE_ZSTD + 1);
	tcase_add_test(tc, test_damage_among_many);
	tcase_add_test(tc, test_damage_read_error);
	tcase_add_test(tc, test_damage_truncated_pack);
	tcase_add_loop_test(tc, test_damage_scan_garbage, 0, 100);
	tcase_add_loop_test(tc, test_damage_scan_forged_record, 0, 2);
	tcase_add_loop_test(tc, test_damage_wrong_name, 0, 2);
	tcase_add_test(tc, test_damage_scan_stops_and_later_version);
	suite_add_tcase(suite, tc);
	return suite;
}
