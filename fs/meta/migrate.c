/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From whatever schema the database has to the newest, one transaction per step.  The steps are schema/fs_*.sql; released
 * ones never change.  A step that needs C gets a function here under its number.
 */
#include <errno.h>
#include <string.h>

#include "fs/base/clock.h"
#include "fs/base/msg.h"
#include "fs/meta/internal.h"

#ifndef KAGEFS_VERSION
#define KAGEFS_VERSION "unknown"
#endif

struct code_step {
	int number;
	int (*run)(struct db *db); /* after the SQL of the same number, in its transaction */
};
static const struct code_step code_steps[] = {
	{0, NULL}, /* none yet */
};

static int query_int(struct db *db, const char *sql, int *out)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db->h, sql, -1, &s, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : sql_failed(db->h, rc, sql);
}

static int exec(struct db *db, const char *sql, const char *what)
{
	int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_failed(db->h, rc, what);
}

static int record(struct db *db, const struct schema_step *step)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db->h, "INSERT INTO migration(number, name, program, at_ns) VALUES(?1, ?2, ?3, ?4)", -1, &s, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_bind_int(s, 1, step->number);
		sqlite3_bind_text(s, 2, step->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(s, 3, KAGEFS_VERSION, -1, SQLITE_STATIC);
		sqlite3_bind_int64(s, 4, clock_realtime_ns());
		rc = sqlite3_step(s);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : sql_failed(db->h, rc, "migration");
}

static int run_step(struct db *db, const struct schema_step *step)
{
	int r = exec(db, "BEGIN IMMEDIATE", "migration");

	if (r < 0)
		return r;
	r = exec(db, step->sql, step->name);
	for (unsigned i = 0; i < ARRAY_SIZE(code_steps) && r == 0; i++)
		if (code_steps[i].run && code_steps[i].number == step->number)
			r = code_steps[i].run(db);
	if (r == 0)
		r = record(db, step);
	if (r == 0)
		r = exec(db, "COMMIT", "migration");
	if (r < 0 && !sqlite3_get_autocommit(db->h))
		ignore_result(exec(db, "ROLLBACK", "migration")); /* r tells what went wrong */
	return r;
}

int migrate(struct db *db, const struct schema_step *steps, unsigned n)
{
	int have = 0, there = 0, newest = n ? steps[n - 1].number : 0;
	int r = query_int(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migration'", &there);

	if (r == 0 && there)
		r = query_int(db, "SELECT coalesce(max(number), 0) FROM migration", &have);
	if (r < 0)
		return r;
	if (have > newest) {
		msg(LOG_ERR, "meta: the database has schema=%d, this program knows schema=%d", have, newest);
		return -EPROTONOSUPPORT;
	}
	for (unsigned i = 0; i < n; i++) {
		if (steps[i].number <= have)
			continue;
		if (have)
			msg(LOG_NOTICE, "meta: upgrading from=%d to=%d", have, steps[i].number);
		r = run_step(db, &steps[i]);
		if (r < 0)
			return r;
		have = steps[i].number;
	}
	return 0;
}
