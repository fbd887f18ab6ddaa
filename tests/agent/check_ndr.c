/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/rpc/ndr.h"
#include "agent/rpc/utf16.h"
#include "tests/agent/suites.h"

START_TEST(test_ndr_alignment)
{
	static const uint8_t bytes[] = { 1, 9, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0 };
	struct ndr_pull p;

	ndr_pull_init(&p, bytes, sizeof(bytes));
	ck_assert_uint_eq(ndr_pull_u8(&p), 1);
	ck_assert_uint_eq(ndr_pull_u16(&p), 2);
	ck_assert_uint_eq(ndr_pull_u32(&p), 3);
	ck_assert_uint_eq(ndr_pull_u64(&p), 4);
	ck_assert_int_eq(p.err, 0);
	ck_assert_uint_eq(ndr_pull_u8(&p), 0);
	ck_assert_int_eq(p.err, -EPROTO);
}
END_TEST

START_TEST(test_ndr_error_sticks)
{
	static const uint8_t bytes[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct ndr_pull p;
	struct guid g;

	ndr_pull_init(&p, bytes, sizeof(bytes));
	ndr_pull_guid(&p, &g);
	ck_assert_int_eq(p.err, -EPROTO);
	ck_assert(guid_is_zero(&g));
	ck_assert_uint_eq(ndr_pull_u8(&p), 0);
	ck_assert_ptr_null(ndr_pull_bytes(&p, 0));
	ck_assert_ptr_null(ndr_pull_string(&p));
}
END_TEST

/* max, offset, count, units -> error of the pull */
static const struct {
	const char *name, *hex;
	int err;
	const char *text;
} strings[] = {
	{ "plain", "03000000 00000000 03000000 6100 6200 0000", 0, "ab" },
	{ "empty", "01000000 00000000 01000000 0000", 0, "" },
	{ "not ascii", "03000000 00000000 03000000 e400 715f 0000", 0, "\xc3\xa4\xe5\xbd\xb1" },
	{ "surrogates", "03000000 00000000 03000000 3dd8 00de 0000", 0, "\xf0\x9f\x98\x80" },
	{ "max above count", "ff000000 00000000 02000000 6100 0000", 0, "a" },
	{ "no NUL", "02000000 00000000 02000000 6100 6200", -EPROTO, NULL },
	{ "count 0", "00000000 00000000 00000000", -EPROTO, NULL },
	{ "offset", "03000000 01000000 03000000 6100 6200 0000", -EPROTO, NULL },
	{ "count above max", "02000000 00000000 03000000 6100 6200 0000", -EPROTO, NULL },
	{ "count too large", "ffffffff 00000000 ffffffff 6100 0000", -EPROTO, NULL },
	{ "count above what is left", "10000000 00000000 10000000 6100 0000", -EPROTO, NULL },
	{ "NUL inside", "03000000 00000000 03000000 6100 0000 0000", -EILSEQ, NULL },
	{ "lone high surrogate", "02000000 00000000 02000000 3dd8 0000", -EILSEQ, NULL },
	{ "lone low surrogate", "02000000 00000000 02000000 00de 0000", -EILSEQ, NULL },
	{ "high without low", "03000000 00000000 03000000 3dd8 6100 0000", -EILSEQ, NULL },
	{ "cut", "03000000 00000000 0300", -EPROTO, NULL },
};

START_TEST(test_ndr_pull_string)
{
	uint8_t bytes[64];
	size_t len = from_hex(strings[_i].hex, bytes, sizeof(bytes));
	struct ndr_pull p;
	struct ndr_push out;
	char *s;

	ndr_pull_init(&p, bytes, len);
	s = ndr_pull_string(&p);
	ck_assert_msg(p.err == strings[_i].err, "%s: error %d", strings[_i].name, p.err);
	if (!strings[_i].text) {
		ck_assert_ptr_null(s);
		return;
	}
	ck_assert_str_eq(s, strings[_i].text);
	ndr_push_init(&out);
	ndr_push_string(&out, s);
	ck_assert_int_eq(out.err, 0);
	if (bytes[0] != 0xff)
		assert_bytes(out.data, out.len, bytes, len);
	ndr_push_release(&out);
	free(s);
}
END_TEST

START_TEST(test_ndr_push_bad_utf8)
{
	static const char *const bad[] = { "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe4", "\xe5\xbd" };
	struct ndr_push out;

	ndr_push_init(&out);
	ndr_push_string(&out, bad[_i]);
	ck_assert_int_eq(out.err, -EILSEQ);
	ndr_push_release(&out);
}
END_TEST

START_TEST(test_ndr_push_too_much)
{
	struct ndr_push out;

	ndr_push_init(&out);
	ck_assert_ptr_nonnull(ndr_push_room(&out, NDR_PUSH_BYTES_MAX));
	ndr_push_u8(&out, 1);
	ck_assert_int_eq(out.err, -EMSGSIZE);
	ndr_push_release(&out);
}
END_TEST

START_TEST(test_guid_text_and_wire)
{
	static const char text[] = "a8e0653c-2744-4389-a61d-7373df8b2292";
	uint8_t wire[16], want[16];
	char back[GUID_TEXT_SIZE];
	struct ndr_push out;
	struct guid g;

	ck_assert_int_eq(guid_parse(text, &g), 0);
	guid_format(&g, back);
	ck_assert_str_eq(back, text);
	ndr_push_init(&out);
	ndr_push_guid(&out, &g);
	from_hex("3c65e0a8 4427 8943 a61d 7373df8b2292", want, sizeof(want));
	memcpy(wire, out.data, 16);
	assert_bytes(wire, 16, want, 16);
	ndr_push_release(&out);
	ck_assert_int_eq(guid_parse("A8E0653C-2744-4389-A61D-7373DF8B2292", &g), 0);
	ck_assert_int_eq(guid_parse("a8e0653c27444389a61d7373df8b2292", &g), -EINVAL);
	ck_assert_int_eq(guid_parse("a8e0653c-2744-4389-a61d-7373df8b2292 ", &g), -EINVAL);
	ck_assert_int_eq(guid_parse("a8e0653c-2744-4389-a61d-7373df8b229", &g), -EINVAL);
	ck_assert_int_eq(guid_parse("", &g), -EINVAL);
}
END_TEST

START_TEST(test_utf8_casecmp)
{
	ck_assert_int_eq(utf8_casecmp("Data", "dATA"), 0);
	ck_assert_int_eq(utf8_casecmp("\xc3\x84mter", "\xc3\xa4MTER"), 0);
	ck_assert_int_ne(utf8_casecmp("a", "ab"), 0);
	ck_assert_int_ne(utf8_casecmp("\xff", "\xfe"), 0);
	ck_assert_int_eq(utf8_casecmp("\xff", "\xff"), 0);
}
END_TEST

Suite *make_ndr_suite(void)
{
	Suite *s = suite_create("ndr");
	TCase *t = tcase_create("ndr");

	tcase_add_test(t, test_ndr_alignment);
	tcase_add_test(t, test_ndr_error_sticks);
	tcase_add_loop_test(t, test_ndr_pull_string, 0, sizeof(strings) / sizeof(strings[0]));
	tcase_add_loop_test(t, test_ndr_push_bad_utf8, 0, 6);
	tcase_add_test(t, test_ndr_push_too_much);
	tcase_add_test(t, test_guid_text_and_wire);
	tcase_add_test(t, test_utf8_casecmp);
	suite_add_tcase(s, t);
	return s;
}
