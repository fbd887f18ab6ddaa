/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "agent/rpc/spnego.h"
#include "tests/agent/suites.h"

/* What a client without Kerberos sends first: mechTypes { NTLM }, mechToken "TOKEN". */
static const char init_ntlm[] = "60 25 06 06 2b0601050502"
				"a0 1b 30 19"
				"a0 0e 30 0c 06 0a 2b06010401823702020a"
				"a2 07 04 05 544f4b454e";
/* { MS Kerberos, Kerberos, NTLM } with a token for the first. */
static const char init_krb5[] = "60 3b 06 06 2b0601050502"
				"a0 31 30 2f"
				"a0 24 30 22 06 09 2a864882f712010202 06 09 2a864886f712010202 06 0a 2b06010401823702020a"
				"a2 07 04 05 544f4b454e";
/* NegTokenResp: accept-incomplete, responseToken "ABC", mechListMIC "MIC". */
static const char response[] = "a1 17 30 15 a0 03 0a 01 01 a2 05 04 03 414243 a3 05 04 03 4d4943 a9 00";

START_TEST(test_spnego_init)
{
	struct spnego_token t;
	uint8_t in[128];
	size_t len = from_hex(init_ntlm, in, sizeof(in));

	ck_assert_int_eq(spnego_parse(in, len, &t), 0);
	ck_assert(t.init);
	ck_assert_uint_eq(t.nmechs, 1);
	ck_assert_int_eq(t.mechs[0], SPNEGO_MECH_NTLM);
	assert_bytes(t.mech_token.data, t.mech_token.len, (const uint8_t *)"TOKEN", 5);
	assert_bytes(t.mech_list.data, t.mech_list.len, in + 16, 14); /* the SEQUENCE with its tag */
	ck_assert_ptr_null(t.mic.data);

	len = from_hex(init_krb5, in, sizeof(in));
	ck_assert_int_eq(spnego_parse(in, len, &t), 0);
	ck_assert_uint_eq(t.nmechs, 3);
	ck_assert_int_eq(t.mechs[0], SPNEGO_MECH_KERBEROS);
	ck_assert_int_eq(t.mechs[1], SPNEGO_MECH_KERBEROS);
	ck_assert_int_eq(t.mechs[2], SPNEGO_MECH_NTLM);
}
END_TEST

START_TEST(test_spnego_response)
{
	struct spnego_token t;
	uint8_t in[128];
	size_t len = from_hex(response, in, sizeof(in));

	ck_assert_int_eq(spnego_parse(in, len, &t), 0);
	ck_assert(!t.init);
	assert_bytes(t.mech_token.data, t.mech_token.len, (const uint8_t *)"ABC", 3);
	assert_bytes(t.mic.data, t.mic.len, (const uint8_t *)"MIC", 3);
}
END_TEST

static const char *const bad[] = {
	"",
	"60",
	"60 80",						       /* indefinite length */
	"60 84 00000000",					       /* four bytes of length */
	"60 7f 06 06 2b0601050502",				       /* longer than what is there */
	"61 08 06 06 2b0601050502",				       /* another tag */
	"60 08 06 06 2b0601050503",				       /* another OID */
	"60 0c 06 06 2b0601050502 a0 02 30 00",			       /* no mechanisms */
	"60 13 06 06 2b0601050502 a0 09 30 07 a0 05 30 03 06 05 2b",   /* OID longer than its list */
	"60 10 06 06 2b0601050502 a0 06 30 04 a0 02 31 00",	       /* list is no SEQUENCE */
	"a1 04 30 02 a2 05",					       /* field longer than the message */
	"a1 06 30 04 a2 02 05 00",				       /* token is no OCTET STRING */
};

START_TEST(test_spnego_malformed)
{
	struct spnego_token t;
	uint8_t in[128];
	size_t len = from_hex(bad[_i], in, sizeof(in));

	ck_assert_msg(spnego_parse(in, len, &t) == -EPROTO, "%s is accepted", bad[_i]);
}
END_TEST

START_TEST(test_spnego_cuts_and_noise)
{
	const char *all[] = { init_ntlm, init_krb5, response };
	uint8_t in[128];
	size_t len = from_hex(all[_i], in, sizeof(in));
	struct spnego_token t;
	uint32_t seed = 1;

	for (size_t cut = 0; cut < len - (_i == 2 ? 2 : 0); cut++)
		ck_assert_int_eq(spnego_parse(in, cut, &t), -EPROTO);
	for (int i = 0; i < 20000; i++) {
		uint8_t copy[128];

		memcpy(copy, in, len);
		copy[test_random(&seed) % len] = (uint8_t)test_random(&seed);
		copy[test_random(&seed) % len] = (uint8_t)test_random(&seed);
		if (spnego_parse(copy, len, &t) == 0 && t.mech_token.data)
			ck_assert(t.mech_token.data >= copy && t.mech_token.data + t.mech_token.len <= copy + len);
	}
}
END_TEST

START_TEST(test_spnego_push)
{
	struct spnego_bytes token = { (const uint8_t *)"ABC", 3 }, none = { NULL, 0 };
	struct ndr_push out;
	uint8_t want[64];
	size_t len = from_hex("a1 1a 30 18 a0 03 0a 01 01 a1 0c 06 0a 2b06010401823702020a a2 05 04 03 414243 ", want, sizeof(want));

	want[1] = 0x1c, want[3] = 0x1a; /* 5 + 14 + 7 */
	ndr_push_init(&out);
	spnego_push_response(&out, SPNEGO_INCOMPLETE, SPNEGO_MECH_NTLM, &token, &none);
	assert_bytes(out.data, out.len, want, len);
	ndr_push_release(&out);
	spnego_push_response(&out, SPNEGO_COMPLETED, SPNEGO_MECH_OTHER, &none, &none);
	len = from_hex("a1 07 30 05 a0 03 0a 01 00", want, sizeof(want));
	assert_bytes(out.data, out.len, want, len);
	ndr_push_release(&out);
}
END_TEST

/* Long and short lengths come back as they went. */
START_TEST(test_spnego_lengths)
{
	static const size_t sizes[] = { 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xf000 };
	static uint8_t data[0x10000];
	struct spnego_bytes token = { data, sizes[_i] }, mic = { data, 16 };
	struct spnego_token t;
	struct ndr_push out;

	ndr_push_init(&out);
	spnego_push_response(&out, SPNEGO_INCOMPLETE, SPNEGO_MECH_NTLM, &token, &mic);
	ck_assert_int_eq(out.err, 0);
	ck_assert_int_eq(spnego_parse(out.data, out.len, &t), 0);
	ck_assert_uint_eq(t.mech_token.len, sizes[_i]);
	ck_assert_uint_eq(t.mic.len, 16);
	ndr_push_release(&out);
}
END_TEST

Suite *make_spnego_suite(void)
{
	Suite *s = suite_create("spnego");
	TCase *t = tcase_create("spnego");

	tcase_add_test(t, test_spnego_init);
	tcase_add_test(t, test_spnego_response);
	tcase_add_loop_test(t, test_spnego_malformed, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(t, test_spnego_cuts_and_noise, 0, 3);
	tcase_add_test(t, test_spnego_push);
	tcase_add_loop_test(t, test_spnego_lengths, 0, 7);
	suite_add_tcase(s, t);
	return s;
}
