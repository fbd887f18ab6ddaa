/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bytes on disk, both directions.  The golden bytes were computed from log_format.h by another program. */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/hash.h"
#include "fs/log/log_private.h"
#include "tests/unit/log/fixture.h"
#include "tests/unit/log/suites.h"

static const uint8_t golden_header[80] = {
	'K',  'A',  'G',  'E',  'L',  'O',  'G',  '1',				/* magic */
	1,    0,    0,    0,    0,    0,    0,    0,				/* version, zero */
	0xa0, 1,    2,    3,    4,    5,    6,    7,    8, 9, 10, 11, 12, 13, 14, 0xaf, /* uuid */
	0,    0,    1,    0,    0,    0,    0,    0,				/* segment_bytes 64 KiB */
	5,    0,    0,    0,    0,    0,    0,    0,				/* number */
	0x78, 0x56, 4,    0,    0,    0,    0,    0,				/* prev_end */
	0x70, 0x56, 4,    0,    0,    0,    0,    0,				/* durable */
	0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 1,				/* nonce */
	0x19, 0xf3, 0x23, 0x52, 0x95, 0x31, 0xb0, 0xe3,				/* checksum64 */
};
static const uint8_t golden_record[40] = {
	0xf4, 0xfb, 0x15, 0xbb, 0x82, 0xf2, 0x5c, 0xde,				  /* checksum64 xor nonce */
	0,    0x10, 5,    0,	0,    0,    0,    0,			  /* lsn */
	5,    0,    0,    0,						  /* len */
	0x34, 0x12,							  /* type */
	0xcd, 0xab,							  /* flags */
	0x70, 0x56, 4,    0,	0,    0,    0,    0,			  /* durable */
	'h',  'e',  'l',  'l',  'o',  0,    0,    0,			  /* payload, padding */
};

START_TEST(test_segment_header_golden)
{
	struct segment_header h = {
		.segment_bytes = 65536,
		.number = 5,
		.prev_end = 0x45678,
		.durable = 0x45670,
		.nonce = 0x0123456789abcdef,
	};
	struct segment_header back;
	uint8_t page[LOG_PAGE];

	memcpy(h.uuid, fix_uuid, 16);
	segment_header_encode(&h, page);
	ck_assert_mem_eq(page, golden_header, 80);
	for (size_t i = 80; i < LOG_PAGE; i++)
		ck_assert_uint_eq(page[i], 0);
	ck_assert_int_eq(segment_header_decode(golden_header, &back), 0);
	ck_assert_mem_eq(back.uuid, fix_uuid, 16);
	ck_assert_uint_eq(back.segment_bytes, h.segment_bytes);
	ck_assert_uint_eq(back.number, h.number);
	ck_assert_uint_eq(back.prev_end, h.prev_end);
	ck_assert_uint_eq(back.durable, h.durable);
	ck_assert_uint_eq(back.nonce, h.nonce);
}
END_TEST

static void header_sum(uint8_t *h)
{
	put_le64(h + 72, checksum64(h, 72));
}

START_TEST(test_segment_header_refused)
{
	struct segment_header out;
	uint8_t h[80] = {0};

	ck_assert_int_eq(segment_header_decode(h, &out), -ENODATA);
	h[79] = 1;
	ck_assert_int_eq(segment_header_decode(h, &out), -EUCLEAN);
	for (int bit = 0; bit < 640; bit++) {
		memcpy(h, golden_header, 80);
		h[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(segment_header_decode(h, &out), -EUCLEAN);
	}
	memcpy(h, golden_header, 80);
	h[8] = 2;
	header_sum(h);
	ck_assert_int_eq(segment_header_decode(h, &out), -EPROTONOSUPPORT);
	memcpy(h, golden_header, 80);
	put_le64(h + 48, 5 * 65536 + 1); /* prev_end behind its own start */
	header_sum(h);
	ck_assert_int_eq(segment_header_decode(h, &out), -EUCLEAN);
	memcpy(h, golden_header, 80);
	put_le64(h + 56, 0x45679); /* durable behind prev_end */
	header_sum(h);
	ck_assert_int_eq(segment_header_decode(h, &out), -EUCLEAN);
}
END_TEST

START_TEST(test_record_header_golden)
{
	struct record_header h = {.lsn = 0x51000, .len = 5, .type = 0x1234, .flags = 0xabcd, .durable = 0x45670};
	struct record_header back;
	uint8_t bytes[LOG_RECORD_HEADER];

	h.checksum = checksum64(golden_record + 8, 24 + 5) ^ 0x0123456789abcdef;
	record_header_encode(&h, bytes);
	ck_assert_mem_eq(bytes, golden_record, LOG_RECORD_HEADER);
	record_header_decode(golden_record, &back);
	ck_assert_uint_eq(back.checksum, h.checksum);
	ck_assert_uint_eq(back.lsn, h.lsn);
	ck_assert_uint_eq(back.len, h.len);
	ck_assert_uint_eq(back.type, h.type);
	ck_assert_uint_eq(back.flags, h.flags);
	ck_assert_uint_eq(back.durable, h.durable);
	ck_assert_uint_eq(record_bytes(0), 32);
	ck_assert_uint_eq(record_bytes(1), 40);
	ck_assert_uint_eq(record_bytes(8), 40);
}
END_TEST

/* What the program writes is what the format says, but for the random nonce. */
START_TEST(test_log_file_bytes)
{
	struct io *io = sim_new(1, 0);
	struct log_config cfg = fix_config();
	struct log *log = fix_begin(io, &cfg);
	uint64_t reserved = 5 + LOG_RECORD_OVERHEAD, nonce;
	struct iovec iov = {(void *)"hello", 5};
	static const uint8_t zeros[LOG_PAGE];
	struct io_file *f;
	uint8_t page[2 * LOG_PAGE];

	ck_assert_int_eq(log_reserve(log, reserved, 0), 0);
	ck_assert_uint_eq(log_append(log, &reserved, 0x1234, 0xabcd, &iov, 1, NULL, NULL), 4096);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(io_open(io, "log/seg-00000001", IO_RDONLY, &f), 0);
	ck_assert_int_eq(io_pread(f, page, sizeof(page), 0), sizeof(page));
	nonce = get_le64(page + 64);
	ck_assert_mem_eq(page, golden_header, 40);
	ck_assert_mem_eq(page + 40, zeros, 24); /* number, prev_end, durable of the very first */
	ck_assert_uint_eq(get_le64(page + 72), checksum64(page, 72));
	ck_assert_mem_eq(page + 80, zeros, LOG_PAGE - 80);
	ck_assert_uint_eq(get_le64(page + 4096), checksum64(page + 4096 + 8, 24 + 5) ^ nonce);
	ck_assert_uint_eq(get_le64(page + 4096 + 8), 4096);
	ck_assert_mem_eq(page + 4096 + 16, golden_record + 16, 8);
	ck_assert_mem_eq(page + 4096 + 24, zeros, 8);
	ck_assert_mem_eq(page + 4096 + 32, golden_record + 32, 8);
	ck_assert_mem_eq(page + 4096 + 40, zeros, LOG_PAGE - 40);
	io_close(f);
	io_free(io);
}
END_TEST

START_TEST(test_slot_name_parse)
{
	uint32_t id = 0;

	ck_assert_int_eq(slot_name_parse("seg-0000001f", &id), 0);
	ck_assert_uint_eq(id, 31);
	ck_assert_int_eq(slot_name_parse("seg-0000001F", &id), -EINVAL);
	ck_assert_int_eq(slot_name_parse("seg-00000001.new", &id), -EINVAL);
	ck_assert_int_eq(slot_name_parse("seg-1", &id), -EINVAL);
	ck_assert_int_eq(slot_name_parse("seg-+0000001", &id), -EINVAL);
	ck_assert_int_eq(slot_name_parse("other", &id), -EINVAL);
}
END_TEST

Suite *make_log_format_suite(void)
{
	Suite *s = suite_create("log_format");
	TCase *tc = tcase_create("bytes");

	tcase_add_test(tc, test_segment_header_golden);
	tcase_add_test(tc, test_segment_header_refused);
	tcase_add_test(tc, test_record_header_golden);
	tcase_add_test(tc, test_log_file_bytes);
	tcase_add_test(tc, test_slot_name_parse);
	suite_add_tcase(s, tc);
	return s;
}
