/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fsrvp/ops.h"
#include "agent/samba/conf.h"
#include "tests/agent/suites.h"

START_TEST(test_conf_parse)
{
	static const char text[] = "stray = 1\n# Global parameters\n[global]\n\tnetbios name = FS\n\n[Foo Bar]\n\tpath = /a b\n"
				   "\tvalid users = a \"b c\"\n\tempty =\n; comment\nno equals\n[x@{1}]\n\tpath=/x=y\n\tpath = /z";
	struct conf c;

	ck_assert_int_eq(conf_parse(text, &c), 0);
	ck_assert_uint_eq(c.nsections, 3);
	ck_assert_str_eq(conf_get(conf_find(&c, "GLOBAL"), "netbios name"), "FS");
	ck_assert_str_eq(conf_get(conf_find(&c, "foo bar"), "Path"), "/a b");
	ck_assert_str_eq(conf_get(conf_find(&c, "foo bar"), "empty"), "");
	ck_assert_ptr_null(conf_get(conf_find(&c, "foo bar"), "stray"));
	ck_assert_str_eq(conf_get(conf_find(&c, "x@{1}"), "path"), "/z");
	ck_assert_ptr_null(conf_find(&c, "foo"));
	conf_release(&c);
}
END_TEST

START_TEST(test_conf_round_trip)
{
	static const char want[] = "[a]\n\tpath = /1\n\tcomment = two\n\n[b]\n\tpath = /2\n\n";
	struct conf_section *s;
	struct conf c;
	char *text;

	ck_assert_int_eq(conf_parse("[a]\npath = /1\n[gone]\npath = /x\n[b]\npath = /2\n", &c), 0);
	ck_assert_int_eq(conf_set(conf_find(&c, "a"), "comment", "two"), 0);
	conf_remove(&c, conf_find(&c, "gone"));
	ck_assert_int_eq(conf_format(&c, &text), 0);
	ck_assert_str_eq(text, want);
	free(text);
	ck_assert_int_eq(conf_add(&c, "c", &s), 0);
	ck_assert_int_eq(conf_set(s, "path", "/c\n[evil]"), 0);
	ck_assert_int_eq(conf_format(&c, &text), -EINVAL);
	conf_release(&c);
}
END_TEST

/* As regedit writes it; what is there already is replaced as a whole. */
START_TEST(test_conf_format_registry)
{
#define KEY "HKEY_LOCAL_MACHINE\\SOFTWARE\\Samba\\smbconf\\"
	static const char want[] = "Windows Registry Editor Version 5.00\n\n"
				   "[" KEY "a]\n\"path\"=\"/1 \\\"x\\\" \\\\y\"\n\n"
				   "[-" KEY "b]\n\n[" KEY "b]\n\"path\"=\"/2\"\n\n";
	struct conf there, c;
	char *text;

	ck_assert_int_eq(conf_parse("[b]\npath = /old\n[theirs]\npath = /x\n", &there), 0);
	ck_assert_int_eq(conf_parse("[a]\npath = /1 \"x\" \\y\n[b]\npath = /2\n", &c), 0);
	ck_assert_int_eq(conf_format_registry(&c, &there, &text), 0);
	ck_assert_str_eq(text, want);
	free(text);
	ck_assert_int_eq(conf_set(conf_find(&c, "a"), "path", "x\"\n[evil]"), 0);
	ck_assert_int_eq(conf_format_registry(&c, &there, &text), -EINVAL);
	conf_release(&there);
	conf_release(&c);
}
END_TEST

static const struct {
	const char *value;
	bool ok;
} values[] = {
	{ "", true },	       { "/srv/x", true }, { "a b", true },    { " a", false },	     { "a ", false },
	{ "a\nb", false }, { "a\r", false },   { "a\\", false }, { "a\\b", true },
};

START_TEST(test_conf_values)
{
	ck_assert(conf_value_ok(values[_i].value) == values[_i].ok);
}
END_TEST

static const struct {
	const char *unc, *server, *share;
	int err;
} uncs[] = {
	{ "\\\\fs1\\data", "fs1", "data", 0 },
	{ "\\\\fs1\\data\\", "fs1", "data", 0 }, /* diskshadow */
	{ "\\\\10.0.0.1\\hid$\\", "10.0.0.1", "hid$", 0 },
	{ "\\\\evil.example\\data", "evil.example", "data", 0 }, /* not looked at */
	{ "\\\\fs1\\a b", "fs1", "a b", 0 },
	{ "data", NULL, NULL, -EINVAL },
	{ "\\\\fs1", NULL, NULL, -EINVAL },
	{ "\\\\fs1\\", NULL, NULL, -EINVAL },
	{ "\\\\\\data", NULL, NULL, -EINVAL },
	{ "\\\\fs1\\data\\\\", NULL, NULL, -EINVAL },
	{ "\\\\fs1\\data\\dir", NULL, NULL, -EINVAL },
	{ "//fs1/data", NULL, NULL, -EINVAL },
	{ "", NULL, NULL, -EINVAL },
};

START_TEST(test_share_parse_unc)
{
	char *server = NULL, *share = NULL;

	ck_assert_int_eq(share_parse_unc(uncs[_i].unc, &server, &share), uncs[_i].err);
	if (uncs[_i].err) {
		ck_assert_ptr_null(server);
		ck_assert_ptr_null(share);
	} else {
		ck_assert_str_eq(server, uncs[_i].server);
		ck_assert_str_eq(share, uncs[_i].share);
	}
	free(server);
	free(share);
}
END_TEST

START_TEST(test_share_parse_unc_long)
{
	char unc[OPS_UNC_BYTES_MAX + 2], *share;

	memset(unc, 'x', sizeof(unc));
	memcpy(unc, "\\\\s\\", 4);
	unc[sizeof(unc) - 1] = '\0';
	ck_assert_int_eq(share_parse_unc(unc, NULL, &share), -ENAMETOOLONG);
}
END_TEST

Suite *make_conf_suite(void)
{
	Suite *s = suite_create("conf");
	TCase *t = tcase_create("conf");

	tcase_add_test(t, test_conf_parse);
	tcase_add_test(t, test_conf_round_trip);
	tcase_add_test(t, test_conf_format_registry);
	tcase_add_loop_test(t, test_conf_values, 0, sizeof(values) / sizeof(values[0]));
	tcase_add_loop_test(t, test_share_parse_unc, 0, sizeof(uncs) / sizeof(uncs[0]));
	tcase_add_test(t, test_share_parse_unc_long);
	suite_add_tcase(s, t);
	return s;
}
