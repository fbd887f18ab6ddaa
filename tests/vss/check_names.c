/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/vss/codes.h"
#include "agent/vss/out.h"
#include "agent/vss/unc.h"
#include "tests/vss/suites.h"

static const struct share_case {
	const char *text, *server, *share; /* server NULL: refused */
} share_cases[] = {
	{"//srv/vm1", "srv", "vm1"},
	{"\\\\srv\\vm1\\", "srv", "vm1"},
	{"//srv/vm1/", "srv", "vm1"},
	{"//10.0.0.1/hidden$", "10.0.0.1", "hidden$"},
	{"//::1/a b", "::1", "a b"},
	{"/srv/vm1", NULL, NULL},
	{"srv/vm1", NULL, NULL},
	{"//srv", NULL, NULL},
	{"//srv/", NULL, NULL},
	{"///vm1", NULL, NULL},
	{"//srv/vm1/dir", NULL, NULL},
	{"//srv/vm1//", NULL, NULL},
	{"//srv[seal]/vm1", NULL, NULL}, /* would be read as binding options */
	{"//srv/a\nb", NULL, NULL},
	{"", NULL, NULL},
};

START_TEST(test_share_name_parse)
{
	const struct share_case *c = &share_cases[_i];
	struct share_name n;
	int r = share_name_parse(&n, c->text);

	if (!c->server) {
		ck_assert_int_eq(r, -EINVAL);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(n.server, c->server);
	ck_assert_str_eq(n.share, c->share);
}
END_TEST

START_TEST(test_share_name_too_long)
{
	char text[1000] = "//srv/";
	struct share_name n;

	memset(text + 6, 'x', UNC_PART_SIZE - 1);
	ck_assert_int_eq(share_name_parse(&n, text), 0);
	memset(text + 6, 'x', UNC_PART_SIZE);
	ck_assert_int_eq(share_name_parse(&n, text), -EINVAL);
}
END_TEST

#define ID "00112233-4455-6677-8899-aabbccddeeff"

static const struct copy_case {
	const char *text, *share; /* share NULL: refused */
} copy_cases[] = {
	{"//s/a@{" ID "}", "a"},
	{"//s/a$@{" ID "}$", "a$"},
	{"//s/a$@{" ID "}", "a$"},
	{"//s/odd@name@{" ID "}/", "odd@name"},
	{"//s/a@{" ID "}$", NULL}, /* the share is not a hidden one */
	{"//s/a@" ID, NULL},
	{"//s/a@{" ID, NULL},
	{"//s/a@{00112233}", NULL},
	{"//s/@{" ID "}", NULL},
	{"//s/a", NULL},
};

START_TEST(test_copy_name_parse)
{
	const struct copy_case *c = &copy_cases[_i];
	char text[GUID_TEXT_SIZE];
	struct share_name n;
	struct guid g;
	int r = copy_name_parse(&n, &g, c->text);

	if (!c->share) {
		ck_assert_int_eq(r, -EINVAL);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_str_eq(n.share, c->share);
	guid_format(&g, text);
	ck_assert_str_eq(text, ID);
}
END_TEST

START_TEST(test_server_name_parse)
{
	char server[UNC_PART_SIZE];

	ck_assert_int_eq(server_name_parse(server, "//srv"), 0);
	ck_assert_str_eq(server, "srv");
	ck_assert_int_eq(server_name_parse(server, "srv/"), 0);
	ck_assert_str_eq(server, "srv");
	ck_assert_int_eq(server_name_parse(server, "//srv/share"), -EINVAL);
	ck_assert_int_eq(server_name_parse(server, ""), -EINVAL);
}
END_TEST

START_TEST(test_share_name_to_unc)
{
	const struct share_name n = {.server = "srv", .share = "vm$"};
	char unc[UNC_TEXT_SIZE];

	share_name_to_unc(&n, unc);
	ck_assert_str_eq(unc, "\\\\srv\\vm$\\");
	ck_assert_str_eq(unc_last_part("\\\\srv\\vm@{1}"), "vm@{1}");
	ck_assert_str_eq(unc_last_part("vm@{1}"), "vm@{1}");
}
END_TEST

START_TEST(test_codes_of_missing_things)
{
	ck_assert(fsrvp_code_is_gone(FSRVP_E_NOT_FOUND));
	ck_assert(fsrvp_code_is_gone(FSRVP_E_SET_ID_MISMATCH));
	ck_assert(fsrvp_code_is_gone(FSRVP_E_INVALIDARG));
	ck_assert(!fsrvp_code_is_gone(FSRVP_E_ACCESSDENIED));
	ck_assert(!fsrvp_code_is_gone(FSRVP_E_BAD_STATE));
	ck_assert(fsrvp_code_is_not_exposed(FSRVP_E_BAD_STATE));
	ck_assert(fsrvp_code_is_not_exposed(FSRVP_E_NOT_EXPOSED_YET));
	ck_assert_str_eq(fsrvp_code_reason(FSRVP_E_ACCESSDENIED), "access denied");
	ck_assert_str_eq(fsrvp_code_reason(0x12345678), "the agent answered with an unknown code");
}
END_TEST

START_TEST(test_json_escapes_and_commas)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	struct json j = {.f = f};

	ck_assert_ptr_nonnull(f);
	out_json_open(&j, NULL, '{');
	out_json_string(&j, "a", "q\" b\\ \n \xc3\xa4");
	out_json_open(&j, "l", '[');
	out_json_number(&j, NULL, -1);
	out_json_bool(&j, NULL, true);
	out_json_close(&j, ']');
	out_json_open(&j, "e", '{');
	out_json_close(&j, '}');
	out_json_null(&j, "n");
	out_json_close(&j, '}');
	fclose(f);
	ck_assert_str_eq(text, "{\"a\":\"q\\\" b\\\\ \\u000a \xc3\xa4\",\"l\":[-1,true],\"e\":{},\"n\":null}");
	free(text);
}
END_TEST

Suite *make_names_suite(void)
{
	Suite *s = suite_create("vss names");
	TCase *t = tcase_create("names");

	tcase_add_loop_test(t, test_share_name_parse, 0, sizeof(share_cases) / sizeof(share_cases[0]));
	tcase_add_test(t, test_share_name_too_long);
	tcase_add_loop_test(t, test_copy_name_parse, 0, sizeof(copy_cases) / sizeof(copy_cases[0]));
	tcase_add_test(t, test_server_name_parse);
	tcase_add_test(t, test_share_name_to_unc);
	tcase_add_test(t, test_codes_of_missing_things);
	tcase_add_test(t, test_json_escapes_and_commas);
	suite_add_tcase(s, t);
	return s;
}
