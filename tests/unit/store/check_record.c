/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes on disk.  The expected ones were made by another program from the tables in pack_format.h. */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/store/codec.h"
#include "fs/store/record.h"
#include "fs/store/store.h"
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
	tcase_add_test(tc, test_record_any_flipped_bit_is_found);
	tcase_add_loop_test(tc, test_record_ends_must_describe_the_payload, 0, 11);
	tcase_add_test(tc, test_record_golden_codecs_expand);
	suite_add_tcase(suite, tc);
	return suite;
}
