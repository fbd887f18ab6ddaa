/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes on disk.  The expected ones were made by another program from the tables in pack_format.h. */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/codec.h"
#include "fs/store/record.h"
#include "fs/store/store.h"
#include "tests/sim/io_sim.h"
#include "tests/unit/store/suites.h"

static const uint8_t golden_pack[56] = {
	0x4b, 0x41, 0x47, 0x45, 0x50, 0x41, 0x43, 0x4b, 0x01, 0x00, 0x00, 0x00, 0x78, 0x56, 0x34, 0x12, 0x00, 0x00, 0x01,
	0x00, 0x01, 0x00, 0x00, 0x00, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d,
	0x1e, 0x1f, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x9f, 0xaf, 0x72, 0xad, 0xc9, 0xf3, 0x92, 0x06,
};
/* 5000 bytes i % 251, plain, pack 0x12345678, offset 4096, nonce 0x1122334455667788, id 0x0807060504030201; and its
 * chunk table. */
static const uint8_t golden_record[RECORD_HEADER_BYTES] = {
	0x4b, 0x42, 0x4c, 0x4b, 0x01, 0x01, 0x00, 0x01, 0x88, 0x13, 0x00, 0x00, 0x88, 0x13, 0x00, 0x00, 0xf0, 0x13, 0x00,
	0x00, 0x78, 0x56, 0x34, 0x12, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
	0x22, 0x11, 0xee, 0x20, 0x23, 0xc4, 0x0f, 0x50, 0x18, 0xb4, 0x69, 0xdb, 0xee, 0x89, 0x39, 0x09, 0xfa, 0x17, 0xd1,
	0xbe, 0x39, 0x7e, 0x0c, 0x07, 0x69, 0x13, 0x36, 0xfe, 0x42, 0x04, 0x9c, 0x29, 0xd4, 0x03, 0x46, 0x7d, 0x3d, 0x4a,
	0x1f, 0xc3, 0xb5, 0xa1, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0xb8, 0x7b, 0x95, 0xea, 0x3a, 0x4e, 0x38,
	0x10,
};
static const uint8_t golden_table[8] = { 0x71, 0xbc, 0xf1, 0x04, 0x5f, 0xbf, 0x05, 0xab };
/* 1024 times 'a', then 'b', 'c', 'd'. */
static const uint8_t golden_lz4[] = {
	0x1f, 0x61, 0x01, 0x00, 0xff, 0xff, 0xff, 0xef, 0x1f, 0x62, 0x01, 0x00, 0xff, 0xff, 0xff, 0xef, 0x1f, 0x63, 0x01,
	0x00, 0xff, 0xff, 0xff, 0xef, 0x1f, 0x64, 0x01, 0x00, 0xff, 0xff, 0xff, 0xea, 0x50, 0x64, 0x64, 0x64, 0x64, 0x64,
};
static const uint8_t golden_zstd[] = {
	0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x0f, 0x8d, 0x00, 0x00, 0x28, 0x61, 0x61, 0x62, 0x63, 0x64, 0x04, 0x14, 0x00,
	0x2d, 0xfc, 0x85, 0xff, 0xf1, 0x67, 0xfb, 0xdb,
};

/* The letters of golden_lz4 and then 904 bytes of noise (fill_compressed): header and chunk table with codec, at the place of
 * golden_record.  The payload is golden_lz4 and then the second chunk as it is. */
static const uint8_t golden_compressed[RECORD_HEADER_BYTES + 16] = {
	0x4b, 0x42, 0x4c, 0x4b, 0x01, 0x01, 0x01, 0x01, 0x88, 0x13, 0x00, 0x00, 0xae, 0x03, 0x00, 0x00, 0x20, 0x04, 0x00,
	0x00, 0x78, 0x56, 0x34, 0x12, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
	0x22, 0x11, 0x3f, 0xba, 0x7d, 0x89, 0x64, 0xca, 0x74, 0xde, 0x3d, 0x75, 0x14, 0x7c, 0x3d, 0x8d, 0x66, 0x23, 0x8a,
	0x5e, 0x01, 0x56, 0x1a, 0x9e, 0xf5, 0x7f, 0x74, 0x41, 0x66, 0x21, 0xcd, 0x6e, 0xb5, 0x60, 0x61, 0xa0, 0xd4, 0xfd,
	0x8c, 0x27, 0xd4, 0x34, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x06, 0xa0, 0xb7, 0xd8, 0xb5, 0x16, 0x03,
	0x39, 0x56, 0xc6, 0xc8, 0x79, 0x26, 0x00, 0x00, 0x00, 0xd3, 0x6e, 0xd1, 0x44, 0xae, 0x03, 0x00, 0x00,
};
#define GOLDEN_PACK 0x12345678u
#define GOLDEN_COMPRESSED_LEN 5000u
#define GOLDEN_COMPRESSED_STORED 1056u

static void fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i % 251);
}

START_TEST(test_record_golden_pack_header)
{
	uint8_t page[PACK_HEADER_BYTES], zeros[PACK_HEADER_BYTES] = { 0 };
	struct pack_header in = { .version = 1, .pack = 0x12345678, .block_size = 65536, .hash_algo = HASH_SHA256,
				  .nonce = 0x1122334455667788 },
			   out;
	for (int i = 0; i < 16; i++)
		in.store_id[i] = (uint8_t)(0x10 + i);
	pack_header_encode(&in, page);
	ck_assert_mem_eq(page, golden_pack, sizeof(golden_pack));
	ck_assert_mem_eq(page + sizeof(golden_pack), zeros, sizeof(page) - sizeof(golden_pack));
	ck_assert_int_eq(pack_header_decode(&out, page), 0);
	ck_assert_uint_eq(out.version, in.version);
	ck_assert_uint_eq(out.pack, in.pack);
	ck_assert_uint_eq(out.block_size, in.block_size);
	ck_assert_uint_eq(out.hash_algo, in.hash_algo);
	ck_assert_uint_eq(out.nonce, in.nonce);
	ck_assert_mem_eq(out.store_id, in.store_id, 16);
	ck_assert_int_eq(pack_header_decode(&out, zeros), -EUCLEAN);
}
END_TEST

START_TEST(test_record_pack_header_of_later_version)
{
	uint8_t page[PACK_HEADER_BYTES];
	struct pack_header h = { .version = 2, .pack = 1, .nonce = 1 };
	pack_header_encode(&h, page);
	ck_assert_int_eq(pack_header_decode(&h, page), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(test_record_golden)
{
	uint8_t data[5000], table[8], bytes[RECORD_HEADER_BYTES];
	struct record in = { .hash_algo = HASH_SHA256, .codec = STORE_NONE, .len = 5000, .payload_len = 5000, .stored = 5104,
			     .pack = 0x12345678, .off = 4096, .nonce = 0x1122334455667788, .id = 0x0807060504030201, .table_len = 8 },
		      out;
	fill(data, sizeof(data));
	in.payload_sum = checksum64(data, sizeof(data));
	ck_assert_int_eq(hash_content(HASH_SHA256, data, sizeof(data), in.hash), 0);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t sum = chunk_sum(data + i * CHUNK_BYTES, i ? 5000 - CHUNK_BYTES : CHUNK_BYTES);
		for (int k = 0; k < 4; k++)
			table[i * 4 + (uint32_t)k] = (uint8_t)(sum >> 8 * k);
	}
	ck_assert_mem_eq(table, golden_table, 8);
	ck_assert_uint_eq(record_stored(record_table_len(STORE_NONE, 5000), 5000), 5104);
	record_encode(&in, table, bytes);
	ck_assert_mem_eq(bytes, golden_record, RECORD_HEADER_BYTES);

	memset(&out, 0xff, sizeof(out));
	ck_assert_int_eq(record_decode(&out, golden_record), 0);
	ck_assert_int_eq(record_verify(&out, golden_record, golden_table), 0);
	ck_assert_uint_eq(out.hash_algo, in.hash_algo);
	ck_assert_uint_eq(out.codec, in.codec);
	ck_assert_uint_eq(out.len, in.len);
	ck_assert_uint_eq(out.payload_len, in.payload_len);
	ck_assert_uint_eq(out.stored, in.stored);
	ck_assert_uint_eq(out.pack, in.pack);
	ck_assert_uint_eq(out.off, in.off);
	ck_assert_uint_eq(out.nonce, in.nonce);
	ck_assert_uint_eq(out.payload_sum, in.payload_sum);
	ck_assert_uint_eq(out.id, in.id);
	ck_assert_uint_eq(out.table_len, in.table_len);
	ck_assert_mem_eq(out.hash, in.hash, HASH_BYTES);
}
END_TEST

static void fill_compressed(uint8_t data[GOLDEN_COMPRESSED_LEN])
{
	uint32_t noise = 1;
	for (int i = 0; i < CHUNK_BYTES; i++)
		data[i] = (uint8_t)('a' + i / 1024);
	for (uint32_t i = CHUNK_BYTES; i < GOLDEN_COMPRESSED_LEN; i++) {
		noise = noise * 1103515245u + 12345u;
		data[i] = (uint8_t)(noise >> 16);
	}
}

START_TEST(test_record_golden_compressed)
{
	const uint8_t *table = golden_compressed + RECORD_HEADER_BYTES;
	uint8_t bytes[RECORD_HEADER_BYTES];
	struct record r;
	ck_assert_int_eq(record_decode(&r, golden_compressed), 0);
	ck_assert_int_eq(record_verify(&r, golden_compressed, table), 0);
	ck_assert_uint_eq(r.codec, STORE_LZ4);
	ck_assert_uint_eq(r.len, GOLDEN_COMPRESSED_LEN);
	ck_assert_uint_eq(r.payload_len, sizeof(golden_lz4) + GOLDEN_COMPRESSED_LEN - CHUNK_BYTES);
	ck_assert_uint_eq(r.stored, GOLDEN_COMPRESSED_STORED);
	ck_assert_uint_eq(r.table_len, 16);
	record_encode(&r, table, bytes);
	ck_assert_mem_eq(bytes, golden_compressed, RECORD_HEADER_BYTES);
}
END_TEST

/* What store_encode makes of the same content, but for how well it is compressed. */
START_TEST(test_record_golden_compressed_is_what_encode_makes)
{
	struct store_config cfg = { .block_size = 65536, .hash_algo = HASH_SHA256, .codec = STORE_LZ4 };
	const uint8_t *golden = golden_compressed + RECORD_HEADER_BYTES;
	uint8_t data[GOLDEN_COMPRESSED_LEN], hash[HASH_BYTES];
	struct io *io = sim_new(1, 0);
	struct store_blob b;
	struct store *st;
	ck_assert_int_eq(store_format(io), 0);
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
	fill_compressed(data);
	ck_assert_int_eq(store_hash(st, data, sizeof(data), hash), 0);
	ck_assert_mem_eq(hash, golden_compressed + 48, HASH_BYTES);
	ck_assert_int_eq(store_encode(st, data, sizeof(data), hash, NULL, &b), 0);
	const uint8_t *table = b.payload + b.payload_len;
	uint32_t end = get_le32(table + 4);
	ck_assert_uint_lt(end, CHUNK_BYTES / 8);
	ck_assert_uint_eq(get_le32(table), get_le32(golden));
	ck_assert_uint_eq(get_le32(table + 8), get_le32(golden + 8));
	ck_assert_uint_eq(get_le32(table + 12), end + GOLDEN_COMPRESSED_LEN - CHUNK_BYTES);
	ck_assert_uint_eq(b.payload_len, get_le32(table + 12));
	ck_assert_mem_eq(b.payload + end, data + CHUNK_BYTES, GOLDEN_COMPRESSED_LEN - CHUNK_BYTES);
	store_blob_release(&b);
	store_close(st);
	io_free(io);
}
END_TEST

/* A pack made elsewhere: header, record and payload are laid on the disk, and read in whole and in part. */
START_TEST(test_record_golden_compressed_is_read)
{
	struct store_config cfg = { .block_size = 65536, .hash_algo = HASH_SHA256, .codec = STORE_LZ4 };
	struct store_loc loc = { GOLDEN_PACK, PACK_HEADER_BYTES, GOLDEN_COMPRESSED_STORED, GOLDEN_COMPRESSED_LEN, STORE_LZ4 };
	uint8_t pack[PACK_HEADER_BYTES + GOLDEN_COMPRESSED_STORED] = { 0 }, data[GOLDEN_COMPRESSED_LEN], got[GOLDEN_COMPRESSED_LEN];
	static const uint32_t ranges[][2] = { { 0, 5000 }, { 0, 4096 }, { 4096, 904 }, { 4000, 200 }, { 4999, 1 } };
	struct io *io = sim_new(1, 0);
	struct io_file *f;
	struct store *st;
	uint8_t *p = pack + PACK_HEADER_BYTES;
	fill_compressed(data);
	memcpy(pack, golden_pack, sizeof(golden_pack));
	memcpy(p, golden_compressed, sizeof(golden_compressed));
	p += sizeof(golden_compressed);
	memcpy(p, golden_lz4, sizeof(golden_lz4));
	memcpy(p + sizeof(golden_lz4), data + CHUNK_BYTES, GOLDEN_COMPRESSED_LEN - CHUNK_BYTES);
	ck_assert_int_eq(store_format(io), 0);
	ck_assert_int_eq(io_open(io, "packs/12345678", IO_CREATE, &f), 0);
	ck_assert_int_eq(io_pwrite(f, pack, sizeof(pack), 0), 0);
	io_close(f);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint32_t off = ranges[i][0], n = ranges[i][1];
		ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0); /* each time with no table in memory */
		ck_assert_int_eq(store_get(st, &loc, golden_compressed + 48, off, n, got), 0);
		ck_assert_mem_eq(got, data + off, n);
		store_close(st);
	}
	io_free(io);
}
END_TEST

START_TEST(test_record_any_flipped_bit_is_found)
{
	uint8_t bytes[RECORD_HEADER_BYTES], table[8];
	struct record r;
	for (size_t bit = 0; bit < 8 * (RECORD_HEADER_BYTES + 8); bit++) {
		memcpy(bytes, golden_record, sizeof(bytes));
		memcpy(table, golden_table, sizeof(table));
		(bit < 8 * sizeof(bytes) ? bytes + bit / 8 : table + bit / 8 - sizeof(bytes))[0] ^= (uint8_t)(1 << bit % 8);
		ck_assert(record_decode(&r, bytes) == -EUCLEAN || record_verify(&r, bytes, table) == -EUCLEAN);
	}
}
END_TEST

/* With a codec the table says where chunks end; one that does not describe the payload is refused even with a good sum. */
START_TEST(test_record_ends_must_describe_the_payload)
{
	static const struct {
		uint32_t first, last;
		int want;
	} ends[] = {
		{ 4000, 4500, 0 },	 { 4096, 4500, 0 },	   { 3596, 4500, 0 },	     { 4097, 4500, -EUCLEAN },
		{ 3595, 4500, -EUCLEAN }, { 0, 4500, -EUCLEAN },   { 4500, 4500, -EUCLEAN }, { 4000, 4499, -EUCLEAN },
		{ 4000, 4501, -EUCLEAN }, { 4000, 3999, -EUCLEAN }, { UINT32_MAX, 4500, -EUCLEAN },
	};
	uint8_t bytes[RECORD_HEADER_BYTES], table[16] = { 0 };
	struct record in = { .hash_algo = HASH_SHA256, .codec = STORE_LZ4, .len = 5000, .payload_len = 4500, .pack = 1,
			     .off = 4096, .nonce = 1 }, out;
	in.table_len = record_table_len(in.codec, in.len);
	ck_assert_uint_eq(in.table_len, sizeof(table));
	in.stored = record_stored(in.table_len, in.payload_len);
	put_le32(table + 4, ends[_i].first);
	put_le32(table + 12, ends[_i].last);
	record_encode(&in, table, bytes);
	ck_assert_int_eq(record_decode(&out, bytes), 0);
	ck_assert_int_eq(record_verify(&out, bytes, table), ends[_i].want);
}
END_TEST

START_TEST(test_record_golden_codecs_expand)
{
	struct scratch_pool pool;
	uint8_t out[4096], want[4096];
	scratch_pool_init(&pool, record_stored_max(4096), 4096);
	struct scratch *s = scratch_get(&pool);
	ck_assert_ptr_nonnull(s);
	for (int i = 0; i < 4096; i++)
		want[i] = (uint8_t)('a' + i / 1024);
	ck_assert_int_eq(codec_expand(s, STORE_LZ4, golden_lz4, sizeof(golden_lz4), out, 4096), 0);
	ck_assert_mem_eq(out, want, 4096);
	memset(out, 0, sizeof(out));
	ck_assert_int_eq(codec_expand(s, STORE_ZSTD, golden_zstd, sizeof(golden_zstd), out, 4096), 0);
	ck_assert_mem_eq(out, want, 4096);
	/* One byte more or less is not what was stored. */
	for (int codec = STORE_LZ4; codec <= STORE_ZSTD; codec++) {
		const uint8_t *in = codec == STORE_LZ4 ? golden_lz4 : golden_zstd;
		size_t n = codec == STORE_LZ4 ? sizeof(golden_lz4) : sizeof(golden_zstd);
		ck_assert_int_eq(codec_expand(s, codec, in, n, out, 4095), -EUCLEAN);
		ck_assert_int_eq(codec_expand(s, codec, in, n - 1, out, 4096), -EUCLEAN);
	}
	scratch_put(&pool, s);
	scratch_pool_release(&pool);
}
END_TEST

Suite *make_record_suite(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("bytes");
	tcase_add_test(tc, test_record_golden_pack_header);
	tcase_add_test(tc, test_record_pack_header_of_later_version);
	tcase_add_test(tc, test_record_golden);
	tcase_add_test(tc, test_record_golden_compressed);
	tcase_add_test(tc, test_record_golden_compressed_is_what_encode_makes);
	tcase_add_test(tc, test_record_golden_compressed_is_read);
	tcase_add_test(tc, test_record_any_flipped_bit_is_found);
	tcase_add_loop_test(tc, test_record_ends_must_describe_the_payload, 0, 11);
	tcase_add_test(tc, test_record_golden_codecs_expand);
	suite_add_tcase(suite, tc);
	return suite;
}
