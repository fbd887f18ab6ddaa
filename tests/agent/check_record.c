/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/fsrvp/record.h"
#include "tests/agent/suites.h"

/* docs/fsrvp-record.md shows these bytes. */
static const char golden[] = "4b465352 0100 0100 6c000000"
			     "4f505845"		 /* Exposed */
			     "19004000"		 /* NAS rollback with auto-recovery */
			     "22000000"		 /* uid 34 */
			     "00ca9a3b00000000"	 /* 1 s after the epoch */
			     "0b00 434f52505c6261636b7570" /* CORP\backup */
			     "101112131415161718191a1b1c1d1e1f 0700000000000000 0700 2f7372762f766d"
			     "0100 0900000000000000" /* one volume below it */
			     "0200 0300 766d31 0000 0300 766d32 0400 612f2f62"
			     "";

static const struct guid set_id = { { 5 } };
static const struct guid copy_id = { { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 } };

static struct shadow_set *sample(void)
{
	struct shadow_copy *c;
	struct shadow_set *s;

	ck_assert_int_eq(shadow_set_new(&set_id, 0x400019, &s), 0);
	s->writer_uid = 34;
	s->created_ns = 1000000000;
	s->creator = strdup("CORP\\backup");
	ck_assert_int_eq(shadow_set_add_copy(s, &copy_id, 7, "/srv/vm", &c), 0);
	ck_assert_int_eq(shadow_set_add_nested(s, c, (const uint64_t[]){ 9, 9 }, 2), 0);
	ck_assert_int_eq(shadow_set_add_mapping(s, c, "vm1", ""), 0);
	ck_assert_int_eq(shadow_set_add_mapping(s, c, "vm2", "a//b"), 0);
	return s;
}

static size_t get_golden(uint8_t out[256])
{
	size_t len = from_hex(golden, out, 256);

	out[8] = (uint8_t)len;
	return len;
}

START_TEST(test_record_golden)
{
	uint8_t want[256], got[RECORD_BYTES_MAX];
	struct shadow_set *s = sample(), *back;
	size_t want_len = get_golden(want), len;

	ck_assert_int_eq(record_encode(s, SET_EXPOSED, got, &len), 0);
	assert_bytes(got, len, want, want_len);
	shadow_set_free(s);

	ck_assert_int_eq(record_decode(want, want_len, &back), 0);
	ck_assert_int_eq(back->status, SET_EXPOSED);
	ck_assert_uint_eq(back->context, 0x400019);
	ck_assert_uint_eq(back->writer_uid, 34);
	ck_assert_str_eq(back->creator, "CORP\\backup");
	ck_assert_uint_eq(back->ncopies, 1);
	ck_assert_uint_eq(back->nmappings, 2);
	ck_assert_uint_eq(back->copies[0].volume, 7);
	ck_assert_str_eq(back->copies[0].root, "/srv/vm");
	ck_assert_uint_eq(back->copies[0].nnested, 1);
	ck_assert_uint_eq(back->copies[0].nested[0], 9);
	ck_assert_str_eq(back->copies[0].mappings[1].share, "vm2");
	ck_assert_str_eq(back->copies[0].mappings[1].rel, "a//b");
	ck_assert(shadow_set_is_persistent(back));
	ck_assert(shadow_set_is_writable(back));
	shadow_set_free(back);
}
END_TEST

START_TEST(test_record_every_cut)
{
	uint8_t data[256];
	size_t len = get_golden(data);
	struct shadow_set *s;

	for (size_t cut = 0; cut < len; cut++) {
		ck_assert_int_eq(record_decode(data, cut, &s), -EPROTO);
		if (cut >= 12) {
			data[8] = (uint8_t)cut; /* the length agrees, the contents do not */
			ck_assert_int_eq(record_decode(data, cut, &s), -EPROTO);
			data[8] = (uint8_t)len;
		}
	}
}
END_TEST

START_TEST(test_record_versions_and_words)
{
	uint8_t data[256];
	size_t len = get_golden(data);
	struct shadow_set *s;

	data[4] = 2;
	ck_assert_int_eq(record_decode(data, len, &s), -EPROTONOSUPPORT);
	data[4] = 1;
	data[0] ^= 1;
	ck_assert_int_eq(record_decode(data, len, &s), -EPROTO);
	data[0] ^= 1;
	memset(data + 12, 0, 4); /* status zero licenses nothing */
	ck_assert_int_eq(record_decode(data, len, &s), -EPROTO);
}
END_TEST

START_TEST(test_record_noise)
{
	uint32_t seed = (uint32_t)_i + 1;
	uint8_t data[256];
	size_t len = get_golden(data);
	struct shadow_set *s;

	for (int i = 0; i < 500; i++) {
		uint8_t copy[256];

		memcpy(copy, data, len);
		copy[12 + test_random(&seed) % (len - 12)] = (uint8_t)test_random(&seed);
		if (record_decode(copy, len, &s) == 0)
			shadow_set_free(s);
	}
}
END_TEST

/* 64 volumes with ordinary names fit; too much is refused and says so. */
START_TEST(test_record_size)
{
	uint8_t data[RECORD_BYTES_MAX];
	struct shadow_set *s, *back;
	struct shadow_copy *c;
	char name[300];
	size_t len;

	ck_assert_int_eq(shadow_set_new(&set_id, 0, &s), 0);
	for (unsigned i = 0; i < SET_COPIES_MAX; i++) {
		struct guid id = { { 1, (uint8_t)i } };

		snprintf(name, sizeof(name), "/srv/virtual-machines/volume%u", i);
		ck_assert_int_eq(shadow_set_add_copy(s, &id, i, name, &c), 0);
		snprintf(name, sizeof(name), "virtual-machines-%u$", i);
		ck_assert_int_eq(shadow_set_add_mapping(s, c, name, "disks/production"), 0);
	}
	ck_assert_int_eq(shadow_set_add_copy(s, &set_id, 99, "/x", &c), -ENOSPC);
	ck_assert_int_eq(record_encode(s, SET_RECOVERED, data, &len), 0);
	ck_assert_int_eq(record_decode(data, len, &back), 0);
	ck_assert_uint_eq(back->ncopies, SET_COPIES_MAX);
	shadow_set_free(back);
	memset(name, 'x', 200);
	name[200] = '\0';
	for (int i = 0; i < 20; i++) {
		name[0] = (char)('a' + i);
		ck_assert_int_eq(shadow_set_add_mapping(s, &s->copies[0], name, ""), 0);
	}
	ck_assert_int_eq(record_encode(s, SET_RECOVERED, data, &len), -EMSGSIZE);
	shadow_set_free(s);
}
END_TEST

START_TEST(test_set_names)
{
	struct shadow_set *s = sample();
	struct shadow_copy *c = &s->copies[0];
	char *text;

	text = shadow_share_name(c, &c->mappings[0]);
	ck_assert_str_eq(text, "vm1@{10111213-1415-1617-1819-1a1b1c1d1e1f}");
	free(text);
	ck_assert_int_eq(shadow_set_add_mapping(s, c, "hid$", ""), 0);
	text = shadow_share_name(c, &c->mappings[2]);
	ck_assert_str_eq(text, "hid$@{10111213-1415-1617-1819-1a1b1c1d1e1f}$");
	free(text);
	ck_assert_ptr_null(shadow_share_path(c, &c->mappings[0]));
	c->snapshot = strdup("@GMT-2026.01.02-03.04.05");
	text = shadow_share_path(c, &c->mappings[0]);
	ck_assert_str_eq(text, "/srv/vm/.snapshots/@GMT-2026.01.02-03.04.05");
	free(text);
	text = shadow_share_path(c, &c->mappings[1]);
	ck_assert_str_eq(text, "/srv/vm/.snapshots/@GMT-2026.01.02-03.04.05/a//b");
	free(text);
	shadow_set_remove_mapping(s, c, &c->mappings[0]);
	ck_assert_uint_eq(s->nmappings, 2);
	ck_assert(shadow_set_has_share(s, "VM2"));
	ck_assert(!shadow_set_has_share(s, "vm1"));
	shadow_set_remove_copy(s, c);
	ck_assert_uint_eq(s->nmappings, 0);
	ck_assert_uint_eq(s->ncopies, 0);
	shadow_set_free(s);
}
END_TEST

Suite *make_record_suite(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_add_test(t, test_record_golden);
	tcase_add_test(t, test_record_every_cut);
	tcase_add_test(t, test_record_versions_and_words);
	tcase_add_loop_test(t, test_record_noise, 0, 10);
	tcase_add_test(t, test_record_size);
	tcase_add_test(t, test_set_names);
	suite_add_tcase(s, t);
	return s;
}
