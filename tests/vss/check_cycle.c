/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The commands against the agent of fake_rpc.c: the normal cycle, and what is left after every kind of trouble. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/fsrvp/fsrvp_abi.h"
#include "agent/vss/cmd.h"
#include "agent/vss/record.h"
#include "tests/vss/fake_rpc.h"
#include "tests/vss/suites.h"
#include "tests/vss/tmpdir.h"

static void setup(void)
{
	ck_assert_int_eq(chdir(tmpdir_make()), 0);
	fake_reset();
	ck_assert_ptr_nonnull(freopen("stderr.txt", "w", stderr));
	ck_assert_ptr_nonnull(freopen("stdout.txt", "w", stdout));
}

static int run(int (*cmd)(struct session *), const char *const *argv, int argc)
{
	struct session s;
	struct opts o;
	bool done;

	setenv("PASSWD", "pw", 1);
	setenv("USER", "me", 1);
	optind = 0; /* glibc: begin anew */
	ck_assert_int_eq(opts_parse(&o, argc, (char **)argv, &done), EXIT_OK);
	ck_assert_int_eq(session_init(&s, &o), 0);
	int code = cmd(&s);
	session_release(&s);
	fflush(stdout);
	return code;
}
#define RUN(cmd, ...)                                                                                             \
	run(cmd, (const char *const[]){"kagefs-vss", __VA_ARGS__, NULL},                                          \
	    (int)(sizeof((const char *const[]){"kagefs-vss", __VA_ARGS__}) / sizeof(char *)))

static int count_record(struct set *s, void *arg)
{
	(*(int *)arg)++;
	return 0;
}

static int records(void)
{
	int n = 0;

	ck_assert_int_eq(record_each(count_record, &n), 0);
	return n;
}

static void assert_nothing_left(void)
{
	ck_assert_int_eq(fake.state, FAKE_NONE);
	ck_assert_int_eq(fake_left(), 0);
	ck_assert_int_eq(records(), 0);
}

START_TEST(test_backup)
{
	int code = RUN(cmd_backup, "backup", "--recover", "touch recovered", "--exec", "test -e recovered && touch ran",
		       "//srv/a", "//srv/b");

	ck_assert_int_eq(code, EXIT_OK);
	ck_assert_int_eq(access("ran", F_OK), 0);
	ck_assert_uint_eq(fake.context, FSRVP_CTX_BACKUP | FSRVP_ATTR_AUTO_RECOVERY);
	/* supported x2, version, context, start, add x2, prepare, commit, expose, mapping x2, sign of life,
	 * complete, delete x2 */
	ck_assert_str_eq(fake.trace, ".iiabcddmefkkkgll");
	assert_nothing_left();
}
END_TEST

START_TEST(test_backup_command_fails)
{
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "exit 3", "//srv/a"), EXIT_FAILED);
	assert_nothing_left();
}
END_TEST

START_TEST(test_backup_recovery_command_fails)
{
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--recover", "exit 3", "--exec", "touch ran", "//srv/a"), EXIT_FAILED);
	ck_assert_int_eq(access("ran", F_OK), -1);
	assert_nothing_left();
}
END_TEST

/* The sign of life after the recovery command is the second GetShareMapping. */
START_TEST(test_backup_connection_breaks_in_recovery)
{
	fake.fault_op = FSRVP_GET_SHARE_MAPPING;
	fake.fault = FAULT_LOST_BEFORE;
	fake.fault_skip = 1;
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--recover", "true", "--exec", "true", "//srv/a"), EXIT_OK);
	ck_assert_str_eq(fake.trace, ".iabcdmefk!k.kgl");
	assert_nothing_left();
}
END_TEST

/* Every call of the cycle, with the connection breaking before or after it, on an honest agent and on one like Samba's. */
static const int cycle_ops[] = {FSRVP_IS_PATH_SUPPORTED, FSRVP_GET_SUPPORTED_VERSION, FSRVP_SET_CONTEXT, FSRVP_START,
				FSRVP_ADD, FSRVP_PREPARE, FSRVP_COMMIT, FSRVP_EXPOSE, FSRVP_GET_SHARE_MAPPING,
				FSRVP_RECOVERY_COMPLETE, FSRVP_DELETE_SHARE_MAPPING};
#define NCYCLE_OPS (int)(sizeof(cycle_ops) / sizeof(cycle_ops[0]))

START_TEST(test_backup_connection_breaks)
{
	int op = cycle_ops[_i % NCYCLE_OPS];

	fake.fault_op = op;
	fake.fault = _i / NCYCLE_OPS % 2 ? FAULT_LOST_AFTER : FAULT_LOST_BEFORE;
	fake.abort_is_a_lie = _i / NCYCLE_OPS / 2;
	int code = RUN(cmd_backup, "backup", "--exec", "true", "--timeout-cleanup", "5", "//srv/a", "//srv/b");
	ck_assert_ptr_nonnull(strchr(fake.trace, '!'));
	/* Losing the answer to the last call is made good silently, and it is no "missing" either. */
	ck_assert_int_eq(code, op == FSRVP_DELETE_SHARE_MAPPING ? EXIT_OK : EXIT_FAILED);
	if (op == FSRVP_START && fake.fault == FAULT_LOST_AFTER) {
		ck_assert_int_eq(fake.state, FAKE_STARTED); /* nobody knows the id: the agent's timer has to do it */
		ck_assert_int_eq(records(), 0);
	} else {
		assert_nothing_left();
	}
}
END_TEST

/* Every call of the cycle refused. */
START_TEST(test_backup_refused)
{
	int op = cycle_ops[_i];

	fake.fault_op = op;
	fake.fault = FAULT_REFUSED;
	fake.refusal = FSRVP_E_ACCESSDENIED;
	int code = RUN(cmd_backup, "backup", "--exec", "true", "//srv/a", "//srv/b");
	if (op == FSRVP_DELETE_SHARE_MAPPING) {
		ck_assert_int_eq(code, EXIT_PARTIAL);
		ck_assert_int_eq(fake_left(), 1); /* the other copy was deleted all the same */
		ck_assert_int_eq(records(), 1);
	} else {
		ck_assert_int_eq(code, EXIT_FAILED);
		assert_nothing_left();
	}
}
END_TEST

/* The connection breaks and the server answers again only some seconds later. */
START_TEST(test_backup_server_comes_back)
{
	fake.fault_op = FSRVP_COMMIT;
	fake.fault = FAULT_LOST_AFTER;
	fake.refuse_connects = 2;
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a"), EXIT_FAILED);
	ck_assert_str_eq(fake.trace, ".iabcdm!e...hk");
	assert_nothing_left();
}
END_TEST

START_TEST(test_backup_server_stays_away)
{
	char id[GUID_TEXT_SIZE];

	fake.fault_op = FSRVP_COMMIT;
	fake.fault = FAULT_LOST_AFTER;
	fake.refuse_connects = 1000;
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "--timeout-cleanup", "2", "//srv/a"), EXIT_FAILED);
	ck_assert_int_eq(fake.state, FAKE_COMMITTED);
	ck_assert_int_eq(records(), 1);
	fake.refuse_connects = 0; /* what the error line told the user to do */
	guid_format(&fake.set, id);
	ck_assert_int_eq(RUN(cmd_delete, "delete", id), EXIT_OK);
	assert_nothing_left();
}
END_TEST

START_TEST(test_backup_copies_vanish)
{
	fake.drop_on_expose = true;
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a"), EXIT_FAILED);
	assert_nothing_left();
}
END_TEST

START_TEST(test_backup_waits_for_another_set)
{
	fake.busy = 2;
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "--wait", "10", "//srv/a"), EXIT_OK);
	ck_assert_str_eq(fake.trace, ".iabcccdmefkgl");
	fake.busy = 2;
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a"), EXIT_FAILED);
	assert_nothing_left();
}
END_TEST

START_TEST(test_backup_one_at_a_time)
{
	int fd = record_lock("SRV");

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a"), EXIT_FAILED);
	ck_assert_ptr_null(strchr(fake.trace, 'b')); /* no SetContext: it would end the other's set */
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//other/a"), EXIT_OK);
	close(fd);
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a"), EXIT_OK);
}
END_TEST

START_TEST(test_backup_keep)
{
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "--keep", "--context", "app-rollback", "//srv/a"),
			 EXIT_OK);
	ck_assert_uint_eq(fake.context, FSRVP_CTX_APP_ROLLBACK);
	ck_assert_int_eq(fake.state, FAKE_RECOVERED);
	ck_assert_int_eq(records(), 1);
}
END_TEST

/* create, expose, complete and delete as separate runs that only share the record. */
START_TEST(test_set_in_steps)
{
	char id[GUID_TEXT_SIZE];

	ck_assert_int_eq(RUN(cmd_create, "create", "//srv/a", "//srv/b"), EXIT_OK);
	ck_assert_int_eq(fake.state, FAKE_COMMITTED);
	guid_format(&fake.set, id);
	ck_assert_int_eq(RUN(cmd_expose, "expose", id), EXIT_OK);
	ck_assert_int_eq(RUN(cmd_complete, "complete", id), EXIT_OK);
	ck_assert_int_eq(fake.state, FAKE_RECOVERED);
	ck_assert_int_eq(RUN(cmd_abort, "abort", id), EXIT_FAILED); /* too late for that */
	ck_assert_int_eq(RUN(cmd_list, "list", "--json"), EXIT_OK);
	ck_assert_int_eq(RUN(cmd_delete, "delete", id), EXIT_OK);
	assert_nothing_left();
	ck_assert_int_eq(RUN(cmd_delete, "delete", id), EXIT_FAILED);
}
END_TEST

START_TEST(test_set_abort_of_committed)
{
	char id[GUID_TEXT_SIZE];

	fake.abort_is_a_lie = _i;
	ck_assert_int_eq(RUN(cmd_create, "create", "//srv/a"), EXIT_OK);
	guid_format(&fake.set, id);
	ck_assert_int_eq(RUN(cmd_abort, "abort", id), EXIT_OK);
	assert_nothing_left();
}
END_TEST

START_TEST(test_set_delete_one_copy)
{
	char set_id[GUID_TEXT_SIZE], id[GUID_TEXT_SIZE], path[80];
	struct set s;

	fake.one_volume = _i;
	ck_assert_int_eq(RUN(cmd_create, "create", "--expose", "//srv/a", "//srv/b"), EXIT_OK);
	guid_format(&fake.set, set_id);
	guid_format(&fake.copies[1], id);
	snprintf(path, sizeof(path), "//srv/b@{%s}", id);
	ck_assert_int_eq(RUN(cmd_delete, "delete", set_id, path), EXIT_OK);
	ck_assert_int_eq(fake_left(), 1);
	ck_assert_int_eq(record_load(&s, &fake.set), 0);
	ck_assert_uint_eq(s.ncopies, 1);
	ck_assert_str_eq(s.copies[0].share.share, "a");
	set_release(&s);
	if (!fake.one_volume) /* gone already; the fake agent does not look at share names */
		ck_assert_int_eq(RUN(cmd_delete, "delete", set_id, path), EXIT_PARTIAL);
	ck_assert_int_eq(RUN(cmd_delete, "delete", set_id), EXIT_OK);
	assert_nothing_left();
}
END_TEST

START_TEST(test_set_of_another_program)
{
	char id[GUID_TEXT_SIZE];

	ck_assert_int_eq(RUN(cmd_create, "create", "//srv/a"), EXIT_OK);
	guid_format(&fake.set, id);
	record_remove(&fake.set);
	ck_assert_int_eq(RUN(cmd_expose, "expose", id), EXIT_USAGE);
	ck_assert_int_eq(RUN(cmd_expose, "expose", id, "//srv"), EXIT_OK);
	ck_assert_int_eq(RUN(cmd_complete, "complete", id, "srv"), EXIT_OK);
	ck_assert_int_eq(RUN(cmd_abort, "abort", id, "//srv"), EXIT_OK);
	assert_nothing_left();
}
END_TEST

START_TEST(test_shares_refused_before_any_call)
{
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a", "//other/b"), EXIT_USAGE);
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a", "//SRV/A/"), EXIT_USAGE);
	ck_assert_int_eq(RUN(cmd_backup, "backup", "--exec", "true", "//srv/a/dir"), EXIT_USAGE);
	ck_assert_str_eq(fake.trace, "");
}
END_TEST

Suite *make_cycle_suite(void)
{
	Suite *s = suite_create("vss cycle");
	TCase *t = tcase_create("cycle");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, tmpdir_remove);
	tcase_add_test(t, test_backup);
	tcase_add_test(t, test_backup_command_fails);
	tcase_add_test(t, test_backup_recovery_command_fails);
	tcase_add_test(t, test_backup_connection_breaks_in_recovery);
	tcase_add_loop_test(t, test_backup_connection_breaks, 0, 4 * NCYCLE_OPS);
	tcase_add_loop_test(t, test_backup_refused, 0, NCYCLE_OPS);
	tcase_add_test(t, test_backup_server_comes_back);
	tcase_add_test(t, test_backup_server_stays_away);
	tcase_add_test(t, test_backup_copies_vanish);
	tcase_add_test(t, test_backup_waits_for_another_set);
	tcase_add_test(t, test_backup_one_at_a_time);
	tcase_add_test(t, test_backup_keep);
	tcase_add_test(t, test_set_in_steps);
	tcase_add_loop_test(t, test_set_abort_of_committed, 0, 2);
	tcase_add_loop_test(t, test_set_delete_one_copy, 0, 2);
	tcase_add_test(t, test_set_of_another_program);
	tcase_add_test(t, test_shares_refused_before_any_call);
	suite_add_tcase(s, t);
	return s;
}
