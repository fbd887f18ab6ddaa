/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A thread that must not wait: what memory knows is answered, what is on the disk is refused and changes nothing. */
#include "fs/base/nowait.h"
#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

static struct fs_node cold_file(void)
{
	struct fs_node n = make(test_root, "file", S_IFREG | 0644);

	fill(n, 0, 4 * BS, 1);
	drain();
	reopen();
	return n;
}

START_TEST(test_nowait_refuses_what_is_on_disk)
{
	struct fs_node n = cold_file();
	struct fs_attr a;
	uint8_t buf[BS];

	nowait_begin();
	fails(fs_lookup(test_fs, test_root, "file", 4, &a), NOWAIT_REFUSED);
	fails(fs_getattr(test_fs, n, &a), NOWAIT_REFUSED);
	fails(fs_read(test_fs, n, buf, BS, 0), NOWAIT_REFUSED);
	nowait_end();

	/* Nothing about it was remembered. */
	ok(look(test_root, "file"));
	is_filled(n, 0, 4 * BS, 1);
	nowait_begin();
	ok(fs_lookup(test_fs, test_root, "file", 4, &a));
	ok(fs_getattr(test_fs, n, &a));
	nowait_end();
}
END_TEST

START_TEST(test_nowait_refused_change_can_be_done_again)
{
	struct fs_node n = cold_file();
	struct fs_ctx ctx = {0};
	struct fs_attr a;
	uint64_t lsn = 0;

	nowait_begin();
	fails(fs_write(test_fs, &ctx, n, "x", 1, 0, 0, &lsn), NOWAIT_REFUSED);
	fails(fs_unlink(test_fs, &ctx, test_root, "file", 4, NULL, &lsn), NOWAIT_REFUSED);
	fails(fs_mknod(test_fs, &ctx, test_root, "file", 4, S_IFREG | 0600, 0, NULL, &a, &lsn), NOWAIT_REFUSED);
	ck_assert_uint_eq(lsn, 0);
	nowait_end();
	is_filled(n, 0, 4 * BS, 1);
	fails(fs_mknod(test_fs, &ctx, test_root, "file", 4, S_IFREG | 0600, 0, NULL, &a, &lsn), EEXIST);
}
END_TEST

START_TEST(test_nowait_ends_with_a_change)
{
	struct fs_ctx ctx = {0};
	struct fs_attr a;
	uint64_t lsn = 0;

	make(test_root, "warm", S_IFREG | 0644); /* the root is known */
	nowait_begin();
	fails(nowait_check(), NOWAIT_REFUSED);
	fails(fs_mknod(test_fs, &ctx, test_root, "warm", 4, S_IFREG | 0600, 0, NULL, &a, &lsn), EEXIST);
	fails(nowait_check(), NOWAIT_REFUSED);
	del(test_root, "warm");
	ok(nowait_check());
}
END_TEST

START_TEST(test_nowait_refuses_to_allocate)
{
	struct fs_node n = make(test_root, "file", S_IFREG | 0644);
	struct fs_ctx ctx = {0};
	uint64_t lsn = 0;

	nowait_begin(); /* nothing has been written yet, so no space is held ahead */
	fails(fs_write(test_fs, &ctx, n, "x", 1, 0, 0, &lsn), NOWAIT_REFUSED);
	nowait_end();
	ck_assert_int_eq(fs_write(test_fs, &ctx, n, "x", 1, 0, 0, &lsn), 1);
	nowait_begin();
	ck_assert_int_eq(fs_write(test_fs, &ctx, n, "y", 1, 0, 0, &lsn), 1);
	nowait_end();
}
END_TEST

static void count(void *arg)
{
	++*(unsigned *)arg;
}

START_TEST(test_nowait_tells_who_waits)
{
	struct fs_node n = cold_file();
	struct fs_ctx ctx = {0};
	struct fs_attr a;
	unsigned told = 0;
	uint64_t lsn = 0;

	nowait_tell(count, &told);
	ok(fs_lookup(test_fs, test_root, "file", 4, &a)); /* from the disk */
	ck_assert_uint_eq(told, 1);
	ok(fs_getattr(test_fs, n, &a)); /* once is enough */
	is_filled(n, 0, BS, 1);
	ck_assert_uint_eq(told, 1);

	nowait_tell(count, &told);
	ok(fs_lookup(test_fs, test_root, "file", 4, &a)); /* from memory */
	ck_assert_int_eq(fs_write(test_fs, &ctx, n, "x", 1, 0, 0, &lsn), 1);
	nowait_tell(count, &told);
	ck_assert_int_eq(fs_write(test_fs, &ctx, n, "y", 1, 0, 0, &lsn), 1); /* space is held by now */
	ck_assert_uint_eq(told, 2);
	ok(fs_wait(test_fs, lsn)); /* flushes */
	ck_assert_uint_eq(told, 3);

	nowait_tell(count, &told);
	nowait_tell(NULL, NULL);
	nowait_announce();
	ck_assert_uint_eq(told, 3);
}
END_TEST

Suite *make_nowait_suite(void)
{
	Suite *s = suite_create("nowait");
	TCase *tc = tcase_create("nowait");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_nowait_refuses_what_is_on_disk);
	tcase_add_test(tc, test_nowait_refused_change_can_be_done_again);
	tcase_add_test(tc, test_nowait_ends_with_a_change);
	tcase_add_test(tc, test_nowait_refuses_to_allocate);
	tcase_add_test(tc, test_nowait_tells_who_waits);
	suite_add_tcase(s, tc);
	return s;
}
