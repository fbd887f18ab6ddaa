/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Golden bytes of the 13 calls as the requester sends and reads them.  Those marked "captured" are what went over the
 * wire between this requester and Samba 4.17's agent; the others follow MS-FSRVP 3.1.4 and C706 chapter 14 by hand.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/fsrvp/wire.h"
#include "tests/vss/suites.h"

static const char SET[] = "e144dcde-b33d-4157-9a8f-bfac62fe6b3f";
#define SET_HEX "de dc 44 e1 3d b3 57 41 9a 8f bf ac 62 fe 6b 3f "
static const char COPY[] = "00112233-4455-6677-8899-aabbccddeeff";
#define COPY_HEX "33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff "
#define SHARE "\\\\127.0.0.1\\b\\"
/* captured: count, offset, count, 15 units with the NUL */
#define SHARE_HEX                                                                                            \
	"0f 00 00 00 00 00 00 00 0f 00 00 00 "                                                               \
	"5c 00 5c 00 31 00 32 00 37 00 2e 00 30 00 2e 00 30 00 2e 00 31 00 5c 00 62 00 5c 00 00 00 "

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;

	for (const char *p = hex; *p;) {
		char *end;

		if (isspace((unsigned char)*p)) {
			p++;
			continue;
		}
		out[n++] = (uint8_t)strtoul(p, &end, 16);
		ck_assert_int_eq(end - p, 2);
		p = end;
	}
	return n;
}

static struct guid id(const char *text)
{
	struct guid g;

	ck_assert_int_eq(guid_parse(text, &g), 0);
	return g;
}

static void assert_id(const struct guid *g, const char *text)
{
	char got[GUID_TEXT_SIZE];

	guid_format(g, got);
	ck_assert_str_eq(got, text);
}

static void assert_pushed(struct ndr_push *w, const char *hex)
{
	uint8_t want[512];
	size_t n = unhex(hex, want);

	ck_assert_int_eq(w->err, 0);
	ck_assert_uint_eq(w->len, n);
	ck_assert_mem_eq(w->data, want, n);
	ndr_push_release(w);
}

/* A cursor over the bytes in a block of their exact size, so that the sanitizer sees any read beyond them. */
static struct ndr_pull cursor(const char *hex, uint8_t **block)
{
	uint8_t bytes[512];
	size_t n = unhex(hex, bytes);
	struct ndr_pull in;

	*block = malloc(n ? n : 1);
	ck_assert_ptr_nonnull(*block);
	memcpy(*block, bytes, n);
	ndr_pull_init(&in, *block, n);
	return in;
}

static void assert_pulled(struct ndr_pull *in, uint8_t *block)
{
	ck_assert_int_eq(in->err, 0);
	ck_assert_uint_eq(in->off, in->len);
	free(block);
}

START_TEST(test_wire_context_request)
{
	static const char hex[] = "19 00 40 00";
	struct fsrvp_context_req r = {.context = FSRVP_CTX_NAS_ROLLBACK | FSRVP_ATTR_AUTO_RECOVERY};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_context_req(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	r.context = 0;
	fsrvp_pull_context_req(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.context, 0x400019);
}
END_TEST

START_TEST(test_wire_set_request)
{
	struct fsrvp_set_req r = {.set = id(SET)};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_set_req(&out, &r);
	assert_pushed(&out, SET_HEX); /* captured */
	struct ndr_pull in = cursor(SET_HEX, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_set_req(&in, &r);
	assert_pulled(&in, block);
	assert_id(&r.set, SET);
}
END_TEST

START_TEST(test_wire_timed_request)
{
	static const char hex[] = SET_HEX "60 ea 00 00";
	struct fsrvp_timed_req r = {.set = id(SET), .timeout_ms = 60000};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_timed_req(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_timed_req(&in, &r);
	assert_pulled(&in, block);
	assert_id(&r.set, SET);
	ck_assert_uint_eq(r.timeout_ms, 60000);
}
END_TEST

START_TEST(test_wire_add_request)
{
	static const char hex[] = COPY_HEX SET_HEX SHARE_HEX;
	char share[] = SHARE;
	struct fsrvp_add_req r = {.client_copy = id(COPY), .set = id(SET), .share = share};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_add_req(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_add_req(&in, &r);
	assert_pulled(&in, block);
	assert_id(&r.client_copy, COPY);
	assert_id(&r.set, SET);
	ck_assert_str_eq(r.share, SHARE);
	fsrvp_add_req_release(&r);
}
END_TEST

START_TEST(test_wire_share_request)
{
	char share[] = SHARE;
	struct fsrvp_share_req r = {.share = share};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_share_req(&out, &r);
	assert_pushed(&out, SHARE_HEX); /* captured */
	struct ndr_pull in = cursor(SHARE_HEX, &block);
	r.share = NULL;
	fsrvp_pull_share_req(&in, &r);
	assert_pulled(&in, block);
	ck_assert_str_eq(r.share, SHARE);
	fsrvp_share_req_release(&r);
}
END_TEST

/* The copy comes first here; 15 units end at byte 74, so two bytes of padding before the level. */
START_TEST(test_wire_mapping_request)
{
	static const char hex[] = COPY_HEX SET_HEX SHARE_HEX "00 00 01 00 00 00";
	char share[] = SHARE;
	struct fsrvp_mapping_req r = {.copy = id(COPY), .set = id(SET), .share = share, .level = 1};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_get_mapping_req(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_get_mapping_req(&in, &r);
	assert_pulled(&in, block);
	assert_id(&r.copy, COPY);
	assert_id(&r.set, SET);
	ck_assert_str_eq(r.share, SHARE);
	ck_assert_uint_eq(r.level, 1);
	fsrvp_mapping_req_release(&r);
}
END_TEST

/* And the set here. */
START_TEST(test_wire_delete_request)
{
	static const char hex[] = SET_HEX COPY_HEX SHARE_HEX;
	char share[] = SHARE;
	struct fsrvp_mapping_req r = {.copy = id(COPY), .set = id(SET), .share = share};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_delete_mapping_req(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_delete_mapping_req(&in, &r);
	assert_pulled(&in, block);
	assert_id(&r.copy, COPY);
	assert_id(&r.set, SET);
	ck_assert_str_eq(r.share, SHARE);
	fsrvp_mapping_req_release(&r);
}
END_TEST

START_TEST(test_wire_version_reply)
{
	static const char hex[] = "01 00 00 00 01 00 00 00 00 00 00 00"; /* captured */
	struct fsrvp_version_rsp r = {.min = 1, .max = 1};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_version_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0xff, sizeof(r));
	fsrvp_pull_version_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.min, 1);
	ck_assert_uint_eq(r.max, 1);
	ck_assert_uint_eq(r.result, 0);
}
END_TEST

START_TEST(test_wire_id_reply)
{
	/* captured: StartShadowCopySet while another set is in progress */
	static const char hex[] = "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 16 23 04 80";
	struct fsrvp_id_rsp r = {.result = FSRVP_E_SET_IN_PROGRESS};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_id_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0xff, sizeof(r));
	fsrvp_pull_id_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert(guid_is_zero(&r.id));
	ck_assert_uint_eq(r.result, FSRVP_E_SET_IN_PROGRESS);
}
END_TEST

START_TEST(test_wire_result_reply)
{
	static const char hex[] = "01 23 04 80";
	struct fsrvp_result_rsp r = {.result = FSRVP_E_BAD_STATE};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_result_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	r.result = 0;
	fsrvp_pull_result_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.result, FSRVP_E_BAD_STATE);
}
END_TEST

START_TEST(test_wire_supported_reply)
{
	/* captured: TRUE, a referent, VSSLAB with its NUL (7 units, padded to 4), 0 */
	static const char hex[] = "01 00 00 00 00 00 02 00 07 00 00 00 00 00 00 00 07 00 00 00 "
				  "56 00 53 00 53 00 4c 00 41 00 42 00 00 00 00 00 00 00 00 00";
	char owner[] = "VSSLAB";
	struct fsrvp_supported_rsp r = {.supported = 1, .owner_machine = owner};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_supported_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_supported_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.supported, 1);
	ck_assert_str_eq(r.owner_machine, "VSSLAB");
	ck_assert_uint_eq(r.result, 0);
	fsrvp_supported_rsp_release(&r);
}
END_TEST

START_TEST(test_wire_supported_reply_without_owner)
{
	static const char hex[] = "00 00 00 00 00 00 00 00 08 23 04 80";
	struct fsrvp_supported_rsp r = {.result = FSRVP_E_NOT_FOUND};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_supported_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0xff, sizeof(r));
	fsrvp_pull_supported_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.supported, 0);
	ck_assert_ptr_null(r.owner_machine);
	ck_assert_uint_eq(r.result, FSRVP_E_NOT_FOUND);
}
END_TEST

START_TEST(test_wire_copied_reply)
{
	static const char hex[] = "00 00 00 00 00 00 00 00 0c 23 04 80"; /* captured */
	struct fsrvp_copied_rsp r = {.result = FSRVP_E_NOT_SUPPORTED};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_copied_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0xff, sizeof(r));
	fsrvp_pull_copied_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.present, 0);
	ck_assert_uint_eq(r.compatibility, 0);
	ck_assert_uint_eq(r.result, FSRVP_E_NOT_SUPPORTED);
}
END_TEST

/* captured */
#define MAPPING_HEX \
	"01 00 00 00 00 00 02 00 " /* level, referent of the mapping */ \
	"60 2d 58 2b 5b 70 5c 45 80 45 7c f9 13 da b1 4c " /* set id */ \
	"90 5c 6b 18 e1 f7 5f 41 a5 0c 42 32 7c 7c ee e1 " /* copy id */ \
	"04 00 02 00 08 00 02 00 " /* referents of the two strings */ \
	"00 40 19 6a 8d 7a dd 01 " /* creation time */ \
	"0b 00 00 00 00 00 00 00 0b 00 00 00 " /* the UNC: 11 units with the NUL */ \
	"5c 00 5c 00 56 00 53 00 53 00 4c 00 41 00 42 00 5c 00 62 00 00 00 " \
	"00 00 " /* padding to 4 */ \
	"29 00 00 00 00 00 00 00 29 00 00 00 " /* b@{...}: 41 units */ \
	"62 00 40 00 7b 00 31 00 38 00 36 00 62 00 35 00 63 00 39 00 30 00 2d 00 66 00 37 00 " \
	"65 00 31 00 2d 00 34 00 31 00 35 00 66 00 2d 00 61 00 35 00 30 00 63 00 2d 00 34 00 " \
	"32 00 33 00 32 00 37 00 63 00 37 00 63 00 65 00 65 00 65 00 31 00 7d 00 00 00 " \
	"00 00 00 00 00 00 " /* padding, result */
#define MAPPING_SET "2b582d60-705b-455c-8045-7cf913dab14c"
#define MAPPING_COPY "186b5c90-f7e1-415f-a50c-42327c7ceee1"
#define MAPPING_UNC "\\\\VSSLAB\\b"
#define MAPPING_SHARE "b@{186b5c90-f7e1-415f-a50c-42327c7ceee1}"
#define MAPPING_FILETIME 0x01dd7a8d6a194000u

START_TEST(test_wire_mapping_reply)
{
	char unc[] = MAPPING_UNC, share[] = MAPPING_SHARE;
	struct fsrvp_mapping_rsp r = {.level = 1,
				      .set = id(MAPPING_SET),
				      .copy = id(MAPPING_COPY),
				      .share_unc = unc,
				      .shadow_share = share,
				      .created_filetime = MAPPING_FILETIME};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_mapping_rsp(&out, &r);
	assert_pushed(&out, MAPPING_HEX);
	struct ndr_pull in = cursor(MAPPING_HEX, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_mapping_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_uint_eq(r.level, 1);
	assert_id(&r.set, MAPPING_SET);
	assert_id(&r.copy, MAPPING_COPY);
	ck_assert_str_eq(r.share_unc, MAPPING_UNC);
	ck_assert_str_eq(r.shadow_share, MAPPING_SHARE);
	ck_assert_uint_eq(r.created_filetime, MAPPING_FILETIME);
	ck_assert_uint_eq(r.result, 0);
	fsrvp_mapping_rsp_release(&r);
}
END_TEST

START_TEST(test_wire_mapping_reply_refused)
{
	static const char hex[] = "01 00 00 00 00 00 00 00 11 23 04 80";
	struct fsrvp_mapping_rsp r = {.level = 1, .result = FSRVP_E_NOT_EXPOSED_YET};
	struct ndr_push out = {.data = NULL};
	uint8_t *block;

	fsrvp_push_mapping_rsp(&out, &r);
	assert_pushed(&out, hex);
	struct ndr_pull in = cursor(hex, &block);
	memset(&r, 0, sizeof(r));
	fsrvp_pull_mapping_rsp(&in, &r);
	assert_pulled(&in, block);
	ck_assert_ptr_null(r.share_unc);
	ck_assert_ptr_null(r.shadow_share);
	ck_assert_uint_eq(r.result, FSRVP_E_NOT_EXPOSED_YET);
}
END_TEST

/* Every shorter answer is an error, never a zero result taken for success, and leaks nothing. */
START_TEST(test_wire_mapping_reply_cut_short)
{
	uint8_t bytes[512];
	size_t full = unhex(MAPPING_HEX, bytes);

	for (size_t n = 0; n < full; n++) {
		uint8_t *block = malloc(n ? n : 1);
		struct fsrvp_mapping_rsp r;
		struct ndr_pull in;

		ck_assert_ptr_nonnull(block);
		memcpy(block, bytes, n);
		ndr_pull_init(&in, block, n);
		fsrvp_pull_mapping_rsp(&in, &r);
		ck_assert_int_lt(in.err, 0);
		fsrvp_mapping_rsp_release(&r);
		free(block);
	}
}
END_TEST

Suite *make_wire_suite(void)
{
	Suite *s = suite_create("vss wire");
	TCase *t = tcase_create("golden");

	tcase_add_test(t, test_wire_context_request);
	tcase_add_test(t, test_wire_set_request);
	tcase_add_test(t, test_wire_timed_request);
	tcase_add_test(t, test_wire_add_request);
	tcase_add_test(t, test_wire_share_request);
	tcase_add_test(t, test_wire_mapping_request);
	tcase_add_test(t, test_wire_delete_request);
	tcase_add_test(t, test_wire_version_reply);
	tcase_add_test(t, test_wire_id_reply);
	tcase_add_test(t, test_wire_result_reply);
	tcase_add_test(t, test_wire_supported_reply);
	tcase_add_test(t, test_wire_supported_reply_without_owner);
	tcase_add_test(t, test_wire_copied_reply);
	tcase_add_test(t, test_wire_mapping_reply);
	tcase_add_test(t, test_wire_mapping_reply_refused);
	tcase_add_test(t, test_wire_mapping_reply_cut_short);
	suite_add_tcase(s, t);
	return s;
}
