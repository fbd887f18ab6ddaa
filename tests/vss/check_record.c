/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vss/record.h"
#include "tests/vss/suites.h"
#include "tests/vss/tmpdir.h"

static const char text[] = "kagefs-vss-set 1\n"
			   "set e144dcde-b33d-4157-9a8f-bfac62fe6b3f\n"
			   "server srv\n"
			   "port 4455\n"
			   "context 400019\n"
			   "stage exposed\n"
			   "begun 1795356609\n"
			   "copy 00112233-4455-6677-8899-aabbccddeeff\n"
			   "share vm one\n"
			   "exposed vm one@{00112233-4455-6677-8899-aabbccddeeff}\n"
			   "created 134398302090000000\n"
			   "copy 10112233-4455-6677-8899-aabbccddeeff\n"
			   "share vm2\n"
			   "created 0\n"
			   "end\n";

static int read_bytes(struct set *s, const char *bytes, size_t n)
{
	FILE *f = fmemopen((void *)bytes, n, "r");

	ck_assert_ptr_nonnull(f);
	set_init(s);
	int r = record_read(s, f);
	fclose(f);
	return r;
}

START_TEST(test_record_read_write)
{
	char path[UNC_TEXT_SIZE], *back = NULL;
	size_t size = 0;
	struct set s;

	ck_assert_int_eq(read_bytes(&s, text, strlen(text)), 0);
	ck_assert_str_eq(s.server, "srv");
	ck_assert_uint_eq(s.port, 4455);
	ck_assert_uint_eq(s.context, 0x400019);
	ck_assert_int_eq(s.stage, SET_EXPOSED);
	ck_assert_uint_eq(s.ncopies, 2);
	copy_path(&s.copies[0], path);
	ck_assert_str_eq(path, "//srv/vm one@{00112233-4455-6677-8899-aabbccddeeff}");
	ck_assert_int_eq(filetime_to_unix(s.copies[0].created_filetime), 1795356609);
	copy_path(&s.copies[1], path);
	ck_assert_str_eq(path, "");
	FILE *f = open_memstream(&back, &size);
	ck_assert_int_eq(record_write(&s, f), 0);
	fclose(f);
	ck_assert_str_eq(back, text);
	free(back);
	set_release(&s);
}
END_TEST

START_TEST(test_record_cut_short)
{
	for (size_t n = 1; n < strlen(text) - 1; n++) { /* the last newline may be missing */
		struct set s;

		ck_assert_int_eq(read_bytes(&s, text, n), -EBADMSG);
		set_release(&s);
	}
}
END_TEST

static const char *const bad[] = {
	"kagefs-vss-set 2\nend\n",
	"kagefs-vss-set 1\nend\n",
	"kagefs-vss-set 1\nserver a/b\n",
	"kagefs-vss-set 1\nwhat 1\n",
	"kagefs-vss-set 1\nstage sleeping\n",
	"kagefs-vss-set 1\nshare early\n",
	"kagefs-vss-set 1\nport 1x\n",
};

START_TEST(test_record_bad)
{
	struct set s;

	ck_assert_int_eq(read_bytes(&s, bad[_i], strlen(bad[_i])), -EBADMSG);
	set_release(&s);
}
END_TEST

static int count(struct set *s, void *arg)
{
	ck_assert_str_eq(s->server, "srv");
	(*(int *)arg)++;
	return 0;
}

START_TEST(test_record_store)
{
	struct set s, loaded;
	int n = 0;

	ck_assert_int_eq(record_each(count, &n), 0); /* no folder yet */
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(read_bytes(&s, text, strlen(text)), 0);
	ck_assert_int_eq(record_load(&loaded, &s.id), -ENOENT);
	ck_assert_int_eq(record_save(&s), 0);
	s.stage = SET_RECOVERED;
	ck_assert_int_eq(record_save(&s), 0);
	ck_assert_int_eq(record_each(count, &n), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(record_load(&loaded, &s.id), 0);
	ck_assert_int_eq(loaded.stage, SET_RECOVERED);
	set_release(&loaded);
	s.stage = SET_GONE;
	ck_assert_int_eq(record_save(&s), 0);
	ck_assert_int_eq(record_load(&loaded, &s.id), -ENOENT);
	set_release(&s);
}
END_TEST

static void setup(void)
{
	(void)tmpdir_make();
}

Suite *make_record_suite(void)
{
	Suite *s = suite_create("vss record");
	TCase *t = tcase_create("record");

	tcase_add_checked_fixture(t, setup, tmpdir_remove);
	tcase_add_test(t, test_record_read_write);
	tcase_add_test(t, test_record_cut_short);
	tcase_add_loop_test(t, test_record_bad, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(t, test_record_store);
	suite_add_tcase(s, t);
	return s;
}
