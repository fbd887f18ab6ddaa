/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Authenticated associations with a stand-in for ntlm_auth (tests/agent knows the session key), the test being the client:
 * raw NTLM and SPNEGO, signed and sealed, and what must fail.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/child.h"
#include "agent/rpc/assoc.h"
#include "agent/rpc/ntlm.h"
#include "fs/base/endian.h"
#include "tests/agent/suites.h"

#define FLAGS "0x60088215" /* 128 bit, key exchange, extended security, sign */
/* base64 of "NEGOTIATE", "CHALLENGE", "AUTHENTICATE" and of 16 bytes 0x55 */
#define HELPER                                                                         \
	"#!/bin/sh\nwhile read -r word token; do\n\tcase \"$word $token\" in\n"         \
	"\tSF*) echo OK;;\n\tYR\\ TkVHT1RJQVRF) echo TT Q0hBTExFTkdF;;\n"               \
	"\tKK\\ QVVUSEVOVElDQVRF) printf '%s\\n' 'AF DOM\\anna';;\n\tGK*) echo GK VVVVVVVVVVVVVVVVVVVVVQ==;;\n" \
	"\tGF*) echo GF " FLAGS ";;\n\t*) echo NA wrong;;\n\tesac\ndone\n"

#define NTLM_OID "06 0a 2b06010401823702020a "
#define MECHS_NTLM "30 0c " NTLM_OID
#define MECHS_KRB5_FIRST "30 17 06 09 2a864886f712010202 " NTLM_OID

static char top[32], helper[64];
static struct assoc assoc;
static struct rpc_interface iface;
static struct ntlm_session client;
static uint8_t sent[8192];
static size_t sent_len;
static unsigned nsent, ncalls;
static bool privacy;

static int take_pdu(void *arg, const uint8_t *pdu, size_t len)
{
	memcpy(sent, pdu, len);
	sent_len = len;
	nsent++;
	return 0;
}

static uint32_t call(void *arg, const struct rpc_caller *who, uint16_t opnum, const uint8_t *stub, size_t stub_len,
		     struct ndr_push *out)
{
	ck_assert_int_eq(who->level, privacy ? RPC_LEVEL_PRIVACY : RPC_LEVEL_INTEGRITY);
	ck_assert_str_eq(who->user, "anna");
	ck_assert_str_eq(who->domain, "DOM");
	assert_bytes(stub, stub_len, (const uint8_t *)"request", 7);
	ncalls++;
	ndr_push_bytes(out, "answer", 6);
	return 0;
}

static void setup(void)
{
	struct assoc_config cfg = { .iface = &iface, .send = take_pdu, .mech = { .ntlm_auth = helper } };
	uint8_t key[16];
	FILE *f;

	strcpy(top, "/tmp/kagefs-auth.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(helper, sizeof(helper), "%s/ntlm_auth", top);
	f = fopen(helper, "w");
	ck_assert_ptr_nonnull(f);
	fputs(HELPER, f);
	fclose(f);
	ck_assert_int_eq(chmod(helper, 0755), 0);
	ck_assert_int_eq(guid_parse("a8e0653c-2744-4389-a61d-7373df8b2292", &iface.uuid), 0);
	iface.version_major = 1;
	iface.address = "p";
	iface.call = call;
	assoc_init(&assoc, &cfg);
	memset(key, 0x55, sizeof(key));
	ck_assert_int_eq(ntlm_session_init(&client, 0x60088215, key), 0);
}

static void teardown(void)
{
	const char *argv[] = { "rm", "-rf", "--", top, NULL };

	assoc_release(&assoc);
	ck_assert_int_eq(child_run(argv, patience_ms(10000), 0, NULL), 0);
}

/* bind (0b), alter (0e) or auth3 (10) with a token. */
static int send_leg(uint8_t type, uint8_t auth_type, const uint8_t *token, size_t len)
{
	struct ndr_push p;
	uint8_t body[128];
	size_t body_len = type == PDU_AUTH3 ?
				  from_hex("d016 d016", body, sizeof(body)) :
				  from_hex("d016 d016 00000000 01 000000 0000 01 00 3c65e0a8 4427 8943 a61d 7373df8b2292 01000000 "
					   "045d888a eb1c c911 9fe8 08002b104860 02000000", body, sizeof(body));
	int r;

	ndr_push_init(&p);
	pdu_begin(&p, type, PDU_FIRST | PDU_LAST | PDU_HEADER_SIGNING, 1);
	ndr_push_bytes(&p, body, body_len);
	pdu_push_trailer(&p, auth_type, privacy ? RPC_LEVEL_PRIVACY : RPC_LEVEL_INTEGRITY, 0, 7);
	ndr_push_bytes(&p, token, len);
	pdu_finish(&p, len);
	r = assoc_feed(&assoc, p.data, p.len);
	ndr_push_release(&p);
	return r;
}

/* The token of the PDU that came back. */
static struct pdu_trailer answer_token(uint8_t type)
{
	struct pdu_header h;
	struct pdu_trailer t;

	ck_assert_int_eq(pdu_parse_header(sent, &h), 0);
	ck_assert_uint_eq(h.type, type);
	ck_assert_int_eq(pdu_parse_trailer(sent, &h, 24, &t), 0);
	ck_assert_uint_eq(t.ctx_id, 7);
	return t;
}

static void raw_ntlm(void)
{
	struct pdu_trailer t;

	ck_assert_int_eq(send_leg(PDU_BIND, RPC_AUTH_NTLM, (const uint8_t *)"NEGOTIATE", 9), 0);
	t = answer_token(PDU_BIND_ACK);
	ck_assert_uint_eq(sent[3], PDU_FIRST | PDU_LAST | PDU_HEADER_SIGNING);
	assert_bytes(t.token, t.token_len, (const uint8_t *)"CHALLENGE", 9);
	ck_assert_int_eq(send_leg(PDU_AUTH3, RPC_AUTH_NTLM, (const uint8_t *)"AUTHENTICATE", 12), 0);
	ck_assert_uint_eq(nsent, 1); /* no answer to auth3 */
}

static size_t wrap_init(const char *mechs_hex, const char *token, uint8_t *out)
{
	uint8_t mechs[64];
	size_t mechs_len = from_hex(mechs_hex, mechs, sizeof(mechs)), token_len = token ? strlen(token) : 0, n = 0;
	size_t seq = 2 + mechs_len + (token ? 4 + token_len : 0);

	n = from_hex("60 00 06 06 2b0601050502 a0 00 30 00", out, 64);
	out[1] = (uint8_t)(8 + 4 + seq);
	out[11] = (uint8_t)(2 + seq);
	out[13] = (uint8_t)seq;
	out[n++] = 0xa0, out[n++] = (uint8_t)mechs_len;
	memcpy(out + n, mechs, mechs_len);
	n += mechs_len;
	if (token) {
		out[n++] = 0xa2, out[n++] = (uint8_t)(2 + token_len), out[n++] = 4, out[n++] = (uint8_t)token_len;
		memcpy(out + n, token, token_len);
		n += token_len;
	}
	return n;
}

/* The last leg, with the client's MIC over the mechanism list when mechs_hex is given. */
static int spnego_finish(const char *mechs_hex, bool damage)
{
	struct spnego_bytes token = { (const uint8_t *)"AUTHENTICATE", 12 }, mic = { NULL, 0 };
	uint8_t sig[16], mechs[64];
	struct ndr_push p;
	int r;

	if (mechs_hex) {
		size_t len = from_hex(mechs_hex, mechs, sizeof(mechs));

		ck_assert_int_eq(ntlm_protect(&client, NTLM_TO_SERVER, NULL, 0, mechs, len, sig), 0);
		sig[5] ^= damage;
		mic = (struct spnego_bytes){ sig, 16 };
	}
	ndr_push_init(&p);
	spnego_push_response(&p, SPNEGO_INCOMPLETE, SPNEGO_MECH_OTHER, &token, &mic);
	r = send_leg(PDU_ALTER, RPC_AUTH_SPNEGO, p.data, p.len);
	ndr_push_release(&p);
	return r;
}

static void spnego_begin(const char *mechs, bool krb5_first)
{
	uint8_t token[128];
	size_t len = wrap_init(mechs, krb5_first ? "KERBEROS" : "NEGOTIATE", token);
	struct pdu_trailer t;
	struct spnego_token s;

	ck_assert_int_eq(send_leg(PDU_BIND, RPC_AUTH_SPNEGO, token, len), 0);
	t = answer_token(PDU_BIND_ACK);
	ck_assert_int_eq(spnego_parse(t.token, t.token_len, &s), 0);
	if (krb5_first) { /* not ours: we choose NTLM and ask for its first token */
		struct spnego_bytes negotiate = { (const uint8_t *)"NEGOTIATE", 9 }, none = { NULL, 0 };
		struct ndr_push p;

		ck_assert_ptr_null(s.mech_token.data);
		ndr_push_init(&p);
		spnego_push_response(&p, SPNEGO_INCOMPLETE, SPNEGO_MECH_OTHER, &negotiate, &none);
		ck_assert_int_eq(send_leg(PDU_ALTER, RPC_AUTH_SPNEGO, p.data, p.len), 0);
		ndr_push_release(&p);
		t = answer_token(PDU_ALTER_RESP);
		ck_assert_int_eq(spnego_parse(t.token, t.token_len, &s), 0);
	}
	assert_bytes(s.mech_token.data, s.mech_token.len, (const uint8_t *)"CHALLENGE", 9);
}

static void check_server_mic(const char *mechs_hex)
{
	struct pdu_trailer t = answer_token(PDU_ALTER_RESP);
	uint8_t mechs[64];
	size_t len = from_hex(mechs_hex, mechs, sizeof(mechs));
	struct spnego_token s;

	ck_assert_int_eq(spnego_parse(t.token, t.token_len, &s), 0);
	ck_assert_uint_eq(s.mic.len, 16);
	ck_assert_int_eq(ntlm_unprotect(&client, NTLM_TO_CLIENT, NULL, 0, mechs, len, s.mic.data), 0);
	ntlm_session_rekey(&client);
}

enum damage { DAMAGE_NONE, DAMAGE_SIGNATURE, DAMAGE_STUB, DAMAGE_HEADER, DAMAGE_CONTEXT, DAMAGE_LEVEL, DAMAGE_NO_AUTH };

/* A protected request, and on success its protected answer. */
static int request(enum damage damage)
{
	struct ndr_push p;
	uint8_t *sig;
	int r;

	ndr_push_init(&p);
	pdu_begin(&p, PDU_REQUEST, PDU_FIRST | PDU_LAST, 9);
	ndr_push_u32(&p, 7);
	ndr_push_u16(&p, 0);
	ndr_push_u16(&p, 3);
	ndr_push_bytes(&p, "request\0", 8);
	if (damage != DAMAGE_NO_AUTH) {
		pdu_push_trailer(&p, (uint8_t)assoc.acceptor.type,
				 privacy != (damage == DAMAGE_LEVEL) ? RPC_LEVEL_PRIVACY : RPC_LEVEL_INTEGRITY, 1,
				 damage == DAMAGE_CONTEXT ? 8 : 7);
		sig = ndr_push_room(&p, 16);
		pdu_finish(&p, 16);
		sig = p.data + p.len - 16;
		ck_assert_int_eq(ntlm_protect(&client, NTLM_TO_SERVER, privacy ? p.data + 24 : NULL, 8, p.data, p.len - 16, sig), 0);
		sig[6] ^= damage == DAMAGE_SIGNATURE;
		p.data[25] ^= damage == DAMAGE_STUB;
		p.data[22] ^= damage == DAMAGE_HEADER; /* the operation number is signed too */
	} else {
		pdu_finish(&p, 0);
	}
	nsent = 0;
	r = assoc_feed(&assoc, p.data, p.len);
	ndr_push_release(&p);
	return r;
}

static void good_request(void)
{
	struct pdu_trailer t;

	ck_assert_int_eq(request(DAMAGE_NONE), 0);
	ck_assert_uint_eq(nsent, 1);
	t = answer_token(PDU_RESPONSE);
	ck_assert_uint_eq(t.pad, 10); /* six bytes padded to sixteen */
	ck_assert_int_eq(ntlm_unprotect(&client, NTLM_TO_CLIENT, privacy ? sent + 24 : NULL, 16, sent, sent_len - 16, t.token), 0);
	assert_bytes(sent + 24, 6, (const uint8_t *)"answer", 6);
}

START_TEST(test_auth_raw_ntlm)
{
	privacy = _i;
	raw_ntlm();
	good_request();
	good_request();
	ck_assert_uint_eq(ncalls, 2);
}
END_TEST

START_TEST(test_auth_spnego_with_mics)
{
	privacy = _i;
	spnego_begin(MECHS_NTLM, false);
	ck_assert_int_eq(spnego_finish(MECHS_NTLM, false), 0);
	check_server_mic(MECHS_NTLM);
	good_request();
	good_request();
}
END_TEST

START_TEST(test_auth_spnego_without_mics)
{
	privacy = _i;
	spnego_begin(MECHS_NTLM, false);
	ck_assert_int_eq(spnego_finish(NULL, false), 0);
	good_request();
}
END_TEST

START_TEST(test_auth_spnego_prefers_kerberos)
{
	privacy = true;
	spnego_begin(MECHS_KRB5_FIRST, true);
	ck_assert_int_eq(spnego_finish(MECHS_KRB5_FIRST, false), 0);
	check_server_mic(MECHS_KRB5_FIRST);
	good_request();
}
END_TEST

static void assert_no_entry(uint8_t answer)
{
	ck_assert_uint_eq(sent[2], answer);
	ck_assert_uint_eq(get_le32(sent + 24), FAULT_ACCESS_DENIED);
	(void)!request(DAMAGE_NONE); /* a fault again, or the end */
	ck_assert_uint_eq(ncalls, 0);
}

/* Somebody took the better mechanisms out of the list: without, or with a wrong MIC there is no entry. */
START_TEST(test_auth_spnego_downgrade)
{
	privacy = true;
	spnego_begin(MECHS_KRB5_FIRST, true);
	ck_assert_int_eq(_i ? spnego_finish(MECHS_NTLM, false) : spnego_finish(NULL, false), 0);
	assert_no_entry(PDU_FAULT);
}
END_TEST

START_TEST(test_auth_spnego_damaged_mic)
{
	spnego_begin(MECHS_NTLM, false);
	ck_assert_int_eq(spnego_finish(MECHS_NTLM, true), 0);
	assert_no_entry(PDU_FAULT);
}
END_TEST

START_TEST(test_auth_wrong_password)
{
	ck_assert_int_eq(send_leg(PDU_BIND, RPC_AUTH_NTLM, (const uint8_t *)"NEGOTIATE", 9), 0);
	ck_assert_int_eq(send_leg(PDU_AUTH3, RPC_AUTH_NTLM, (const uint8_t *)"WRONG", 5), 0);
	ck_assert_int_eq(request(DAMAGE_NONE), 0);
	assert_no_entry(PDU_FAULT);
}
END_TEST

START_TEST(test_auth_request_before_the_last_leg)
{
	ck_assert_int_eq(send_leg(PDU_BIND, RPC_AUTH_NTLM, (const uint8_t *)"NEGOTIATE", 9), 0);
	ck_assert_int_eq(request(DAMAGE_NONE), 0);
	assert_no_entry(PDU_FAULT);
}
END_TEST

START_TEST(test_auth_damaged_request)
{
	privacy = _i % 2;
	raw_ntlm();
	ck_assert_int_eq(request((enum damage)(_i / 2)), -EACCES); /* the connection ends, after a fault */
	if (_i / 2 != DAMAGE_NO_AUTH)
		ck_assert_uint_eq(sent[2], PDU_FAULT);
	ck_assert_uint_eq(ncalls, 0);
}
END_TEST

START_TEST(test_auth_replayed_request)
{
	struct ntlm_session again;

	raw_ntlm();
	memcpy(&again, &client, sizeof(client));
	good_request();
	memcpy(&client, &again, sizeof(client)); /* the same sequence number and stream */
	ck_assert_int_eq(request(DAMAGE_NONE), -EACCES);
	ck_assert_uint_eq(ncalls, 1);
}
END_TEST

Suite *make_auth_suite(void)
{
	Suite *s = suite_create("auth");
	TCase *t = tcase_create("auth");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_auth_raw_ntlm, 0, 2);
	tcase_add_loop_test(t, test_auth_spnego_with_mics, 0, 2);
	tcase_add_loop_test(t, test_auth_spnego_without_mics, 0, 2);
	tcase_add_test(t, test_auth_spnego_prefers_kerberos);
	tcase_add_loop_test(t, test_auth_spnego_downgrade, 0, 2);
	tcase_add_test(t, test_auth_spnego_damaged_mic);
	tcase_add_test(t, test_auth_wrong_password);
	tcase_add_test(t, test_auth_request_before_the_last_leg);
	tcase_add_loop_test(t, test_auth_damaged_request, DAMAGE_SIGNATURE * 2, DAMAGE_NO_AUTH * 2 + 2);
	tcase_add_test(t, test_auth_replayed_request);
	suite_add_tcase(s, t);
	return s;
}
