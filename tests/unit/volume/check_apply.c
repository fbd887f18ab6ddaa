/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Apply beside what goes on meanwhile: newer writes that are not durable. */
#include "fs/volume/internal.h"
#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

static int apply(void)
{
	int r;

	pthread_mutex_lock(&test_fs->writer_lock);
	r = apply_step(test_fs);
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
	put_text(f, 0, "b");
	ck_assert_int_eq(apply(), 1);
	power_cut();
	ck_assert_int_eq(fs_read(test_fs, find(test_root, "f"), &seen, 1, 0), 1);
	ck_assert_msg(seen == 'a' || seen == 'b', "neither the old nor the new bytes: 0x%02x", (unsigned)seen);
}
END_TEST

Suite *make_apply_suite(void)
{
	Suite *s = suite_create("apply");
	TCase *tc = tcase_create("apply");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_covered_by_what_is_not_durable);
	suite_add_tcase(s, tc);
	return s;
}
