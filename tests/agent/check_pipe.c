/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The socket behind the pipe, in a directory of our own. */
#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/child.h"
#include "agent/np/pipe.h"
#include "fs/base/msg.h"
#include "tests/agent/suites.h"

static char top[32], nc[40], np[48], path[80];
static struct pipe_socket pipe_;

static void setup(void)
{
	strcpy(top, "/tmp/kagefs-pipe.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(nc, sizeof(nc), "%s/nc", top);
	snprintf(np, sizeof(np), "%s/np", nc);
	snprintf(path, sizeof(path), "%s/fssagentrpc", np);
}

static void teardown(void)
{
	const char *argv[] = { "rm", "-rf", "--", top, NULL };

	ck_assert_int_eq(child_run(argv, patience_ms(10000), 0, NULL), 0);
}

static int connect_to(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_uint_lt(strlen(name), sizeof(sun.sun_path));
	strcpy(sun.sun_path, name);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* A connection made through the name arrives at our descriptor. */
static void assert_serving(void)
{
	int client = connect_to(path), server;

	ck_assert_int_ge(client, 0);
	server = accept(pipe_.listen_fd, NULL, NULL);
	ck_assert_int_ge(server, 0);
	close(server);
	close(client);
}

/* What samba-dcerpcd does. */
static int rebind(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

START_TEST(test_pipe_modes_and_end)
{
	struct stat st;

	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), 0);
	ck_assert_int_eq(stat(nc, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_int_eq(stat(np, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	assert_serving();
	pipe_socket_close(&pipe_);
	ck_assert_int_eq(connect_to(path), -ENOENT);
	pipe_socket_close(&pipe_); /* may run twice */
}
END_TEST

START_TEST(test_pipe_taken_back)
{
	struct pollfd pfd;

	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), 0);
	ck_assert_int_eq(pipe_socket_check(&pipe_), 0);
	for (unsigned i = 1; i <= 5; i++) {
		int fd = rebind();

		pfd = (struct pollfd){ .fd = pipe_.watch_fd, .events = POLLIN };
		ck_assert_int_eq(poll(&pfd, 1, 1000), 1);
		ck_assert_int_eq(pipe_socket_check(&pipe_), 0);
		ck_assert_uint_eq(pipe_.takebacks, i);
		assert_serving();
		close(fd);
	}
	/* our own renaming is no reason for another round */
	ck_assert_int_eq(pipe_socket_check(&pipe_), 0);
	ck_assert_uint_eq(pipe_.takebacks, 5);
	unlink(path);
	ck_assert_int_eq(pipe_socket_check(&pipe_), 0);
	assert_serving();
	pipe_socket_close(&pipe_);
}
END_TEST

START_TEST(test_pipe_directory_replaced)
{
	const char *argv[] = { "rm", "-rf", "--", np, NULL };

	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), 0);
	ck_assert_int_eq(child_run(argv, patience_ms(10000), 0, NULL), 0);
	ck_assert_int_eq(pipe_socket_check(&pipe_), 0);
	assert_serving();
	pipe_socket_close(&pipe_);
}
END_TEST

START_TEST(test_pipe_keeps_what_is_not_ours)
{
	int fd;

	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), 0);
	fd = rebind();
	pipe_socket_close(&pipe_);
	ck_assert_int_eq(access(path, F_OK), 0);
	close(fd);
}
END_TEST

START_TEST(test_pipe_second_agent)
{
	struct pipe_socket second;

	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), 0);
	ck_assert_int_eq(pipe_socket_open(&second, nc, "fssagentrpc"), -EBUSY);
	assert_serving();
	pipe_socket_close(&pipe_);
	ck_assert_int_eq(pipe_socket_open(&second, nc, "fssagentrpc"), 0);
	pipe_socket_close(&second);
}
END_TEST

START_TEST(test_pipe_wrong_modes)
{
	ck_assert_int_eq(mkdir(nc, 0755), 0);
	ck_assert_int_eq(mkdir(np, 0755), 0);
	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), -EPERM);
	ck_assert_int_eq(chmod(np, 0700), 0);
	ck_assert_int_eq(chmod(nc, 0777), 0);
	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), -EPERM);
	ck_assert_int_eq(chmod(nc, 0755), 0);
	ck_assert_int_eq(pipe_socket_open(&pipe_, nc, "fssagentrpc"), 0);
	pipe_socket_close(&pipe_);
}
END_TEST

START_TEST(test_pipe_long_path)
{
	char dir[256];

	snprintf(dir, sizeof(dir), "%s/%0*d", top, 100, 0);
	ck_assert_int_eq(pipe_socket_open(&pipe_, dir, "fssagentrpc"), -ENAMETOOLONG);
}
END_TEST

START_TEST(test_child_run)
{
	const char *echo[] = { "echo", "a  b; $HOME", NULL }, *fails[] = { "false", NULL }, *none[] = { "no-such-program-here", NULL };
	const char *slow[] = { "sleep", "30", NULL };
	char *out = NULL;

	ck_assert_int_eq(child_run(echo, patience_ms(5000), 0, &out), 0);
	ck_assert_str_eq(out, "a  b; $HOME\n"); /* no shell looks at it */
	free(out);
	ck_assert_int_eq(child_run(fails, patience_ms(5000), 0, NULL), 1);
	ck_assert_int_eq(child_run(none, patience_ms(5000), 0, NULL), -ENOENT);
	ck_assert_int_eq(child_run(slow, patience_ms(100), 0, NULL), -ETIMEDOUT);
}
END_TEST

static const struct {
	const char *script, *want;
	enum child_flags flags;
} ends[] = {
	{ "echo out; echo first >&2; echo 'second' >&2; exit 3",
	  "command=\"sh -c echo out; echo first >&2; echo 'second' >&2; exit 3\" status=3 took_ms=* stderr=\"first second\" stdout=\"out\"",
	  0 },
	{ "echo bye >&2; kill -9 $$", "* signal=9 took_ms=* stderr=\"bye\" stdout=\"\"", 0 },
	{ "echo waiting >&2; exec sleep 30", "* error=\"Connection timed out\" took_ms=* stderr=\"waiting\" stdout=\"\"", 0 },
	{ "exit 3", "", CHILD_MAY_FAIL },
	{ "echo out; exit 3", "", CHILD_OUTPUT_COUNTS },
	{ "exit 3", "* status=3 *", CHILD_OUTPUT_COUNTS },
	{ "kill -9 $$", "* signal=9 *", CHILD_MAY_FAIL },
};

/* What the log says of a program that failed, or that it says nothing. */
START_TEST(test_child_run_says_why)
{
	const char *argv[] = { "sh", "-c", ends[_i].script, NULL };
	char log_file[64], text[2048] = "", pattern[512];
	int r, keep = dup(2);
	FILE *f;

	snprintf(log_file, sizeof(log_file), "%s/stderr", top);
	ck_assert_ptr_nonnull(freopen(log_file, "w", stderr));
	msg_open("unit", MSG_STDERR, LOG_WARNING);
	r = child_run(argv, patience_ms(1000), ends[_i].flags, NULL);
	fflush(stderr);
	dup2(keep, 2);
	ck_assert_int_ne(r, 0);
	f = fopen(log_file, "r");
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	snprintf(pattern, sizeof(pattern), "*program failed: %s*", ends[_i].want);
	if (*ends[_i].want)
		ck_assert_msg(fnmatch(pattern, text, 0) == 0, "log: %s, want: %s", text, pattern);
	else
		ck_assert_str_eq(text, "");
}
END_TEST

static bool over_at_once(void *arg)
{
	return ++*(unsigned *)arg > 0;
}

START_TEST(test_child_run_not_wanted_any_more)
{
	const char *slow[] = { "sleep", "30", NULL };
	unsigned asked = 0;
	struct patience p = patience_ms(30000);

	p.is_over = over_at_once;
	p.arg = &asked;
	ck_assert_int_eq(child_run(slow, p, 0, NULL), -ECANCELED);
	ck_assert_uint_eq(asked, 1);
}
END_TEST

START_TEST(test_child_ask)
{
	const char *cat[] = { "cat", NULL };
	struct child c;
	char answer[16];

	ck_assert_int_eq(child_start(&c, cat), 0);
	ck_assert_int_eq(child_ask(&c, "YR abc", answer, sizeof(answer), 5000), 0);
	ck_assert_str_eq(answer, "YR abc");
	ck_assert_int_eq(child_ask(&c, "much longer than the answer may be", answer, sizeof(answer), 5000), -EMSGSIZE);
	child_stop(&c);
	child_stop(&c);
	ck_assert_int_eq(child_ask(&c, "x", answer, sizeof(answer), 100), -EPIPE);
}
END_TEST

Suite *make_pipe_suite(void)
{
	Suite *s = suite_create("pipe");
	TCase *t = tcase_create("pipe");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_pipe_modes_and_end);
	tcase_add_test(t, test_pipe_taken_back);
	tcase_add_test(t, test_pipe_directory_replaced);
	tcase_add_test(t, test_pipe_keeps_what_is_not_ours);
	tcase_add_test(t, test_pipe_second_agent);
	tcase_add_test(t, test_pipe_wrong_modes);
	tcase_add_test(t, test_pipe_long_path);
	tcase_add_test(t, test_child_run);
	tcase_add_loop_test(t, test_child_run_says_why, 0, sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(t, test_child_run_not_wanted_any_more);
	tcase_add_test(t, test_child_ask);
	suite_add_tcase(s, t);
	return s;
}
