/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The schema steps: an older database is upgraded, a newer one refused, a failing step leaves nothing. */
#include "tests/unit/meta/meta_test.h"

static struct store s;

static void setup(void)
{
	store_open(&s, false);
}
static void teardown(void)
{
	store_close(&s);
}

static struct schema_step steps[8];

static unsigned with_step(const char *sql)
{
	unsigned n = schema_nsteps;

	ck_assert_uint_lt(n + 2, ARRAY_SIZE(steps));
	memcpy(steps, schema_steps, n * sizeof(*steps));
	steps[n] = (struct schema_step){steps[n - 1].number + 1, "fs_9999_test", sql};
	return n + 1;
}

START_TEST(test_numbers_have_no_gaps)
{
	for (unsigned i = 0; i < schema_nsteps; i++)
		ck_assert_int_eq(schema_steps[i].number, (int)i + 1);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM migration WHERE program <> '' AND at_ns > 0"), schema_nsteps);
}
END_TEST

START_TEST(test_older_is_upgraded)
{
	unsigned n = with_step("ALTER TABLE volume ADD COLUMN test INTEGER NOT NULL DEFAULT 5;");

	new_volume(s.m);
	ck_zero(migrate(s.m->db, steps, n));
	ck_assert_int_eq(number(s.m, "SELECT max(number) FROM migration"), steps[n - 1].number);
	ck_assert_int_eq(number(s.m, "SELECT test FROM volume"), 5);
	ck_zero(migrate(s.m->db, steps, n)); /* nothing left to do */
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM migration"), n);
}
END_TEST

START_TEST(test_newer_is_refused)
{
	struct meta *m;
	unsigned n = with_step("SELECT 1;");

	ck_zero(migrate(s.m->db, steps, n));
	meta_close(s.m);
	s.m = NULL;
	ck_assert_int_eq(meta_open(s.io, 0, &m), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(test_failing_step_leaves_nothing)
{
	unsigned n = with_step("CREATE TABLE half(x); INSERT INTO nowhere VALUES(1);");

	ck_assert_int_lt(migrate(s.m->db, steps, n), 0);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
	ck_assert_int_eq(number(s.m, "SELECT max(number) FROM migration"), steps[n - 2].number);
	ck_assert(sqlite3_get_autocommit(s.m->db->h));
	new_volume(s.m);
	store_check(&s, true);
}
END_TEST

START_TEST(test_empty_and_foreign_files)
{
	struct io *io = sim_new(3, 0);
	struct io_file *f;
	struct meta *m;

	ck_zero(io_open(io, "meta.db", IO_CREATE, &f));
	ck_zero(io_pwrite(f, "this is no database, and longer than a header of one hundred bytes ought to be, so that it is read"
			     " and found to be something else entirely",
			  130, 0));
	io_close(f);
	ck_assert_int_eq(meta_open(io, 0, &m), -EUCLEAN);
	io_free(io);
}
END_TEST

Suite *make_migrate_suite(void)
{
	Suite *suite = suite_create("migrate");
	TCase *tc = tcase_create("sim");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_numbers_have_no_gaps);
	tcase_add_test(tc, test_older_is_upgraded);
	tcase_add_test(tc, test_newer_is_refused);
	tcase_add_test(tc, test_failing_step_leaves_nothing);
	tcase_add_test(tc, test_empty_and_foreign_files);
	suite_add_tcase(suite, tc);
	return suite;
}
