/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content: sparse files, holes, truncate, punch, seek, clone; each from memory, and again from the database (loop 1). */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

/* Loop 0: what was written lies in the log; loop 1: in blocks; loop 2: as 1, and read by a new mount. */
#define SETTLE()                     \
	do {                         \
		if (_i >= 1)         \
			drain();     \
		if (_i == 2)         \
			reopen();    \
	} while (0)

static int punch(struct fs_node n, int mode, uint64_t off, uint64_t len)
{
	uint64_t lsn;

	return fs_fallocate(test_fs, NULL, n, mode, off, len, &lsn);
}
static int64_t seek(struct fs_node n, uint64_t off, int whence)
{
	return fs_seek(test_fs, n, off, whence);
}
static int64_t clone(struct fs_node s, uint64_t soff, struct fs_node d, uint64_t doff, uint64_t len)
{
	uint64_t lsn;

	return fs_clone_range(test_fs, NULL, s, soff, d, doff, len, &lsn);
}
static ssize_t get(struct fs_node n, void *b, size_t len, uint64_t off)
{
	return fs_read(test_fs, n, b, len, off);
}

START_TEST(test_file_write_and_read)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	char b[10];

	is_text(f, "");
	put_text(f, 0, "hello");
	SETTLE();
	is_text(f, "hello");
	put_text(f, 3, "p me");
	SETTLE();
	is_text(f, "help me");
	ck_assert_uint_eq(attr(f).size, 7);
	ck_assert_int_eq(get(f, b, 10, 5), 2);
	ck_assert_mem_eq(b, "me", 2);
	ck_assert_int_eq(get(f, b, 10, 7), 0);
	ck_assert_int_eq(get(f, b, 10, UINT64_MAX), 0);
	ck_assert_int_eq(get(f, b, 0, 0), 0);
}
END_TEST

START_TEST(test_file_append)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	uint64_t lsn;

	put_text(f, 0, "one");
	SETTLE();
	ck_assert_int_eq(fs_write(test_fs, NULL, f, "two", 3, 1000000, FS_WRITE_APPEND, &lsn), 3);
	SETTLE();
	is_text(f, "onetwo");
}
END_TEST

START_TEST(test_file_write_refused)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), l = make(test_root, "l", S_IFLNK), gone = f;
	char b[1];
	uint64_t lsn;

	gone.ino += 1000;
	fails(fs_write(test_fs, NULL, test_root, "x", 1, 0, 0, &lsn), EISDIR);
	fails(fs_write(test_fs, NULL, l, "x", 1, 0, 0, &lsn), EINVAL);
	fails(fs_write(test_fs, NULL, gone, "x", 1, 0, 0, &lsn), ESTALE);
	fails(fs_write(test_fs, NULL, f, "x", 1, INT64_MAX, 0, &lsn), EFBIG);
	fails(fs_write(test_fs, NULL, f, "x", 1, UINT64_MAX, 0, &lsn), EFBIG);
	fails(get(test_root, b, 1, 0), EISDIR);
	fails(get(l, b, 1, 0), EINVAL);
	fails(get(gone, b, 1, 0), ESTALE);
	is_text(f, "");
	/* The last byte there can be. */
	put_text(f, INT64_MAX - 1, "x");
	SETTLE();
	ck_assert_uint_eq(attr(f).size, INT64_MAX);
	ck_assert_int_eq(get(f, b, 1, INT64_MAX - 1), 1);
	ck_assert_int_eq(b[0], 'x');
}
END_TEST

START_TEST(test_file_sparse)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	put_text(f, 1ull << 40, "far");
	put_text(f, 3 * BS + 10, "near");
	SETTLE();
	ck_assert_uint_eq(attr(f).size, (1ull << 40) + 3);
	ck_assert_uint_le(attr(f).blocks_512, 2 * BS / 512);
	is_zero(f, 0, 3 * BS + 10);
	is_zero(f, 3 * BS + 14, 100000);
	is_zero(f, (1ull << 40) - 50000, 50000);
	ck_assert_int_eq(count_blocks(), 2);
}
END_TEST

/* Zeros take no block. */
START_TEST(test_file_zero_blocks)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	char *z = calloc(1, 8 * BS);

	put(f, 0, z, 8 * BS);
	free(z);
	SETTLE();
	is_zero(f, 0, 8 * BS);
	ck_assert_int_eq(count_blocks(), 0);
	fill(f, 0, 8 * BS, 1);
	ck_assert_int_eq(count_blocks(), 8);
}
END_TEST

/* Bytes cut off do not come back when the file grows again, inside a block or beyond it. */
START_TEST(test_file_truncate)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fill(f, 0, 4 * BS, 1);
	SETTLE();
	resize(f, BS + 100);
	SETTLE();
	resize(f, 4 * BS);
	SETTLE();
	is_filled(f, 0, BS + 100, 1);
	is_zero(f, BS + 100, 3 * BS - 100);
	resize(f, 0);
	SETTLE();
	is_text(f, "");
	resize(f, 10);
	SETTLE();
	is_zero(f, 0, 10);
	ck_assert_int_eq(count_blocks(), 0);
}
END_TEST

/* A write behind the end leaves zeros between, also where bytes were once. */
START_TEST(test_file_gap_reads_zero)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fill(f, 0, 2 * BS, 1);
	SETTLE();
	resize(f, 100);
	SETTLE();
	put_text(f, 2 * BS, "x");
	SETTLE();
	is_filled(f, 0, 100, 1);
	is_zero(f, 100, 2 * BS - 100);
}
END_TEST

START_TEST(test_file_truncate_refused)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644), l = make(test_root, "l", S_IFLNK);
	struct fs_attr a = { .size = 1 }, out;
	uint64_t lsn;

	fails(fs_setattr(test_fs, NULL, test_root, &a, FS_SET_SIZE, &out, &lsn), EISDIR);
	fails(fs_setattr(test_fs, NULL, l, &a, FS_SET_SIZE, &out, &lsn), EINVAL);
	a.size = 1ull << 63;
	fails(fs_setattr(test_fs, NULL, f, &a, FS_SET_SIZE, &out, &lsn), EFBIG);
	ck_assert_uint_eq(attr(f).size, 0);
}
END_TEST

START_TEST(test_file_punch)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fill(f, 0, 6 * BS, 1);
	SETTLE();
	ok(punch(f, mode, BS + 10, 3 * BS));
	SETTLE();
	is_filled(f, 0, BS + 10, 1);
	is_zero(f, BS + 10, 3 * BS);
	is_filled(f, 4 * BS + 10, 2 * BS - 10, 1);
	ck_assert_int_eq(count_blocks(), 4); /* two whole ones went */
	ok(punch(f, mode, 5 * BS, 100 * BS)); /* beyond the end */
	SETTLE();
	ck_assert_uint_eq(attr(f).size, 6 * BS);
	is_zero(f, 5 * BS, BS);
}
END_TEST

START_TEST(test_file_zero_range_and_allocate)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fill(f, 0, 2 * BS, 1);
	SETTLE();
	ok(punch(f, FALLOC_FL_ZERO_RANGE, BS, 3 * BS));
	SETTLE();
	ck_assert_uint_eq(attr(f).size, 4 * BS);
	is_zero(f, BS, 3 * BS);
	ok(punch(f, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 100 * BS));
	ck_assert_uint_eq(attr(f).size, 4 * BS);
	is_zero(f, 0, 4 * BS);
	ok(punch(f, 0, 4 * BS, 10));
	ck_assert_uint_eq(attr(f).size, 4 * BS + 10);
	ok(punch(f, FALLOC_FL_KEEP_SIZE, 0, 100 * BS));
	ck_assert_uint_eq(attr(f).size, 4 * BS + 10);
	SETTLE();
	is_zero(f, 0, 4 * BS + 10);
}
END_TEST

START_TEST(test_file_fallocate_refused)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fails(punch(f, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
	fails(punch(f, FALLOC_FL_COLLAPSE_RANGE, 0, BS), EOPNOTSUPP);
	fails(punch(f, FALLOC_FL_INSERT_RANGE, 0, BS), EOPNOTSUPP);
	fails(punch(f, 0, 0, 0), EINVAL);
	fails(punch(f, 0, INT64_MAX, 1), EFBIG);
	fails(punch(f, 0, UINT64_MAX, UINT64_MAX), EFBIG);
	fails(punch(test_root, 0, 0, 1), EISDIR);
}
END_TEST

START_TEST(test_file_seek)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fails(seek(f, 0, SEEK_DATA), ENXIO);
	fails(seek(f, 0, SEEK_HOLE), ENXIO);
	fill(f, 2 * BS, BS, 1);
	fill(f, 200 * BS, BS, 9);
	resize(f, 300 * BS);
	SETTLE();
	ck_assert_int_eq(seek(f, 0, SEEK_DATA), 2 * BS);
	ck_assert_int_eq(seek(f, 0, SEEK_HOLE), 0);
	ck_assert_int_eq(seek(f, 2 * BS, SEEK_DATA), 2 * BS);
	ck_assert_int_eq(seek(f, 2 * BS + 5, SEEK_DATA), 2 * BS + 5);
	ck_assert_int_eq(seek(f, 2 * BS + 5, SEEK_HOLE), 3 * BS);
	ck_assert_int_eq(seek(f, 3 * BS, SEEK_DATA), 200 * BS);
	ck_assert_int_eq(seek(f, 200 * BS, SEEK_HOLE), 201 * BS);
	fails(seek(f, 201 * BS, SEEK_DATA), ENXIO);
	ck_assert_int_eq(seek(f, 250 * BS, SEEK_HOLE), 250 * BS);
	fails(seek(f, 300 * BS, SEEK_HOLE), ENXIO);
	fails(seek(f, 300 * BS, SEEK_DATA), ENXIO);
	fails(seek(f, 0, SEEK_SET), EINVAL);
	fails(seek(test_root, 0, SEEK_DATA), EISDIR);
	/* Data up to the end: the hole is the end. */
	resize(f, 200 * BS + 10);
	SETTLE();
	ck_assert_int_eq(seek(f, 200 * BS, SEEK_HOLE), 200 * BS + 10);
}
END_TEST

/* A hole punched over stored data, and data over a hole, while the change is only in memory. */
START_TEST(test_file_seek_overlaid)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fill(f, 0, 8 * BS, 1);
	SETTLE();
	ok(punch(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * BS, 2 * BS));
	ck_assert_int_eq(seek(f, 0, SEEK_HOLE), 2 * BS);
	ck_assert_int_eq(seek(f, 2 * BS, SEEK_DATA), 4 * BS);
	SETTLE();
	fill(f, 3 * BS, BS, 1);
	ck_assert_int_eq(seek(f, 2 * BS, SEEK_DATA), 3 * BS);
	ck_assert_int_eq(seek(f, 3 * BS, SEEK_HOLE), 8 * BS);
}
END_TEST

START_TEST(test_file_clone_shares)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(test_root, "b", S_IFREG | 0644);

	fill(a, 0, 4 * BS, 1);
	SETTLE();
	ck_assert_int_eq(clone(a, 0, b, 0, 4 * BS), 4 * BS);
	SETTLE();
	is_filled(b, 0, 4 * BS, 1);
	ck_assert_int_eq(count_blocks(), 4);
	/* They part when one is written. */
	put_text(b, 10, "changed");
	SETTLE();
	is_filled(a, 0, 4 * BS, 1);
	ck_assert_int_eq(count_blocks(), 5);
	del(test_root, "a");
	SETTLE();
	is_filled(b, BS, 3 * BS, 1);
	ck_assert_int_eq(count_blocks(), 4);
}
END_TEST

START_TEST(test_file_clone_ragged)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(test_root, "b", S_IFREG | 0644);

	fill(a, 0, 4 * BS + 100, 1);
	fill(b, 0, 8 * BS, 50);
	SETTLE();
	/* Same place inside the block: ends are copied, whole blocks shared. */
	ck_assert_int_eq(clone(a, 100, b, 100, 2 * BS), 2 * BS);
	SETTLE();
	is_filled(b, 0, 100, 50);
	is_filled(b, 100, 2 * BS, 1);
	is_filled(b, 2 * BS + 100, 5 * BS, 50);
	/* To the source's end and no further; the destination goes on behind it. */
	ck_assert_int_eq(clone(a, 3 * BS, b, 3 * BS, 100 * BS), BS + 100);
	SETTLE();
	is_filled(b, 3 * BS, BS + 100, 1);
	is_filled(b, 4 * BS + 100, BS, 50);
	ck_assert_uint_eq(attr(b).size, 8 * BS);
	/* Another place inside the block: all of it is copied. */
	ck_assert_int_eq(clone(a, 0, b, 7, 10), 10);
	ck_assert_int_eq(clone(a, 4 * BS + 100, b, 0, 10), 0);
	ck_assert_int_eq(clone(a, 1 << 30, b, 0, 10), 0);
}
END_TEST

/* The last, short block goes along where the destination ends with it. */
START_TEST(test_file_clone_short_tail)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(test_root, "b", S_IFREG | 0644);

	fill(a, 0, 2 * BS + 5, 1);
	SETTLE();
	ck_assert_int_eq(clone(a, 0, b, 0, 1 << 20), 2 * BS + 5);
	SETTLE();
	ck_assert_uint_eq(attr(b).size, 2 * BS + 5);
	is_filled(b, 0, 2 * BS + 5, 1);
	ck_assert_int_eq(count_blocks(), 3);
	resize(b, 3 * BS);
	SETTLE();
	is_zero(b, 2 * BS + 5, BS - 5);
}
END_TEST

START_TEST(test_file_clone_hole_over_data)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(test_root, "b", S_IFREG | 0644);

	resize(a, 4 * BS);
	fill(b, 0, 4 * BS, 1);
	SETTLE();
	ck_assert_int_eq(clone(a, BS, b, BS, 2 * BS), 2 * BS);
	SETTLE();
	is_filled(b, 0, BS, 1);
	is_zero(b, BS, 2 * BS);
	is_filled(b, 3 * BS, BS, 1);
	ck_assert_int_eq(count_blocks(), 2);
}
END_TEST

START_TEST(test_file_clone_refused)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), l = make(test_root, "l", S_IFLNK);

	fill(a, 0, 4 * BS, 1);
	SETTLE();
	fails(clone(a, 0, a, BS, 2 * BS), EINVAL);
	fails(clone(a, BS, a, 0, 2 * BS), EINVAL);
	ck_assert_int_eq(clone(a, 0, a, 2 * BS, 2 * BS), 2 * BS);
	ck_assert_int_eq(clone(a, 0, a, 4 * BS, BS), BS);
	fails(clone(test_root, 0, a, 0, BS), EISDIR);
	fails(clone(l, 0, a, 0, BS), EINVAL);
	fails(clone(a, 0, l, 0, BS), EINVAL);
	fails(clone(a, 0, a, INT64_MAX, BS), EFBIG);
}
END_TEST

START_TEST(test_file_clone_across_volumes)
{
	uint64_t v = create_volume(test_root, "v");
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(root_of(v), "b", S_IFREG | 0644);

	fill(a, 0, 4 * BS, 1);
	SETTLE();
	ck_assert_int_eq(clone(a, 0, b, 0, 4 * BS), 4 * BS);
	del(test_root, "a");
	SETTLE();
	is_filled(b, 0, 4 * BS, 1);
	ck_assert_int_eq(count_blocks(), 4);
	ok(delete_volume(v, 0));
	ck_assert_int_eq(count_blocks(), 0);
}
END_TEST

/* The block a clone names must outlive its source, although the clone itself is not applied yet. */
START_TEST(test_file_clone_pins_blocks)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(test_root, "b", S_IFREG | 0644);

	fill(a, 0, 4 * BS, 1);
	drain();
	ck_assert_int_eq(clone(a, 0, b, 0, 4 * BS), 4 * BS);
	for (int i = 0; i < 20; i++)
		ck_assert_int_ge(fs_run_background(test_fs, FS_BG_RECLAIM), 0);
	is_filled(b, 0, 4 * BS, 1);
	ok(fs_sync(test_fs));
	power_cut();
	is_filled(find(test_root, "b"), 0, 4 * BS, 1);
}
END_TEST

START_TEST(test_file_kill_suid)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 06755), g = make(test_root, "g", S_IFREG | 06745);
	uint64_t lsn;

	ck_assert_int_eq(fs_write(test_fs, NULL, f, "x", 1, 0, 0, &lsn), 1);
	ck_assert_uint_eq(attr(f).mode, S_IFREG | 06755);
	ck_assert_int_eq(fs_write(test_fs, NULL, f, "x", 1, 0, FS_WRITE_KILL_SUID, &lsn), 1);
	ck_assert_uint_eq(attr(f).mode, S_IFREG | 0755);
	ck_assert_int_eq(fs_write(test_fs, NULL, g, "x", 1, 0, FS_WRITE_KILL_SUID, &lsn), 1);
	ck_assert_uint_eq(attr(g).mode, S_IFREG | 02745); /* without group execution it means locking */
}
END_TEST

/* Equal blocks are stored once, and the last one who lets go takes the block along. */
START_TEST(test_file_dedup)
{
	struct fs_node a = make(test_root, "a", S_IFREG | 0644), b = make(test_root, "b", S_IFREG | 0644);

	fill(a, 0, 4 * BS, 1);
	drain();
	fill(b, 0, 4 * BS, 1);
	ck_assert_int_eq(count_blocks(), 4);
	del(test_root, "a");
	ck_assert_int_eq(count_blocks(), 4);
	is_filled(b, 0, 4 * BS, 1);
	del(test_root, "b");
	ck_assert_int_eq(count_blocks(), 0);
}
END_TEST

START_TEST(test_file_damaged_block)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	char b[BS];

	fill(f, 0, BS, 1);
	drain();
	ok(fs_close(test_fs));
	sim_unlock(test_io);
	ok(sim_corrupt(test_io, "packs/00000001", 6000));
	ok(fs_open(test_io, &test_open, NULL, 0, &test_fs));
	fails(get(f, b, BS, 0), EIO);
	fs_abandon(test_fs);
	test_fs = NULL;
}
END_TEST

Suite *make_file_suite(void)
{
	Suite *s = suite_create("file");
	TCase *tc = tcase_create("content"), *once = tcase_create("once");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_file_write_and_read, 0, 3);
	tcase_add_loop_test(tc, test_file_append, 0, 3);
	tcase_add_loop_test(tc, test_file_write_refused, 0, 3);
	tcase_add_loop_test(tc, test_file_sparse, 0, 3);
	tcase_add_loop_test(tc, test_file_zero_blocks, 0, 3);
	tcase_add_loop_test(tc, test_file_truncate, 0, 3);
	tcase_add_loop_test(tc, test_file_gap_reads_zero, 0, 3);
	tcase_add_loop_test(tc, test_file_punch, 0, 3);
	tcase_add_loop_test(tc, test_file_zero_range_and_allocate, 0, 3);
	tcase_add_loop_test(tc, test_file_seek, 0, 3);
	tcase_add_loop_test(tc, test_file_seek_overlaid, 0, 3);
	tcase_add_loop_test(tc, test_file_clone_shares, 0, 3);
	tcase_add_loop_test(tc, test_file_clone_ragged, 0, 3);
	tcase_add_loop_test(tc, test_file_clone_short_tail, 0, 3);
	tcase_add_loop_test(tc, test_file_clone_hole_over_data, 0, 3);
	tcase_add_loop_test(tc, test_file_clone_refused, 0, 3);
	tcase_add_loop_test(tc, test_file_clone_across_volumes, 0, 3);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(once, setup, teardown);
	tcase_add_test(once, test_file_truncate_refused);
	tcase_add_test(once, test_file_fallocate_refused);
	tcase_add_test(once, test_file_clone_pins_blocks);
	tcase_add_test(once, test_file_kill_suid);
	tcase_add_test(once, test_file_dedup);
	tcase_add_test(once, test_file_damaged_block);
	suite_add_tcase(s, once);
	return s;
}
