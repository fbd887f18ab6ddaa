/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vss/creds.h"
#include "tests/vss/suites.h"
#include "tests/vss/tmpdir.h"

static const char *dir;
static char why[256];

static void setup(void)
{
	static const char *const names[] = {"USER", "LOGNAME", "PASSWD", "PASSWD_FILE", "PASSWD_FD"};

	dir = tmpdir_make();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

START_TEST(test_creds_authfile)
{
	const struct creds_options o = {
		.authfile = write_file("auth", "# mine\nusername = root\r\npassword= p w=1 \ndomain=LAB\n", 0600)};
	struct creds c;

	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), 0);
	ck_assert_str_eq(c.user, "root");
	ck_assert_str_eq(c.password, "p w=1");
	ck_assert_str_eq(c.domain, "LAB");
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_authfile_of_others)
{
	const struct creds_options o = {.authfile = write_file("auth", "password=x\n", 0644)};
	struct creds c;

	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), -EACCES);
	ck_assert_ptr_nonnull(strstr(why, "chmod 600"));
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_domain_in_user)
{
	const struct creds_options o = {.user = "DOM\\me"};
	struct creds c;

	setenv("PASSWD", "secret", 1);
	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), 0);
	ck_assert_str_eq(c.user, "me");
	ck_assert_str_eq(c.domain, "DOM");
	ck_assert_str_eq(c.password, "secret");
	ck_assert_ptr_null(getenv("PASSWD")); /* commands must not inherit it */
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_principal)
{
	const struct creds_options o = {.user = "host/me.lab@LAB", .ccache = "FILE:/x"};
	struct creds c;

	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), 0);
	ck_assert_str_eq(c.user, "host/me.lab@LAB");
	ck_assert_ptr_null(c.domain);
	ck_assert_int_eq(c.kerberos, KERBEROS_REQUIRED);
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_option_before_file_before_environment)
{
	const struct creds_options o = {.user = "opt",
					.authfile = write_file("auth", "username=file\npassword=file\n", 0600)};
	struct creds c;

	setenv("USER", "env%env", 1);
	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), 0);
	ck_assert_str_eq(c.user, "opt");
	ck_assert_str_eq(c.password, "file");
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_user_with_password_in_environment)
{
	const struct creds_options o = {.user = NULL};
	struct creds c;

	setenv("USER", "me%a%b", 1);
	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), 0);
	ck_assert_str_eq(c.user, "me");
	ck_assert_str_eq(c.password, "a%b");
	ck_assert_ptr_null(getenv("USER"));
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_password_file)
{
	const struct creds_options o = {.user = "me"};
	struct creds c;

	setenv("PASSWD_FILE", write_file("pw", "first\nsecond\n", 0600), 1);
	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), 0);
	ck_assert_str_eq(c.password, "first");
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_password_in_arguments)
{
	const struct creds_options o = {.user = "me%pw"};
	struct creds c;

	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "--authfile"));
	ck_assert_ptr_null(strstr(why, "pw;"));
	creds_release(&c);
}
END_TEST

START_TEST(test_creds_none)
{
	const struct creds_options o = {.user = "me"};
	struct creds c;

	ck_assert_int_eq(creds_load(&c, &o, why, sizeof(why)), -EINVAL);
	creds_release(&c);
}
END_TEST

Suite *make_creds_suite(void)
{
	Suite *s = suite_create("vss creds");
	TCase *t = tcase_create("creds");

	tcase_add_checked_fixture(t, setup, tmpdir_remove);
	tcase_add_test(t, test_creds_authfile);
	tcase_add_test(t, test_creds_authfile_of_others);
	tcase_add_test(t, test_creds_domain_in_user);
	tcase_add_test(t, test_creds_principal);
	tcase_add_test(t, test_creds_option_before_file_before_environment);
	tcase_add_test(t, test_creds_user_with_password_in_environment);
	tcase_add_test(t, test_creds_password_file);
	tcase_add_test(t, test_creds_password_in_arguments);
	tcase_add_test(t, test_creds_none);
	suite_add_tcase(s, t);
	return s;
}
