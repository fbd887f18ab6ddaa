/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Space held ahead: what was reserved can be appended whatever else happens to the disk. */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/io_sim.h"
#include "tests/unit/store/blocks.h"
#include "tests/unit/store/suites.h"

static struct io *io;
static struct store *st;

static void open_store(uint64_t disk_bytes, uint32_t block_size, uint64_t pack_bytes)
{
	struct store_config cfg = { .block_size = block_size, .hash_algo = HASH_SHA256, .codec = STORE_LZ4,
				    .pack_bytes = pack_bytes };
	io = sim_new(1, disk_bytes);
	ck_assert_int_eq(store_format(io), 0);
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
}

static void done(void)
{
	store_close(st);
	io_free(io);
}

static uint64_t free_bytes(void)
{
	struct io_space s;
	ck_assert_int_eq(io_space(io, &s), 0);
	return s.free_bytes;
}

/* Take every block that nobody holds. */
static void fill_disk(void)
{
	static const uint8_t page[4096] = { 1 };
	struct io_file *f;
	uint64_t off = 0;
	ck_assert_int_eq(io_open(io, "filler", IO_CREATE, &f), 0);
	ck_assert_int_eq(io_size(f, &off), 0);
	off = off / 4096 * 4096;
	while (io_pwrite(f, page, sizeof(page), off) == 0)
		off += sizeof(page);
	io_close(f);
	ck_assert_uint_eq(free_bytes(), 0);
}

/* Blocks of random sizes until `bytes` of reservation are used up; worst case sizes if `plain`. */
static void use_up(uint64_t bytes, uint32_t block_size, uint64_t *random, bool sync)
{
	struct block b;
	for (uint32_t i = 1;; i += 2) {
		uint32_t len = 1 + (uint32_t)(block_random(random) % block_size);
		uint32_t need = store_stored_max(st, len);
		if (need > bytes)
			return;
		ck_assert_int_eq(block_put(st, &b, i, len), 0);
		if (sync && block_random(random) % 8 == 0)
			ck_assert_int_eq(store_sync(st), 0);
		store_unreserve(st, need);
		bytes -= need;
	}
}

START_TEST(test_space_reserved_appends_succeed_on_a_full_disk)
{
	static const uint32_t block_sizes[] = { 4096, 65536, 1 << 20 };
	uint64_t random = (uint64_t)_i;
	uint32_t block_size = block_sizes[_i % 3];
	open_store(48 << 20, block_size, (uint64_t)(1 + _i % 5) << 20);
	/* Begin somewhere inside a pack, and reserve in several steps. */
	uint64_t total = 0;
	for (int k = 0; k < 3; k++) {
		uint64_t first = block_random(&random) % (3 << 20), more = block_random(&random) % (4 << 20);
		ck_assert_int_eq(store_reserve(st, first), 0);
		use_up(first, block_size, &random, true);
		ck_assert_int_eq(store_reserve(st, more), 0);
		total += more;
	}
	fill_disk();
	ck_assert_int_eq(store_reserve(st, 40 << 20), -ENOSPC);
	use_up(total, block_size, &random, _i % 2);
	ck_assert_int_eq(store_sync(st), 0);
	done();
}
END_TEST

START_TEST(test_space_refuses_more_than_there_is)
{
	struct store_stats stats;
	open_store(16 << 20, 4096, 1 << 20);
	uint64_t before = free_bytes();
	ck_assert_int_eq(store_reserve(st, 17 << 20), -ENOSPC);
	ck_assert_int_eq(store_reserve(st, UINT64_MAX), -ENOSPC);
	ck_assert_int_eq(store_reserve(st, UINT64_MAX / 2), -ENOSPC);
	ck_assert_uint_eq(free_bytes(), before);
	/* Headers of packs make it a little less than there is. */
	ck_assert_int_eq(store_reserve(st, 16 << 20), -ENOSPC);
	ck_assert_uint_eq(free_bytes(), before);
	ck_assert_int_eq(store_reserve(st, 15 << 20), 0);
	ck_assert_int_eq(store_reserve(st, 2 << 20), -ENOSPC);
	store_get_stats(st, &stats);
	ck_assert_uint_eq(stats.reserved_bytes, 15 << 20);
	ck_assert_uint_ge(stats.allocated_ahead_bytes, 15 << 20);
	store_unreserve(st, 15 << 20);
	store_get_stats(st, &stats);
	ck_assert_uint_eq(stats.reserved_bytes, 0);
	ck_assert_uint_le(stats.allocated_ahead_bytes, 2 << 20);
	ck_assert_uint_ge(free_bytes(), before - (2 << 20));
	store_close(st);
	ck_assert_uint_eq(free_bytes(), before);
	st = NULL;
	done();
}
END_TEST

START_TEST(test_space_small_disk_with_large_packs)
{
	uint64_t random = 1;
	open_store(24 << 20, 65536, 256 << 20);
	ck_assert_int_eq(store_reserve(st, 8 << 20), 0);
	/* Not the whole disk for one reservation. */
	ck_assert_uint_ge(free_bytes(), 15 << 20);
	ck_assert_int_eq(store_reserve(st, 8 << 20), 0);
	fill_disk();
	use_up(16 << 20, 65536, &random, true);
	done();
}
END_TEST

START_TEST(test_space_append_without_room_leaves_the_store_usable)
{
	struct block b, first;
	int r;
	open_store(8 << 20, 65536, 4 << 20);
	ck_assert_int_eq(block_put(st, &first, 1, 65536), 0);
	for (uint32_t i = 3; (r = block_put(st, &b, i, 65536)) == 0; i += 2)
		;
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_int_eq(block_put(st, &b, 1, 65536), -ENOSPC);
	ck_assert_int_eq(store_sync(st), 0); /* what was taken is safe */
	ck_assert_int_eq(block_check(st, &first), 0);
	sim_set_total(io, 16 << 20);
	ck_assert_int_eq(block_put(st, &b, 1, 65536), 0);
	ck_assert_int_eq(store_sync(st), 0);
	ck_assert_int_eq(block_check(st, &b), 0);
	done();
}
END_TEST

/* On the real file system: what a truncate gives back is its affair. */
static char temp_dir[64];

static void open_temp(void)
{
	strcpy(temp_dir, "/tmp/check_space.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(temp_dir));
	ck_assert_int_eq(io_posix_new(temp_dir, &io), 0);
	ck_assert_int_eq(store_format(io), 0);
}

static uint64_t taken;
static int add_taken(const char *path, const struct stat *s, int kind, struct FTW *ftw)
{
	taken += kind == FTW_F ? (uint64_t)s->st_blocks * 512 : 0;
	return 0;
}
static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *ftw)
{
	return remove(path);
}
static uint64_t taken_bytes(void)
{
	taken = 0;
	nftw(temp_dir, add_taken, 8, FTW_PHYS);
	return taken;
}
static void remove_temp(void)
{
	done();
	nftw(temp_dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

START_TEST(test_space_finished_packs_keep_no_surplus)
{
	struct store_config cfg = { .block_size = 65536, .hash_algo = HASH_SHA256, .pack_bytes = 1 << 20 };
	struct block b;
	uint64_t stored = 0;
	open_temp();
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
	ck_assert_int_eq(store_reserve(st, 30 << 20), 0);
	ck_assert_uint_ge(taken_bytes(), 30 << 20);
	for (uint32_t i = 1; i < 400; i += 2) {
		ck_assert_int_eq(block_put(st, &b, i, 60000), 0); /* 17 fill a pack, but not quite */
		stored += b.loc.stored;
	}
	store_unreserve(st, 30 << 20);
	ck_assert_int_eq(store_sync(st), 0);
	store_close(st);
	st = NULL;
	ck_assert_uint_le(taken_bytes(), stored + (uint64_t)b.loc.pack * 8192);
	remove_temp();
}
END_TEST

/* What a crash leaves: packs with space allocated behind their end, and empty ones. */
START_TEST(test_space_after_a_crash)
{
	struct store_config cfg = { .block_size = 4096, .hash_algo = HASH_SHA256, .pack_bytes = 1 << 20 };
	struct io_file *f;
	struct block b;
	open_temp();
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
	ck_assert_int_eq(block_put(st, &b, 1, 4096), 0);
	ck_assert_int_eq(store_sync(st), 0);
	store_close(st);
	ck_assert_int_eq(io_open(io, "packs/00000001", 0, &f), 0);
	ck_assert_int_eq(io_allocate(f, 8192, 8 << 20), 0);
	io_close(f);
	for (int i = 2; i < 5; i++) {
		char name[] = "packs/00000000";
		name[13] = (char)('0' + i);
		ck_assert_int_eq(io_open(io, name, IO_CREATE, &f), 0);
		ck_assert_int_eq(io_allocate(f, 0, 8 << 20), 0);
		io_close(f);
	}
	ck_assert_int_eq(io_open(io, "packs/README", IO_CREATE, &f), 0); /* not ours */
	io_close(f);
	ck_assert_int_eq(store_open(io, &cfg, 0, &st), 0);
	ck_assert_uint_le(taken_bytes(), 12288);
	ck_assert_int_eq(block_check(st, &b), 0);
	ck_assert_int_eq(block_put(st, &b, 1, 4096), 0);
	ck_assert_uint_eq(b.loc.pack, 5); /* no number twice */
	ck_assert_int_eq(io_open(io, "packs/README", 0, &f), 0);
	io_close(f);
	remove_temp();
}
END_TEST

static atomic_int refused_small;
static void *reserver(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	for (int i = 0; i < 2000; i++) {
		uint64_t n = block_random(&random) % 10 ? 10000 : 12 << 20;
		if (store_reserve(st, n) == 0)
			store_unreserve(st, n);
		else if (n == 10000)
			atomic_fetch_add(&refused_small, 1); /* a large one that fails beside it is no reason */
	}
	return NULL;
}

START_TEST(test_space_many_reservers)
{
	pthread_t t[4];
	uint64_t random = 2;
	struct store_stats s;
	open_store(32 << 20, 4096, 1 << 20);
	ck_assert_int_eq(store_reserve(st, 4 << 20), 0);
	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, reserver, (void *)i), 0);
	use_up(4 << 20, 4096, &random, true);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_eq(refused_small, 0);
	store_get_stats(st, &s);
	ck_assert_uint_lt(s.reserved_bytes, 8192);
	done();
}
END_TEST

/* What was promised already stays promised on a full disk, and is backed as soon as there is room again. */
START_TEST(test_space_owed)
{
	uint64_t random = 5;
	struct store_stats stats;
	open_store(24 << 20, 4096, 1 << 20);
	ck_assert_int_eq(store_owe(st, 1 << 20), 0);
	fill_disk();
	ck_assert_int_eq(store_owe(st, 4 << 20), -ENOSPC);
	store_get_stats(st, &stats);
	ck_assert_uint_eq(stats.reserved_bytes, 5 << 20);
	ck_assert_int_eq(store_reserve(st, 1), -ENOSPC);
	ck_assert_int_eq(io_unlink(io, "filler"), 0);
	ck_assert_int_eq(store_reserve(st, 1 << 20), 0);
	fill_disk();
	use_up(6 << 20, 4096, &random, true);
	done();
}
END_TEST

Suite *make_space_suite(void)
{
	Suite *suite = suite_create("space");
	TCase *tc = tcase_create("space");
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, test_space_reserved_appends_succeed_on_a_full_disk, 0, 30);
	tcase_add_test(tc, test_space_refuses_more_than_there_is);
	tcase_add_test(tc, test_space_small_disk_with_large_packs);
	tcase_add_test(tc, test_space_append_without_room_leaves_the_store_usable);
	tcase_add_test(tc, test_space_finished_packs_keep_no_surplus);
	tcase_add_test(tc, test_space_after_a_crash);
	tcase_add_test(tc, test_space_many_reservers);
	tcase_add_test(tc, test_space_owed);
	suite_add_tcase(suite, tc);
	return suite;
}
