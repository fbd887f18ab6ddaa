/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening, transactions, durability, the query plan of every statement, the full disk. */
#include "tests/unit/meta/meta_test.h"

static struct store s;

static void setup_sim(void)
{
	store_open(&s, false);
}
static void setup_posix(void)
{
	store_open(&s, true);
}
static void teardown(void)
{
	store_close(&s);
}

START_TEST(test_format_twice)
{
	struct meta_params p = {.block_size = 4096};

	ck_assert_int_eq(meta_format(s.io, &p), -EEXIST);
	ck_assert_int_eq(meta_params(s.m)->uuid[2], 3);
	ck_assert_uint_eq(meta_params(s.m)->block_size, 65536);
	ck_assert_uint_eq(meta_params(s.m)->created_ns, 77);
	ck_assert_uint_eq(meta_state(s.m)->epoch, 1);
	ck_assert_uint_eq(meta_state(s.m)->next_vol, 1);
}
END_TEST

START_TEST(test_open_missing)
{
	struct io *io = sim_new(2, 0);
	struct meta *m;

	ck_assert_int_eq(meta_open(io, 0, &m), -ENOENT);
	io_free(io);
}
END_TEST

START_TEST(test_state_and_rows_survive)
{
	uint64_t vol = new_volume(s.m), snap;

	tx(s.m);
	meta_state(s.m)->applied_lsn = 4711;
	put_name(s.m, vol, 1, "a", 10);
	end(s.m);
	snap = snapshot(s.m, vol, META_VOL_READ_ONLY | META_VOL_SNAPSHOT);
	store_reopen(&s);
	ck_assert_uint_eq(meta_state(s.m)->applied_lsn, 4711);
	ck_assert_uint_eq(meta_state(s.m)->epoch, 2);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "a"), 10);
	ck_assert_uint_eq(get_name(s.m, snap, 1, "a"), 10);
	store_check(&s, true);
}
END_TEST

START_TEST(test_rollback_restores_rows_state_and_lines)
{
	uint64_t vol = new_volume(s.m), before = meta_state(s.m)->next_vol;
	const struct meta_chain *c;

	tx(s.m);
	put_name(s.m, vol, 1, "a", 10);
	meta_state(s.m)->applied_lsn = 9;
	copy_of(s.m, vol, 0);
	ck_zero(meta_epoch_step(s.m));
	ck_zero(meta_volume_delete(s.m, vol));
	meta_rollback(s.m);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "a"), 0);
	ck_assert_uint_eq(meta_state(s.m)->applied_lsn, 0);
	ck_assert_uint_eq(meta_state(s.m)->epoch, 1);
	ck_assert_uint_eq(meta_state(s.m)->next_vol, before);
	ck_assert_int_eq(meta_chain(s.m, before, &c), -ENOENT);
	tx(s.m);
	put_name(s.m, vol, 1, "a", 11);
	end(s.m);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "a"), 11);
	store_check(&s, true);
}
END_TEST

/* A record in a pack may carry the id of a block that was rolled back. */
START_TEST(test_block_id_is_not_used_again_after_rollback)
{
	uint64_t vol = new_volume(s.m), burnt;

	tx(s.m);
	burnt = add_block(s.m, 1);
	ck_assert_uint_eq(burnt + 1, meta_block_next(s.m));
	meta_rollback(s.m);
	tx(s.m);
	ck_assert_uint_eq(add_block(s.m, 1), burnt + 1);
	meta_rollback(s.m);
	ck_assert_uint_eq(meta_block_next(s.m), burnt + 2);
	tx(s.m); /* whatever it is that is committed next */
	put_name(s.m, vol, 1, "a", 10);
	end(s.m);
	store_reopen(&s);
	ck_assert_uint_eq(meta_block_next(s.m), burnt + 2);
	store_check(&s, true);
}
END_TEST

START_TEST(test_misuse_is_refused)
{
	uint64_t vol = new_volume(s.m);
	struct meta_attr a;
	uint64_t map[META_LEAF_SLOTS] = {12345};

	attr_of(&a, 0);
	ck_assert_int_eq(meta_put_attr(s.m, vol, 5, &a), -EINVAL); /* no transaction */
	ck_assert_int_eq(meta_commit(s.m), -EINVAL);
	tx(s.m);
	ck_assert_int_eq(meta_begin(s.m), -EINVAL);
	ck_assert_int_eq(meta_put_attr(s.m, 99, 5, &a), -ENOENT);
	ck_assert_int_eq(meta_add_alloc(s.m, vol, 77, 5), -ENOENT);
	/* Rows written between a copy and the step of the epoch would be seen by the copy. */
	copy_of(s.m, vol, 0);
	ck_assert_int_eq(meta_put_attr(s.m, vol, 5, &a), -EINVAL);
	ck_assert_int_eq(meta_commit(s.m), -EINVAL);
	tx(s.m);
	ck_assert_int_eq(meta_put_leaf(s.m, vol, 5, 0, map), -EUCLEAN); /* no such block */
	ck_assert_int_eq(meta_put_attr(s.m, vol, 5, &a), -EUCLEAN);	/* the transaction is lost */
	ck_assert_int_eq(meta_commit(s.m), -EUCLEAN);
	ck_assert_int_eq(number(s.m, "SELECT count(*) FROM leaf"), 0);
	tx(s.m);
	meta_state(s.m)->next_ino--;
	ck_assert_int_eq(meta_commit(s.m), -EINVAL);
	store_check(&s, true);
}
END_TEST

START_TEST(test_pragmas_of_all_connections)
{
	struct meta_reader *r;

	ck_zero(meta_reader_open(s.m, &r));
	ck_assert_int_eq(number(s.m, "PRAGMA synchronous"), 2);
	ck_assert_int_eq(number(s.m, "PRAGMA application_id"), 1801545573);
	ck_assert_int_eq(number(s.m, "PRAGMA cache_size"), -4096);
	meta_reader_close(r);
}
END_TEST

/* ---- every statement ---- */

static bool plan_allowed(const struct stmt_def *d, const char *detail)
{
	if (strncmp(detail, "SCAN CONSTANT ROW", 17) == 0)
		return true;
	if (strncmp(detail, "SCAN", 4) == 0) /* the queue of dead blocks is its own small index */
		return (d->flags & STMT_SCAN) || strstr(detail, "USING COVERING INDEX block_dead");
	return strstr(detail, "TEMP B-TREE") == NULL && strstr(detail, "AUTOMATIC") == NULL;
}

START_TEST(test_query_plans)
{
	unsigned bad = 0, seen = 0;

	for (unsigned i = 0; i < ST_COUNT; i++) {
		char sql[1200];
		sqlite3_stmt *q;

		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", stmt_defs[i].sql);
		if (strncmp(stmt_defs[i].sql, "PRAGMA", 6) == 0)
			continue;
		ck_assert_msg(sqlite3_prepare_v2(s.m->db->h, sql, -1, &q, NULL) == SQLITE_OK, "%s: %s", stmt_defs[i].name,
			      sqlite3_errmsg(s.m->db->h));
		while (sqlite3_step(q) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(q, 3);
			bool versioned = strstr(stmt_defs[i].name, "_LIST") && (stmt_defs[i].flags & STMT_READ);

			seen++;
			if (getenv("UNIT_META_PLANS"))
				fprintf(stderr, "%-20s %s\n", stmt_defs[i].name, detail);
			/* Enumeration must range over the object, never over all rows of the line. */
			if (!plan_allowed(&stmt_defs[i], detail) || (versioned && strstr(detail, "_epoch"))) {
				fprintf(stderr, "%s: %s\n", stmt_defs[i].name, detail);
				bad++;
			}
		}
		sqlite3_finalize(q);
	}
	ck_assert_uint_eq(bad, 0);
	ck_assert_uint_gt(seen, 60);
}
END_TEST

/* ---- power ---- */

START_TEST(test_power_cut_at_each_sync_of_format)
{
	for (uint64_t nth = 1;; nth++) {
		struct io *io = sim_new(nth, 0);
		struct meta_params p = {.block_size = 4096};
		struct meta *m;
		int r;

		sim_cut_at(io, nth);
		r = meta_format(io, &p);
		if (r == 0 && !sim_is_off(io)) {
			io_free(io);
			ck_assert_uint_gt(nth, 2);
			break;
		}
		ck_assert_int_lt(r, 0);
		sim_power_on(io);
		r = meta_open(io, 0, &m);
		if (r == -ENOENT) { /* nothing there: it can be done again */
			ck_zero(meta_format(io, &p));
			r = meta_open(io, 0, &m);
		}
		ck_zero(r);
		ck_assert_int_eq(count_check(m, true, true), 0);
		meta_close(m);
		io_free(io);
	}
}
END_TEST

/* What meta_commit returned 0 for is there; what failed is there wholly or not at all. */
START_TEST(test_power_cut_keeps_commits)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct io *io = sim_new(seed, 0);
		struct meta_params p = {.block_size = 4096};
		uint64_t vol, done = 0, got;
		struct meta *m;
		int r = 0;

		ck_zero(meta_format(io, &p));
		ck_zero(meta_open(io, 0, &m));
		vol = new_volume(m);
		sim_cut_at(io, 1 + seed % 23);
		for (uint64_t n = 1; n < 100 && r == 0; n++) {
			struct meta_entry e = {.ino = n, .type = 8};

			r = meta_begin(m);
			for (unsigned i = 0; i < 40 && r == 0; i++) {
				char name[16];

				snprintf(name, sizeof(name), "f%u", i);
				r = meta_put_entry(m, vol, 1, name, strlen(name), &e);
			}
			if (r == 0) {
				meta_state(m)->applied_lsn = n;
				r = meta_commit(m);
			}
			if (r == 0)
				done = n;
			if (r == 0 && n % 3 == 0)
				r = meta_checkpoint(m, NULL);
		}
		ck_assert_int_lt(r, 0);
		meta_abandon(m);
		sim_power_on(io);
		ck_zero(meta_open(io, 0, &m));
		got = meta_state(m)->applied_lsn;
		ck_assert_msg(got == done || got == done + 1, "seed %llu: %llu of %llu", (unsigned long long)seed,
			      (unsigned long long)got, (unsigned long long)done);
		if (got)
			for (unsigned i = 0; i < 40; i++) {
				char name[16];

				snprintf(name, sizeof(name), "f%u", i);
				ck_assert_uint_eq(get_name(m, vol, 1, name), got);
			}
		ck_assert_int_eq(count_check(m, true, true), 0);
		meta_close(m);
		io_free(io);
	}
}
END_TEST

START_TEST(test_power_cut_without_wal_sync_loses_commits)
{
	unsigned lost = 0;

	/* The test above can fail: with a disk that lies about the WAL, it would. */
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct io *io = sim_new(seed, 0);
		struct meta_params p = {.block_size = 4096};
		struct meta *m;
		uint64_t vol;

		ck_zero(meta_format(io, &p));
		ck_zero(meta_open(io, 0, &m));
		vol = new_volume(m);
		sim_ignore_sync(io, "meta.db-wal");
		tx(m);
		put_name(m, vol, 1, "a", 5);
		end(m);
		sim_cut_now(io);
		meta_abandon(m);
		sim_power_on(io);
		ck_zero(meta_open(io, 0, &m));
		lost += !lines_by_id(&m->lines, vol) || get_name(m, vol, 1, "a") == 0;
		meta_close(m);
		io_free(io);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(test_abandon_writes_nothing)
{
	uint64_t vol = new_volume(s.m), syncs;

	tx(s.m);
	put_name(s.m, vol, 1, "kept", 5);
	end(s.m);
	tx(s.m);
	put_name(s.m, vol, 1, "open", 6);
	syncs = s.posix ? 0 : sim_syncs(s.io);
	meta_abandon(s.m);
	if (!s.posix)
		ck_assert_uint_eq(sim_syncs(s.io), syncs);
	ck_zero(meta_open(s.io, 1 << 20, &s.m));
	ck_assert_uint_eq(get_name(s.m, vol, 1, "kept"), 5);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "open"), 0);
}
END_TEST

START_TEST(test_faults_are_reported_and_rolled_back)
{
	static const struct {
		enum sim_fault what;
		int error;
	} faults[] = {{SIM_FAULT_SYNC_EIO, -EIO}, {SIM_FAULT_WRITE_EIO, -EIO}};
	uint64_t vol = new_volume(s.m);

	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		struct meta_entry e = {.ino = 5, .type = 8};
		int r;

		sim_fault(s.io, faults[i].what, "meta.db-wal", 1);
		tx(s.m);
		r = meta_put_entry(s.m, vol, 1, "x", 1, &e);
		ck_zero(r);
		ck_assert_int_eq(meta_commit(s.m), faults[i].error);
		ck_assert_uint_eq(get_name(s.m, vol, 1, "x"), 0);
		sim_fault(s.io, SIM_FAULT_NONE, NULL, 0);
		tx(s.m);
		put_name(s.m, vol, 1, "y", 7 + i);
		end(s.m);
		ck_assert_uint_eq(get_name(s.m, vol, 1, "y"), 7 + i);
	}
	store_reopen(&s);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "x"), 0);
	ck_assert_uint_eq(get_name(s.m, vol, 1, "y"), 8);
	store_check(&s, true);
}
END_TEST

START_TEST(test_corruption_is_reported)
{
	uint64_t vol = new_volume(s.m);
	int r;

	tx(s.m);
	for (unsigned i = 0; i < 3000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		put_name(s.m, vol, 1, name, i + 1);
	}
	end(s.m);
	meta_close(s.m);
	s.m = NULL;
	for (uint64_t off = 8192; off < 200000; off += 4096) /* heads of pages */
		if (sim_corrupt(s.io, "meta.db", off) < 0)
			break;
	r = meta_open(s.io, 0, &s.m);
	if (r == 0) {
		r = count_check(s.m, true, false);
		ck_assert_msg(r > 0 || r == -EUCLEAN, "%d", r);
	} else {
		ck_assert_int_eq(r, -EUCLEAN);
	}
	if (s.m)
		meta_abandon(s.m);
	s.m = NULL;
}
END_TEST

/* ---- full disk ---- */

START_TEST(test_full_disk_lets_deletion_go_on)
{
	struct io *io = sim_new(5, 24 << 20);
	struct meta_params p = {.block_size = 4096};
	struct meta_entry e = {.ino = 1, .type = 8};
	uint64_t vol, snap, n = 0;
	struct meta *m;
	int r = 0;

	ck_zero(meta_format(io, &p));
	ck_zero(meta_open(io, 1 << 20, &m));
	vol = new_volume(m);
	snap = snapshot(m, vol, 0);
	ck_assert(!meta_is_full(m));
	while (r == 0) {
		r = meta_begin(m);
		for (unsigned i = 0; i < 500 && r == 0; i++) {
			char name[64];

			snprintf(name, sizeof(name), "a name of some length to fill the disk with %llu", (unsigned long long)n++);
			r = meta_put_entry(m, n % 2 ? vol : snap, 1, name, strlen(name), &e);
		}
		if (r == 0)
			r = meta_commit(m);
		else
			meta_rollback(m);
		if (r == 0)
			r = meta_checkpoint(m, NULL);
		if (meta_is_full(m))
			break;
		ck_assert_uint_lt(n, 2000000);
	}
	ck_assert(r == 0 || r == -ENOSPC);
	ck_assert(meta_is_full(m));
	ck_zero(meta_begin(m));
	ck_zero(meta_volume_delete(m, snap));
	ck_zero(meta_commit(m));
	for (int left = 1; left;) {
		struct meta_reclaim rc = {.budget = 50};

		ck_zero(meta_begin(m));
		left = meta_reclaim_step(m, &rc);
		ck_assert_int_ge(left, 0);
		ck_zero(meta_commit(m));
		ck_zero(meta_checkpoint(m, NULL));
	}
	ck_assert_int_eq(count_check(m, true, true), 0);
	/* Space comes back: so does the reserve. */
	sim_set_total(io, 64 << 20);
	
	ck_zero(meta_checkpoint(m, NULL));
	ck_assert(!meta_is_full(m));
	meta_close(m);
	io_free(io);
}
END_TEST

START_TEST(test_stats)
{
	struct meta_stats st;
	uint64_t wal, vol = new_volume(s.m);

	tx(s.m);
	add_block(s.m, 3);
	ck_zero(meta_orphan_add(s.m, vol, 9));
	ck_zero(meta_orphan_add(s.m, vol, 9));
	end(s.m);
	ck_zero(meta_get_stats(s.m, &st));
	ck_assert_uint_eq(st.volumes, 1);
	ck_assert_uint_eq(st.orphans, 1);
	ck_assert_uint_eq(st.blocks_dead, 1);
	ck_assert_uint_gt(st.wal_bytes, 0);
	ck_zero(meta_checkpoint(s.m, &wal));
	ck_assert_uint_eq(wal, 0);
}
END_TEST

Suite *make_db_suite(void)
{
	Suite *suite = suite_create("db");
	TCase *sim = tcase_create("sim"), *posix = tcase_create("posix"), *alone = tcase_create("alone");
	TCase *both[] = {sim, posix};

	for (unsigned i = 0; i < 2; i++) {
		tcase_add_checked_fixture(both[i], i ? setup_posix : setup_sim, teardown);
		tcase_add_test(both[i], test_format_twice);
		tcase_add_test(both[i], test_state_and_rows_survive);
		tcase_add_test(both[i], test_rollback_restores_rows_state_and_lines);
		tcase_add_test(both[i], test_block_id_is_not_used_again_after_rollback);
		tcase_add_test(both[i], test_misuse_is_refused);
		tcase_add_test(both[i], test_abandon_writes_nothing);
		tcase_add_test(both[i], test_stats);
	}
	tcase_add_test(sim, test_pragmas_of_all_connections);
	tcase_add_test(sim, test_query_plans);
	tcase_add_test(sim, test_faults_are_reported_and_rolled_back);
	tcase_add_test(sim, test_corruption_is_reported);
	tcase_add_test(alone, test_open_missing);
	tcase_add_test(alone, test_power_cut_at_each_sync_of_format);
	tcase_add_test(alone, test_power_cut_keeps_commits);
	tcase_add_test(alone, test_power_cut_without_wal_sync_loses_commits);
	tcase_add_test(alone, test_full_disk_lets_deletion_go_on);
	tcase_set_timeout(alone, 120);
	suite_add_tcase(suite, sim);
	suite_add_tcase(suite, posix);
	suite_add_tcase(suite, alone);
	return suite;
}
