/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/vss/run.h"
#include "agent/vss/stop.h"
#include "tests/vss/suites.h"
#include "tests/vss/tmpdir.h"

static struct set set;

static void setup(void)
{
	const struct share_name n = {.server = "srv", .share = "vm"};

	ck_assert_int_eq(chdir(tmpdir_make()), 0);
	set_init(&set);
	strcpy(set.server, "srv");
	struct copy *c = set_append(&set, &n);
	ck_assert_ptr_nonnull(c);
	strcpy(c->exposed, "vm@{00112233-4455-6677-8899-aabbccddeeff}");
	c->created_filetime = 134398302090000000;
}

static void teardown(void)
{
	set_release(&set);
	tmpdir_remove();
}

START_TEST(test_run_environment)
{
	const struct run_options o = {
		.phase = "exec",
		.command = "test \"$KAGEFS_VSS_PHASE/$KAGEFS_VSS_SERVER/$KAGEFS_VSS_PORT/$KAGEFS_VSS_COUNT\" = exec/srv/445/1 &&"
			   "test \"$KAGEFS_VSS_COPY_1\" = '//srv/vm@{00112233-4455-6677-8899-aabbccddeeff}' &&"
			   "test \"$KAGEFS_VSS_SHARE_1\" = //srv/vm && test \"$KAGEFS_VSS_CREATED_1\" = 1795356609 &&"
			   "test \"$KAGEFS_VSS_SET\" = 00000000-0000-0000-0000-000000000000 && ! read x"};
	int status;

	ck_assert_int_eq(run_command(&o, &set, &status), 0);
}
END_TEST

START_TEST(test_run_status)
{
	const struct run_options o = {.phase = "exec", .command = "exit 7"};
	int status;

	ck_assert_int_eq(run_command(&o, &set, &status), -ECHILD);
	ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

static int give_up(void *arg)
{
	(*(int *)arg)++;
	return -ENOENT;
}

START_TEST(test_run_ended_by_tick)
{
	int ticks = 0, status;
	const struct run_options o = {
		.phase = "recover", .command = "sleep 60; true", .tick = give_up, .arg = &ticks, .tick_s = 1};

	ck_assert_int_eq(run_command(&o, &set, &status), -ENOENT);
	ck_assert_int_eq(ticks, 1);
	ck_assert(WIFSIGNALED(status));
}
END_TEST

/* Gone, or a zombie whose new parent has not looked yet. */
static bool has_ended(int pid)
{
	char path[64], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return true;
	int n = fscanf(f, "%*d %*s %c", &state);
	fclose(f);
	return n != 1 || state == 'Z';
}

/* The shell's child would live on if only the shell were ended. */
START_TEST(test_run_ended_by_signal)
{
	const struct run_options o = {.phase = "exec", .command = "sleep 60 & echo $! >child; wait; true"};
	int status, child = 0;

	ck_assert_int_eq(stop_install(), 0);
	pid_t pid = fork();
	if (pid == 0) {
		usleep(300000);
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	ck_assert_int_eq(run_command(&o, &set, &status), -EINTR);
	ck_assert_int_eq(stop_pending(), SIGTERM);
	FILE *f = fopen("child", "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%d", &child), 1);
	fclose(f);
	for (int i = 0; i < 50 && !has_ended(child); i++)
		usleep(20000);
	ck_assert(has_ended(child));
	(void)waitpid(pid, &status, 0);
}
END_TEST

Suite *make_run_suite(void)
{
	Suite *s = suite_create("vss run");
	TCase *t = tcase_create("run");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_run_environment);
	tcase_add_test(t, test_run_status);
	tcase_add_test(t, test_run_ended_by_tick);
	tcase_add_test(t, test_run_ended_by_signal);
	suite_add_tcase(s, t);
	return s;
}
