/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stores that do not open, and why; full disks; durability across a restart. */
#include <stdio.h>
#include <stdlib.h>

#include "fs/store/store.h"
#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

static int try_open(void)
{
	struct fs *fs = NULL;
	char holder[100] = "";
	int r = fs_open(test_io, &test_open, holder, sizeof(holder), &fs);

	if (!r)
		test_fs = fs;
	else
		sim_unlock(test_io);
	return r;
}

static void close_it(void)
{
	ok(fs_close(test_fs));
	test_fs = NULL;
	sim_unlock(test_io);
}

static void overwrite(const char *path, uint64_t off, const void *b, size_t len)
{
	struct io_file *f;

	ok(io_open(test_io, path, 0, &f));
	ok(io_pwrite(f, b, len, off));
	ok(io_sync(f));
	io_close(f);
}

static void cut_file(const char *path, uint64_t size)
{
	struct io_file *f;

	ok(io_open(test_io, path, 0, &f));
	ok(io_truncate(f, size));
	ok(io_sync(f));
	io_close(f);
}

START_TEST(test_open_empty_directory)
{
	struct io *io = sim_new(3, 0);
	struct fs *fs;

	fails(fs_open(io, &test_open, NULL, 0, &fs), ENOENT);
	io_free(io);
}
END_TEST

START_TEST(test_format_refused)
{
	struct fs_format_options o = { .block_size = BS, .codec = -1 };
	struct io *io = sim_new(3, 0);
	struct io_file *f;

	fails(fs_format(test_io, &o), EEXIST);
	o.block_size = 5000;
	fails(fs_format(io, &o), EINVAL);
	o.block_size = 2 << 20;
	fails(fs_format(io, &o), EINVAL);
	o.block_size = BS;
	ok(io_open(io, "somebody's", IO_CREATE, &f));
	io_close(f);
	fails(fs_format(io, &o), EEXIST);
	io_free(io);
}
END_TEST

/* The power goes at each sync while a store is made: there is none, or a whole one. */
START_TEST(test_format_power_cut)
{
	struct fs_format_options o = { .block_size = BS, .codec = -1, .log_segment_bytes = 8 << 20 };
	bool made = false;

	close_it();
	io_free(test_io);
	for (uint64_t n = 1; !made; n++) {
		int r;

		test_io = sim_new(n, 0);
		sim_cut_at(test_io, n);
		made = !fs_format(test_io, &o);
		sim_power_on(test_io);
		r = try_open();
		if (made)
			ok(r);
		else if (r)
			fails(r, ENOENT);
		if (!r) {
			check_clean();
			close_it();
		}
		io_free(test_io);
	}
	setup();
}
END_TEST

START_TEST(test_open_locked)
{
	char holder[100] = "";
	struct fs *fs;

	fails(fs_open(test_io, &test_open, holder, sizeof(holder), &fs), EBUSY);
	ck_assert_int_ne(holder[0], 0);
	make(test_root, "f", S_IFREG | 0644); /* the first one goes on */
}
END_TEST

START_TEST(test_open_newer_format)
{
	static const char newer[] = "kagefs store\nversion=2\n";

	close_it();
	overwrite("format", 0, newer, sizeof(newer) - 1);
	fails(try_open(), EPROTONOSUPPORT);
}
END_TEST

START_TEST(test_open_no_format)
{
	close_it();
	overwrite("format", 0, "something else altogether", 25);
	fails(try_open(), EUCLEAN);
}
END_TEST

/* Parts of two stores: the names are right, the identity is not. */
START_TEST(test_open_wrong_store)
{
	static const char other[] = "kagefs store\nversion=1\nuuid=00112233445566778899aabbccddeeff\nlog_segment=8388608\n";

	close_it();
	overwrite("format", 0, other, sizeof(other) - 1);
	fails(try_open(), EUCLEAN);
}
END_TEST

START_TEST(test_open_damaged)
{
	static const char *const gone[] = { "meta.db" };

	make(test_root, "f", S_IFREG | 0644);
	close_it();
	if (_i == 0) {
		ok(io_unlink(test_io, gone[0]));
		ck_assert_int_ne(try_open(), 0);
	} else {
		cut_file("meta.db", 1000);
		fails(try_open(), EUCLEAN);
	}
	ck_assert_ptr_null(test_fs);
}
END_TEST

START_TEST(test_open_read_only)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	struct fs_attr a;
	uint64_t lsn;

	put_text(f, 0, "text");
	close_it();
	test_open.read_only = true;
	ok(try_open());
	is_text(f, "text");
	fails(fs_write(test_fs, NULL, f, "x", 1, 0, 0, &lsn), EROFS);
	fails(fs_mknod(test_fs, NULL, test_root, "g", 1, S_IFREG, 0, NULL, &a, &lsn), EROFS);
	close_it();
	test_open.read_only = false;
	ok(try_open());
	is_text(f, "text");
}
END_TEST

START_TEST(test_wait_makes_durable)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	uint64_t lsn;

	ck_assert_int_eq(fs_write(test_fs, NULL, f, "kept", 4, 0, 0, &lsn), 4);
	ok(fs_wait(test_fs, lsn));
	put_text(f, 0, "lost");
	power_cut();
	f = find(test_root, "f");
	is_text(f, "kept");
}
END_TEST

/* A flush that fails: nothing is accepted any more, and nothing is said to be durable. */
START_TEST(test_failed_flush_poisons)
{
	struct fs_node f = make(test_root, "f", S_IFREG | 0644);
	struct kagefs_ioc_info info = { 0 };
	uint64_t lsn;

	put_text(f, 0, "text");
	ok(fs_sync(test_fs));
	put_text(f, 0, "more");
	sim_fault(test_io, SIM_FAULT_SYNC_EIO, "log", 1);
	fails(fs_sync(test_fs), EIO);
	fails(fs_write(test_fs, NULL, f, "x", 1, 0, 0, &lsn), EROFS);
	fails(fs_sync(test_fs), EIO);
	is_text(f, "more"); /* reading goes on */
	ok(fs_ioc_info(test_fs, &info));
	ck_assert_uint_eq(info.store_flags & KAGEFS_STORE_POISONED, KAGEFS_STORE_POISONED);
	power_cut();
}
END_TEST

/* A full disk says so before a write is accepted; what was accepted is kept; reading and deleting go on. */
START_TEST(test_full_disk)
{
	struct fs_format_options fo = { .block_size = BS, .codec = STORE_NONE, .log_segment_bytes = 8 << 20 };
	const uint64_t chunk = 64 * BS;
	unsigned accepted = 0, n;
	struct fs_node f;
	uint8_t *b = malloc(chunk);
	uint64_t lsn;
	ssize_t r = 0;

	close_it();
	io_free(test_io);
	test_io = sim_new(5, 128 << 20);
	ok(fs_format(test_io, &fo));
	ok(try_open());
	test_root = fs_root(test_fs);
	f = make(test_root, "f", S_IFREG | 0644);
	for (n = 0; n < 2000; n++) {
		for (uint64_t i = 0; i < chunk; i += 8) {
			uint64_t x = (n * chunk + i) * 0x9e3779b97f4a7c15ull;

			memcpy(b + i, &x, 8);
		}
		r = fs_write(test_fs, NULL, f, b, chunk, n * chunk, 0, &lsn);
		if (r < 0)
			break;
		accepted++;
	}
	fails(r, ENOSPC);
	ck_assert_uint_gt(accepted, 20);
	ok(fs_sync(test_fs)); /* all that was accepted */
	drain();
	for (n = 0; n < accepted; n++) {
		uint64_t x, want = (n * chunk + 8) * 0x9e3779b97f4a7c15ull;

		ck_assert_int_eq(fs_read(test_fs, f, &x, 8, n * chunk + 8), 8);
		ck_assert_uint_eq(x, want);
	}
	reopen();
	ck_assert_uint_eq(attr(f).size, accepted * chunk);
	del(test_root, "f");
	drain();
	ck_assert_int_eq(count_blocks(), 0);
	f = make(test_root, "g", S_IFREG | 0644);
	ck_assert_int_eq(fs_write(test_fs, NULL, f, b, chunk, 0, 0, &lsn), (ssize_t)chunk);
	free(b);
}
END_TEST

Suite *make_open_suite(void)
{
	Suite *s = suite_create("open");
	TCase *tc = tcase_create("open");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_open_empty_directory);
	tcase_add_test(tc, test_format_refused);
	tcase_add_test(tc, test_format_power_cut);
	tcase_add_test(tc, test_open_locked);
	tcase_add_test(tc, test_open_newer_format);
	tcase_add_test(tc, test_open_no_format);
	tcase_add_test(tc, test_open_wrong_store);
	tcase_add_loop_test(tc, test_open_damaged, 0, 2);
	tcase_add_test(tc, test_open_read_only);
	tcase_add_test(tc, test_wait_makes_durable);
	tcase_add_test(tc, test_failed_flush_poisons);
	tcase_add_test(tc, test_full_disk);
	suite_add_tcase(s, tc);
	return s;
}
