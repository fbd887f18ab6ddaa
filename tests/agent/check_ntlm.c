/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Vectors of [MS-NLMP] 4.2.4 (NTLMv2 session, key exchange, 128 bit) and RFC 6229. */
#include <errno.h>
#include <string.h>

#include "agent/rpc/ntlm.h"
#include "tests/agent/suites.h"

#define FLAGS 0xe28a8233u

static struct ntlm_session s;

static void setup(void)
{
	uint8_t key[16];

	memset(key, 0x55, sizeof(key)); /* RandomSessionKey of the document */
	ck_assert_int_eq(ntlm_session_init(&s, FLAGS, key), 0);
}

START_TEST(test_rc4_vector)
{
	static const uint8_t key[] = { 1, 2, 3, 4, 5 };
	uint8_t data[16] = { 0 }, want[16];
	struct rc4 r;

	from_hex("b2396305 f03dc027 ccc3524a 0a1118a8", want, sizeof(want));
	rc4_init(&r, key, sizeof(key));
	rc4_crypt(&r, data, 7); /* in two pieces */
	rc4_crypt(&r, data + 7, 9);
	assert_bytes(data, 16, want, 16);
}
END_TEST

START_TEST(test_ntlm_keys)
{
	uint8_t want[16];

	from_hex("4788dc86 1b4782f3 5d43fd98 fe1a2d39", want, 16);
	assert_bytes(s.way[NTLM_TO_SERVER].sign_key, 16, want, 16);
	from_hex("59f60097 3cc4960a 25480a7c 196e4c58", want, 16);
	assert_bytes(s.way[NTLM_TO_SERVER].seal_key, 16, want, 16);
}
END_TEST

START_TEST(test_ntlm_seal_vector)
{
	uint8_t data[18], plain[18], sealed[18], sig[16], want_sig[16];

	from_hex("5000 6c00 6100 6900 6e00 7400 6500 7800 7400", plain, 18);
	from_hex("54e50165 bf1936dc 996020c1 811b0f06 fb5f", sealed, 18);
	from_hex("01000000 7fb38ec5 c55d4976 00000000", want_sig, 16);
	memcpy(data, plain, 18);
	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_SERVER, data, 18, data, 18, sig), 0);
	assert_bytes(data, 18, sealed, 18);
	assert_bytes(sig, 16, want_sig, 16);

	setup();
	ck_assert_int_eq(ntlm_unprotect(&s, NTLM_TO_SERVER, data, 18, data, 18, sig), 0);
	assert_bytes(data, 18, plain, 18);
}
END_TEST

START_TEST(test_ntlm_sequence_and_tampering)
{
	uint8_t text[] = "message", sig[16], second[16];
	struct ntlm_session peer;

	memcpy(&peer, &s, sizeof(s));
	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_CLIENT, NULL, 0, text, sizeof(text), sig), 0);
	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_CLIENT, NULL, 0, text, sizeof(text), second), 0);
	ck_assert_int_ne(memcmp(sig, second, 16), 0);
	ck_assert_uint_eq(second[12], 1);
	ck_assert_int_eq(ntlm_unprotect(&peer, NTLM_TO_CLIENT, NULL, 0, text, sizeof(text), sig), 0);
	text[0] ^= 1;
	ck_assert_int_eq(ntlm_unprotect(&peer, NTLM_TO_CLIENT, NULL, 0, text, sizeof(text), second), -EACCES);
}
END_TEST

START_TEST(test_ntlm_replay)
{
	uint8_t text[] = "message", sig[16];
	struct ntlm_session peer;

	memcpy(&peer, &s, sizeof(s));
	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_SERVER, NULL, 0, text, sizeof(text), sig), 0);
	ck_assert_int_eq(ntlm_unprotect(&peer, NTLM_TO_SERVER, NULL, 0, text, sizeof(text), sig), 0);
	ck_assert_int_eq(ntlm_unprotect(&peer, NTLM_TO_SERVER, NULL, 0, text, sizeof(text), sig), -EACCES);
}
END_TEST

/* After the MICs of SPNEGO: streams anew, numbers go on. */
START_TEST(test_ntlm_rekey)
{
	uint8_t text[] = "message", first[16], again[16];

	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_SERVER, NULL, 0, text, sizeof(text), first), 0);
	ntlm_session_rekey(&s);
	ck_assert_uint_eq(s.way[NTLM_TO_SERVER].seq, 1);
	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_SERVER, NULL, 0, text, sizeof(text), again), 0);
	ck_assert_uint_eq(again[12], 1);
	/* The same 8 bytes of key stream: the encrypted MACs differ as the plain ones do. */
	s.way[NTLM_TO_SERVER].seq = 0;
	ntlm_session_rekey(&s);
	ck_assert_int_eq(ntlm_protect(&s, NTLM_TO_SERVER, NULL, 0, text, sizeof(text), again), 0);
	assert_bytes(again, 16, first, 16);
}
END_TEST

START_TEST(test_ntlm_without_extended_security)
{
	uint8_t key[16] = { 0 };
	struct ntlm_session weak;

	ck_assert_int_eq(ntlm_session_init(&weak, FLAGS & ~NTLM_FLAG_EXTENDED_SECURITY, key), -EOPNOTSUPP);
}
END_TEST

Suite *make_ntlm_suite(void)
{
	Suite *suite = suite_create("ntlm");
	TCase *t = tcase_create("ntlm");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, test_rc4_vector);
	tcase_add_test(t, test_ntlm_keys);
	tcase_add_test(t, test_ntlm_seal_vector);
	tcase_add_test(t, test_ntlm_sequence_and_tampering);
	tcase_add_test(t, test_ntlm_replay);
	tcase_add_test(t, test_ntlm_rekey);
	tcase_add_test(t, test_ntlm_without_extended_security);
	suite_add_tcase(suite, t);
	return suite;
}
