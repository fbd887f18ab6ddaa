/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Apply beside what goes on meanwhile: newer writes that are not durable, closing, many copies of one file. */
#include <stdio.h>

#include "fs/volume/internal.h"
#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

static int apply(enum apply_size size)
{
	int r;

	pthread_mutex_lock(&test_fs->writer_lock);
	r = apply_step(test_fs, size);
	pthread_mutex_unlock(&test_fs->writer_lock);
	return r;
}

/* A write that was waited for, covered by one that was not.  The batch ends between them, so in memory only the newer is left:
 * without it being durable too the older bytes would be nowhere after a power cut. */
START_TEST(test_covered_by_what_is_not_durable)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	char seen = 0;

	put_text(f, 0, "a");
	ok(fs_sync(test_fs));
	(void)make(test_root, "g", S_IFREG | 0644); /* what lies side by side in the log is applied together */
	put_text(f, 0, "b");
	ck_assert_int_eq(apply(APPLY_SMALL), 1);
	power_cut();
	ck_assert_int_eq(fs_read(test_fs, find(test_root, "f"), &seen, 1, 0), 1);
	ck_assert_msg(seen == 'a' || seen == 'b', "neither the old nor the new bytes: 0x%02x", (unsigned)seen);
}
END_TEST

/* Writes that nothing comes between take one place in the queue, up to so many of them and of files. */
START_TEST(test_runs_of_writes)
{
	enum { FILES = RUN_FILES + 3, ROUNDS = 40 };
	struct fs_node f[FILES];
	struct fs_attr a[FILES], now;
	char name[16];
	uint64_t before;

	for (unsigned k = 0; k < FILES; k++) {
		snprintf(name, sizeof(name), "f%u", k);
		f[k] = make(test_root, name, S_IFREG | 0644);
	}
	drain();
	before = atomic_load(&test_fs->pending.bytes);
	for (unsigned n = 0; n < ROUNDS; n++)
		for (unsigned k = 0; k < FILES - 3; k++)
			fill(f[k], n * 100, 100 + k, (uint8_t)(n + k));
	ck_assert_uint_eq(test_fs->pending.count, ROUNDS * (FILES - 3));
	ck_assert_uint_lt(atomic_load(&test_fs->pending.bytes) - before, ROUNDS * (FILES - 3) * 16);
	for (unsigned n = 0; n < ROUNDS; n++) /* more files than one place has room for */
		for (unsigned k = 0; k < FILES; k++)
			fill(f[k], 5000 + n * 100, 100 + k, (uint8_t)(n + k));
	for (unsigned k = 0; k < FILES; k++)
		ok(fs_getattr(test_fs, f[k], &a[k]));
	ok(fs_sync(test_fs));
	ck_assert_int_eq(apply(APPLY_SMALL), 1);
	for (int again = 0; again < 2; again++) {
		for (unsigned k = 0; k < FILES; k++) {
			ok(fs_getattr(test_fs, f[k], &now));
			ck_assert_uint_eq(now.size, a[k].size);
			ck_assert_int_eq(now.mtime_ns, a[k].mtime_ns);
			for (unsigned n = 0; n + 1 < ROUNDS; n++)
				is_filled(f[k], 5000 + n * 100, 100, (uint8_t)(n + k));
			if (k < FILES - 3)
				is_filled(f[k], 100, 100, (uint8_t)(1 + k));
		}
		power_cut();
	}
	drain();
	ck_assert_uint_eq(atomic_load(&test_fs->pending.bytes), 0);
}
END_TEST

START_TEST(test_large_batch_is_given_up_when_closing)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);

	fill(f, 0, 20 * BS, 1);
	ok(fs_sync(test_fs));
	atomic_store(&test_fs->closing, true);
	fails(apply(APPLY_LARGE), ECANCELED);
	ck_assert_uint_gt(memory_dirty(test_fs), 0);
	is_filled(f, 0, 20 * BS, 1);
	ck_assert_int_eq(apply(APPLY_SMALL), 1); /* closing applies a little */
	atomic_store(&test_fs->closing, false);
	power_cut();
	is_filled(find(test_root, "f"), 0, 20 * BS, 1);
}
END_TEST

/* Later writes split and trim what a batch has to take; it takes the batch's bytes, in the order of the file, and no others. */
START_TEST(test_collect_takes_a_batch)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	struct inode *i;
	struct collection c;
	uint64_t upto, before;

	for (unsigned k = 50; k > 0; k--)
		fill(f, k * 4 * BS, 3 * BS, (uint8_t)k);
	upto = log_end(test_fs->log) - 1;
	for (unsigned k = 1; k <= 50; k++)
		fill(f, (k * 4 + 1) * BS, BS, 200);
	i = inode_find(test_fs, f.vol, f.ino);
	before = atomic_load(&test_fs->inodes.extents);
	ok(content_collect(test_fs, i, test_fs->epoch, upto, &c));
	ck_assert_uint_eq(c.n, 100);
	for (unsigned k = 0; k < c.n; k++) {
		ck_assert_uint_eq(c.v[k].off, ((k / 2 + 1) * 4 + k % 2 * 2) * BS);
		ck_assert_uint_eq(c.v[k].len, BS);
	}
	ck_assert_uint_eq(atomic_load(&test_fs->inodes.extents), before);
	ck_assert_uint_ge(atomic_load(&test_fs->inodes.collected), c.n * sizeof(*c.v));
	collection_free(test_fs, &c);
	ck_assert_uint_eq(atomic_load(&test_fs->inodes.collected), 0);
	(void)content_applied(test_fs, i, test_fs->epoch, upto);
	ck_assert_uint_eq(atomic_load(&test_fs->inodes.extents), 50);
	inode_put(test_fs, i);
	power_cut(); /* what was dropped here was not applied: the log has it */
}
END_TEST

START_TEST(test_many_copies_are_applied_soon)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	char name[16];

	for (unsigned k = 0; k < 80; k++) {
		fill(f, 0, BS, (uint8_t)k);
		snprintf(name, sizeof(name), "s%u", k);
		snapshot(test_root.vol, name, 0);
	}
	ck_assert_uint_gt(atomic_load(&test_fs->pending.wanted), atomic_load(&test_fs->pending.applied));
	drain();
	is_filled(f, 0, BS, 79);
}
END_TEST

Suite *make_apply_suite(void)
{
	Suite *s = suite_create("apply");
	TCase *tc = tcase_create("apply");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_covered_by_what_is_not_durable);
	tcase_add_test(tc, test_runs_of_writes);
	tcase_add_test(tc, test_large_batch_is_given_up_when_closing);
	tcase_add_test(tc, test_collect_takes_a_batch);
	tcase_add_test(tc, test_many_copies_are_applied_soon);
	suite_add_tcase(s, tc);
	return s;
}
