/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meta_check itself: for every invariant a database that breaks it, and the number it must be reported under. */
#include "tests/unit/meta/meta_test.h"

static struct store s;
static uint64_t vol, snap, dead_row_snap;

static void setup(void)
{
	uint64_t b;
	struct meta_attr a;

	store_open(&s, false);
	vol = new_volume(s.m);
	attr_of(&a, 1);
	tx(s.m);
	ck_zero(meta_put_attr(s.m, vol, 5, &a));
	b = add_block(s.m, 1);
	put_blocks(s.m, vol, 5, 0, &b, 1);
	ck_zero(meta_put_xattr(s.m, vol, 5, "user.x", 6, "v", 1));
	put_name(s.m, vol, 1, "f", 5);
	end(s.m);
	snap = snapshot(s.m, vol, 0);
	dead_row_snap = snapshot(s.m, vol, 0);
	tx(s.m);
	put_name(s.m, snap, 1, "g", 6);
	put_name(s.m, vol, 1, "f", 0);
	end(s.m);
	store_check(&s, true);
}
static void teardown(void)
{
	store_close(&s);
}

struct broken {
	const char *number, *sql;
	bool only_idle;
};
/* vol is 1, snap 2 (pin 1), the third 3 (pin 2); the epoch is 3. */
static const struct broken broken[] = {
	{"M1", "INSERT INTO tail VALUES(77, 1); INSERT INTO entry SELECT 77, dir, name, epoch, dead, ino, type FROM entry WHERE line = 1", false},
	{"M2", "UPDATE block SET refs = 7", false},
	{"M2", "DELETE FROM leaf", false},
	{"M3", "DELETE FROM block", false},
	{"M3", "UPDATE block SET h8 = 55", false},
	{"M5", "UPDATE entry SET epoch = 1 WHERE line = 2", false},
	{"M6", "UPDATE volume SET pin = 3 WHERE id = 3", false},
	{"M6", "UPDATE entry SET epoch = 9 WHERE line = 2", false},
	{"M7", "UPDATE entry SET line = 99 WHERE line = 2", false},
	{"M7", "INSERT INTO orphan VALUES(99, 5)", false},
	{"M7", "INSERT INTO tail VALUES(77, 99)", false},
	{"M7", "UPDATE volume SET parent = 99 WHERE id = 2", false},
	{"M8", "INSERT INTO entry VALUES(1, 1, x'66', 2, 0, 8, 8)", true}, /* f at epoch 2: hidden from vol at 3, seen at pin 2 */
	{"M9", "INSERT INTO entry VALUES(2, 1, x'7a', 2, 1, NULL, NULL)", true},
	{"M10", "INSERT INTO block VALUES(50, 0, zeroblob(32), 0, 0, 0, 0, 0, 0)", true},
	{"M11", "INSERT INTO tail VALUES(77, 1)", true},
	{"M11", "INSERT INTO walk VALUES(1, 1, 1, 0, 0, NULL)", true},
	{"M11", "UPDATE volume SET flags = flags | 2 WHERE id = 3", true},
	{"M12", "DELETE FROM inode WHERE ino = 5", true},
	{"M12", "INSERT INTO inode VALUES(2, 5, 3, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", true},
	{"M12", "UPDATE inode SET nlink = 0 WHERE ino = 5", true},
};

struct found {
	const char *want;
	bool hit;
};
static void on_found(void *arg, const char *number_, const char *text)
{
	struct found *f = arg;

	f->hit |= strcmp(number_, f->want) == 0;
	ck_assert_ptr_nonnull(text);
}

START_TEST(test_each_invariant_is_reported)
{
	const struct broken *b = &broken[_i];
	struct found f = {.want = b->number};
	int n;

	if (strcmp(b->number, "M8") == 0) { /* make the third not see it: it has its own, so nobody does */
		tx(s.m);
		put_name(s.m, dead_row_snap, 1, "f", 9);
		end(s.m);
	}
	ck_assert_msg(sqlite3_exec(s.m->db->h, b->sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", b->sql, sqlite3_errmsg(s.m->db->h));
	if (b->only_idle)
		ck_assert_int_eq(count_check(s.m, false, true), 0);
	n = meta_check(s.m, true, on_found, &f);
	ck_assert_msg(n > 0 && f.hit, "%s: %d violations, none of them %s", b->sql, n, b->number);
}
END_TEST

START_TEST(test_inside_transaction_is_refused)
{
	tx(s.m);
	ck_assert_int_eq(count_check(s.m, true, false), -EINVAL);
	end(s.m);
	ck_zero(meta_check(s.m, true, NULL, NULL));
}
END_TEST

static int on_block(void *arg, const struct meta_block *b, uint64_t refs)
{
	ck_assert_uint_eq(refs, 1);
	return (int)b->len;
}

START_TEST(test_block_list)
{
	ck_assert_int_eq(meta_block_list(s.m, on_block, NULL), 4096);
}
END_TEST

Suite *make_check_suite(void)
{
	Suite *suite = suite_create("check");
	TCase *tc = tcase_create("sim");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_each_invariant_is_reported, 0, ARRAY_SIZE(broken));
	tcase_add_test(tc, test_inside_transaction_is_refused);
	tcase_add_test(tc, test_block_list);
	suite_add_tcase(suite, tc);
	return suite;
}
