/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the log ends: torn ends are accepted, damage to what was durable is refused. */
#include <errno.h>
#include <string.h>

#include "fs/base/endian.h"
#include "fs/base/hash.h"
#include "tests/unit/log/fixture.h"
#include "tests/unit/log/suites.h"

static struct io *io;
static struct log_config cfg;

static void setup(void)
{
	io = sim_new(13, 0);
	cfg = fix_config();
}
static void teardown(void)
{
	io_free(io);
}

static int replay(uint64_t from, uint64_t first, uint64_t *count)
{
	struct fix_replay r = {.first = first};
	struct log *log;
	int err = log_open(io, fix_uuid, &cfg, &log);

	if (err < 0)
		return err;
	err = log_replay(log, from, fix_replay_one, &r);
	*count = r.count;
	log_abandon(log);
	return err;
}

/* Ten records of 8 KiB, each flushed by itself: six in the first segment, four in the second. */
static uint64_t lsn_of[10];
static void ten_records(void)
{
	struct log *log = fix_begin(io, &cfg);

	for (uint64_t n = 0; n < 10; n++) {
		lsn_of[n] = fix_append(log, n, 8192, NULL, NULL);
		ck_assert_int_eq(log_wait(log, lsn_of[n]), 0);
	}
	ck_assert_uint_eq(lsn_of[6], lsn_of[5] + 8224);
	ck_assert_uint_eq(lsn_of[7], 65536 + 4096);
	ck_assert_int_eq(log_close(log), 0);
}
static void damage(uint64_t pos)
{
	ck_assert_int_eq(sim_corrupt(io, pos < 65536 ? "log/seg-00000001" : "log/seg-00000002", pos % 65536), 0);
}

/* Any flipped bit in a record that something valid lies behind is refused; the records before it are still handed out. */
START_TEST(test_log_damage_in_the_middle)
{
	static const uint64_t off[] = {0, 8, 16, 20, 22, 24, 32, 5000, 8223};
	uint64_t count;

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		io_free(io);
		setup();
		ten_records();
		damage(lsn_of[_i] + off[i]);
		/* For the last but one the only witness is the last, made when the last but one was durable. */
		ck_assert_int_eq(replay(0, 0, &count), -EUCLEAN);
		ck_assert_uint_eq(count, _i);
		if (_i < 9) {
			/* What is damaged but not needed any more does no harm. */
			ck_assert_int_eq(replay(lsn_of[_i + 1], (uint64_t)_i + 1, &count), 0);
			ck_assert_uint_eq(count, 9 - _i);
		}
	}
}
END_TEST

/* The last record of all has no witness: it looks torn. */
START_TEST(test_log_torn_end)
{
	uint64_t count;

	ten_records();
	damage(lsn_of[9] + 100);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 9);
}
END_TEST

/* A whole flush group that was never acknowledged, damaged at its start: it ends the log without complaint, and the next
 * mounts go on behind it. */
START_TEST(test_log_torn_group)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t count, lsn = 0, next;

	for (uint64_t n = 0; n < 4; n++)
		fix_append(log, n, 1000, NULL, NULL);
	ck_assert_int_eq(log_wait(log, UINT64_MAX), 0);
	for (uint64_t n = 4; n < 12; n++) {
		uint64_t l = fix_append(log, n, 1000, NULL, NULL);

		lsn = n == 4 ? l : lsn;
	}
	ck_assert_int_eq(log_close(log), 0);
	damage(lsn + 40);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 4);
	log = fix_reopen(io, &cfg, 0);
	ck_assert_uint_eq(log_end(log), lsn);
	ck_assert_uint_eq(fix_append(log, 4, 50, NULL, &next), 65536 + 4096);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 5);
	ck_assert_int_eq(replay(lsn, 4, &count), 0);
	ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(test_log_header_damage)
{
	struct log *log;
	uint64_t count;

	ten_records();
	ck_assert_int_eq(sim_corrupt(io, "log/seg-00000002", (uint64_t)_i), 0);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -EUCLEAN);
	ck_assert_int_eq(sim_corrupt(io, "log/seg-00000002", (uint64_t)_i), 0);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 10);
}
END_TEST

static void edit_header(const char *path, void (*edit)(uint8_t *h))
{
	uint8_t h[80];
	struct io_file *f;

	ck_assert_int_eq(io_open(io, path, 0, &f), 0);
	ck_assert_int_eq(io_pread(f, h, 80, 0), 80);
	edit(h);
	ck_assert_int_eq(io_pwrite(f, h, 80, 0), 0);
	io_close(f);
}
static void newer(uint8_t *h)
{
	put_le32(h + 8, 2);
	put_le64(h + 72, checksum64(h, 72));
}
static void same_number(uint8_t *h)
{
	put_le64(h + 40, 0);
	put_le64(h + 48, 0);
	put_le64(h + 56, 0);
	put_le64(h + 72, checksum64(h, 72));
}
static void cleared(uint8_t *h)
{
	memset(h, 0, 80);
}

START_TEST(test_log_open_refuses)
{
	static const uint8_t other[16] = {1};
	struct log *log = NULL;
	struct io_file *f;
	uint64_t count;

	ten_records();
	ck_assert_int_eq(log_open(io, other, &cfg, &log), -EUCLEAN);
	cfg.segment_bytes = 131072;
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -EUCLEAN);
	cfg.segment_bytes = 65536;
	edit_header("log/seg-00000002", newer);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -EPROTONOSUPPORT);
	edit_header("log/seg-00000002", same_number);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -EPROTONOSUPPORT);
	ck_assert_ptr_null(log);
	edit_header("log/seg-00000002", cleared);
	/* The second segment is gone and nobody knows of it: that cannot be seen from 0, but from where it was needed. */
	ck_assert_int_eq(replay(lsn_of[8], 8, &count), -EUCLEAN);
	ck_assert_int_eq(io_open(io, "log/seg-00000003", 0, &f), 0);
	ck_assert_int_eq(io_truncate(f, 65535), 0);
	io_close(f);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -EUCLEAN);
}
END_TEST

START_TEST(test_log_two_segments_with_one_number)
{
	struct log *log;

	ten_records();
	edit_header("log/seg-00000002", same_number);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), -EUCLEAN);
}
END_TEST

/* A segment in the middle that has vanished is missed by the later one. */
START_TEST(test_log_segment_missing)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t count;

	for (uint64_t n = 0; n < 18; n++)
		fix_append(log, n, 8192, NULL, NULL);
	ck_assert_int_eq(log_close(log), 0);
	log = fix_reopen(io, &cfg, 0);
	fix_append(log, 18, 8192, NULL, NULL);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 19);
	edit_header("log/seg-00000002", cleared);
	ck_assert_int_eq(replay(0, 0, &count), -EUCLEAN);
}
END_TEST

START_TEST(test_log_replay_bad_from)
{
	uint64_t count;

	ten_records();
	ck_assert_int_eq(replay(lsn_of[5] + 4, 0, &count), -EUCLEAN);
	ck_assert_int_eq(replay(4000, 0, &count), -EUCLEAN);
	ck_assert_int_eq(replay(65536 + 4000, 0, &count), -EUCLEAN);
	ck_assert_int_eq(replay(5 * 65536, 0, &count), -EUCLEAN);
	ck_assert_int_eq(replay(lsn_of[5] + 8, 0, &count), -EUCLEAN); /* later records say that more was durable */
}
END_TEST

static int stop_at_third(void *arg, const struct log_record *rec)
{
	return ++*(int *)arg == 3 ? -ECANCELED : 0;
}

START_TEST(test_log_replay_callback_stops)
{
	struct fix_replay r = {.first = 0};
	struct log *log;
	int seen = 0;

	ten_records();
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), 0);
	ck_assert_int_eq(log_replay(log, 0, stop_at_third, &seen), -ECANCELED);
	ck_assert_int_eq(seen, 3);
	ck_assert_int_eq(log_replay(log, 0, fix_replay_one, &r), 0); /* again from the start */
	ck_assert_uint_eq(r.count, 10);
	ck_assert_int_eq(log_start(log, lsn_of[4]), 0);
	ck_assert_uint_eq(log_end(log), r.last_next);
	ck_assert_int_eq(log_close(log), 0);
}
END_TEST

START_TEST(test_log_start_beyond_end)
{
	struct log *log;

	ten_records();
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), 0);
	ck_assert_int_eq(log_replay(log, 0, NULL, NULL), 0);
	ck_assert_int_eq(log_start(log, lsn_of[9] + 2 * 65536), -EUCLEAN);
	log_abandon(log);
}
END_TEST

/* A torn group of three segments whose first part is lost; then records of the same lengths bring the new log to the very
 * position at which the lost group's later segments would fit.  They must be dead by then. */
START_TEST(test_log_stale_segments_of_lost_group)
{
	struct log *log;
	uint64_t lsn, count, next;

	cfg.buffer_bytes = 400000; /* so that nothing is flushed before it is asked for */
	log = fix_begin(io, &cfg);
	lsn = fix_append(log, 0, 8192, NULL, &next);
	ck_assert_int_eq(log_wait(log, lsn), 0);
	lsn = fix_append(log, 1, 8192, NULL, NULL);
	for (uint64_t n = 2; n < 18; n++)
		fix_append(log, n, 8192, NULL, NULL); /* to the third segment, one flush */
	ck_assert_int_eq(log_close(log), 0);
	damage(lsn + 77);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 1);
	log = fix_reopen(io, &cfg, 0);
	ck_assert_uint_eq(log_end(log), next);
	for (uint64_t n = 1; n < 8; n++)
		fix_append(log, n, 8192, NULL, &next); /* fills the second segment just as the lost group did */
	ck_assert_uint_eq(next, 65536 + 4096 + 7 * 8224);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 8);
}
END_TEST

/* A process that dies leaves bytes in the page cache that no sync covered.  What replay showed must survive a later power
 * cut, whatever is written after it. */
START_TEST(test_log_killed_then_power_cut)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t count, next, lsn;

	lsn = fix_append(log, 0, 3000, NULL, NULL);
	ck_assert_int_eq(log_wait(log, lsn), 0);
	fix_append(log, 1, 3000, NULL, NULL);
	sim_fault(io, SIM_FAULT_SYNC_EIO, "log/", 1); /* written, not synced */
	ck_assert_int_eq(log_wait(log, UINT64_MAX), -EIO);
	log_abandon(log);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), 0);
	ck_assert_int_eq(log_replay(log, 0, NULL, NULL), 0);
	ck_assert_int_eq(log_start(log, 0), 0);
	next = log_end(log);
	if (_i == 0)
		ck_assert_int_eq(log_wait(log, fix_append(log, next > 8000 ? 2 : 1, 10, NULL, NULL)), 0);
	log_abandon(log);
	sim_cut_now(io);
	sim_power_on(io);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, (next > 8000 ? 2u : 1u) + (_i == 0));
}
END_TEST

/* Segment 1 of a torn group is begun anew in the same file, and its first record ends just where the lost group's second one
 * still stands, whole: only the nonce tells that it is not the new segment's. */
START_TEST(test_log_nonce_kills_old_records)
{
	struct log *log;
	uint64_t lsn, count;

	cfg.buffer_bytes = 400000;
	log = fix_begin(io, &cfg);
	ck_assert_int_eq(log_wait(log, fix_append(log, 0, 8192, NULL, NULL)), 0);
	lsn = fix_append(log, 1, 8192, NULL, NULL);
	for (uint64_t n = 2; n < 7; n++)
		fix_append(log, n, 8192, NULL, NULL); /* the segment is full */
	for (uint64_t n = 7; n < 10; n++)
		fix_append(log, n, 4096 - 32, NULL, NULL); /* a page each */
	ck_assert_uint_eq(log_end(log), 65536 + 4 * 4096);
	ck_assert_int_eq(log_close(log), 0);
	damage(lsn + 50);
	log = fix_reopen(io, &cfg, 0);
	ck_assert_uint_eq(log_end(log), lsn);
	ck_assert_uint_eq(fix_append(log, 1, 4096 - 32, NULL, NULL), 65536 + 4096);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 2);
}
END_TEST

/* Written but never synced, as a killed process leaves it: once replay has shown a record, a power cut may not take it. */
START_TEST(test_log_shown_is_durable)
{
	static uint8_t one[8192], two[8192];
	struct fix_replay r = {.first = 0};
	struct io_file *f;
	struct log *log;
	uint64_t count;

	io_free(io);
	io = sim_new(100 + (uint64_t)_i, 0);
	log = fix_begin(io, &cfg);
	ck_assert_int_eq(io_open(io, "log/seg-00000001", 0, &f), 0);
	for (uint64_t n = 0; n < 2; n++) {
		ck_assert_int_eq(log_wait(log, fix_append(log, n, 1000, NULL, NULL)), 0);
		ck_assert_int_eq(io_pread(f, n ? two : one, 8192, 0), 8192);
	}
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(io_pwrite(f, one, 8192, 0), 0);
	ck_assert_int_eq(io_sync(f), 0);
	ck_assert_int_eq(io_pwrite(f, two, 8192, 0), 0);
	io_close(f);
	ck_assert_int_eq(log_open(io, fix_uuid, &cfg, &log), 0);
	ck_assert_int_eq(log_replay(log, 0, fix_replay_one, &r), 0);
	ck_assert_uint_eq(r.count, 2);
	log_abandon(log);
	sim_cut_now(io);
	sim_power_on(io);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 2);
}
END_TEST

/* The only witness is the header of a segment all of whose records were lost. */
START_TEST(test_log_header_is_witness)
{
	struct log *log = fix_begin(io, &cfg);
	uint64_t count;

	ck_assert_int_eq(log_wait(log, fix_append(log, 0, 1000, NULL, NULL)), 0);
	ck_assert_int_eq(log_close(log), 0);
	log = fix_reopen(io, &cfg, 0);
	fix_append(log, 1, 1000, NULL, NULL);
	ck_assert_int_eq(log_close(log), 0);
	damage(65536 + 4096 + 100);
	ck_assert_int_eq(replay(0, 0, &count), 0);
	ck_assert_uint_eq(count, 1);
	damage(4096 + 100);
	ck_assert_int_eq(replay(0, 0, &count), -EUCLEAN);
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(test_log_leftovers_removed)
{
	struct log *log;
	struct io_file *f;

	ten_records();
	ck_assert_int_eq(io_open(io, "log/seg-00000009.new", IO_CREATE, &f), 0);
	io_close(f);
	ck_assert_int_eq(io_open(io, "log/seg-0000000a.new", IO_CREATE, &f), 0);
	io_close(f);
	log = fix_reopen(io, &cfg, 0);
	ck_assert_int_eq(log_close(log), 0);
	ck_assert_int_eq(io_open(io, "log/seg-00000009.new", 0, &f), -ENOENT);
	ck_assert_int_eq(io_open(io, "log/seg-0000000a.new", 0, &f), -ENOENT);
}
END_TEST

Suite *make_log_replay_suite(void)
{
	Suite *s = suite_create("log_replay");
	TCase *tc = tcase_create("replay");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_log_damage_in_the_middle, 0, 9);
	tcase_add_test(tc, test_log_torn_end);
	tcase_add_test(tc, test_log_torn_group);
	tcase_add_loop_test(tc, test_log_header_damage, 0, 80);
	tcase_add_test(tc, test_log_open_refuses);
	tcase_add_test(tc, test_log_two_segments_with_one_number);
	tcase_add_test(tc, test_log_segment_missing);
	tcase_add_test(tc, test_log_replay_bad_from);
	tcase_add_test(tc, test_log_replay_callback_stops);
	tcase_add_test(tc, test_log_start_beyond_end);
	tcase_add_test(tc, test_log_stale_segments_of_lost_group);
	tcase_add_loop_test(tc, test_log_killed_then_power_cut, 0, 2);
	tcase_add_test(tc, test_log_nonce_kills_old_records);
	tcase_add_loop_test(tc, test_log_shown_is_durable, 0, 10);
	tcase_add_test(tc, test_log_header_is_witness);
	tcase_add_test(tc, test_log_leftovers_removed);
	suite_add_tcase(s, tc);
	return s;
}
