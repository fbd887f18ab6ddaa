/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The RPC layer without a socket: bytes in, PDUs out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/rpc/assoc.h"
#include "fs/base/endian.h"
#include "tests/agent/suites.h"

#define IFACE "3c65e0a8 4427 8943 a61d 7373df8b2292 01000000 "
#define NDR32 "045d888a eb1c c911 9fe8 08002b104860 02000000 "
#define NDR64 "33057171 babe 3749 8319 b5dbef9ccc36 01000000 "
#define FEATURES "2c1cb76c 1298 4045 0300 000000000000 01000000 "
#define HEAD(type, flags, len, auth) "05 00 " type " " flags " 10000000 " len " " auth " 01000000 "
#define BIND_1 HEAD("0b", "03", "4800", "0000") "d016 d016 00000000 01 000000 0000 01 00 " IFACE NDR32

static struct assoc assoc;
static struct rpc_interface iface;
static uint8_t sent[65536];
static size_t sent_len;
static unsigned nsent, ncalls;
static uint8_t last_stub[ASSOC_STUB_BYTES_MAX];
static size_t last_stub_len, answer_len;
static uint32_t answer_fault;
static uint16_t last_opnum;

static int take_pdu(void *arg, const uint8_t *pdu, size_t len)
{
	ck_assert_uint_eq(get_le16(pdu + 8), len);
	memcpy(sent, pdu, len);
	sent_len = len;
	nsent++;
	return 0;
}

static uint32_t call(void *arg, const struct rpc_caller *who, uint16_t opnum, const uint8_t *stub, size_t stub_len,
		     struct ndr_push *out)
{
	uint8_t *room = ndr_push_room(out, answer_len);

	ck_assert_int_eq(who->level, RPC_LEVEL_NONE);
	ncalls++;
	last_opnum = opnum;
	last_stub_len = stub_len;
	if (stub_len)
		memcpy(last_stub, stub, stub_len);
	for (size_t i = 0; i < answer_len; i++)
		room[i] = (uint8_t)i;
	return answer_fault;
}

static void setup(void)
{
	struct assoc_config cfg = { .iface = &iface, .send = take_pdu, .mech = { .ntlm_auth = "/nonexistent" } };

	ck_assert_int_eq(guid_parse("a8e0653c-2744-4389-a61d-7373df8b2292", &iface.uuid), 0);
	iface.version_major = 1;
	iface.address = "\\PIPE\\FssagentRpc";
	iface.call = call;
	assoc_init(&assoc, &cfg);
	answer_len = 4;
}

static void teardown(void)
{
	assoc_release(&assoc);
}

static int feed(const char *hex)
{
	static uint8_t in[8192];
	size_t len = from_hex(hex, in, sizeof(in));

	return assoc_feed(&assoc, in, len);
}

static void bind_plain(void)
{
	ck_assert_int_eq(feed(BIND_1), 0);
	ck_assert_uint_eq(sent[2], PDU_BIND_ACK);
	nsent = 0;
}

START_TEST(test_assoc_bind_ack_bytes)
{
	uint8_t want[256];
	size_t len;

	ck_assert_int_eq(feed(HEAD("0b", "03", "4800", "0000") "b810 b810 78563412 01 000000 0000 01 00 " IFACE NDR32), 0);
	len = from_hex(HEAD("0c", "03", "4800", "0000") "b810 b810 78563412" /* the client's group comes back */
		       "1200 5c504950455c46737361 67656e7452706300" "01 000000 0000 0000 " NDR32, want, sizeof(want));
	want[8] = (uint8_t)len; /* address of 18 bytes with its NUL */
	assert_bytes(sent, sent_len, want, len);
}
END_TEST

static const struct {
	const char *name, *body;
	unsigned n;
	uint16_t result[3], reason[3];
} binds[] = {
	{ "other interface", "01 000000 0000 01 00 00000000 0000 0000 0000 000000000000 01000000 " NDR32, 1, { 2 }, { 1 } },
	{ "other version", "01 000000 0000 01 00 3c65e0a8 4427 8943 a61d 7373df8b2292 02000000 " NDR32, 1, { 2 }, { 1 } },
	{ "NDR64 only", "01 000000 0000 01 00 " IFACE NDR64, 1, { 2 }, { 2 } },
	{ "both in one context", "01 000000 0000 02 00 " IFACE NDR64 NDR32, 1, { 0 }, { 0 } },
	{ "as Windows does it",
	  "03 000000 0000 01 00 " IFACE NDR32 "0100 01 00 " IFACE NDR64 "0200 01 00 " IFACE FEATURES,
	  3,
	  { 0, 2, 3 },
	  { 0, 2, 3 } },
};

START_TEST(test_assoc_contexts)
{
	uint8_t in[512], body[512];
	size_t body_len = from_hex(binds[_i].body, body, sizeof(body));
	size_t len = from_hex(HEAD("0b", "03", "0000", "0000") "d016 d016 00000000", in, sizeof(in)), results;

	memcpy(in + len, body, body_len);
	put_le16(in + 8, (uint16_t)(len + body_len));
	ck_assert_int_eq(assoc_feed(&assoc, in, len + body_len), 0);
	ck_assert_uint_eq(sent[2], PDU_BIND_ACK);
	ck_assert_uint_ne(get_le32(sent + 20), 0); /* association group */
	results = 24 + 2 + get_le16(sent + 24);
	results = (results + 3) & ~(size_t)3;
	ck_assert_uint_eq(sent[results], binds[_i].n);
	for (unsigned i = 0; i < binds[_i].n; i++) {
		ck_assert_msg(get_le16(sent + results + 4 + i * 24) == binds[_i].result[i], "%s: result of %u", binds[_i].name, i);
		ck_assert_msg(get_le16(sent + results + 6 + i * 24) == binds[_i].reason[i], "%s: reason of %u", binds[_i].name, i);
	}
}
END_TEST

static void assert_alter_result(uint16_t result, uint16_t reason)
{
	ck_assert_uint_eq(sent[2], PDU_ALTER_RESP);
	ck_assert_uint_eq(get_le16(sent + 24), 0); /* no secondary address */
	ck_assert_uint_eq(sent[28], 1);
	ck_assert_uint_eq(get_le16(sent + 32), result);
	ck_assert_uint_eq(get_le16(sent + 34), reason);
}

/* A context more, beside the first; one that is refused changes nothing. */
START_TEST(test_assoc_alter)
{
#define ALTER(ctx, iface) HEAD("0e", "03", "4800", "0000") "d016 d016 00000000 01 000000 " ctx " 01 00 " iface NDR32
#define REQUEST(ctx, op) HEAD("00", "03", "1800", "0000") "00000000 " ctx " " op
	bind_plain();
	ck_assert_int_eq(feed(ALTER("0100", IFACE)), 0);
	assert_alter_result(0, 0);
	ck_assert_int_eq(feed(REQUEST("0100", "0500")), 0);
	ck_assert_uint_eq(sent[2], PDU_RESPONSE);
	ck_assert_uint_eq(last_opnum, 5);
	ck_assert_int_eq(feed(REQUEST("0000", "0600")), 0);
	ck_assert_uint_eq(last_opnum, 6);
	ck_assert_int_eq(feed(ALTER("0200", "01020304 0506 0708 090a 0b0c0d0e0f10 01000000 ")), 0);
	assert_alter_result(2, 1);
	ck_assert_int_eq(feed(REQUEST("0200", "0700")), 0);
	ck_assert_uint_eq(sent[2], PDU_FAULT);
	ck_assert_int_eq(feed(REQUEST("0100", "0700")), 0);
	ck_assert_uint_eq(last_opnum, 7);
	ck_assert_uint_eq(ncalls, 3);
}
END_TEST

/* One byte at a time, and many PDUs at once: the framing of the pipe does not matter. */
START_TEST(test_assoc_stream)
{
	uint8_t in[512];
	size_t len = from_hex(BIND_1 HEAD("00", "03", "1c00", "0000") "04000000 0000 0300 aabbccdd"
			      HEAD("00", "03", "1800", "0000") "00000000 0000 0000", in, sizeof(in));

	if (_i == 0)
		ck_assert_int_eq(assoc_feed(&assoc, in, len), 0);
	for (size_t i = 0; _i == 1 && i < len; i++)
		ck_assert_int_eq(assoc_feed(&assoc, in + i, 1), 0);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(ncalls, 2);
	ck_assert_uint_eq(last_opnum, 0);
	ck_assert_uint_eq(last_stub_len, 0);
}
END_TEST

START_TEST(test_assoc_response_bytes)
{
	uint8_t want[64];
	size_t len;

	bind_plain();
	ck_assert_int_eq(feed(HEAD("00", "03", "1c00", "0000") "04000000 0000 0300 aabbccdd"), 0);
	ck_assert_uint_eq(last_opnum, 3);
	ck_assert_uint_eq(last_stub_len, 4);
	len = from_hex(HEAD("02", "03", "1c00", "0000") "04000000 0000 00 00 00010203", want, sizeof(want));
	assert_bytes(sent, sent_len, want, len);
}
END_TEST

START_TEST(test_assoc_fault_bytes)
{
	uint8_t want[64];
	size_t len;

	bind_plain();
	answer_fault = FAULT_BAD_STUB;
	ck_assert_int_eq(feed(HEAD("00", "03", "1800", "0000") "00000000 0000 0300"), 0);
	len = from_hex(HEAD("03", "03", "2000", "0000") "00000000 0000 00 00 f7060000 00000000", want, sizeof(want));
	assert_bytes(sent, sent_len, want, len);
}
END_TEST

START_TEST(test_assoc_request_fragments)
{
	bind_plain();
	ck_assert_int_eq(feed(HEAD("00", "01", "1c00", "0000") "08000000 0000 0800 01020304"), 0);
	ck_assert_uint_eq(ncalls, 0);
	ck_assert_int_eq(feed(HEAD("00", "00", "1a00", "0000") "04000000 0000 0800 0506"), 0);
	ck_assert_int_eq(feed(HEAD("12", "03", "1000", "0000")), 0); /* co_cancel: too early to mean anything */
	ck_assert_int_eq(feed(HEAD("00", "02", "1a00", "0000") "04000000 0000 0800 0708"), 0);
	ck_assert_uint_eq(ncalls, 1);
	ck_assert_uint_eq(last_stub_len, 8);
	assert_bytes(last_stub, 8, (const uint8_t[]){ 1, 2, 3, 4, 5, 6, 7, 8 }, 8);
}
END_TEST

START_TEST(test_assoc_response_fragments)
{
	bind_plain(); /* frag_max 5840 */
	answer_len = 20000;
	ck_assert_int_eq(feed(HEAD("00", "03", "1800", "0000") "00000000 0000 0000"), 0);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_uint_eq(sent[3], PDU_LAST);
	ck_assert_uint_eq(get_le32(sent + 16), sent_len - 24);
}
END_TEST

START_TEST(test_assoc_object_uuid)
{
	bind_plain();
	ck_assert_int_eq(feed(HEAD("00", "83", "2c00", "0000") "04000000 0000 0300 00112233445566778899aabbccddeeff aabbccdd"), 0);
	ck_assert_uint_eq(last_stub_len, 4);
	ck_assert_uint_eq(last_stub[0], 0xaa);
}
END_TEST

START_TEST(test_assoc_unknown_context)
{
	bind_plain();
	ck_assert_int_eq(feed(HEAD("00", "03", "1800", "0000") "00000000 0500 0300"), 0);
	ck_assert_uint_eq(sent[2], PDU_FAULT);
	ck_assert_uint_eq(get_le32(sent + 24), FAULT_UNKNOWN_CONTEXT);
	ck_assert_uint_eq(ncalls, 0);
}
END_TEST

START_TEST(test_assoc_stub_too_large)
{
	static uint8_t pdu[PDU_FRAG_BYTES_MAX];
	int err = 0;

	bind_plain();
	from_hex(HEAD("00", "01", "0000", "0000") "00000000 0000 0300", pdu, sizeof(pdu));
	put_le16(pdu + 8, sizeof(pdu));
	for (int i = 0; i < 12 && !err; i++) {
		err = assoc_feed(&assoc, pdu, sizeof(pdu));
		pdu[3] = 0;
	}
	ck_assert_int_eq(err, -EMSGSIZE);
	ck_assert_uint_eq(sent[2], PDU_FAULT);
	ck_assert_uint_eq(ncalls, 0);
}
END_TEST

static const struct {
	const char *name, *hex;
} malformed[] = {
	{ "version", "04 00 0b 03 10000000 4800 0000 01000000" },
	{ "big-endian", "05 00 0b 03 00000000 4800 0000 01000000" },
	{ "shorter than its header", HEAD("0b", "03", "0f00", "0000") },
	{ "longer than we take", HEAD("0b", "03", "d116", "0000") },
	{ "auth longer than the PDU", HEAD("0b", "03", "4800", "4800") },
	{ "request before bind", HEAD("00", "03", "1800", "0000") "00000000 0000 0000" },
	{ "alter before bind", HEAD("0e", "03", "4800", "0000") "d016 d016 00000000 01 000000 0000 01 00 " IFACE NDR32 },
	{ "second bind", BIND_1 BIND_1 },
	{ "no contexts", HEAD("0b", "03", "1c00", "0000") "d016 d016 00000000 00 000000" },
	{ "contexts cut", HEAD("0b", "03", "3000", "0000") "d016 d016 00000000 01 000000 0000 01 00 " IFACE },
	{ "too many contexts", HEAD("0b", "03", "1c00", "0000") "d016 d016 00000000 ff 000000" },
	{ "too many syntaxes", HEAD("0b", "03", "4800", "0000") "d016 d016 00000000 01 000000 0000 ff 00 " IFACE NDR32 },
	{ "type we never get", HEAD("02", "03", "1800", "0000") "00000000 0000 0000" },
	{ "short request", BIND_1 HEAD("00", "03", "1400", "0000") "00000000" },
	{ "last without first", BIND_1 HEAD("00", "02", "1800", "0000") "00000000 0000 0000" },
	{ "first twice", BIND_1 HEAD("00", "01", "1800", "0000") "00000000 0000 0000" HEAD("00", "01", "1800", "0000") "00000000 0000 0000" },
	{ "object uuid cut", BIND_1 HEAD("00", "83", "2000", "0000") "00000000 0000 0000 0011223344556677" },
	{ "auth in a plain connection", BIND_1 HEAD("00", "03", "3000", "1000") "00000000 0000 0000 0a060000 00000000 00112233445566778899aabbccddeeff" },
	{ "auth3 without a token", BIND_1 HEAD("10", "03", "1400", "0000") "d016 d016" },
};

START_TEST(test_assoc_malformed)
{
	ck_assert_msg(feed(malformed[_i].hex) == -EPROTO, "%s is accepted", malformed[_i].name);
}
END_TEST

static const struct {
	const char *name, *trailer;
	uint16_t reason;
} refused[] = {
	{ "unknown type", "44 06 00 00 00000000 41424344", NAK_AUTH_TYPE },
	{ "Kerberos, which is not built in", "10 06 00 00 00000000 41424344", NAK_AUTH_TYPE },
	{ "level connect", "0a 02 00 00 00000000 41424344", NAK_AUTH_TYPE },
	{ "level 7", "0a 07 00 00 00000000 41424344", NAK_AUTH_TYPE },
	{ "SPNEGO that is none", "09 06 00 00 00000000 41424344", NAK_BAD_TOKEN },
	{ "NTLM without its helper", "0a 06 00 00 00000000 41424344", NAK_BAD_TOKEN },
};

START_TEST(test_assoc_auth_refused)
{
	uint8_t in[256];
	size_t len = from_hex(BIND_1, in, sizeof(in));

	len += from_hex(refused[_i].trailer, in + len, sizeof(in) - len);
	put_le16(in + 8, (uint16_t)len);
	put_le16(in + 10, 4);
	ck_assert_int_eq(assoc_feed(&assoc, in, len), 0);
	ck_assert_uint_eq(sent[2], PDU_BIND_NAK);
	ck_assert_msg(get_le16(sent + 16) == refused[_i].reason, "%s: reason %u", refused[_i].name, get_le16(sent + 16));
	/* nothing is bound: a request ends the connection */
	ck_assert_int_eq(feed(HEAD("00", "03", "1800", "0000") "00000000 0000 0000"), -EPROTO);
}
END_TEST

START_TEST(test_assoc_noise)
{
	uint32_t seed = (uint32_t)_i + 1;
	uint8_t in[256];
	size_t len = from_hex(BIND_1 HEAD("00", "03", "1c00", "0000") "04000000 0000 0300 aabbccdd", in, sizeof(in));

	for (int n = 0; n < 3; n++)
		in[test_random(&seed) % len] = (uint8_t)test_random(&seed);
	(void)!assoc_feed(&assoc, in, len); /* any result; no crash */
}
END_TEST

Suite *make_assoc_suite(void)
{
	Suite *s = suite_create("assoc");
	TCase *t = tcase_create("assoc");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_assoc_bind_ack_bytes);
	tcase_add_loop_test(t, test_assoc_contexts, 0, sizeof(binds) / sizeof(binds[0]));
	tcase_add_test(t, test_assoc_alter);
	tcase_add_loop_test(t, test_assoc_stream, 0, 2);
	tcase_add_test(t, test_assoc_response_bytes);
	tcase_add_test(t, test_assoc_fault_bytes);
	tcase_add_test(t, test_assoc_request_fragments);
	tcase_add_test(t, test_assoc_response_fragments);
	tcase_add_test(t, test_assoc_object_uuid);
	tcase_add_test(t, test_assoc_unknown_context);
	tcase_add_test(t, test_assoc_stub_too_large);
	tcase_add_loop_test(t, test_assoc_malformed, 0, sizeof(malformed) / sizeof(malformed[0]));
	tcase_add_loop_test(t, test_assoc_auth_refused, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_loop_test(t, test_assoc_noise, 0, 300);
	suite_add_tcase(s, t);
	return s;
}
