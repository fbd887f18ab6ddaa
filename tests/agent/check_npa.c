/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hand-over: one blob as smbd 4.17.12 sent it (level 7), and blobs of all levels built field by field. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/np/npa.h"
#include "agent/rpc/ndr.h"
#include "tests/agent/suites.h"

/* User "backup" (uid 34) of a standalone server KAGETEST; the session key is made up. */
static const char captured[] =
	"000002e34e50414d070000000700000001000000000002000400020058920000080002000c000200ed5200001000020003000000"
	"0000000003000000766d00000a000000000000000a0000003132372e302e302e31000000030000000000000003000000766d0000"
	"0a000000000000000a0000003132372e302e302e310000001400020000000000180002001c000200200002002400020000000000"
	"100000000123456789abcdef0123456789abcdef0000000072dacf29e5bf8546a22b85437f170893000000000800000008000000"
	"010500000000000515000000ceaa9950a9663eb0215458fbe9030000010500000000000515000000ceaa9950a9663eb0215458fb"
	"01020000010200000000001602000000220000000101000000000001000000000101000000000005020000000101000000000005"
	"0b0000000102000000000016010000002200000001020000000000162485a9790000000000000000000000000000000000000000"
	"0100000022000000000000002200000000000000010000000000000022000000000000002800020000000000000000002c000200"
	"000000003000020034000200380002003c00020040000200440002000000000000000000ffffffffffffff7fffffffffffffff7f"
	"801d54848f7add01801d54848f7add01ffffffffffffff7f0000000010000000010000000700000000000000070000006261636b"
	"757000000900000000000000090000004b41474554455354000000000700000000000000070000006261636b7570000001000000"
	"0000000001000000000000001a000000000000001a0000005c5c4b414745544553545c6261636b75705c70726f66696c65000000"
	"1200000000000000120000005c5c4b414745544553545c6261636b75700000000100000000000000010000000000000009000000"
	"00000000090000004b4147455445535400000000480002004c0002000700000000000000070000006261636b7570000007000000"
	"00000000070000006261636b757000";

size_t npa_captured(uint8_t out[1024])
{
	return from_hex(captured, out, 1024);
}

START_TEST(test_npa_captured)
{
	char sid[SID_TEXT_SIZE];
	struct npa_token t;
	uint8_t blob[1024];
	size_t len = npa_captured(blob);

	ck_assert_int_eq(npa_parse(blob, len, &t), 0);
	ck_assert_uint_eq(t.level, 7);
	ck_assert_str_eq(t.client_addr, "127.0.0.1");
	ck_assert_str_eq(t.account, "backup");
	ck_assert_str_eq(t.domain, "KAGETEST");
	ck_assert_str_eq(t.unix_name, "backup");
	ck_assert(t.authenticated);
	ck_assert(t.has_unix);
	ck_assert_uint_eq(t.uid, 34);
	ck_assert_uint_eq(t.gid, 34);
	ck_assert_uint_eq(t.ngids, 1);
	ck_assert_uint_eq(t.nsids, 8);
	sid_format(&t.sids[0], sid);
	ck_assert_str_eq(sid, "S-1-5-21-1352248014-2956879529-4216869921-1001");
	sid_format(&t.sids[2], sid);
	ck_assert_str_eq(sid, "S-1-22-2-34");
	ck_assert_uint_eq(t.privileges, 0);
	npa_token_release(&t);
}
END_TEST

START_TEST(test_npa_every_cut)
{
	uint8_t blob[1024];
	size_t len = npa_captured(blob);
	struct npa_token t;

	for (size_t cut = 0; cut < len; cut++) {
		uint32_t be = htobe32((uint32_t)cut - 4);

		if (cut >= 4)
			memcpy(blob, &be, 4);
		ck_assert_int_eq(npa_parse(blob, cut, &t), -EPROTO);
	}
}
END_TEST

START_TEST(test_npa_wrong_length)
{
	uint8_t blob[1024];
	size_t len = npa_captured(blob);
	struct npa_token t;

	blob[3]++;
	ck_assert_int_eq(npa_parse(blob, len, &t), -EPROTO);
	blob[3]--;
	ck_assert_int_eq(npa_parse(blob, len - 1, &t), -EPROTO);
	blob[4] = 'X';
	ck_assert_int_eq(npa_parse(blob, len, &t), -EPROTO);
}
END_TEST

START_TEST(test_npa_unknown_level)
{
	static const uint8_t levels[] = { 0, 1, 4, 6, 9, 255 };
	uint8_t blob[1024];
	size_t len = npa_captured(blob);
	struct npa_token t;

	blob[8] = blob[12] = levels[_i];
	ck_assert_int_eq(npa_parse(blob, len, &t), -EPROTONOSUPPORT);
	ck_assert_uint_eq(t.level, levels[_i]);
	blob[12]++;
	ck_assert_int_eq(npa_parse(blob, len, &t), -EPROTO);
}
END_TEST

/* Every single byte changed in turn: an error or another token, no crash. */
START_TEST(test_npa_noise)
{
	uint8_t blob[1024], value = (uint8_t[]){ 0, 1, 0x7f, 0xff }[_i];
	size_t len = npa_captured(blob);
	struct npa_token t;

	for (size_t i = 4; i < len; i++) {
		uint8_t old = blob[i];

		blob[i] = value;
		if (npa_parse(blob, len, &t) == 0)
			npa_token_release(&t);
		blob[i] = old;
	}
}
END_TEST

/* ---- built blobs ---- */

static void push_sid(struct ndr_push *p, uint8_t authority, const uint32_t *sub, uint8_t n)
{
	ndr_push_align(p, 4);
	ndr_push_u8(p, 1);
	ndr_push_u8(p, n);
	for (int i = 0; i < 5; i++)
		ndr_push_u8(p, 0);
	ndr_push_u8(p, authority);
	for (int i = 0; i < n; i++)
		ndr_push_u32(p, sub[i]);
}

static void push_security_token(struct ndr_push *p, unsigned level, unsigned nclaims)
{
	static const uint32_t user[] = { 21, 1, 2, 3, 1000 }, backup_operators[] = { 32, 551 };

	ndr_push_u32(p, 2);
	ndr_push_u32(p, 2);
	push_sid(p, 5, user, 5);
	push_sid(p, 5, backup_operators, 2);
	ndr_push_u64(p, NPA_PRIV_BACKUP);
	ndr_push_u32(p, 0);
	if (level < 8)
		return;
	ndr_push_u32(p, nclaims);
	ndr_push_u32(p, 0);
	ndr_push_u32(p, 0);
	ndr_push_u32(p, 1); /* device SIDs */
	if (nclaims)
		return; /* the rest cannot be read anyway */
	for (int i = 0; i < 3; i++)
		ndr_push_u32(p, 0);
	ndr_push_u32(p, 1);
	push_sid(p, 5, backup_operators, 2);
	ndr_push_u16(p, 1); /* evaluate_claims */
}

static void push_user_info(struct ndr_push *p, unsigned level, bool authenticated)
{
	ndr_push_u32(p, 1); /* account */
	ndr_push_u32(p, 0);
	ndr_push_u8(p, 0);
	ndr_push_u32(p, 1); /* domain */
	for (int i = 0; i < 7; i++)
		ndr_push_u32(p, i == 6); /* only the logon server */
	for (int i = 0; i < 12; i++)
		ndr_push_u32(p, 0xffffffff);
	ndr_push_u16(p, 0);
	ndr_push_u16(p, 0);
	ndr_push_u32(p, 0x10);
	if (level < 8)
		ndr_push_u8(p, authenticated);
	else
		ndr_push_u32(p, authenticated ? 0x20 : 0x21);
	ndr_push_utf8_string(p, "vmhost$");
	ndr_push_utf8_string(p, "CORP");
	ndr_push_utf8_string(p, "DC1");
}

static void build(struct ndr_push *p, unsigned level, unsigned nclaims, bool authenticated)
{
	uint32_t be;

	ndr_push_init(p);
	ndr_push_u32(p, 0);
	ndr_push_bytes(p, "NPAM", 4);
	ndr_push_u32(p, level);
	ndr_push_u32(p, level);
	ndr_push_u8(p, 1);
	ndr_push_u32(p, 1); /* client name, address, port */
	ndr_push_u32(p, 1);
	ndr_push_u16(p, 1234);
	ndr_push_u32(p, 0); /* no server name */
	ndr_push_u32(p, 1);
	ndr_push_u16(p, 445);
	ndr_push_u32(p, 1); /* session */
	if (level == 5)
		ndr_push_u8(p, 0);
	ndr_push_utf8_string(p, "vmhost");
	ndr_push_utf8_string(p, "fe80::1");
	ndr_push_utf8_string(p, "::1");
	ndr_push_u32(p, 1); /* auth_session_info, exported credentials */
	ndr_push_u32(p, 3);
	ndr_push_bytes(p, "abc", 3);
	for (int i = 0; i < 4; i++)
		ndr_push_u32(p, 1);
	ndr_push_u32(p, 0); /* torture */
	ndr_push_u32(p, 32);
	(void)ndr_push_room(p, 32);
	ndr_push_u32(p, 0);
	(void)ndr_push_room(p, 16);
	ndr_push_u16(p, 1);
	ndr_push_align(p, 4);
	push_security_token(p, level, nclaims);
	if (!nclaims) {
		ndr_push_u32(p, 3);
		ndr_push_u64(p, 1000);
		ndr_push_u64(p, 100);
		ndr_push_u32(p, 3);
		for (uint64_t gid = 7; gid < 10; gid++)
			ndr_push_u64(p, gid);
		push_user_info(p, level, authenticated);
		ndr_push_u32(p, 1);
		ndr_push_u32(p, 0);
		ndr_push_utf8_string(p, "vmhost_");
	}
	be = htobe32((uint32_t)p->len - 4);
	memcpy(p->data, &be, 4);
}

START_TEST(test_npa_levels)
{
	unsigned level = (unsigned[]){ 5, 7, 8 }[_i];
	uint8_t reply[NPA_REPLY_BYTES], want[NPA_REPLY_BYTES];
	char sid[SID_TEXT_SIZE];
	struct npa_token t;
	struct ndr_push p;

	build(&p, level, 0, true);
	ck_assert_int_eq(npa_parse(p.data, p.len, &t), 0);
	ck_assert_str_eq(t.client_addr, "fe80::1");
	ck_assert_str_eq(t.client_name, "vmhost");
	ck_assert_ptr_null(t.server_name);
	ck_assert_str_eq(t.account, "vmhost$");
	ck_assert_str_eq(t.domain, "CORP");
	ck_assert_str_eq(t.unix_name, "vmhost_");
	ck_assert(t.authenticated);
	ck_assert_uint_eq(t.uid, 1000);
	ck_assert_uint_eq(t.gid, 100);
	ck_assert_uint_eq(t.ngids, 3);
	ck_assert_uint_eq(t.gids[2], 9);
	ck_assert_uint_eq(t.privileges, NPA_PRIV_BACKUP);
	sid_format(&t.sids[1], sid);
	ck_assert_str_eq(sid, "S-1-5-32-551");
	npa_token_release(&t);
	ndr_push_release(&p);

	npa_reply(level, reply);
	from_hex("00000020 4e50414d 07000000 07000000 0200 ff05 00000000 0010000000000000 00000000", want, sizeof(want));
	want[8] = want[12] = (uint8_t)level;
	assert_bytes(reply, sizeof(reply), want, sizeof(want));
}
END_TEST

START_TEST(test_npa_guest)
{
	struct npa_token t;
	struct ndr_push p;

	build(&p, (unsigned[]){ 5, 7, 8 }[_i], 0, false);
	ck_assert_int_eq(npa_parse(p.data, p.len, &t), 0);
	ck_assert(!t.authenticated);
	npa_token_release(&t);
	ndr_push_release(&p);
}
END_TEST

/* Claims hold relative pointers: what comes after them is not read, and nobody is taken for authenticated. */
START_TEST(test_npa_claims)
{
	struct npa_token t;
	struct ndr_push p;

	build(&p, 8, 2, true);
	ck_assert_int_eq(npa_parse(p.data, p.len, &t), 0);
	ck_assert_uint_eq(t.nsids, 2);
	ck_assert(!t.authenticated);
	ck_assert(!t.has_unix);
	npa_token_release(&t);
	ndr_push_release(&p);
}
END_TEST

START_TEST(test_sid_text)
{
	static const char *const bad[] = { "",	 "S",	     "S-1",	 "S-1-",	 "S-2-5-32", "S-1-5",	"S-1-5-",
					   "S-1-5-x", "S-1-5-32-", "S-1-5-4294967296", "S-1-281474976710656-1", "s-1-5-32", "S-1-5-32 " };
	char text[SID_TEXT_SIZE];
	struct sid s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(sid_parse(bad[i], &s) == -EINVAL, "%s is accepted", bad[i]);
	ck_assert_int_eq(sid_parse("S-1-5-21-4294967295-0-3-1000", &s), 0);
	sid_format(&s, text);
	ck_assert_str_eq(text, "S-1-5-21-4294967295-0-3-1000");
	ck_assert_int_eq(sid_parse("S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15", &s), 0);
	ck_assert_int_eq(sid_parse("S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", &s), -EINVAL);
}
END_TEST

Suite *make_npa_suite(void)
{
	Suite *s = suite_create("npa");
	TCase *t = tcase_create("npa");

	tcase_add_test(t, test_npa_captured);
	tcase_add_test(t, test_npa_every_cut);
	tcase_add_test(t, test_npa_wrong_length);
	tcase_add_loop_test(t, test_npa_unknown_level, 0, 6);
	tcase_add_loop_test(t, test_npa_noise, 0, 4);
	tcase_add_loop_test(t, test_npa_levels, 0, 3);
	tcase_add_loop_test(t, test_npa_guest, 0, 3);
	tcase_add_test(t, test_npa_claims);
	tcase_add_test(t, test_sid_text);
	suite_add_tcase(s, t);
	return s;
}
