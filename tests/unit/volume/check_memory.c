/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The bound of memory: its division, the dirty share that is never passed, caches that give way; and the table of nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/volume/internal.h"
#include "tests/unit/volume/fixture.h"
#include "tests/unit/volume/suites.h"

/* ---- nodes ---- */

#define NODES_MODEL 3000

/* Random additions and drops, against plain counts; small vol and ino numbers collide in every way. */
START_TEST(test_nodes_against_model)
{
	static uint64_t model[3][NODES_MODEL];
	struct nodes t;
	unsigned known = 0;
	bool first;

	srandom(7);
	memset(model, 0, sizeof(model));
	nodes_init(&t);
	for (unsigned i = 0; i < 300000; i++) {
		/* Grows for two thirds of the time, then shrinks. */
		uint64_t vol = (uint64_t)random() % 3, ino = (uint64_t)random() % NODES_MODEL, *m = &model[vol][ino];
		bool add = random() % 100 < (i < 200000 ? 60 : 20);

		if (add) {
			ok(nodes_add(&t, vol, ino, &first));
			ck_assert_int_eq(first, *m == 0);
			known += !*m;
			(*m)++;
		} else {
			uint64_t n = 1 + (uint64_t)random() % 3;

			nodes_drop(&t, vol, ino, n);
			known -= *m && *m <= n;
			*m -= MIN(*m, n);
		}
		ck_assert_int_eq(nodes_known(&t, vol, ino), *m > 0);
		if (i % 50000 == 0)
			for (vol = 0; vol < 3; vol++)
				for (ino = 0; ino < NODES_MODEL; ino++)
					ck_assert_int_eq(nodes_known(&t, vol, ino), model[vol][ino] > 0);
	}
	/* 24 bytes an entry, at most 8 times as many places as entries once it has shrunk. */
	ck_assert_uint_le(nodes_bytes(&t), 24ull * (8ull * known + 64 * 16));
	nodes_release(&t);
}
END_TEST

START_TEST(test_nodes_shrink_to_nothing)
{
	struct nodes t;

	nodes_init(&t);
	ck_assert(!nodes_known(&t, 1, 1));
	nodes_drop(&t, 1, 1, 5); /* unknown: nothing */
	for (uint64_t i = 0; i < 100000; i++)
		ok(nodes_add(&t, 1, i, NULL));
	ck_assert_uint_ge(nodes_bytes(&t), 100000 * 24);
	ck_assert_uint_le(nodes_bytes(&t), 100000 * 24 * 8 / 3 + 64 * 16 * 24);
	for (uint64_t i = 0; i < 100000; i++)
		nodes_drop(&t, 1, i, 1);
	ck_assert_uint_le(nodes_bytes(&t), 64 * 16 * 24);
	nodes_release(&t);
}
END_TEST

/* ---- the plan ---- */

START_TEST(test_plan_stays_within_bound)
{
	static const uint32_t blocks[] = {4096, 65536, 1 << 20};

	for (uint64_t bound = 64 << 20; bound <= 16ull << 30; bound *= 2) {
		for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
			struct memory m = {0};
			uint64_t sum;

			memory_plan(&m, bound, bound / 4, LOG_RECORD_MAX);
			memory_plan_blocks(&m, blocks[i]);
			sum = m.program + m.front + m.log_buffer + m.database + m.chunk_sums + m.streams + m.convert + m.rest;
			/* Blocks of 1 MiB need 128 MiB to convert, so they do not go with a small bound. */
			if (blocks[i] < 1 << 20 || bound >= 512 << 20)
				ck_assert_uint_eq(sum, bound);
			ck_assert_uint_ge(m.rest, 6 << 20);
			ck_assert_uint_eq(m.dirty_max, m.rest / 4 * 3);
		}
	}
}
END_TEST

/* ---- the bound at work ---- */

static void make_many(struct fs_node dir, unsigned from, unsigned n)
{
	char name[32];

	for (unsigned i = from; i < from + n; i++) {
		snprintf(name, sizeof(name), "file-%06u", i);
		put_text(make(dir, name, S_IFREG | 0644), 0, "some text");
	}
}

/* 30,000 new files are 30 MB of changes; nobody applies but who makes them. */
START_TEST(test_dirty_stays_below_its_share)
{
	uint64_t max = atomic_load(&test_fs->memory.dirty_max), seen = 0;

	ck_assert_uint_le(max, 5 << 20);
	for (unsigned i = 0; i < 30000; i += 100) {
		make_many(test_root, i, 100);
		seen = MAX(seen, memory_dirty(test_fs));
		ck_assert_uint_le(memory_dirty(test_fs), max + (300 << 10)); /* the last operation's own, and what is not told yet */
	}
	ck_assert_uint_ge(seen, max / 2); /* or nothing was tested */
	ck_assert_uint_ge(atomic_load(&test_fs->memory.waits), 5);
	drain();
	ck_assert_uint_le(memory_dirty(test_fs), 300 << 10);
	is_text(find(test_root, "file-000000"), "some text");
	is_text(find(test_root, "file-029999"), "some text");
}
END_TEST

/* Deleting too: a record each, and nothing freed before it is applied. */
START_TEST(test_dirty_of_deletes)
{
	uint64_t max = atomic_load(&test_fs->memory.dirty_max);
	char name[32];

	make_many(test_root, 0, 10000);
	drain();
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "file-%06u", i);
		del(test_root, name);
		ck_assert_uint_le(memory_dirty(test_fs), max + (300 << 10));
	}
}
END_TEST

static int64_t switches_of_waiter(pid_t tid)
{
	char path[64], line[128];
	long long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (n < 0 && fgets(line, sizeof(line), f))
		(void)sscanf(line, "voluntary_ctxt_switches: %lld", &n);
	fclose(f);
	return n;
}

struct waiter {
	_Atomic pid_t tid;
	unsigned first;
	pthread_t thread;
};

static void *make_until_room(void *arg)
{
	struct waiter *w = arg;

	atomic_store(&w->tid, gettid());
	make_many(test_root, w->first, 10000);
	return NULL;
}

/* Who waits for room sleeps until there is some.  They used to wake each other for ever, and had the processors that
 * converting needed. */
START_TEST(test_waiters_sleep)
{
	struct waiter w[4] = {{0}};
	int64_t before[ARRAY_SIZE(w)];

	test_open.manual = false;
	reopen();
	pthread_mutex_lock(&test_fs->writer_lock); /* nothing is applied */
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].first = i * 10000;
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, make_until_room, &w[i]), 0);
	}
	while (atomic_load(&test_fs->memory.waits) < ARRAY_SIZE(w))
		usleep(1000);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		before[i] = switches_of_waiter(atomic_load(&w[i].tid));
	usleep(500000);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		ck_assert_int_le(switches_of_waiter(atomic_load(&w[i].tid)) - before[i], 20);
	pthread_mutex_unlock(&test_fs->writer_lock);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		ck_assert_int_eq(pthread_join(w[i].thread, NULL), 0);
	is_text(find(test_root, "file-039999"), "some text");
}
END_TEST

/* What was read stays in memory until changes need the room. */
START_TEST(test_caches_give_way)
{
	struct cache_stats rows, blocks;
	uint64_t before;

	make_many(test_root, 0, 5000);
	for (unsigned i = 0; i < 200; i++)
		fill(find(test_root, "file-000000"), i * BS, BS, (uint8_t)i);
	drain();
	memory_adjust(test_fs);
	for (unsigned i = 0; i < 200; i++)
		is_filled(find(test_root, "file-000000"), i * BS, BS, (uint8_t)i);
	rows_get_stats(test_fs->rows, &rows);
	bcache_get_stats(test_fs->bcache, &blocks);
	ck_assert_uint_ge(rows.bytes, 1 << 20);
	ck_assert_uint_ge(blocks.bytes, 200 * BS / 2);
	before = rows.bytes + blocks.bytes;
	ck_assert_uint_le(before, test_fs->memory.rest);

	while (memory_dirty(test_fs) < test_fs->memory.dirty_max / 2)
		put_text(make(test_root, "x", S_IFREG | 0644), 0, "x"), del(test_root, "x");
	memory_adjust(test_fs);
	rows_get_stats(test_fs->rows, &rows);
	bcache_get_stats(test_fs->bcache, &blocks);
	ck_assert_uint_le(rows.bytes + blocks.bytes + memory_dirty(test_fs), test_fs->memory.rest);
	/* and the bound is the caches' bound when nothing else is there */
	rows_limit(test_fs->rows, 0);
	bcache_limit(test_fs->bcache, 0);
	rows_get_stats(test_fs->rows, &rows);
	bcache_get_stats(test_fs->bcache, &blocks);
	ck_assert_uint_le(rows.bytes, before / 2);
	ck_assert_uint_le(blocks.bytes, 16 * (BS + 256));
	is_filled(find(test_root, "file-000000"), 7 * BS, BS, 7);
}
END_TEST

Suite *make_memory_suite(void)
{
	Suite *s = suite_create("memory");
	TCase *plain = tcase_create("plain"), *fs = tcase_create("store");

	tcase_add_test(plain, test_nodes_against_model);
	tcase_add_test(plain, test_nodes_shrink_to_nothing);
	tcase_add_test(plain, test_plan_stays_within_bound);
	suite_add_tcase(s, plain);
	tcase_add_checked_fixture(fs, setup, teardown);
	tcase_set_timeout(fs, 120);
	tcase_add_test(fs, test_dirty_stays_below_its_share);
	tcase_add_test(fs, test_dirty_of_deletes);
	tcase_add_test(fs, test_waiters_sleep);
	tcase_add_test(fs, test_caches_give_way);
	suite_add_tcase(s, fs);
	return s;
}
