/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Life of a log: format, append, switch, wrap-around, reading, reopening. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/log/fixture.h"
#include "tests/unit/log/suites.h"

static struct io *io;
static struct log_config cfg;

static void setup(void)
{
	io = sim_new(7, 0);
	cfg = fix_config();
}
static void teardown(void)
{
	io_free(io);
}

/* Replay from `from` a closed log: records first .. first + count - 1. */
static void expect_records(uint64_t from, uint64_t first, uint64_t count)
{
	struct fix_replay r = {.first = first};
	struct log *log;

	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), 0);
	ck_assert_int_eq(log_replay(log, from, fix_replay_one, &r), 0);
	ck_assert_uint_eq(r.count, count);
	log_abandon(log);
}

START_TEST(test_log_format_errors)
{
	struct log_config bad = cfg;
	struct log *log;

	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -ENOENT);
	bad.segment_bytes = 65536 + 4096;
	ck_assert_int_eq(log_format(io, fix_uuid, &bad), -EINVAL);
	bad = cfg;
	bad.max_segments = 3;
	ck_assert_int_eq(log_format(io, fix_uuid, &bad), -EINVAL);
	bad = cfg;
	bad.max_record_bytes = 16385;
	ck_assert_int_eq(log_format(io, fix_uuid, &bad), -EINVAL);
	bad = cfg;
	bad.buffer_bytes = 32767;
	ck_assert_int_eq(log_format(io, fix_uuid, &bad), -EINVAL);
	ck_assert_int_eq(log_format(io, fix_uuid, &cfg), 0);
	ck_assert_int_eq(log_format(io, fix_uuid, &cfg), -EEXIST);
}
END_TEST

START_TEST(test_log_format_survives_power_cut)
{
	struct log *log;

	ck_assert_int_eq(log_format(io, fix_uuid, &cfg), 0);
	sim_cut_now(io);
	sim_power_on(io);
	log = fix_reopen(io, &cfg, 0);
	ck_assert_uint_eq(log_end(log), 0);
	ck_assert_uint_eq(log_durable(log), 0);
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	ck_assert_int_eq(log_close(log), 0);
	expect_records(0, 0, 0);
}
END_TEST

START_TEST(test_log_append_positions)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t data_pos, next;
	struct log_stats st;

	ck_assert_uint_eq(fix_append(log, 0, 0, &data_pos, &next), 4096);
	ck_assert_uint_eq(data_pos, 4096 + 32);
	ck_assert_uint_eq(next, 4096 + 32);
	ck_assert_uint_eq(fix_append(log, 1, 1, &data_pos, &next), 4128);
	ck_assert_uint_eq(next, 4168);
	ck_assert_uint_eq(log_end(log), 4168);
	ck_assert_uint_eq(log_durable(log), 0);
	ck_assert_int_eq(log_wait(log, 4096), 0);
	ck_assert_uint_eq(log_durable(log), 4168);
	log_get_stats(log, &st);
	ck_assert_uint_eq(st.flushes, 1);
	ck_assert_uint_eq(st.records, 2);
	ck_assert_uint_eq(st.waiters, 1);
	ck_assert_uint_eq(st.used_bytes, 65536);
	ck_assert_uint_eq(st.capacity_bytes, 4 * 65536);
	ck_assert_int_eq(st.poisoned, 0);
	ck_assert_int_eq(log_wait(log, 4128), 0); /* durable already: no second flush */
	log_get_stats(log, &st);
	ck_assert_uint_eq(st.flushes, 1);
	ck_assert_int_eq(log_close(log), 0);
	expect_records(0, 0, 2);
	expect_records(4128, 1, 1);
	expect_records(4168, 2, 0);
}
END_TEST

/* A lone writer costs one sync a record, and nothing else is synced. */
START_TEST(test_log_wait_one_sync)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t before;

	for (uint64_t n = 0; n < 20; n++) {
		uint64_t lsn = fix_append(log, n, 100, NULL, NULL);

		before = sim_syncs(io);
		ck_assert_int_eq(log_wait(log, lsn), 0);
		ck_assert_uint_eq(sim_syncs(io), before + 1);
	}
	before = sim_syncs(io);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_uint_eq(sim_syncs(io), before);
}
END_TEST

START_TEST(test_log_close_flushes)
{
	struct log *log = fix_begin(io, &cfg);

	for (uint64_t n = 0; n < 10; n++)
		fix_append(log, n, 500, NULL, NULL);
	ck_assert_int_eq(log_close(log), 0);
	sim_cut_now(io);
	sim_power_on(io);
	expect_records(0, 0, 10);
}
END_TEST

/* A thousand times round the four segments, several ring laps, retiring behind, all sizes up to the longest. */
START_TEST(test_log_wrap_around)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t rnd = 1, n, next = 0, kept_n = 0, kept_next = 0;

	for (n = 0; log_end(log) < 1000 * 4 * 65536ull; n++) {
		size_t len = n % 50 == 49 ? FIX_MAX_RECORD : fix_random(&rnd) % 4000;

		fix_append(log, n, len, NULL, &next);
		if (n % 10 == 9) {
			ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
			log_retire(log, next);
			kept_n = n + 1;
			kept_next = next;
		}
	}
	ck_assert_int_eq(log_close(log), 0);
	expect_records(kept_next, kept_n, n - kept_n);
	log = fix_reopen(io, &cfg, kept_next);
	ck_assert_uint_eq(log_end(log), next);
	fix_append(log, n++, 10, NULL, NULL);
	ck_assert_int_eq(log_close(log), 0);
	expect_records(kept_next, kept_n, n - kept_n);
}
END_TEST

/* Records fill a segment to its last byte, and leave each possible rest. */
START_TEST(test_log_segment_end)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t n = 0, next;
	size_t rest = (size_t)_i * 8;

	for (int i = 0; i < 3; i++)
		fix_append(log, n++, 15328, NULL, NULL); /* 3 * 15360 = 46080; 15360 are left */
	fix_append(log, n++, 15328 - rest, NULL, &next);
	ck_assert_uint_eq(next, 65536 - rest);
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	ck_assert_uint_eq(log_durable(log), next);
	log_retire(log, next);
	ck_assert_int_eq(log_close(log), 0);
	expect_records(0, 0, n);
	expect_records(next, n, 0);
	log = fix_reopen(io, &cfg, next);
	ck_assert_uint_eq(log_end(log), next);
	ck_assert_uint_eq(fix_append(log, n, 0, NULL, NULL), 65536 + 4096);
	ck_assert_int_eq(log_close(log), 0);
	expect_records(next, n, 1);
}
END_TEST

/* Each mount begins a fresh segment; empty mounts begin none. */
START_TEST(test_log_mounts_many)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t n = 0, next = 0;

	for (uint64_t round = 0; round < 40; round++) {
		uint64_t lsn = fix_append(log, n++, 20, NULL, &next);

		ck_assert_uint_eq(lsn, round * 65536 + 4096);
		ck_assert_int_eq(log_close(log), 0);
		log = fix_reopen(io, &cfg, round > 2 ? next : 0);
		ck_assert_int_eq(log_close(log), 0);
		log = fix_reopen(io, &cfg, round > 2 ? next : 0);
		ck_assert_uint_eq(log_end(log), next);
	}
	ck_assert_int_eq(log_close(log), 0);
	expect_records(next, n, 0);
}
END_TEST

START_TEST(test_log_read_memory_and_disk)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t pos[60], rnd = 3, next[60];
	uint8_t *buf = malloc(FIX_MAX_RECORD);

	for (uint64_t n = 0; n < 60; n++) {
		size_t len = 200 + n * 40;

		fix_append(log, n, len, &pos[n], &next[n]);
		ck_assert_int_eq(log_read(log, pos[n], buf, len), 0); /* memory */
		ck_assert(fix_is(buf, len, n));
		if (n % 7 == 0)
			ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	}
	for (uint64_t n = 0; n < 60; n++) {
		size_t len = 200 + n * 40, off = fix_random(&rnd) % len;
		uint8_t want[3000];

		fix_fill(want, len, n);
		ck_assert_int_eq(log_read(log, pos[n] + off, buf, len - off), 0);
		ck_assert_mem_eq(buf, want + off, len - off);
	}
	ck_assert_int_eq(log_read(log, next[59], buf, 1), -EINVAL);
	ck_assert_int_eq(log_read(log, 100 * 65536, buf, 1), -EINVAL);
	ck_assert_int_eq(log_read(log, 0, buf, 1), -EINVAL);
	/* After reopening everything is on disk. */
	ck_assert_int_eq(log_close(log), 0);
	log = fix_reopen(io, &cfg, 0);
	for (uint64_t n = 0; n < 60; n++) {
		ck_assert_int_eq(log_read(log, pos[n], buf, 200 + n * 40), 0);
		ck_assert(fix_is(buf, 200 + n * 40, n));
	}
	sim_fault(io, SIM_FAULT_READ_EIO, "log/", 1);
	ck_assert_int_eq(log_read(log, pos[0], buf, 200), -EIO);
	ck_assert_int_eq(log_read(log, pos[0], buf, 200), 0);
	ck_assert_int_eq(log_close(log), 0);
	free(buf);
}
END_TEST

START_TEST(test_log_read_stale)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t first, pos, next = 0;
	uint8_t buf[100];

	fix_append(log, 0, 100, &first, NULL);
	pos = first;
	for (uint64_t n = 1; log_end(log) < 3 * 65536; n++)
		fix_append(log, n, 5000, NULL, &next);
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	ck_assert_int_eq(log_read(log, pos, buf, 100), 0);
	log_retire(log, 65536 + 5000); /* reaches the second segment: the first is given up */
	ck_assert_int_eq(log_read(log, pos, buf, 100), -ESTALE);
	log_retire(log, next);
	ck_assert_int_eq(log_close(log), 0);
	log = fix_reopen(io, &cfg, next);
	ck_assert_int_eq(log_read(log, pos, buf, 100), -ESTALE);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

/* The current segment is kept until the next one's header is durable, even when all of it is retired. */
START_TEST(test_log_retire_everything_then_power_cut)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t n = 0, next = 0;

	for (int round = 0; round < 50; round++) {
		struct log_stats st;

		for (int i = 0; i < 7; i++)
			fix_append(log, n++, 9000, NULL, &next);
		ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
		log_retire(log, next);
		log_get_stats(log, &st);
		ck_assert_uint_eq(st.used_bytes, 65536);
		fix_append(log, n, 16000, NULL, NULL); /* not durable, may begin a segment */
		log_abandon(log);
		sim_cut_now(io);
		sim_power_on(io);
		log = fix_reopen(io, &cfg, next);
		ck_assert_uint_eq(log_end(log), next);
	}
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

/* Segment files are added while there is need and taken away when max_segments is lowered. */
START_TEST(test_log_more_and_fewer_segments)
{
	struct log_stats st;
	struct log *log;
	uint64_t n = 0, next = 0;

	cfg.max_segments = 12;
	log = fix_begin(io, &cfg);
	while (log_end(log) < 11 * 65536ull)
		fix_append(log, n++, 8000, NULL, &next);
	log_get_stats(log, &st);
	ck_assert_uint_eq(st.used_bytes, 12 * 65536);
	ck_assert_int_eq(log_close(log), 0);
	expect_records(0, 0, n);
	cfg.max_segments = 4;
	log = fix_reopen(io, &cfg, next); /* one live, eleven to spare */
	for (uint64_t end = next + 20 * 65536; log_end(log) < end;) {
		fix_append(log, n++, 8000, NULL, &next);
		ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
		log_retire(log, next);
	}
	ck_assert_int_eq(log_close(log), 0);
	expect_records(next, n, 0);
}
END_TEST

Suite *make_log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("life");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, test_log_format_errors);
	tcase_add_test(tc, test_log_format_survives_power_cut);
	tcase_add_test(tc, test_log_append_positions);
	tcase_add_test(tc, test_log_wait_one_sync);
	tcase_add_test(tc, test_log_close_flushes);
	tcase_add_test(tc, test_log_wrap_around);
	tcase_add_loop_test(tc, test_log_segment_end, 0, 6);
	tcase_add_test(tc, test_log_mounts_many);
	tcase_add_test(tc, test_log_read_memory_and_disk);
	tcase_add_test(tc, test_log_read_stale);
	tcase_add_test(tc, test_log_retire_everything_then_power_cut);
	tcase_add_test(tc, test_log_more_and_fewer_segments);
	suite_add_tcase(s, tc);
	return s;
}
