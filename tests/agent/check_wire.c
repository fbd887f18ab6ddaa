/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Golden bytes of every call, request and answer, both directions: pull gives the fields, push gives the bytes back. */
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/wire.h"
#include "tests/agent/suites.h"

/* Wire forms of 00010203-0405-0607-0809-0a0b0c0d0e0f (SET) and 10111213-...-1f (COPY). */
#define SET "03020100 0504 0706 0809 0a0b0c0d0e0f "
#define COPY "13121110 1514 1716 1819 1a1b1c1d1e1f "
#define ZERO "00000000 0000 0000 0000 000000000000 "
#define UNC_TEXT "\\\\s\\a"
#define UNC "06000000 00000000 06000000 5c00 5c00 7300 5c00 6100 0000 " /* 24 bytes: stays aligned */

static const struct guid set_id = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };
static const struct guid copy_id = { { 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 } };

/* Pull the golden bytes into r, check the fields, push it again and compare.  Every shorter prefix must fail. */
#define ROUND(type, name, hex, checks)                                                                     \
	START_TEST(test_wire_##type)                                                                       \
	{                                                                                                  \
		uint8_t golden[512];                                                                       \
		size_t len = from_hex(hex, golden, sizeof(golden));                                        \
		struct ndr_pull p;                                                                         \
		struct ndr_push out;                                                                       \
		struct name r = { 0 };                                                                     \
                                                                                                           \
		for (size_t cut = 0; cut < len; cut++) {                                                   \
			ndr_pull_init(&p, golden, cut);                                                    \
			fsrvp_pull_##type(&p, &r);                                                         \
			ck_assert_msg(p.err != 0, "%zu of %zu bytes are accepted", cut, len);              \
			release_##name(&r);                                                                \
		}                                                                                          \
		ndr_pull_init(&p, golden, len);                                                            \
		fsrvp_pull_##type(&p, &r);                                                                 \
		ck_assert_int_eq(p.err, 0);                                                                \
		ck_assert_uint_eq(p.off, len);                                                             \
		checks;                                                                                    \
		ndr_push_init(&out);                                                                       \
		fsrvp_push_##type(&out, &r);                                                               \
		ck_assert_int_eq(out.err, 0);                                                              \
		assert_bytes(out.data, out.len, golden, len);                                              \
		ndr_push_release(&out);                                                                    \
		release_##name(&r);                                                                        \
	}                                                                                                  \
	END_TEST

#define NO_RELEASE(name)                                \
	static void release_##name(struct name *r)      \
	{                                               \
		memset(r, 0, sizeof(*r));               \
	}
#define RELEASE(name)                                   \
	static void release_##name(struct name *r)      \
	{                                               \
		name##_release(r);                      \
	}
NO_RELEASE(fsrvp_context_req)
NO_RELEASE(fsrvp_set_req)
NO_RELEASE(fsrvp_timed_req)
RELEASE(fsrvp_add_req)
RELEASE(fsrvp_share_req)
RELEASE(fsrvp_mapping_req)
NO_RELEASE(fsrvp_version_rsp)
NO_RELEASE(fsrvp_id_rsp)
NO_RELEASE(fsrvp_result_rsp)
RELEASE(fsrvp_supported_rsp)
NO_RELEASE(fsrvp_copied_rsp)
RELEASE(fsrvp_mapping_rsp)

ROUND(context_req, fsrvp_context_req, "10004000", ck_assert_uint_eq(r.context, 0x00400010))
ROUND(set_req, fsrvp_set_req, SET, ck_assert(guid_equal(&r.set, &set_id)))
ROUND(timed_req, fsrvp_timed_req, SET "60ea0000", {
	ck_assert(guid_equal(&r.set, &set_id));
	ck_assert_uint_eq(r.timeout_ms, 60000);
})
ROUND(add_req, fsrvp_add_req, COPY SET UNC, {
	ck_assert(guid_equal(&r.client_copy, &copy_id));
	ck_assert(guid_equal(&r.set, &set_id));
	ck_assert_str_eq(r.share, UNC_TEXT);
})
ROUND(share_req, fsrvp_share_req, UNC, ck_assert_str_eq(r.share, UNC_TEXT))
ROUND(get_mapping_req, fsrvp_mapping_req, COPY SET UNC "01000000", { /* copy first */
	ck_assert(guid_equal(&r.copy, &copy_id));
	ck_assert(guid_equal(&r.set, &set_id));
	ck_assert_str_eq(r.share, UNC_TEXT);
	ck_assert_uint_eq(r.level, 1);
})
ROUND(delete_mapping_req, fsrvp_mapping_req, SET COPY UNC, { /* set first */
	ck_assert(guid_equal(&r.copy, &copy_id));
	ck_assert(guid_equal(&r.set, &set_id));
	ck_assert_str_eq(r.share, UNC_TEXT);
})

ROUND(version_rsp, fsrvp_version_rsp, "01000000 01000000 00000000", {
	ck_assert_uint_eq(r.min, 1);
	ck_assert_uint_eq(r.max, 1);
	ck_assert_uint_eq(r.result, 0);
})
ROUND(id_rsp, fsrvp_id_rsp, SET "16230480", {
	ck_assert(guid_equal(&r.id, &set_id));
	ck_assert_uint_eq(r.result, 0x80042316);
})
ROUND(result_rsp, fsrvp_result_rsp, "01230480", ck_assert_uint_eq(r.result, 0x80042301))
ROUND(supported_rsp, fsrvp_supported_rsp,
      "01000000 00000200 04000000 00000000 04000000 4600 5300 3100 0000 00000000", { /* "FS1" */
	      ck_assert_uint_eq(r.supported, 1);
	      ck_assert_str_eq(r.owner_machine, "FS1");
	      ck_assert_uint_eq(r.result, 0);
      })
ROUND(copied_rsp, fsrvp_copied_rsp, "01000000 03000000 00000000", {
	ck_assert_uint_eq(r.present, 1);
	ck_assert_uint_eq(r.compatibility, 3);
	ck_assert_uint_eq(r.result, 0);
})
ROUND(mapping_rsp, fsrvp_mapping_rsp,
      "01000000 00000200" SET COPY "04000200 08000200 0080d5dedeb1 9d01" UNC
      "03000000 00000000 03000000 6100 4000 0000 0000" /* "a@", two bytes to the result */
      "00000000",
      {
	      ck_assert_uint_eq(r.level, 1);
	      ck_assert(guid_equal(&r.copy, &copy_id));
	      ck_assert(guid_equal(&r.set, &set_id));
	      ck_assert_uint_eq(r.created_filetime, 0x019db1dedeD58000); /* 1970-01-01 */
	      ck_assert_str_eq(r.share_unc, UNC_TEXT);
	      ck_assert_str_eq(r.shadow_share, "a@");
	      ck_assert_uint_eq(r.result, 0);
      })

/* Errors: the out parameters are there all the same, zero. */
static const struct {
	const char *name, *hex;
} errors[] = {
	{ "supported", "00000000 00000000 57000780" },
	{ "mapping, level 1", "01000000 00000000 57000780" },
	{ "mapping, level 2", "02000000 57000780" },
};

START_TEST(test_wire_error_answers)
{
	struct fsrvp_supported_rsp supported = { .result = 0x80070057 };
	struct fsrvp_mapping_rsp mapping = { .level = (uint32_t)_i, .result = 0x80070057 };
	struct ndr_push out;
	uint8_t golden[64];
	size_t len = from_hex(errors[_i].hex, golden, sizeof(golden));

	ndr_push_init(&out);
	if (_i == 0)
		fsrvp_push_supported_rsp(&out, &supported);
	else
		fsrvp_push_mapping_rsp(&out, &mapping);
	assert_bytes(out.data, out.len, golden, len);
	ndr_push_release(&out);
}
END_TEST

/* Random bytes through every pull: nothing but an error may come of it; run with sanitizers. */
START_TEST(test_wire_noise)
{
	uint32_t seed = (uint32_t)_i * 7919 + 1;
	uint8_t bytes[96];
	struct ndr_pull p;
	struct fsrvp_add_req a;
	struct fsrvp_mapping_req m;
	struct fsrvp_mapping_rsp rsp;
	struct fsrvp_supported_rsp sup;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = test_random(&seed) % 4 ? 0 : (uint8_t)test_random(&seed);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		ndr_pull_init(&p, bytes, len);
		fsrvp_pull_add_req(&p, &a);
		fsrvp_add_req_release(&a);
		ndr_pull_init(&p, bytes, len);
		fsrvp_pull_get_mapping_req(&p, &m);
		fsrvp_mapping_req_release(&m);
		ndr_pull_init(&p, bytes, len);
		fsrvp_pull_mapping_rsp(&p, &rsp);
		fsrvp_mapping_rsp_release(&rsp);
		ndr_pull_init(&p, bytes, len);
		fsrvp_pull_supported_rsp(&p, &sup);
		fsrvp_supported_rsp_release(&sup);
	}
}
END_TEST

Suite *make_wire_suite(void)
{
	Suite *s = suite_create("wire");
	TCase *t = tcase_create("wire");

	tcase_add_test(t, test_wire_context_req);
	tcase_add_test(t, test_wire_set_req);
	tcase_add_test(t, test_wire_timed_req);
	tcase_add_test(t, test_wire_add_req);
	tcase_add_test(t, test_wire_share_req);
	tcase_add_test(t, test_wire_get_mapping_req);
	tcase_add_test(t, test_wire_delete_mapping_req);
	tcase_add_test(t, test_wire_version_rsp);
	tcase_add_test(t, test_wire_id_rsp);
	tcase_add_test(t, test_wire_result_rsp);
	tcase_add_test(t, test_wire_supported_rsp);
	tcase_add_test(t, test_wire_copied_rsp);
	tcase_add_test(t, test_wire_mapping_rsp);
	tcase_add_loop_test(t, test_wire_error_answers, 0, 3);
	tcase_add_loop_test(t, test_wire_noise, 0, 200);
	suite_add_tcase(s, t);
	return s;
}
