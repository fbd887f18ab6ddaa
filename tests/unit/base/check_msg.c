/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/cleanup.h"
#include "fs/base/msg.h"
#include "tests/unit/base/suites.h"

static FILE *captured;
static int stderr_fd;

static void setup(void)
{
	fflush(stderr);
	captured = tmpfile();
	ck_assert_ptr_nonnull(captured);
	stderr_fd = dup(STDERR_FILENO);
	ck_assert_int_ge(stderr_fd, 0);
	ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
}

static void teardown(void)
{
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	fclose(captured);
	msg_open("kagefs", MSG_STDERR, LOG_DEBUG);
}

static void assert_captured(const char *expected)
{
	char got[8192];
	size_t n;

	rewind(captured);
	n = fread(got, 1, sizeof(got) - 1, captured);
	got[n] = '\0';
	ck_assert_str_eq(got, expected);
}

START_TEST(test_msg_before_open)
{
	msg(LOG_WARNING, "tree=%d", 7);
	assert_captured("kagefs: warning: tree=7\n");
}
END_TEST

START_TEST(test_msg_level)
{
	msg_open("test", MSG_STDERR, LOG_NOTICE);
	msg(LOG_INFO, "dropped");
	msg(LOG_NOTICE, "kept");
	assert_captured("test: notice: kept\n");
}
END_TEST

START_TEST(test_msg_is_one_line)
{
	msg(LOG_ERR, "name=%s", "a\nkagefs: critical: forged\x1b[2J\x7f");
	assert_captured("kagefs: error: name=a?kagefs: critical: forged?[2J?\n");
}
END_TEST

START_TEST(test_msg_keeps_errno)
{
	errno = ENOSPC;
	msg(LOG_ERR, "%m");
	ck_assert_int_eq(errno, ENOSPC);
	assert_captured("kagefs: error: No space left on device\n");
}
END_TEST

START_TEST(test_msg_long_is_cut)
{
	char text[5000];
	char expected[8192];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	msg(LOG_DEBUG, "%s", text);
	snprintf(expected, sizeof(expected), "kagefs: debug: %.2047s\n", text);
	assert_captured(expected);
}
END_TEST

START_TEST(test_steal_leaves_nothing_to_clean)
{
	int pipe_fd[2];
	char *p = strdup("x"), *q;

	ck_assert_int_eq(pipe(pipe_fd), 0);
	q = steal_ptr(&p);
	ck_assert_ptr_null(p);
	ck_assert_str_eq(q, "x");
	free(q);
	{
		CLEANUP_FD int a = pipe_fd[0];
		CLEANUP_FD int b = pipe_fd[1];

		ck_assert_int_eq(steal_fd(&b), pipe_fd[1]);
		ck_assert_int_eq(b, -1);
		(void)a;
		errno = ENOENT;
	}
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(close(pipe_fd[0]), -1); /* was closed */
	ck_assert_int_eq(close(pipe_fd[1]), 0);	 /* was stolen */
}
END_TEST

Suite *make_msg_suite(void)
{
	Suite *suite = suite_create("msg");
	TCase *tc = tcase_create("msg");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_msg_before_open);
	tcase_add_test(tc, test_msg_level);
	tcase_add_test(tc, test_msg_is_one_line);
	tcase_add_test(tc, test_msg_keeps_errno);
	tcase_add_test(tc, test_msg_long_is_cut);
	suite_add_tcase(suite, tc);
	tc = tcase_create("cleanup");
	tcase_add_test(tc, test_steal_leaves_nothing_to_clean);
	suite_add_tcase(suite, tc);
	return suite;
}
